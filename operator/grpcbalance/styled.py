"""How reports that people read are coloured: by whoever prints them. Pure."""

from __future__ import annotations

from collections.abc import Callable

# Text and the name of a colour, or None for bold.
Style = Callable[[str, str | None], str]


def plain(text: str, _: str | None) -> str:
    """No colour at all."""
    return text
