"""What no promise covers: no server at all for a while, a server killed, a whole node gone."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from lab import Lab
from lab.rest import Object
from tests.kit.programs import client, server

from .figures import by_client, longest_gap, percentiles
from .world import START, Row, World, also_balanced, balanced, cluster_ip

_PODS: Final = 4
_RATE: Final = 25
_EMPTY_SECONDS: Final = 20.0
# A node is given up after 40 s without a sign of life, and its pods leave the endpoints then.
_NODE_SECONDS: Final = 90.0
# A client that still fails so long after that is not waited for: that it does is the figure.
_SETTLED: Final = 120.0
# Kinds of clients, and what their object asks of them.
KINDS: Final[Mapping[str, dict[str, Any]]] = {
    "no keepalive": {},
    "keepalive": {"keepalive": {"time": "10s", "timeout": "5s", "permitWithoutCalls": True}},
}
_AGE: Final = 60
_SERVER: Final = {"maxConnectionAge": f"{_AGE}s", "keepalive": {"minClientInterval": "5s", "permitWithoutCalls": True}}


def run(world: World, lab: Lab) -> dict[str, Any]:
    """Figures per row and kind of client for each outage; the last one leaves the lab without its second node.

    The objects of the lost node's pods are removed at the end, since nobody else tells that those have ended.
    """
    world.start(_objects(world.rows))
    found: dict[str, dict[str, Any]] = {row.language: {"server": row.server} for row in world.rows}
    for name, outage in (("kill", _kill), ("zero", _zero), ("node", _node)):
        # A client that came back early knows only the servers that were ready then, until a connection reaches its age.
        world.wait_spread(_clients(world), _PODS, time.time(), within=2 * _AGE + 30)
        world.say(f"outage: {name}")
        start, back = outage(world, lab)
        for row in world.rows:
            found[row.language][name] = {kind: _figures(world, row, kind, start, back) for kind in KINDS}
    for pod in world.shop.api.items(world.shop.url("Pod")):
        if pod["spec"]["nodeName"] == "node-2":
            options = {"gracePeriodSeconds": 0}
            world.shop.api.request("DELETE", world.shop.url("Pod", pod["metadata"]["name"]), options)
    return found


def _figures(world: World, row: Row, kind: str, start: float, back: float | None) -> dict[str, Any]:
    rpcs = world.rpcs_of(_client(row, kind), start)
    failed = [rpc for rpc in rpcs if not rpc.ok]
    each = by_client(rpcs).values()
    found: dict[str, Any] = {
        "rpcs": len(rpcs),
        "failed": len(failed),
        "codes": sorted({rpc.code for rpc in failed}),
        "longest_gap_s": max((longest_gap(one) for one in each), default=0.0),
        "last_failure_s": round(max((rpc.start - start for rpc in failed), default=0.0), 1),
    }
    if back is not None:
        first = [min(rpc.start for rpc in one if rpc.ok and rpc.start >= back) - back for one in each]
        found["back_s"] = percentiles(first)
    return found


def _kill(world: World, lab: Lab) -> tuple[float, None]:
    """SIGKILL one server of each row; its container starts again under the same address."""
    start = time.time()
    for row in world.rows:
        name = world.pods(_server(row))[0]["metadata"]["name"]
        for process in lab.pod_pids(world.shop.namespace, name):
            os.kill(process, signal.SIGKILL)
    world.wait_rpcs(_clients(world), 20 * _RATE, start, within=90)
    world.shop.wait_rolled_out(*(_server(row) for row in world.rows))
    return start, None


def _zero(world: World, _: Lab) -> tuple[float, float]:
    """Scale to nothing, stay so, and come back; the moment at which there was a server again."""
    start, names = time.time(), [_server(row) for row in world.rows]
    for name in names:
        world.scale(name, 0)
    for name in names:
        world.wait_pods(name, 0)
    time.sleep(_EMPTY_SECONDS)
    for name in names:
        world.scale(name, _PODS)
    world.endpoints.wait(lambda seen: len(seen.ready) >= len(names), START, "ready endpoints again")
    back = time.time()
    # gRPC waits up to two minutes between attempts to resolve a name that does not exist.
    world.wait_answered(_clients(world), back, within=150)
    world.shop.wait_rolled_out(*names, within=START)
    return start, back


def _node(world: World, lab: Lab) -> tuple[float, None]:
    """Cut off and stop the second node, and wait until its pods are no endpoints and no client calls them any more."""
    lost = {
        pod["metadata"]["name"]
        for row in world.rows
        for pod in world.pods(_server(row))
        if pod["spec"]["nodeName"] == "node-2"
    }
    assert lost, "no server runs on the second node"
    start = time.time()
    lab.lose_node(2)
    world.endpoints.wait(lambda seen: not lost & seen.ready, _NODE_SECONDS, "the lost node's pods left the endpoints")
    world.settle(_clients(world), within=_SETTLED)
    return start, None


def _server(row: Row) -> str:
    return f"outage-{row.language}"


def _called(row: Row, kind: str) -> str:
    return _server(row) + ("" if kind == "no keepalive" else "-keepalive")


def _client(row: Row, kind: str) -> str:
    return f"{_called(row, kind)}-client"


def _clients(world: World) -> list[str]:
    return [_client(row, kind) for row in world.rows for kind in KINDS]


def _objects(rows: Sequence[Row]) -> Iterator[Object]:
    for row in rows:
        name = _server(row)
        yield cluster_ip(name, name)
        yield balanced(name, name, server=_SERVER, rollout={"allowUnsafe": True})
        made = server(row.server, name, name, replicas=_PODS, naive=True)
        spread = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule"}
        labels = {"labelSelector": {"matchLabels": {"app": name}}, "matchLabelKeys": ["pod-template-hash"]}
        made["spec"]["template"]["spec"]["topologySpreadConstraints"] = [spread | labels]
        yield made
        for kind, asked in KINDS.items():
            if asked:
                yield also_balanced(_called(row, kind), name, **asked)
            made = client(row.language, _client(row, kind), _called(row, kind), rate=_RATE, timeout_ms=1000)
            made["spec"]["template"]["spec"]["nodeSelector"] = {"kubernetes.io/hostname": "node-1"}
            yield made
