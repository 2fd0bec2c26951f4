"""Builds images with buildah, in an image store inside the lab's cache: nothing of the user's is touched.

Runs as root without any daemon; `chroot` isolation works where containers cannot be nested.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from . import cache, host_settings, preflight
from .model import LabError

_KEY_LABEL: Final = "dev.grpcbalance.lab.key"
_SECONDS: Final = 1800
_ACCEPT_ALL: Final = {"default": [{"type": "insecureAcceptAnything"}]}


def import_rootfs(archive: Path, ref: str, key: str) -> None:
    """Make a file system in a tar file known as an image, unless the image of that name is the same already."""
    with cache.locked("buildah"):
        if _label(ref) == key:
            return
        container = _run("from", "scratch").strip()
        try:
            _run("add", "--quiet", container, str(archive), "/")
            _run("config", "--label", f"{_KEY_LABEL}={key}", "--env", "PATH=/usr/local/bin:/usr/bin:/bin", container)
            _run("commit", "--quiet", "--format=oci", "--disable-compression", container, ref)
        finally:
            _run("rm", container)


def build(
    context: Path,
    ref: str,
    arguments: Mapping[str, str],
    *,
    dockerfile: Path | None = None,
    stage: str | None = None,
    key: str = "",
) -> None:
    """Build a Dockerfile (by default the one in `context`), or one stage of it, with build arguments.

    Package managers in it see this machine's settings and certificates, and nothing of either stays in the image.
    `key` is what `is_made` then compares.
    """
    with cache.locked("buildah"), tempfile.TemporaryDirectory(dir=cache.root()) as folder:
        volumes = host_settings.volumes(Path(folder))
        _run(
            "build",
            "--quiet",
            "--layers",
            "--pull=never",
            "--format=oci",
            "--isolation=chroot",
            "--network=host",
            *(f"--build-arg={name}={value}" for name, value in arguments.items()),
            *(f"--volume={volume}" for volume in volumes),
            *([f"--file={dockerfile}"] if dockerfile else []),
            *([f"--target={stage}"] if stage else []),
            *([f"--label={_KEY_LABEL}={key}"] if key else []),
            f"--tag={ref}",
            str(context),
        )


def push(ref: str, target: Path) -> None:
    """Write an image to `target` as an OCI archive."""
    with cache.locked("buildah"):
        _run("push", "--quiet", "--disable-compression", ref, f"oci-archive:{target}:{ref}")


def is_made(ref: str, key: str) -> bool:
    """Whether the image of that name was made from what has this key."""
    return _label(ref) == key


def _label(ref: str) -> str | None:
    answer = _call("inspect", "--type=image", ref)
    if answer.returncode != 0:
        return None
    labels = json.loads(answer.stdout)["OCIv1"].get("config", {}).get("Labels") or {}
    return str(labels.get(_KEY_LABEL))


def _run(*arguments: str) -> str:
    answer = _call(*arguments)
    if answer.returncode != 0:
        raise LabError(f"`buildah {arguments[0]}` failed: {answer.stderr.strip()[-3000:]}\n{answer.stdout[-1000:]}")
    return answer.stdout


def _call(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*_store(_driver()), *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=_environment(), timeout=_SECONDS)


@functools.cache
def _driver() -> str:
    """The storage driver that works on the cache's file system: overlay, or plain copies."""
    preflight.ensure(preflight.IMAGE_PROGRAMS)
    probe = [*_store("overlay"), "info"]
    answer = subprocess.run(probe, check=False, capture_output=True, text=True, env=_environment(), timeout=60)
    return "overlay" if answer.returncode == 0 else "vfs"


def _store(driver: str) -> list[str]:
    store = cache.root() / "image-store" / driver
    runs = Path(tempfile.gettempdir()) / f"grpcbalance-lab-image-store-{os.geteuid()}"
    return ["buildah", f"--storage-driver={driver}", f"--root={store}", f"--runroot={runs}"]


def _environment() -> dict[str, str]:
    """No settings of the user's container tools, but for proxies."""
    folder = cache.root() / "image-store"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "policy.json").write_text(json.dumps(_ACCEPT_ALL))
    (folder / "registries.conf").write_text("")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("CONTAINERS_", "BUILDAH_"))},
        "CONTAINERS_REGISTRIES_CONF": str(folder / "registries.conf"),
        "BUILDAH_ISOLATION": "chroot",
    }
