"""How soon a client on DNS uses a new pod: a small model of what gRPC does, to set beside what is measured. Pure.

A server asks a connection to go at its maximum age, spread by ten percent (gRFC A9). The client connects anew, and
wants the name resolved again, but not sooner than `floor` after the last time: what comes too soon waits until then,
in Java it is dropped. A resolution finds every pod that is Ready. Nothing else makes a client look.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from .figures import percentiles

_JITTER: Final = 0.1
_RUNS: Final = 300


@dataclass(frozen=True, slots=True)
class Setting:
    """What decides it, in seconds: connection age, least time between resolutions, and how stale DNS answers may be."""

    age: float
    floor: float
    dns_ttl: float = 0.0
    drops: bool = False

    @property
    def worst(self) -> float:
        """Longest time from Ready to the first RPC. Where requests are dropped, the next one may be an age away."""
        first = self.floor + 1.1 * self.age if self.drops else max(self.floor, 1.1 * self.age)
        return round(first + self.dns_ttl, 1)


def predict(
    setting: Setting, pods: int, ready_at: Sequence[float], connected_at: Sequence[float], seed: int = 1
) -> dict[str, float]:
    """Percentiles of the time to a client's first RPC on new pods, which get Ready at these moments (seconds).

    `pods`: how many the client is connected to at first; `connected_at`: since when, for each client.
    """
    dice = random.Random(seed)  # noqa: S311 - a simulation, no secret
    waits: list[float] = []
    for connected in connected_at:
        for _ in range(_RUNS // len(connected_at)):
            waits += _run(setting, [connected] * pods, sorted(ready_at), dice)
    return percentiles(waits)


def _run(setting: Setting, connected: Sequence[float], ready_at: Sequence[float], dice: random.Random) -> list[float]:
    def lifetime() -> float:
        return setting.age * dice.uniform(1 - _JITTER, 1 + _JITTER)

    ends = [moment + lifetime() for moment in connected]
    heapq.heapify(ends)
    resolved, planned = connected[0], float("inf")
    waits: list[float] = []
    while len(waits) < len(ready_at):
        now = min(ends[0], planned)
        if now == planned:
            planned, resolved = float("inf"), now
            new = [ready for ready in ready_at[len(waits) :] if ready + setting.dns_ttl * dice.random() <= now]
            waits += [now - ready for ready in new]
            for _ in new:
                heapq.heappush(ends, now + lifetime())
        else:
            heapq.heapreplace(ends, now + lifetime())
            if now >= resolved + setting.floor:
                planned = now
            elif not setting.drops:
                planned = resolved + setting.floor
    return waits
