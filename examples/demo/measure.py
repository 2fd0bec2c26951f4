"""The numbers of the demo, each from the client's own record of RPCs, and the promises they are held to. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from lab.records import Rpc, failures, per_pod

# What clients of the demo are given, and what the cluster's DNS says.
MAX_CONNECTION_AGE: Final = 10.0
RESOLUTION_FLOOR: Final = 10.0
DNS_TTL: Final = 5.0
# gRPC servers spread connection ages by ten percent (gRFC A9).
PICK_UP_LIMIT: Final = max(RESOLUTION_FLOOR, 1.1 * MAX_CONNECTION_AGE) + DNS_TTL + 2.0


def share_of_busiest(counts: Mapping[str, int]) -> float:
    """Share of all RPCs that the busiest pod answered: 1.0 when it got all of them."""
    return max(counts.values(), default=0) / (sum(counts.values()) or 1)


def jain(counts: Mapping[str, int], pods: int) -> float:
    """Jain's fairness index over `pods` pods: 1.0 is perfectly even, 1/pods is all on one."""
    total, squares = sum(counts.values()), sum(count**2 for count in counts.values())
    return total**2 / (pods * squares) if squares and pods else 0.0


def first_rpcs(rpcs: Iterable[Rpc], pods: Iterable[str]) -> dict[str, float]:
    """Start of the first successful RPC that each of `pods` answered."""
    first: dict[str, float] = {}
    for rpc in sorted(rpcs, key=lambda rpc: rpc.start):
        if rpc.ok and rpc.pod in set(pods):
            first.setdefault(rpc.pod, rpc.start)
    return first


def failed(rpcs: Iterable[Rpc]) -> int:
    """How many RPCs failed, or came from another pod than the connection says."""
    return len(failures(rpcs))


def distribution(rpcs: Iterable[Rpc]) -> dict[str, int]:
    """Successful RPCs per pod, by name."""
    return dict(sorted(per_pod(rpcs).items()))
