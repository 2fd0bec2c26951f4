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
    deployments = world.create(_objects(world.rows))
    services = [f"gate-{row.language}" for row in world.rows]
    turn_all(world, services, "True")
    clients = [name for name in deployments if name.endswith("-client")]
    world.wait_configured(*services, *(f"{name}-default" for name in services))
    world.wait_rpcs(clients, 20, time.time(), within=START)
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
            made = client(row.language, f"{name}-{floor}-client", called, replicas=_CLIENTS, rate=10)
            yield made


def turn_all(world: World, services: Sequence[str], status: str) -> None:
    """Turn the gate of every pod until all endpoints are ready and the operator's rollout is over."""
    deadline, turned = time.monotonic() + START, set[str]()
    while True:
        for name in services:
            for pod in world.pods(name):
                uid = pod["metadata"]["uid"]
                if uid not in turned and "deletionTimestamp" not in pod["metadata"]:
                    _turn(world, pod["metadata"]["name"], status)
                    turned.add(uid)
        if all(_configured(world, name) for name in services):
            return
        assert time.monotonic() < deadline, f"servers with a readiness gate are not configured after {START:g} s"
        time.sleep(0.5)


def _configured(world: World, name: str) -> bool:
    status = world.shop.get("GrpcBalancedService", name).get("status", {})
    true = {c["type"] for c in status.get("conditions", []) if c["status"] == "True"}
    return {"Ready", "ServersConfigured"} <= true


def _turn(world: World, pod: str, status: str) -> None:
    condition = {"type": _GATE, "status": status}
    world.shop.api.strategic(world.shop.url("Pod", pod, "status"), {"status": {"conditions": [condition]}})
