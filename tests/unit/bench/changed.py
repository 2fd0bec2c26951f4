"""Results that differ in one place."""

from __future__ import annotations

import copy
from typing import Any


def changed(result: dict[str, Any], place: tuple[str, ...], value: Any) -> dict[str, Any]:
    """A copy of a result with another value in a place."""
    copied = copy.deepcopy(result)
    inner = copied
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return copied
