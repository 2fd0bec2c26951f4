"""From what streams and clients saw to figures. Times are in milliseconds. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from lab.records import Rpc, deployment_of
from tests.bench.dataplane.figures import first_after, last_after, percentiles


@dataclass(frozen=True, slots=True)
class Cell:
    """A case of the fan-out: streams, endpoints of the service, replicas of the look-aside balancer."""

    streams: int
    endpoints: int
    replicas: int

    def __str__(self) -> str:
        return f"{self.streams}x{self.endpoints}x{self.replicas}"


def cell_of(text: str) -> Cell:
    """The case that is written as "300x100x2". Raises ValueError."""
    streams, endpoints, replicas = (int(part) for part in text.split("x"))
    return Cell(streams, endpoints, replicas)


class Change(NamedTuple):
    """A change of one slice: its number from 1 on, just before the API write, and just after (Unix time, seconds)."""

    number: int
    begun: float
    answered: float


# One response with endpoints: the number of the change in it, and when it came (Unix time, seconds).
Receipt = tuple[int, float]


def fan_out(changes: Sequence[Change], streams: Sequence[Sequence[Receipt]]) -> dict[str, Any]:
    """How long changes took to get to streams, to the last one of them, and how many responses each took.

    `delivered` counts pairs of change and stream. `other` counts responses that tell of no change: on each stream one
    is expected, the first.
    """
    first: dict[tuple[int, int], float] = {}
    responses: Counter[tuple[int, int]] = Counter()
    for stream, receipts in enumerate(streams):
        for number, moment in receipts:
            responses[stream, number] += 1
            first.setdefault((stream, number), moment)
    waits = {change.number: _waits(change, first, len(streams)) for change in changes}
    complete = [max(each) for each in waits.values() if len(each) == len(streams)]
    pairs = [(stream, change.number) for stream in range(len(streams)) for change in changes]
    return {
        "write_ms": percentiles([(change.answered - change.begun) * 1000 for change in changes]),
        "receipt_ms": percentiles([wait for each in waits.values() for wait in each]),
        "last_ms": percentiles(complete),
        "expected": len(pairs),
        "delivered": sum(map(len, waits.values())),
        "least": min((responses[pair] for pair in pairs), default=0),
        "most": max((responses[pair] for pair in pairs), default=0),
        "other": sum(responses.values()) - sum(responses[pair] for pair in pairs),
    }


def _waits(change: Change, first: Mapping[tuple[int, int], float], streams: int) -> list[float]:
    keys = ((stream, change.number) for stream in range(streams))
    return [(first[key] - change.begun) * 1000 for key in keys if key in first]


@dataclass(frozen=True, slots=True)
class Kind:
    """Clients of a language at a rate of RPCs a second, on xDS or on DNS."""

    language: str
    xds: bool
    rate: int

    @property
    def name(self) -> str:
        """Also the name of its Deployment."""
        return f"{self.language}-{'xds' if self.xds else 'dns'}"


@dataclass(frozen=True, slots=True)
class Calls:
    """Of the RPCs of one client: the first and the last of each pair of client pod and server pod, those that failed,
    and how many there were in how many seconds. All since a moment.
    """

    first: Sequence[Rpc]
    last: Sequence[Rpc]
    failed: Sequence[Rpc]
    made: int
    seconds: float


def of_kind(rpcs: Iterable[Rpc], kind: Kind, since: float, until: float = float("inf")) -> list[Rpc]:
    """RPCs of a client in [since, until)."""
    return [rpc for rpc in rpcs if deployment_of(rpc.client) == kind.name and since <= rpc.start < until]


def pickup(
    kind: Kind, calls: Calls, ready: Mapping[str, float], left: Mapping[str, float], pods: Sequence[int]
) -> dict[str, Any]:
    """How soon a client used each pod that came, and let go of each that went. `pods`: how many there were each time.

    `pace_ms`: what its own pace adds at the mean and at most. It calls pods in turn, so that the turn of a new one
    comes within as many RPCs as there are pods.
    """
    each = calls.seconds * 1000 / max(1, calls.made)
    waits = [wait * 1000 for _, _, wait in first_after(calls.first, ready)]
    return {
        **asdict(kind),
        "rate_made": round(1000 / each, 1),
        "pace_ms": {"mean": round(each * sum(pods) / len(pods) / 2, 2), "most": round(each * max(pods), 2)},
        "expected": len(ready),
        "added_ms": percentiles(waits),
        "waits_ms": sorted(round(wait, 1) for wait in waits),
        "removed_ms": percentiles([wait * 1000 for wait in last_after(calls.last, left)]),
        "rpcs": calls.made,
        "failed": len(calls.failed),
        "first_error": min((rpc.message for rpc in calls.failed), key=len, default="")[:200],
    }
