"""Manifest files and folders, found and read."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from .manifests import Manifest, ManifestError, parse

STDIN: Final = "-"
_SUFFIXES: Final = (".yaml", ".yml", ".json")


def read(places: Iterable[str], *, recursive: bool) -> tuple[Manifest, ...]:
    """Objects of files, of the manifests in folders, and of standard input ("-"). Raises ManifestError."""
    return tuple(manifest for place in places for file in _files(place, recursive) for manifest in _read(file))


def _files(place: str, recursive: bool) -> Iterator[str]:
    path = Path(place)
    if place == STDIN or not path.is_dir():
        yield place
        return
    found = sorted(
        file for file in path.glob("**/*" if recursive else "*") if file.suffix in _SUFFIXES and file.is_file()
    )
    if not found:
        raise ManifestError(f"{place}: no file in it ends in {', '.join(_SUFFIXES)}")
    yield from map(str, found)


def _read(file: str) -> list[Manifest]:
    try:
        if file == STDIN:
            return parse(sys.stdin.read(), "standard input")
        return parse(Path(file).read_text(encoding="utf-8"), file)
    except UnicodeDecodeError as error:
        raise ManifestError(f"{file}: is not UTF-8 text") from error
    except OSError as error:
        raise ManifestError(f"{file}: {error.strerror}") from error
