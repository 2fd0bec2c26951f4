"""Two Debian file systems that images start from: one with Python, one with what installs Python packages too.

Made from Debian packages, since registries of images are out of reach for many. Kept as tar files in the cache.
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


BASE: Final = Rootfs("localhost/grpcbalance-lab/python:3.11", ("ca-certificates", "python3"))
BUILDER: Final = Rootfs(
    "localhost/grpcbalance-lab/python-build:3.11", ("ca-certificates", "python3", "python3-pip", "python3-venv")
)
ALL: Final = (BASE, BUILDER)


@dataclass(frozen=True, slots=True)
class Bases:
    """Names of the two images in the lab's own image store."""

    base: str
    builder: str


def base_image() -> Bases:
    """Both base images, made if need be. Raises LabError."""
    preflight.ensure(preflight.IMAGE_PROGRAMS)
    for rootfs in ALL:
        name = rootfs.ref.rpartition("/")[2].replace(":", "-")
        target = cache.entry(f"images/{name}", rootfs.key, ".tar")
        archive = cache.provide(target, functools.partial(_bootstrap, rootfs))
        buildah.import_rootfs(archive, rootfs.ref, rootfs.key)
    return Bases(BASE.ref, BUILDER.ref)


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
