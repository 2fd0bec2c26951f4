"""How soon clients follow pods that come and go, from their own record of RPCs. Pure; seconds, unless it says so."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from examples.demo.measure import first_rpcs
from lab.records import Rpc

# Of many changes, those that come soon after the first are told together, after a second at the latest; the rest is for
# a busy machine.
XDS_LIMIT: Final = 2.0


class Waits(NamedTuple):
    """Times of one client: the median and the longest, None where there is none; and of how many pods."""

    pods: int
    p50: float | None
    most: float | None

    def within(self, pods: int, limit: float) -> bool:
        """Whether there is a time of each of so many pods, none of them longer than the limit."""
        return self.pods == pods and self.most is not None and self.most <= limit

    def milliseconds(self) -> dict[str, int | None]:
        """As the result has it."""
        return {"pods": self.pods, "p50_ms": _milliseconds(self.p50), "max_ms": _milliseconds(self.most)}


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)


def waits(seconds: Iterable[float]) -> Waits:
    """Median and longest of some times."""
    found = sorted(seconds)
    return Waits(len(found), statistics.median(found), found[-1]) if found else Waits(0, None, None)


def picked_up(rpcs: Iterable[Rpc], ready: Mapping[str, float]) -> Waits:
    """From when each pod became a ready endpoint to the first RPC that it answered, of pods that answered any."""
    first = first_rpcs(rpcs, ready)
    return waits(first[pod] - ready[pod] for pod in first)


def let_go(rpcs: Iterable[Rpc], left: Mapping[str, float]) -> Waits:
    """From when each pod ceased to be a ready endpoint to the start of the last RPC that it answered; 0 if earlier."""
    last = dict(left)
    for rpc in rpcs:
        if rpc.ok and rpc.pod in last:
            last[rpc.pod] = max(last[rpc.pod], rpc.start)
    return waits(last[pod] - at for pod, at in left.items())


def readable(seconds: float | None) -> str:
    """A time for people: milliseconds below a second."""
    if seconds is None:
        return "-"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
