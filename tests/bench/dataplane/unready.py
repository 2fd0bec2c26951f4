"""A pod that is no longer Ready goes on serving: how long is it called? By a readiness gate, which we turn."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

from lab.rest import Object
from tests.kit.programs import client, server

from .figures import last_after, percentiles
from .model import Setting
from .pickup import FLOORS
from .world import START, Row, World, also_balanced, balanced, cluster_ip

_GATE: Final = "grpcbalance.dev/bench"
_AGE: Final = 10
_PODS: Final = 3
_CLIENTS: Final = 3


def run(world: World) -> dict[str, Any]:
    """Per row and floor: seconds from the loss of readiness to the last RPC there, of each client."""
    services = [f"gate-{row.language}" for row in world.rows]
    clients = world.start(_objects(world.rows), lambda: _open_gates(world, services))
    chosen = [sorted(pod["metadata"]["name"] for pod in world.pods(name))[0] for name in services]
    start = time.time()
    for pod in chosen:
        _turn(world, pod, "False")
    world.endpoints.wait(lambda seen: not set(chosen) & seen.ready, 60, "the pods left the endpoints")
    left = {pod: world.endpoints.left_at[pod] for pod in chosen}
    worst = max(Setting(_AGE, floor).worst for floor in FLOORS.values())
    # No sleep is long enough to prove that nothing more comes; half as much again as the model's worst case it is.
    world.wait_rpcs(clients, int(1.5 * worst * 10), start, within=2 * worst + 30)
    return {row.language: _figures(world, row, left, start) for row in world.rows}


def _figures(world: World, row: Row, left: dict[str, float], start: float) -> dict[str, Any]:
    found: dict[str, Any] = {"server": row.server, "age": _AGE}
    for floor, seconds in FLOORS.items():
        rpcs = world.rpcs_of(f"gate-{row.language}-{floor}-client", start)
        found[f"{floor} floor"] = {
            "last_rpc": percentiles(last_after(rpcs, left)),
            "bound": Setting(_AGE, seconds, drops=row.language == "java").worst,
            "failed": sum(not rpc.ok for rpc in rpcs),
        }
    return found


def _objects(rows: Sequence[Row]) -> Iterator[Object]:
    for row in rows:
        name = f"gate-{row.language}"
        yield cluster_ip(name, name)
        yield balanced(name, name, server={"maxConnectionAge": f"{_AGE}s"}, rollout={"allowUnsafe": True})
        yield also_balanced(f"{name}-default", name, minResolutionInterval="Off")
        made = server(row.server, name, name, replicas=_PODS, naive=True)
        made["spec"]["template"]["spec"]["readinessGates"] = [{"conditionType": _GATE}]
        yield made
        for floor in FLOORS:
            called = name + ("-default" if floor == "default" else "")
            yield client(row.language, f"{name}-{floor}-client", called, replicas=_CLIENTS, rate=10)


def _open_gates(world: World, services: Sequence[str]) -> None:
    """Turn the gate of every pod to True, as the pods come."""
    deadline, opened = time.monotonic() + START, set[str]()
    while len(opened) < _PODS * len(services):
        assert time.monotonic() < deadline, f"only {len(opened)} servers with a readiness gate came in {START:g} s"
        names = {pod["metadata"]["name"] for service in services for pod in world.pods(service)}
        for name in names - opened:
            _turn(world, name, "True")
        opened |= names
        time.sleep(0.2)


def _turn(world: World, pod: str, status: str) -> None:
    condition = {"type": _GATE, "status": status}
    world.shop.api.strategic(world.shop.url("Pod", pod, "status"), {"status": {"conditions": [condition]}})
