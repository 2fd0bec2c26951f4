"""Examines whether this machine can run the lab, and lists everything that is missing at once. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import cache, parts, preflight, sweep
from .model import LabError


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, and what to do about it; nothing when it is as it should be."""

    what: str
    fix: str | None = None


def examine() -> list[Finding]:
    """All findings, the good ones too."""
    found = [
        _checked("Linux and root", preflight.check_host),
        _checked("Go", preflight.go_version),
        _packages("programs of nodes", dict(preflight.NODE_PROGRAMS)),
        _packages("programs that build images", dict(preflight.IMAGE_PROGRAMS)),
        _checked("KUBEBUILDER_ASSETS", parts.asset_programs),
        _cgroups(),
    ]
    try:
        built = all(parts.location(part).exists() for part in parts.ALL)
    except LabError:
        built = False
    if built:
        return [*found, Finding(f"programs of the cluster are built, in {cache.root()}")]
    return [*found, _checked("disk for a first build", lambda: preflight.check_disk(cache.root()))]


def _checked(what: str, check: Callable[[], object]) -> Finding:
    try:
        answer = check()
    except LabError as error:
        return Finding(what, str(error))
    return Finding(f"{what} ({answer})" if isinstance(answer, str) else what)


def _packages(what: str, programs: dict[str, str]) -> Finding:
    packages = preflight.missing(programs)
    if not packages:
        return Finding(what)
    return Finding(what, f"apt-get install {' '.join(packages)} (done by itself when root)")


def _cgroups() -> Finding:
    mounts = sweep.cgroup_mounts(Path("/proc/self/mountinfo").read_text())
    if mounts:
        return Finding(f"cgroups ({len(mounts)} hierarchies mounted)")
    return Finding("cgroups", "mount a cgroup file system at /sys/fs/cgroup")
