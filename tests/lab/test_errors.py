"""Each thing that a machine may lack gives a message that says what to do about it."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

import lab.__main__
from lab import Lab, LabError, doctor, install, namespaces, open_cluster, preflight, ready, sweep
from lab.control import tail

from .conftest import Install

pytestmark = pytest.mark.usefixtures("own_cache")


def test_not_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    with pytest.raises(LabError, match=r"needs Linux .* this is Darwin.*USE_EXISTING_CLUSTER=1"):
        preflight.check_host()


def test_not_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LabError, match=r"needs root.*sudo"):
        preflight.check_host()
    with pytest.raises(LabError, match="needs root"):
        Lab().start()


def test_no_go(programs: Install) -> None:
    programs("something-else", "exit 0")
    with pytest.raises(LabError, match=r"no Go on PATH: install Go 1\.26\.6 or newer"):
        preflight.check_go((1, 26, 6))


def test_go_too_old(programs: Install) -> None:
    programs("go", "echo go version go1.19.8 linux/amd64")
    with pytest.raises(
        LabError, match=r"needs Go 1\.26, and the one on PATH is go1\.19\.8 linux/amd64: install Go 1\.26"
    ):
        preflight.check_go((1, 26))


def test_go_that_cannot_run(programs: Install) -> None:
    programs("go", "echo no such toolchain >&2; exit 1")
    with pytest.raises(LabError, match="no such toolchain"):
        preflight.check_go((1, 26))


def test_go_new_enough(programs: Install) -> None:
    programs("go", "echo go version go1.27rc1 linux/arm64")
    assert preflight.check_go((1, 26, 6)) == "go1.27rc1 linux/arm64"


def test_no_disk(tmp_path: Path) -> None:
    preflight.check_disk(tmp_path / "not" / "yet", needed=1)
    with pytest.raises(LabError, match=r"needs 1000000000 GB of disk.*GRPCBALANCE_LAB_CACHE"):
        preflight.check_disk(tmp_path / "not" / "yet", needed=10**18)


def test_missing_programs_are_named_with_the_command_when_not_root(
    programs: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs("ip", "exit 0")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LabError, match=r"as root: apt-get install nftables runc$"):
        preflight.ensure({"runc": "runc", "ip": "iproute2", "nft": "nftables"})


def test_missing_programs_are_installed_when_root(
    programs: Install, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    folder = programs(
        "apt-get", f'echo "$1 $*" >> {log}; [ "$1" = update ] || : > "$MADE"; /bin/chmod 755 "$MADE" || :'
    )
    monkeypatch.setenv("MADE", str(folder.parent / "runc"))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    preflight.ensure({"runc": "runc"})
    assert [line.split()[0] for line in log.read_text().splitlines()] == ["update", "install"]
    assert " runc" in log.read_text().splitlines()[1]
    preflight.ensure({"runc": "runc"})
    assert len(log.read_text().splitlines()) == 2


def test_an_installation_that_fails_says_why(programs: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    programs("apt-get", "echo E: no network >&2; exit 100")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(LabError, match=r"`apt-get update -q` failed: E: no network"):
        preflight.ensure({"runc": "runc"})


def test_an_installation_that_brings_nothing_is_noticed(programs: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    programs("apt-get", "exit 0")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(LabError, match=r"went well, and yet .* are missing: runc"):
        preflight.ensure({"runc": "runc"})


def test_waiting_names_what_was_waited_for() -> None:
    questions: dict[str, ready.Question] = {"nodes": lambda: "1 of 3 registered", "dns": lambda: None}
    with pytest.raises(LabError, match=r"not ready within 0\.05 s: nodes: 1 of 3 registered$"):
        ready.await_all(questions, 0.05, lambda: None)


def test_the_end_of_a_log_starts_with_a_whole_line(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert "does not exist" in tail(log)
    log.write_text("first line\nsecond line\nthird\n")
    assert tail(log, 15) == "third\n"
    assert tail(log, 20) == "second line\nthird\n"
    assert tail(log, 29).startswith("first")
    log.write_text("one line without an end")
    assert tail(log, 14) == "without an end"


def test_a_lab_that_does_not_run_says_so() -> None:
    with pytest.raises(LabError, match="use it in a `with` block"):
        Lab().kubectl("get", "nodes")
    with pytest.raises(ValueError, match="nodes is 0"):
        Lab(0)


def test_a_lab_that_has_ended_cannot_be_attached_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("USE_EXISTING_CLUSTER", raising=False)
    monkeypatch.setenv("GRPCBALANCE_LAB_RUN", str(tmp_path))
    with pytest.raises(LabError, match="unset GRPCBALANCE_LAB_RUN"):
        open_cluster()


def test_a_folder_is_dead_only_when_nobody_holds_its_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "RUN_ROOT", tmp_path / "labs")
    held = sweep.claim("alive")
    os.close(sweep.claim("dead"))
    (sweep.RUN_ROOT / "being-made").mkdir()
    (sweep.RUN_ROOT / "network.lock").touch()
    assert sweep.sweep() == ["dead"]
    assert sorted(path.name for path in sweep.RUN_ROOT.iterdir()) == ["alive", "being-made", "network.lock"]
    os.close(held)
    assert sweep.sweep() == ["alive"]


def test_a_removal_that_was_killed_half_way_is_finished_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "RUN_ROOT", tmp_path / "labs")
    os.close(sweep.claim("lab"))
    (sweep.RUN_ROOT / "lab" / "rest").touch()

    def killed(folder: Path, ignore_errors: bool) -> None:
        assert ignore_errors
        (folder / sweep.LOCK).unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            sweep.sweep()
    assert sweep.sweep() == ["lab"]
    assert list(sweep.RUN_ROOT.iterdir()) == []


def test_commands_give_their_exit_code_as_in_a_shell() -> None:
    run = shutil.which("sh") or "sh"
    assert namespaces.run([run, "-c", "exit 7"], os.environ) == 7
    assert namespaces.run([run, "-c", "kill -9 $$"], os.environ) == 137
    with pytest.raises(LabError, match="no-such-command cannot be run"):
        namespaces.run(["no-such-command"], os.environ)


def test_the_doctor_finds_all_that_is_missing_at_once(
    programs: Install, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    preflight.go_version.cache_clear()
    programs("ip", "exit 0")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "none"))
    bad = {finding.what: finding.fix for finding in doctor.examine() if finding.fix}
    assert {"Linux and root", "Go", "programs of nodes", "programs that build images", "KUBEBUILDER_ASSETS"} <= set(bad)
    assert "apt-get install conntrack kmod nftables runc util-linux" in str(bad["programs of nodes"])
    preflight.go_version.cache_clear()


@pytest.mark.parametrize("code", [0, 3])
def test_exec_keeps_all_when_a_command_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: int) -> None:
    kept: list[Path] = []
    cluster = Lab(keep=tmp_path)
    monkeypatch.setattr(cluster, "start", lambda: None)
    monkeypatch.setattr(cluster, "_lab", SimpleNamespace(name="lab", folder=tmp_path))
    monkeypatch.setattr(cluster, "dump", kept.append)
    monkeypatch.setattr(Lab, "environment", dict(os.environ))
    monkeypatch.setattr(lab.__main__, "_enter", lambda *_: None)
    monkeypatch.setattr(lab.__main__, "Lab", lambda *_, **__: cluster)
    monkeypatch.setattr(install, "provide_images", lambda *_: None)
    command = ["exec", "--keep", str(tmp_path), "--", shutil.which("sh") or "sh", "-c", f"exit {code}"]
    assert CliRunner().invoke(lab.__main__.main, command).exit_code == code
    assert kept == ([tmp_path] if code else [])
