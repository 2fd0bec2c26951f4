"""Reads what the lab needs to know from go.mod files, so that each version stands in one place. Pure."""

from __future__ import annotations

import re

Version = tuple[int, ...]

_GO = re.compile(r"^go\s+(\S+)", re.MULTILINE)


def parse_version(text: str) -> Version:
    """The numbers of a version: "go1.26.8", "v1.2.3", "1.26" and "go1.27rc1" (as 1.27). Raises ValueError."""
    found = re.match(r"(?:go|v)?(\d+(?:\.\d+)*)", text.strip())
    if not found:
        raise ValueError(f"not a version: {text!r}")
    return tuple(int(part) for part in found[1].split("."))


def needed_go(mod: str) -> Version:
    """The Go version that a go.mod asks for. Raises ValueError when it names none."""
    found = _GO.search(mod)
    if not found:
        raise ValueError("go.mod has no go line")
    return parse_version(found[1])


def required(mod: str, module: str) -> str:
    """The version of a required module, as in "v1.2.3". Raises ValueError when it is not required."""
    found = re.search(rf"^\s*(?:require\s+)?{re.escape(module)}\s+(v\S+)", mod, re.MULTILINE)
    if not found:
        raise ValueError(f"go.mod does not require {module}")
    return found[1]
