"""Builds images with buildah, in an image store inside the lab's cache: nothing of the user's is touched.

Runs as root without any daemon; `chroot` isolation works where containers cannot be nested.
"""

from __future__ import annotations

import ast
import configparser
import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from . import cache, preflight
from .model import LabError

_KEY_LABEL: Final = "dev.grpcbalance.lab.key"
_SECONDS: Final = 1800
# Certificates of this machine, which may trust a proxy's authority that Debian's own do not.
_AUTHORITIES: Final = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
_AUTHORITY_VARIABLES: Final = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
# Settings of pip that say where packages go here, or where its settings are.
_NOT_FOR_BUILDS: Final = ("config-file", "user", "target", "prefix", "require-virtualenv")
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


def build(context: Path, ref: str, arguments: Mapping[str, str], target: Path) -> None:
    """Build the Dockerfile in `context` with build arguments, and write the image to `target` as an OCI archive.

    pip in it sees this machine's settings of pip and its certificates, and nothing of either stays in the image.
    """
    with cache.locked("buildah"), tempfile.TemporaryDirectory(dir=cache.root()) as folder:
        volumes = _volumes(Path(folder))
        _run(
            "build",
            "--quiet",
            "--layers",
            "--pull=never",
            "--format=oci",
            "--isolation=chroot",
            "--network=host",
            *(f"--build-arg={name}={value}" for name, value in arguments.items()),
            *(f"--volume={source}:{source_in_build}:ro" for source, source_in_build in volumes.items()),
            f"--tag={ref}",
            str(context),
        )
        _run("push", "--quiet", "--disable-compression", ref, f"oci-archive:{target}:{ref}")


def _volumes(folder: Path) -> dict[str, str]:
    """What the build sees of this machine: path here -> path there."""
    answer = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], check=False, capture_output=True, text=True, timeout=60
    )
    settings = pip_settings(answer.stdout)
    authorities = next((path for path in _authority_files() if os.path.isfile(path)), None)
    if authorities:
        settings.setdefault("global", {}).setdefault("cert", authorities)
    file = folder / "pip.conf"
    parser = configparser.RawConfigParser()
    parser.read_dict(settings)
    with file.open("w") as stream:
        parser.write(stream)
    words = {word for section in settings.values() for text in section.values() for word in text.split()}
    paths = sorted(word for word in words if word.startswith("/") and os.path.exists(word))
    return {str(file): "/etc/pip.conf"} | {path: path for path in paths}


def pip_settings(listed: str) -> dict[str, dict[str, str]]:
    """Sections of a pip.conf, from what `pip config list` prints; variables of the environment win, as with pip.

    pip prints each value as a Python string, with a line end before each of several.
    """
    sections: dict[str, dict[str, str]] = {}
    variables: dict[str, str] = {}
    for line in listed.splitlines():
        name, equals, quoted = line.partition("=")
        section, _, option = name.rpartition(".")
        if not equals or not section or option in _NOT_FOR_BUILDS:
            continue
        value = " ".join(ast.literal_eval(quoted).split("\n")).strip()
        if section == ":env:":
            variables[option] = value
        else:
            sections.setdefault(section, {})[option] = value
    if variables:
        sections["global"] = sections.get("global", {}) | variables
    return sections


def _authority_files() -> list[str]:
    return [os.environ.get(name, "") for name in _AUTHORITY_VARIABLES] + list(_AUTHORITIES)


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
