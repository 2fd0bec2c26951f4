"""The first of several changes goes out at once, and those that follow shortly after it together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)

# Seconds without another change after which what was gathered goes out, and how long it waits at most.
QUIET: Final = 0.1
LONGEST: Final = 1.0


class _Burst:
    """Changes of one key that follow each other."""

    def __init__(self, timer: asyncio.TimerHandle) -> None:
        self.timer = timer
        # When the first change came that has not gone out.
        self.since: float | None = None


class Gather(Generic[K]):
    """Calls `flush(key)` for changes of a key: a single one is never delayed, an endless series by a second at most.

    `flush` answers how many clients that concerned. A change that concerned nobody delays none: the address of a pod
    that is not ready comes moments before its readiness.

    Keys do not delay each other. Owned by one event loop, whose clock it uses.
    """

    def __init__(self, flush: Callable[[K], int]) -> None:
        self._flush = flush
        self._bursts: dict[K, _Burst] = {}

    def changed(self, key: K) -> None:
        """Something about a key has changed."""
        burst = self._bursts.get(key)
        if burst is None:
            self._go(key)
            return
        loop = asyncio.get_running_loop()
        now = loop.time()
        if burst.since is None:
            burst.since = now
        burst.timer.cancel()
        burst.timer = loop.call_at(min(now + QUIET, burst.since + LONGEST), self._quiet, key)

    def _go(self, key: K) -> None:
        if self._flush(key):
            self._bursts[key] = _Burst(asyncio.get_running_loop().call_later(QUIET, self._quiet, key))

    def _quiet(self, key: K) -> None:
        if self._bursts.pop(key).since is not None:
            self._go(key)
