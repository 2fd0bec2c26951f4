"""Each thing that a machine may lack gives a message that says what to do about it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lab import Lab, LabError, Unsupported, cache, doctor, namespaces, open_cluster, parts, preflight, ready, sweep
from lab.control import tail
from lab.existing import ExistingCluster

Install = Callable[[str, str], Path]


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """An otherwise empty PATH, and a function that puts a shell script of that name and text on it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(preflight, "_SYSTEM_PATH", str(folder))

    def install(name: str, text: str) -> Path:
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
        return folder / name

    return install


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GRPCBALANCE_LAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


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


# --- building -----------------------------------------------------------------------------------------------------


def test_a_half_finished_entry_never_counts(own_cache: Path) -> None:
    target = cache.entry("part", "1234")

    def fail(folder: Path) -> None:
        folder.mkdir()
        (folder / "half").touch()
        raise LabError("compiler")

    with pytest.raises(LabError, match="compiler"):
        cache.provide(target, fail)
    assert not target.exists()
    assert [path.name for path in own_cache.iterdir()] == [".locks"]


def test_what_a_killed_build_left_is_thrown_away(own_cache: Path) -> None:
    target = cache.entry("part", "1234")
    leftover = own_cache / ".part-1234.part"
    leftover.mkdir(parents=True)
    (leftover / "half").touch()

    def make(folder: Path) -> None:
        folder.mkdir()
        (folder / "whole").touch()

    assert [path.name for path in cache.provide(target, make).iterdir()] == ["whole"]
    assert not leftover.exists()


def test_two_processes_do_not_make_the_same_entry(own_cache: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from lab import cache\n"
        "def make(target):\n"
        "    with open(sys.argv[1], 'a') as log: log.write('made\\n')\n"
        "    time.sleep(0.5); target.touch()\n"
        "cache.provide(cache.entry('part', '1'), make)\n"
    )
    log = own_cache.with_name("log")
    root = Path(__file__).parents[2]
    running = [subprocess.Popen([sys.executable, "-c", code, str(log)], cwd=root) for _ in range(2)]
    assert [process.wait(30) for process in running] == [0, 0]
    assert log.read_text() == "made\n"


def test_old_entries_go_when_unused_for_a_day(own_cache: Path) -> None:
    old = [cache.entry("part", f"old{number}") for number in range(4)]
    own_cache.mkdir()
    for age, path in enumerate(old, start=1):
        path.touch()
        os.utime(path, (0, 10**9 - age))
    other = cache.entry("part-two", "x")
    other.touch()
    cache.provide(cache.entry("part", "new"), Path.touch)
    assert sorted(path.name for path in own_cache.iterdir() if path.is_file()) == [
        "part-new",
        "part-old0",
        "part-old1",
        "part-two-x",
    ]


def test_a_build_that_fails_shows_what_the_compiler_said(programs: Install, tmp_path: Path) -> None:
    programs("nice", 'exec "$@"')
    programs("go", "echo main.go:1: nonsense >&2; exit 1")
    with pytest.raises(LabError, match=r"`go build` failed in .*\n.*main\.go:1: nonsense"):
        parts.go_build(tmp_path, "out", [], (".",))


def test_assets_without_anything_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    with pytest.raises(LabError, match=r"KUBEBUILDER_ASSETS is .*unset it"):
        parts.asset_programs()


def test_assets_older_than_the_rest_are_refused(
    programs: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "bin"))
    programs("kube-apiserver", "echo Kubernetes v1.30.1")
    with pytest.raises(LabError, match=r"is 1\.30\.1, older than the lab's other components"):
        parts.asset_programs()


def test_assets_are_used_in_place_of_what_would_be_built(
    programs: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "bin"))
    programs("kube-apiserver", f"echo Kubernetes {parts.kubernetes_version()}")
    programs("etcd", "exit 0")
    assert {name: path.parent for name, path in parts.asset_programs().items()} == {
        "etcd": tmp_path / "bin",
        "kube-apiserver": tmp_path / "bin",
    }


# --- running ------------------------------------------------------------------------------------------------------


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


# --- somebody else's cluster --------------------------------------------------------------------------------------


@pytest.fixture
def existing(programs: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ExistingCluster:
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setenv("USE_EXISTING_CLUSTER", "1")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    (tmp_path / "config").touch()
    programs(
        "kubectl",
        'case "$*" in *current-context) echo kind-kind;; *boom*) echo no such thing >&2; exit 1;; *) echo "$@";; esac',
    )
    opened = open_cluster()
    assert isinstance(opened, ExistingCluster)
    return opened


def test_an_existing_cluster_is_reached_by_its_kubeconfig(existing: ExistingCluster, tmp_path: Path) -> None:
    assert existing.name == "kind-kind"
    assert existing.kubectl("get", "pods").strip() == f"--kubeconfig={tmp_path / 'config'} get pods"
    assert not existing.takes_images
    with existing as entered:
        assert entered is existing


def test_kubectl_that_fails_says_what_and_why(existing: ExistingCluster) -> None:
    with pytest.raises(LabError, match=r"^`kubectl get boom` failed: no such thing$"):
        existing.kubectl("get", "boom")
    assert existing.kubectl("get", "boom", check=False) == ""


@pytest.mark.parametrize(
    "act",
    [
        lambda cluster: cluster.component("etcd"),
        lambda cluster: cluster.import_image(Path("x.tar")),
        lambda cluster: cluster.audit(),
        lambda cluster: cluster.writes("jane"),
        lambda cluster: cluster.pod_pids("ns", "pod"),
    ],
)
def test_what_only_the_lab_can_do_is_refused(
    existing: ExistingCluster, act: Callable[[ExistingCluster], object]
) -> None:
    with pytest.raises(Unsupported, match=r"existing cluster \(kind-kind\) cannot .*unset USE_EXISTING_CLUSTER"):
        act(existing)


def test_an_existing_cluster_needs_a_kubeconfig(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(LabError, match="set KUBECONFIG"):
        ExistingCluster()
