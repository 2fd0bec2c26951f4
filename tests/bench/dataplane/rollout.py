"""A rolling update of the servers under load: does an RPC fail, and for how long does nothing get through?"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from lab.records import Rpc, deployment_of
from lab.rest import Object
from tests.kit.programs import client, server

from .figures import by_client, longest_gap, timeline
from .world import START, Row, World, also_balanced, balanced, cluster_ip

# Connections renewed so often keep clients inside their resolution floor nearly always: hard for naive servers.
# And all of them leave an old pod within its preStop pause of 35 s, which servers on C-core need: what arrives while
# such a server stops is cancelled (grpc/grpc#41785).
AGE: Final = 30
_PODS: Final = 3
_RATE: Final = 25
# An outage that a rollout has caused ends with a resolution: a floor, or a back-off after failed ones, later.
_OUTAGE: Final = 150.0
# What the plot shows after that.
_AFTERWARDS: Final = 10.0
RETRY: Final = {"mode": "Unavailable"}
# Kind of client: the servers it calls ("a" or "b"), and what its object asks of it.
KINDS: Final[Mapping[str, tuple[str, dict[str, Any]]]] = {
    "default floor": ("a", {"minResolutionInterval": "Off"}),
    "lowered floor": ("a", {}),
    "default floor, retries": ("b", {"minResolutionInterval": "Off", "retry": RETRY}),
}


def run(world: World, *, naive: bool, kinds: Sequence[str] = tuple(KINDS), clients: int = 2) -> dict[str, Any]:
    """Figures per row and kind of client: failed RPCs, the longest gap of any client, attempts that servers counted."""
    callers = world.start(_objects(world.rows, naive, kinds, clients))
    servers = sorted({_server(row, KINDS[kind][0]) for row in world.rows for kind in kinds})
    start = time.time()
    world.restart(servers)
    world.shop.wait_rolled_out(*servers, within=START)
    took = time.time() - start
    for name in servers:
        world.wait_pods(name, _PODS)
    world.wait_answered(callers, time.time(), within=_OUTAGE)
    end = time.time() + _AFTERWARDS
    world.wait_rpcs(callers, 1, end)
    return {row.language: _row(world, row, kinds, start, end, took) for row in world.rows}


def _row(world: World, row: Row, kinds: Sequence[str], start: float, end: float, took: float) -> dict[str, Any]:
    found: dict[str, Any] = {"server": row.server, "rollout_s": round(took, 1)}
    for kind in kinds:
        rpcs = world.rpcs_of(_client(row, kind), start, end)
        failed = [rpc for rpc in rpcs if not rpc.ok]
        found[kind] = {
            "rpcs": len(rpcs),
            "failed": len(failed),
            "longest_gap_s": max((longest_gap(each) for each in by_client(rpcs).values()), default=0.0),
            "codes": sorted({rpc.code for rpc in failed}),
            "first_error": _shortest(failed),
            "timeline": timeline(rpcs, start, end),
        }
    for letter in sorted({KINDS[kind][0] for kind in kinds}):
        found[f"servers {letter}"] = _served(world, _server(row, letter))
    return found


def _shortest(failed: Sequence[Rpc]) -> str:
    return min((rpc.message for rpc in failed), key=len, default="")[:200]


def _served(world: World, name: str) -> dict[str, int]:
    """Attempts and repetitions that the servers counted since their start, those that have ended too."""
    counted = [served for pod, served in world.servers.served.items() if deployment_of(pod) == name]
    return {"attempts": sum(s.attempts for s in counted), "retries": sum(s.retries for s in counted)}


def _server(row: Row, letter: str) -> str:
    return f"roll-{letter}-{row.language}"


def _called(row: Row, kind: str) -> str:
    """Object of a kind of client: the servers' own for the first kind of each letter, a second one otherwise."""
    return _server(row, KINDS[kind][0]) + ("-lowered" if kind == "lowered floor" else "")


def _client(row: Row, kind: str) -> str:
    return f"{_called(row, kind)}-client"


def _objects(rows: Sequence[Row], naive: bool, kinds: Sequence[str], clients: int) -> Iterator[Object]:
    for row in rows:
        for kind in kinds:
            letter, asked = KINDS[kind]
            name, called = _server(row, letter), _called(row, kind)
            if called == name:
                yield cluster_ip(name, name)
                settings = {"maxConnectionAge": f"{AGE}s"}
                yield balanced(name, name, server=settings, client=asked, rollout={"allowUnsafe": naive})
                yield server(row.server, name, name, replicas=_PODS, naive=naive)
            else:
                yield also_balanced(called, name, **asked)
            yield client(row.language, f"{called}-client", called, replicas=clients, rate=_RATE)
