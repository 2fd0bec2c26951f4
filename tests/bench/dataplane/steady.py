"""Does load spread? Before (an ordinary Service), with pick_first, and after; the first two must fail the gate."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, Final

from lab.records import Rpc
from lab.rest import Object
from tests.kit.programs import client, server

from .figures import Spread, by_client, spread, timeline
from .world import START, Row, World, also_balanced, balanced, cluster_ip

_PODS: Final = 3
_SAMPLE: Final = 100
# RPCs of each client before them: a picker begins anew whenever a connection becomes ready.
_WARM_UP: Final = 150
# What the plot shows, in seconds up to the end of the sample.
_SHOWN: Final = {"before": 5.0, "after": 20.0}


def run(world: World, clients: int = 4) -> dict[str, Any]:
    """Figures per row: `before`, `after` and `pick_first`, each for one client and for all; and timelines."""
    world.start(_objects(world.rows, clients))
    before = _sample(world, [_client(row) for row in world.rows])
    control = _sample(world, [f"control-{row.language}-client" for row in world.rows])
    for row in world.rows:
        world.shop.annotate(_client(row), client=f"orders-{row.language}")
    world.wait_clients(*(f"orders-{row.language}" for row in world.rows))
    after = _sample(world, [_client(row) for row in world.rows])
    return {
        row.language: {
            "server": row.server,
            "before": _figures(before[_client(row)]),
            "after": _figures(after[_client(row)]),
            "pick_first": _figures(control[f"control-{row.language}-client"]),
            "timeline": {
                "before": _timeline(world, _client(row), before[_client(row)], _SHOWN["before"]),
                "after": _timeline(world, _client(row), after[_client(row)], _SHOWN["after"]),
            },
        }
        for row in world.rows
    }


def _client(row: Row) -> str:
    return f"orders-{row.language}-client"


def _objects(rows: Sequence[Row], clients: int) -> Iterator[Object]:
    for row in rows:
        name = f"orders-{row.language}"
        yield cluster_ip(name, name)
        yield balanced(name, name)
        yield also_balanced(f"control-{row.language}", name, policy="PickFirst")
        yield server(row.server, name, name, replicas=_PODS)
        yield client(row.language, _client(row), name, replicas=clients, opted_in=False)
        yield client(row.language, f"control-{row.language}-client", f"control-{row.language}")


def _sample(world: World, deployments: list[str]) -> dict[str, list[Rpc]]:
    """100 RPCs of each client after a warm-up."""
    since = time.time()
    world.wait_rpcs(deployments, _WARM_UP + _SAMPLE, since, within=START)
    found = {name: by_client(world.rpcs_of(name, since)).values() for name in deployments}
    return {name: [rpc for rpcs in each for rpc in rpcs[_WARM_UP:][:_SAMPLE]] for name, each in found.items()}


def _figures(rpcs: list[Rpc]) -> dict[str, Any]:
    # A client that ended meanwhile has made fewer.
    each: list[Spread] = [spread(found, _PODS) for found in by_client(rpcs).values() if len(found) == _SAMPLE]
    worst = max(each, key=lambda found: found.off_mean)
    together = spread(rpcs, _PODS)
    return {
        "clients": len(each),
        "one": asdict(worst),
        "all": asdict(together),
        "failed": sum(not rpc.ok for rpc in rpcs),
        "passes": all(found.even_for_one() for found in each) and together.even_for_many(),
    }


def _timeline(world: World, name: str, sample: list[Rpc], seconds: float) -> dict[str, Any]:
    end = max(rpc.start for rpc in sample)
    return timeline(world.rpcs_of(name, end - seconds, end), end - seconds, end)
