"""How soon is a new pod used, and a removed one no longer? All ages and resolution floors at the same time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

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
    """How much is measured: ages in seconds, clients of each kind, pods that come, and seconds between two of them."""

    ages: Sequence[int] = (10, 60)
    floors: Sequence[str] = ("lowered", "default")
    clients: int = 3
    new_pods: int = 7
    interval: float = 8.0
    gone_pods: int = 3


def service(row: Row, age: int) -> str:
    """Name of the servers, and of the object that configures them."""
    return f"age{age}-{row.language}"


def kind_of_client(row: Row, age: int, floor: str) -> str:
    """Name of a client Deployment."""
    return f"{service(row, age)}-{floor}-client"


def run(world: World, size: Size) -> dict[str, Any]:
    """Figures per row and kind of client: `added`, `predicted`, `removed`, `unready`, and a timeline."""
    world.start(_objects(world.rows, size))
    start = time.time()
    ready = _scale_out(world, size)
    world.say(f"{size.new_pods} pods were added to each of {len(ready)} services; some are taken away now")
    added_until = time.time()
    removed = _scale_in(world, size) if size.gone_pods else {}
    result: dict[str, Any] = {row.language: {"server": row.server} for row in world.rows}
    for row, age, floor in _kinds(world.rows, size):
        name, pods = kind_of_client(row, age, floor), ready[service(row, age)]
        rpcs = world.rpcs_of(name, start)
        setting = Setting(age, FLOORS[floor], drops=row.language == "java")
        found = result[row.language][f"age {age} s, {floor} floor"] = {
            "added": percentiles([wait for _, _, wait in first_after(rpcs, pods)]),
            "expected": size.clients * size.new_pods,
            "predicted": predict(setting, _FIRST_PODS, list(pods.values()), _connected_at(world, name)),
            "bound": setting.worst,
            "failed": sum(not rpc.ok for rpc in rpcs if rpc.start < added_until),
            "timeline": timeline(rpcs, start, added_until),
        }
        if size.gone_pods:
            gone = removed[service(row, age)]
            found["removed"] = {
                "last_rpc": percentiles(last_after(rpcs, gone)),
                "failed": sum(not rpc.ok for rpc in rpcs if rpc.start >= added_until),
            }
    return result


def _kinds(rows: Sequence[Row], size: Size) -> Iterator[tuple[Row, int, str]]:
    for row in rows:
        for age in size.ages:
            for floor in size.floors:
                yield row, age, floor


def _objects(rows: Sequence[Row], size: Size) -> Iterator[Object]:
    for row in rows:
        for age in size.ages:
            name = service(row, age)
            yield cluster_ip(name, name)
            yield balanced(name, name, server={"maxConnectionAge": f"{age}s"})
            if "default" in size.floors:
                yield also_balanced(f"{name}-default", name, minResolutionInterval="Off")
            yield server(row.server, name, name, replicas=_FIRST_PODS)
    for row, age, floor in _kinds(rows, size):
        called = service(row, age) + ("-default" if floor == "default" else "")
        made = client(row.language, kind_of_client(row, age, floor), called, replicas=size.clients, rate=_RATE)
        yield made


def _scale_out(world: World, size: Size) -> dict[str, dict[str, float]]:
    """Add pods one by one on a schedule, and wait until every client uses each; when each got ready, by service."""
    names = [service(row, age) for row in world.rows for age in size.ages]
    old, start = set(world.endpoints.ready), time.time()
    for number in range(1, size.new_pods + 1):
        for name in names:
            world.scale(name, _FIRST_PODS + number)
        time.sleep(max(0.0, start + number * size.interval - time.time()))
    wanted = len(old) + size.new_pods * len(names)
    world.endpoints.wait(lambda seen: len(seen.ready) >= wanted, START, f"{wanted} ready endpoints")
    ready: dict[str, dict[str, float]] = {name: {} for name in names}
    for pod in world.endpoints.ready - old:
        ready[pod.rsplit("-", 2)[0]][pod] = world.endpoints.ready_at[pod]
    _await(world, size, lambda row, age, floor: _found_all(world, size, (row, age, floor), ready), start)
    return ready


def _found_all(world: World, size: Size, kind: tuple[Row, int, str], ready: dict[str, dict[str, float]]) -> bool:
    row, age, _ = kind
    pods = ready[service(row, age)]
    found = first_after(world.rpcs_of(kind_of_client(*kind), min(pods.values())), pods)
    return len(found) >= size.clients * size.new_pods


def _connected_at(world: World, name: str) -> list[float]:
    """When each client began, and so made its first connections."""
    return [rpcs[0].start for rpcs in by_client(world.rpcs_of(name)).values()]


def _await(world: World, size: Size, done: Callable[[Row, int, str], bool], since: float) -> None:
    """Wait until `done` for each kind of client, or until its worst case and half as much again is over."""
    left = list(_kinds(world.rows, size))
    while left:
        now = time.time()
        left = [
            (row, age, floor)
            for row, age, floor in left
            if not done(row, age, floor)
            and now < since + size.new_pods * size.interval + 1.5 * Setting(age, FLOORS[floor]).worst + 15
        ]
        time.sleep(0.5)


def _scale_in(world: World, size: Size) -> dict[str, dict[str, float]]:
    """Take pods away; when each left the endpoints, by service. Returns when the last one has ended."""
    names = [service(row, age) for row in world.rows for age in size.ages]
    start, keep = time.time(), _FIRST_PODS + size.new_pods - size.gone_pods
    for name in names:
        world.scale(name, keep)
    for name in names:
        world.wait_pods(name, keep)
    gone: dict[str, dict[str, float]] = {name: {} for name in names}
    for pod, moment in world.endpoints.left_at.items():
        if moment >= start and pod.rsplit("-", 2)[0] in gone:
            gone[pod.rsplit("-", 2)[0]][pod] = moment
    return gone
