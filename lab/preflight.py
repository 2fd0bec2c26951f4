"""Whether this machine can run the lab: each check either passes or raises a LabError that says what to do.

Installs Debian packages when root; changes nothing else.
"""

from __future__ import annotations

import functools
import os
import platform
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from . import cache, progress
from .gomod import Version, needed_go, parse_version
from .model import LabError

MODULES: Final = Path(__file__).resolve().parent / "go"
# Program: the Debian package that brings it.
NODE_PROGRAMS: Final[Mapping[str, str]] = {
    "unshare": "util-linux",
    "ip": "iproute2",
    "runc": "runc",
    "nft": "nftables",
    "conntrack": "conntrack",
    "modprobe": "kmod",
}
IMAGE_PROGRAMS: Final[Mapping[str, str]] = {"buildah": "buildah", "debootstrap": "debootstrap"}
# Sources, Go's build cache and the results of a first build, measured and rounded up.
COLD_BYTES: Final = 8 * 10**9

_SYSTEM_PATH: Final = "/usr/sbin:/sbin"


def find(program: str) -> Path | None:
    """A program on PATH or in the folders of system programs, which are not on everybody's PATH."""
    found = shutil.which(program, path=f"{os.environ.get('PATH', '/usr/bin:/bin')}:{_SYSTEM_PATH}")
    return Path(found) if found else None


def check_host() -> None:
    """Linux, and root."""
    if platform.system() != "Linux":
        raise LabError(
            f"the lab needs Linux namespaces, and this is {platform.system()}: use a Linux machine or a virtual "
            "machine, or a cluster of your own with USE_EXISTING_CLUSTER=1 and KUBECONFIG"
        )
    if os.geteuid() != 0:
        raise LabError(
            "the lab needs root, for namespaces, mounts and cgroups: run it with sudo, or use a cluster of your own "
            "with USE_EXISTING_CLUSTER=1 and KUBECONFIG"
        )


@functools.cache
def go_version() -> str:
    """What `go version` says, as in "go1.26.8 linux/amd64", if it is new enough for every module of the lab."""
    needed = max(needed_go(mod.read_text()) for mod in MODULES.glob("*/go.mod"))
    return check_go(needed)


def check_go(needed: Version) -> str:
    """The version of the Go on PATH, if there is one that is new enough."""
    want = ".".join(map(str, needed))
    how = f"install Go {want} or newer and put its bin folder on PATH"
    try:
        answer = subprocess.run(["go", "version"], check=True, capture_output=True, text=True, env=go_environment())
    except FileNotFoundError as error:
        raise LabError(f"the lab is built from source and there is no Go on PATH: {how}") from error
    except subprocess.CalledProcessError as error:
        raise LabError(f"`go version` failed: {error.stderr.strip()}: {how}") from error
    version = answer.stdout.removeprefix("go version ").strip()
    if parse_version(version) < needed:
        raise LabError(f"the lab needs Go {want}, and the one on PATH is {version}: {how}")
    return version


def go_environment() -> dict[str, str]:
    """Environment of every call of Go: no C compiler, and never another Go than the one on PATH."""
    return {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}


def check_disk(folder: Path, needed: int = COLD_BYTES) -> None:
    """Enough bytes free in the file system of a folder, which need not exist yet."""
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise LabError(
            f"a first build needs {needed / 1e9:.0f} GB of disk, and {folder} has {free / 1e9:.1f} GB left: free some, "
            "or set GRPCBALANCE_LAB_CACHE (and GOCACHE, GOMODCACHE) to folders on a larger disk"
        )


def missing(programs: Mapping[str, str]) -> list[str]:
    """Debian packages of the programs that are not there, sorted."""
    return sorted({package for program, package in programs.items() if find(program) is None})


def ensure(programs: Mapping[str, str]) -> None:
    """Install what is missing when that can be done; raise LabError with the command otherwise."""
    packages = missing(programs)
    if not packages:
        return
    how = f"apt-get install {' '.join(packages)}"
    if os.geteuid() != 0 or find("apt-get") is None:
        raise LabError(f"programs are missing; on Debian or Ubuntu, as root: {how}")
    with cache.locked("apt"):
        packages = missing(programs)  # another process may have been quicker
        if packages:
            _install(packages)
    left = missing(programs)
    if left:
        raise LabError(f"`{how}` went well, and yet programs of these packages are missing: {', '.join(left)}")


def _install(packages: Iterable[str]) -> None:
    names = list(packages)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with progress.step(f"installing Debian packages: {' '.join(names)}"):
        for command in (["update", "-q"], ["install", "-q", "--yes", "--no-install-recommends", *names]):
            answer = subprocess.run(
                ["apt-get", *command], check=False, capture_output=True, text=True, env=environment, timeout=900
            )
            if answer.returncode != 0:
                raise LabError(f"`apt-get {' '.join(command)}` failed: {answer.stderr.strip()[-2000:]}")
