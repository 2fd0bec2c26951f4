"""What the lab builds is whole or absent, made once, and taken from KUBEBUILDER_ASSETS where that is set."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab import LabError, cache, parts

from .conftest import Install

pytestmark = pytest.mark.usefixtures("own_cache")


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


def test_a_cache_that_cannot_be_written(own_cache: Path) -> None:
    own_cache.touch()
    with pytest.raises(LabError, match=r"the cache cannot be made in .*GRPCBALANCE_LAB_CACHE"):
        cache.provide(cache.entry("part", "1234"), Path.touch)


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
