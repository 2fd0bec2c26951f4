"""A running lab, and for tests that need none: an empty machine to try things on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab import Lab, preflight
from lab.rest import Rest
from tests.kit.failures import folder_of

Install = Callable[[str, str], Path]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """One lab for all tests of a module; each leaves it working."""
    with Lab(keep=folder_of("start")) as running:
        yield running


@pytest.fixture(scope="module")
def api(lab: Lab) -> Iterator[Rest]:
    """Its API, as administrator."""
    with Rest(lab.kubeconfig) as rest:
        yield rest


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


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GRPCBALANCE_LAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
