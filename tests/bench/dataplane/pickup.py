"""How soon is a new pod used, and a removed one no longer? At one connection age, with two resolution floors."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lab.records import deployment_of
from lab.rest import Object
from tests.kit.programs import client, server

from .figures import by_client, first_after, last_after, percentiles, timeline
from .model import Setting, predict
from .world import START, Row, World, also_balanced, balanced, cluster_ip

# What the object asks of clients by default, and what every library does by itself.
FLOORS: Final[Mapping[str, float]] = {"lowered": 10.0, "default": 30.0}
_RATE: Final = 10
_FIRST_PODS: Final = 2


@dataclass(frozen=True, slots=True)
class Size:
    """What is measured: age in seconds, clients of each kind, pods that come, seconds between two, pods that go."""

    age: int
    floors: Sequence[str] = ("lowered", "default")
    clients: int = 4
    new_pods: int = 5
    interval: float = 8.0
    gone_pods: int = 2


def run(world: World, size: Size) -> dict[str, Any]:
    """Figures per row and kind of client: `added`, `predicted`, `removed`, and a timeline."""
    world.start(_objects(world.rows, size))
    start = time.time()
    ready = _scale_out(world, size, start)
    world.say(f"{size.new_pods} pods were added to each of {len(ready)} services; some are taken away now")
    turn = time.time()
    gone = _scale_in(world, size, turn)
    result: dict[str, Any] = {row.language: {"server": row.server} for row in world.rows}
    for row in world.rows:
        for floor in size.floors:
            found = _added(world, size, row, floor, ready[_service(row)], (start, turn))
            rpcs = world.rpcs_of(_client(row, floor), turn)
            last = percentiles(last_after(rpcs, gone[_service(row)]))
            found["removed"] = {"last_rpc": last, "failed": sum(not rpc.ok for rpc in rpcs)}
            result[row.language][f"age {size.age} s, {floor} floor"] = found
    return result


def _added(
    world: World, size: Size, row: Row, floor: str, pods: Mapping[str, float], span: tuple[float, float]
) -> dict[str, Any]:
    rpcs = world.rpcs_of(_client(row, floor), *span)
    setting = Setting(size.age, FLOORS[floor], drops=row.language == "java")
    return {
        "added": percentiles([wait for _, _, wait in first_after(rpcs, pods)]),
        "expected": size.clients * size.new_pods,
        "predicted": predict(setting, _FIRST_PODS, list(pods.values()), _connected_at(world, _client(row, floor))),
        "bound": setting.worst,
        "failed": sum(not rpc.ok for rpc in rpcs),
        "timeline": timeline(rpcs, *span),
    }


def _service(row: Row) -> str:
    """Name of the servers, and of the object that configures them."""
    return f"orders-{row.language}"


def _client(row: Row, floor: str) -> str:
    return f"{_service(row)}-{floor}-client"


def _objects(rows: Sequence[Row], size: Size) -> Iterator[Object]:
    for row in rows:
        name = _service(row)
        yield cluster_ip(name, name)
        yield balanced(name, name, server={"maxConnectionAge": f"{size.age}s"})
        if "default" in size.floors:
            yield also_balanced(f"{name}-default", name, minResolutionInterval="Off")
        yield server(row.server, name, name, replicas=_FIRST_PODS)
        for floor in size.floors:
            called = name + ("-default" if floor == "default" else "")
            yield client(row.language, _client(row, floor), called, replicas=size.clients, rate=_RATE)


def _scale_out(world: World, size: Size, start: float) -> dict[str, dict[str, float]]:
    """Add pods one by one on a schedule, and wait until every client uses each; when each got ready, by service."""
    names = [_service(row) for row in world.rows]
    old = set(world.endpoints.ready)
    for number in range(1, size.new_pods + 1):
        for name in names:
            world.scale(name, _FIRST_PODS + number)
        time.sleep(max(0.0, start + number * size.interval - time.time()))
    wanted = len(old) + size.new_pods * len(names)
    world.endpoints.wait(lambda seen: len(seen.ready) >= wanted, START, f"{wanted} ready endpoints")
    ready = _by_service(names, {pod: world.endpoints.ready_at[pod] for pod in world.endpoints.ready - old})
    _await_first_rpcs(world, size, ready, start)
    return ready


def _by_service(names: Sequence[str], moments: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Moments of pods, by the Deployment that they are of."""
    return {name: {pod: at for pod, at in moments.items() if deployment_of(pod) == name} for name in names}


def _await_first_rpcs(world: World, size: Size, ready: dict[str, dict[str, float]], start: float) -> None:
    """Wait until every client has used every new pod, or until that should have been long ago."""
    pods = {pod: moment for each in ready.values() for pod, moment in each.items()}
    wanted = len(pods) * len(size.floors) * size.clients
    worst = max(Setting(size.age, FLOORS[floor], drops=True).worst for floor in size.floors)
    world.clients.wait(lambda rpcs: len(first_after(rpcs, pods)) >= wanted, since=start, within=1.5 * worst + 60)


def _connected_at(world: World, name: str) -> list[float]:
    """When each client began, and so made its first connections."""
    return [rpcs[0].start for rpcs in by_client(world.rpcs_of(name)).values()]


def _scale_in(world: World, size: Size, start: float) -> dict[str, dict[str, float]]:
    """Take pods away; when each left the endpoints, by service. Returns when the last one has ended."""
    names = [_service(row) for row in world.rows]
    keep = _FIRST_PODS + size.new_pods - size.gone_pods
    for name in names:
        world.scale(name, keep)
    for name in names:
        world.wait_pods(name, keep)
    return _by_service(names, {pod: at for pod, at in world.endpoints.left_at.items() if at >= start})
