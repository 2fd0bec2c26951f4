"""What clients say becomes a write of status for each object that they ask for: so it changes now and then only. Pure.

Any client may refuse what it is sent in other words each time, and call itself something else each time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from grpcbalance.api import MAX_DOWNGRADES
from grpcbalance.model import Ref

from .seen import Downgrade, Node, Rejection, Seen

# Seconds that a downgrade is told after the last client of that library has gone: most only restart.
LINGERS: Final = 60.0
# Seconds between two changes of what clients say, unless it becomes worse for the object.
HELD: Final = 60.0


class _Told(NamedTuple):
    """What was told of one service last. `changed`: when something else was told before, in seconds."""

    problem: bool
    rejections: tuple[Rejection, ...]
    downgrades: tuple[Downgrade, ...]
    changed: float


class _Service:
    """What is remembered of one service."""

    def __init__(self) -> None:
        # The first words of each client about each kind of resources, until it has accepted that.
        self._words: dict[tuple[Node, str], str] = {}
        # When each was seen last (seconds).
        self._downgrades: dict[Downgrade, float] = {}
        self._told: _Told | None = None

    def tell(self, seen: Seen, now: float) -> Seen:
        rejections, downgrades = self._first(seen.rejections), self._lingering(seen.downgrades, now)
        new, old = _Told(bool(seen.problem), rejections, downgrades, now), self._told
        if old is None:
            # What clients say first, right after the balancer was found, is no change.
            self._told = new._replace(changed=float("-inf"))
        elif new[:3] != old[:3]:
            # That somebody refuses is told at once; that nobody does any more may be over in a moment, and so on.
            turned = new.problem != old.problem or (bool(rejections) and not old.rejections)
            if turned or now - old.changed >= HELD:
                self._told = new
        told = self._told or new
        return replace(seen, rejections=told.rejections, downgrades=told.downgrades)

    def _first(self, rejections: tuple[Rejection, ...]) -> tuple[Rejection, ...]:
        before, self._words = self._words, {}
        for one in rejections:
            about = one.client, one.kind
            self._words.setdefault(about, before.get(about, one.message))
        return tuple(Rejection(*about, message) for about, message in sorted(self._words.items()))

    def _lingering(self, downgrades: tuple[Downgrade, ...], now: float) -> tuple[Downgrade, ...]:
        kept = {what: when for what, when in self._downgrades.items() if now - when < LINGERS}
        self._downgrades = kept | dict.fromkeys(downgrades, now)
        return tuple(sorted(self._downgrades)[:MAX_DOWNGRADES])


class Steady:
    """Remembers what was told of services that are seen; those that are not any more are forgotten."""

    def __init__(self) -> None:
        self._services: dict[Ref, _Service] = {}

    def __call__(self, seen: Mapping[Ref, Seen], now: float) -> dict[Ref, Seen]:
        """The same, with what clients say as it is told. `now` is in seconds."""
        self._services = {ref: self._services.get(ref) or _Service() for ref in seen}
        return {ref: self._services[ref].tell(one, now) for ref, one in seen.items()}
