"""The images that Dockerfiles start from: for each language one to run programs, and one that builds them too.

Made from Debian packages, since registries of images are out of reach for many. Kept as tar files in the cache.
Node.js comes from the package index of Python, since Debian's own is two major versions behind.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from . import buildah, cache, preflight, progress
from .model import LabError

# Debian 12; its Python is 3.11, the oldest that the operator supports.
_SUITE: Final = "bookworm"
_KEYRING: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# Space that nothing in a container ever reads.
_DROPPED: Final = (
    "var/cache/apt",
    "var/lib/apt/lists",
    "var/log",
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
)
_SECONDS: Final = 1200


@dataclass(frozen=True, slots=True)
class Rootfs:
    """A file system of Debian packages, and the name under which images can start from it."""

    ref: str
    packages: tuple[str, ...]

    @property
    def key(self) -> str:
        """Key of all that goes into it; Debian's own updates do not."""
        return hashlib.sha256(repr((_SUITE, self.packages, _DROPPED)).encode()).hexdigest()[:16]


_NAMES: Final = "localhost/grpcbalance-lab/"
_PYTHON: Final = Rootfs(f"{_NAMES}python:3.11", ("ca-certificates", "python3"))
_PYTHON_BUILD: Final = Rootfs(
    f"{_NAMES}python-build:3.11", ("ca-certificates", "python3", "python3-pip", "python3-venv")
)
_JAVA: Final = Rootfs(f"{_NAMES}java:17", ("ca-certificates", "openjdk-17-jre-headless"))
_JAVA_BUILD: Final = Rootfs(f"{_NAMES}java-build:17", ("ca-certificates", "maven", "openjdk-17-jdk-headless"))
_NODE: Final = Path(__file__).resolve().parent / "docker" / "node"


@dataclass(frozen=True, slots=True)
class Bases:
    """Names of two images in the lab's own image store, and a key of all that went into them."""

    run: str
    build: str
    key: str


def python_bases() -> Bases:
    """Python 3.11; the second has pip too. Raises LabError."""
    return _of_packages(_PYTHON, _PYTHON_BUILD)


def java_bases() -> Bases:
    """Java 17; the second has Maven too. Raises LabError."""
    return _of_packages(_JAVA, _JAVA_BUILD)


def node_bases() -> Bases:
    """Node.js as `docker/node` pins it; the second has npm too. Raises LabError."""
    python = python_bases()
    key = cache.key(_NODE, [path for path in _NODE.iterdir() if path.is_file()], python.key)
    names = {stage: f"{_NAMES}{name}:24" for stage, name in (("run", "node"), ("build", "node-build"))}
    with progress.step("making the images with Node.js"):
        for stage, ref in names.items():
            if not buildah.is_made(ref, key):
                arguments = {"BASE": python.run, "BUILDER": python.build}
                buildah.build(_NODE, ref, arguments, stage=stage, key=key)
    return Bases(names["run"], names["build"], key)


def _of_packages(run: Rootfs, build: Rootfs) -> Bases:
    preflight.ensure(preflight.IMAGE_PROGRAMS)
    for rootfs in (run, build):
        name = rootfs.ref.rpartition("/")[2].replace(":", "-")
        target = cache.entry(f"images/{name}", rootfs.key, ".tar")
        archive = cache.provide(target, functools.partial(_bootstrap, rootfs))
        buildah.import_rootfs(archive, rootfs.ref, rootfs.key)
    return Bases(run.ref, build.ref, run.key + build.key)


def _bootstrap(rootfs: Rootfs, target: Path) -> None:
    """Unpack Debian packages into a folder, and pack the folder into `target`."""
    folder = target.with_name(f"{target.name}.root")
    downloads = cache.root() / "debian-packages"
    downloads.mkdir(parents=True, exist_ok=True)
    try:
        with progress.step(f"making a Debian file system with {', '.join(rootfs.packages)} (about 45 s)"):
            _run_debootstrap(rootfs, folder, downloads)
            for dropped in _DROPPED:
                shutil.rmtree(folder / dropped, ignore_errors=True)
                (folder / dropped).mkdir(parents=True)
            with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as archive:
                archive.add(folder, ".", filter=_without_devices)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run_debootstrap(rootfs: Rootfs, folder: Path, downloads: Path) -> None:
    command = [
        "debootstrap",
        "--variant=minbase",
        f"--include={','.join(rootfs.packages)}",
        f"--cache-dir={downloads}",
        *([f"--keyring={_KEYRING}"] if _KEYRING.exists() else []),
        _SUITE,
        str(folder),
        *mirror(),
    ]
    # In a mount namespace of its own: what it mounts below the folder goes when it ends, however it ends.
    answer = subprocess.run(
        ["unshare", "--mount", *command],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": f"{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/sbin:/sbin"},
        timeout=_SECONDS,
    )
    if answer.returncode != 0:
        raise LabError(
            f"debootstrap failed ({answer.stderr.strip()[-500:]}): {answer.stdout.strip()[-1500:]}\n"
            "It needs a Debian mirror: name one with GRPCBALANCE_LAB_DEBIAN_MIRROR"
        )


def mirror() -> list[str]:
    """The Debian mirror to use, if one is named; debootstrap has a default."""
    given = os.environ.get("GRPCBALANCE_LAB_DEBIAN_MIRROR")
    return [given] if given else []


def _without_devices(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if entry.isdev() and not entry.isreg() else entry
