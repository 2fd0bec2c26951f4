"""From records of RPCs to figures. Pure."""

from __future__ import annotations

import itertools
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from examples.demo.measure import jain
from lab.records import Rpc, per_pod


@dataclass(frozen=True, slots=True)
class Spread:
    """How evenly RPCs went over `pods` pods. `off_mean`: of all pods, the largest distance from the mean, in RPCs."""

    rpcs: int
    counts: list[int]
    jain: float
    max_over_mean: float
    off_mean: float

    def even_for_one(self) -> bool:
        """The gate for one client with one thread: each pod within one RPC of the mean."""
        return self.off_mean <= 1

    def even_for_many(self) -> bool:
        """The gate for several clients together."""
        return self.jain >= 0.99 and self.max_over_mean <= 1.10


def spread(rpcs: Sequence[Rpc], pods: int) -> Spread:
    """Distribution over a number of pods; those that answered nothing count with 0."""
    counts = per_pod(rpcs)
    shares = sorted(counts.values(), reverse=True)
    shares += [0] * (pods - len(shares))
    mean = sum(shares) / pods
    off = max(abs(share - mean) for share in shares)
    return Spread(len(rpcs), shares, round(jain(counts, pods), 4), round(shares[0] / (mean or 1), 3), round(off, 2))


def by_client(rpcs: Iterable[Rpc]) -> dict[str, list[Rpc]]:
    """RPCs of each client pod, by their start."""
    found: dict[str, list[Rpc]] = defaultdict(list)
    for rpc in sorted(rpcs, key=lambda rpc: rpc.start):
        found[rpc.client].append(rpc)
    return dict(found)


def longest_gap(rpcs: Sequence[Rpc]) -> float:
    """Of one client: the longest time between two successful RPCs, in seconds, by their start."""
    starts = sorted(rpc.start for rpc in rpcs if rpc.ok)
    return round(max((after - before for before, after in itertools.pairwise(starts)), default=0.0), 2)


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Number, p50, p99 and maximum of times in seconds; the p99 is the nearest rank's."""
    ordered = sorted(values)
    if not ordered:
        return {"n": 0}
    rank = max(0, -(-99 * len(ordered) // 100) - 1)
    return {
        "n": len(ordered),
        "p50": round(statistics.median(ordered), 2),
        "p99": round(ordered[rank], 2),
        "max": round(ordered[-1], 2),
    }


def first_after(rpcs: Iterable[Rpc], since: Mapping[str, float]) -> list[tuple[str, str, float]]:
    """(client, pod, seconds from `since[pod]` to the client's first successful RPC there), for every pair there is."""
    first: dict[tuple[str, str], float] = {}
    for rpc in rpcs:
        if rpc.ok and rpc.pod in since:
            pair = (rpc.client, rpc.pod)
            first[pair] = min(first.get(pair, rpc.start), rpc.start)
    return [(client, pod, max(0.0, start - since[pod])) for (client, pod), start in sorted(first.items())]


def last_after(rpcs: Iterable[Rpc], since: Mapping[str, float]) -> list[float]:
    """For each client and pod: seconds from `since[pod]` to the last RPC that the pod answered; 0 if it was earlier."""
    last: dict[tuple[str, str], float] = {}
    for rpc in rpcs:
        if rpc.ok and rpc.pod in since:
            pair = (rpc.client, rpc.pod)
            last[pair] = max(last.get(pair, rpc.start), rpc.start)
    return [max(0.0, start - since[pod]) for (_, pod), start in sorted(last.items())]


def timeline(rpcs: Iterable[Rpc], start: float, end: float) -> dict[str, Any]:
    """RPCs per pod in each second of [start, end), and those that failed, for a plot."""
    seconds = int(end - start)
    pods: dict[str, list[int]] = {}
    failed = [0] * seconds
    for rpc in rpcs:
        second = int(rpc.start - start)
        if 0 <= second < seconds and rpc.start >= start:
            row = pods.setdefault(rpc.pod, [0] * seconds) if rpc.ok else failed
            row[second] += 1
    return {"pods": dict(sorted(pods.items(), key=lambda item: item[1], reverse=True)), "failed": failed}
