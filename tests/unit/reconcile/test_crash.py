"""Killed at every write, before or after it was done, and begun anew: the same end, and nobody is rolled twice."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from grpcbalance.names import PLURAL
from tests.unit import factories as make

from .server import Server, Write
from .world import CrashError, World

Raw = dict[str, Any]
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|\+00:00)")


class CrashAt:
    """Kills the operator at its write of that number, once."""

    def __init__(self, number: int, after: bool) -> None:
        self._left, self._after = number, after

    def __call__(self, write: Write, done: bool) -> None:
        if done is self._after and self._left > 0:
            self._left -= 1
            if not self._left:
                raise CrashError(str(write))


def _begin(world: World) -> None:
    world.server.put(make.gbs(), make.gbs("payments"))
    world.server.put(make.server(minReadySeconds=35), make.server("payments", replicas=0, client="orders"))
    world.server.put(*(make.deployment(f"checkout-{n}", client="orders,payments") for n in range(2)))


def _port(world: World) -> None:
    world.server.edit("deployments", "orders", _second_port)
    world.spec(PLURAL, "orders", port=6000)


def _second_port(raw: Raw) -> None:
    raw["spec"]["template"]["spec"]["containers"][0]["ports"].append({"containerPort": 6000})


def _rename(world: World) -> None:
    world.spec(PLURAL, "orders", serviceName="other", server={"maxConnectionAge": "2m"})


def _opt_out(world: World) -> None:
    world.annotate("checkout-0", client="payments")
    world.annotate("payments", server="payments")


def _leave(world: World) -> None:
    world.server.remove(PLURAL, "orders")
    world.run(5.0)
    for number in range(2):
        world.annotate(f"checkout-{number}")


Step = Callable[[World], None]
STORY: tuple[Step, ...] = (_begin, _port, _rename, _opt_out, _leave)


def end_state(server: Server) -> dict[str, Raw]:
    """All objects, without what tells only when, how often, or in which order they were written."""
    found = {}
    for kind in (PLURAL, "services", "endpointslices", "deployments"):
        for raw in server.all(kind):
            del raw["metadata"]["resourceVersion"]
            if kind == "deployments":
                # Two changes may come as one after a restart; `patches` sees to it that one never comes as two.
                del raw["metadata"]["generation"], raw["status"]["observedGeneration"]
                for container in raw["spec"]["template"]["spec"]["containers"]:
                    container.get("env", []).sort(key=lambda entry: entry["name"])
            found[f"{kind}/{raw['metadata']['name']}"] = _without_times(raw)
    return found


def patches(server: Server) -> Counter[str]:
    """How often each workload was patched."""
    return Counter(write.name for write in server.writes if write.kind == "deployments")


def _without_times(raw: Any) -> Any:
    if isinstance(raw, dict):
        return {key: _without_times(value) for key, value in raw.items()}
    if isinstance(raw, list):
        return [_without_times(item) for item in raw]
    return _STAMP.sub("TIME", raw) if isinstance(raw, str) else raw


def tell(step: Step, after: World | None, *faults: CrashAt) -> World:
    """One step of the story, in a copy of the world as the step before left it."""
    world = World(after=after).start()
    world.run(1.0)
    assert world.server.writes == []
    world.server.faults += faults
    step(world)
    return world.run(200.0)


@cache
def undisturbed() -> dict[Step, tuple[World | None, World]]:
    """Each step with the world before and after it."""
    worlds: dict[Step, tuple[World | None, World]] = {}
    before = None
    for step in STORY:
        after = tell(step, before)
        worlds[step] = before, after
        before = after
    return worlds


def test_the_story_ends_with_everything_taken_back() -> None:
    _, world = undisturbed()[STORY[-1]]
    assert [raw["metadata"]["name"] for raw in world.server.all("services")] == ["payments-headless"]
    assert [world.env(f"checkout-{n}") for n in range(2)] == [{}, {}]
    written = [write for _, after in undisturbed().values() for write in after.server.writes]
    assert {write.verb for write in written} == {"create", "patch", "apply", "merge", "status", "delete"}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", STORY, ids=lambda step: step.__name__.strip("_"))
def test_killed_at_any_write_the_end_is_the_same_and_nobody_is_patched_more_often(step: Step, after: bool) -> None:
    before, whole = undisturbed()[step]
    for number, write in enumerate(whole.server.writes, start=1):
        world = tell(step, before, CrashAt(number, after))
        assert world.crashes == 1, write
        assert end_state(world.server) == end_state(whole.server), write
        assert patches(world.server) <= patches(whole.server), write


@pytest.mark.parametrize("step", STORY, ids=lambda step: step.__name__.strip("_"))
def test_killed_at_every_other_write_the_end_is_the_same(step: Step) -> None:
    before, whole = undisturbed()[step]
    world = tell(step, before, *(CrashAt(number, after=number % 4 == 0) for number in range(2, 60, 2)))
    assert world.crashes >= 1
    assert end_state(world.server) == end_state(whole.server)
