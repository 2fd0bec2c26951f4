"""A few of many, in a sentence. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def listed(items: Sequence[object], most: int) -> str:
    """`a, b, c and 4 more`: the first ones, at most `most`, and how many are left."""
    shown, left = ", ".join(map(str, items[:most])), len(items) - most
    return f"{shown} and {left} more" if left > 0 else shown
