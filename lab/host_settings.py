"""What a build of an image sees of this machine's package managers: where packages come from, and whom to trust.

Mounted for the time of the build: nothing of it stays in the image. Downloads stay in the lab's cache.
"""

from __future__ import annotations

import ast
import configparser
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from . import cache

# Certificates of this machine, which may trust a proxy's authority that Debian's own do not.
_AUTHORITIES: Final = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
_AUTHORITY_VARIABLES: Final = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
# The same for Java, which has a format of its own.
_JAVA_AUTHORITIES: Final = Path("/etc/ssl/certs/java/cacerts")
# Settings of pip that say where packages go here, or where its settings are.
_NOT_FOR_BUILDS: Final = ("config-file", "user", "target", "prefix", "require-virtualenv")


def volumes(folder: Path) -> list[str]:
    """Mounts as `SOURCE:PLACE:OPTIONS`. Files that are made for it go into `folder`, which has to stay meanwhile."""
    authorities = next((path for path in _authority_files() if os.path.isfile(path)), None)
    return [*_pip(folder, authorities), *_npm(folder, authorities), *_maven()]


def _pip(folder: Path, authorities: str | None) -> list[str]:
    answer = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], check=False, capture_output=True, text=True, timeout=60
    )
    settings = pip_settings(answer.stdout)
    if authorities:
        settings.setdefault("global", {}).setdefault("cert", authorities)
    file = folder / "pip.conf"
    parser = configparser.RawConfigParser()
    parser.read_dict(settings)
    with file.open("w") as stream:
        parser.write(stream)
    words = {word for section in settings.values() for text in section.values() for word in text.split()}
    paths = sorted(word for word in words if word.startswith("/") and os.path.exists(word))
    return [f"{file}:/etc/pip.conf:ro", *(f"{path}:{path}:ro" for path in paths)]


def _npm(folder: Path, authorities: str | None) -> list[str]:
    own = Path.home() / ".npmrc"
    file = folder / "npmrc"
    file.write_text((own.read_text() if own.is_file() else "") + (f"\ncafile={authorities}\n" if authorities else ""))
    return [f"{file}:/root/.npmrc:ro", _kept("npm", "/root/.npm")]


def _maven() -> list[str]:
    settings = Path.home() / ".m2" / "settings.xml"
    found = [(settings, "/root/.m2/settings.xml"), (_JAVA_AUTHORITIES, str(_JAVA_AUTHORITIES))]
    mounts = [f"{source}:{place}:ro" for source, place in found if source.is_file()]
    return [*mounts, _kept("maven", "/root/.m2/repository")]


def _kept(name: str, place: str) -> str:
    """A folder of downloads that the next build finds again."""
    folder = cache.root() / "downloads" / name
    folder.mkdir(parents=True, exist_ok=True)
    return f"{folder}:{place}:rw"


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
