"""How much is written: little when something is new, at most one status a second, nothing when nothing changed."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from grpcbalance.names import PLURAL
from grpcbalance.settings import Settings
from tests.unit import factories as make

from .world import LONG, World, shop

Raw = dict[str, Any]
NEW = (make.gbs(), make.server(replicas=0), make.deployment(client="orders", replicas=0))


ORDERS = list(itertools.permutations(range(3)))
MADE = ["create services orders-headless", "patch deployments checkout", "patch deployments orders"]


def _come(order: tuple[int, ...], apart: float) -> tuple[World, list[str]]:
    """The new objects come so many seconds apart; what was written in all, sorted."""
    world = World().start()
    for index in order:
        world.server.put(NEW[index])
        world.run(apart)
    world.run(LONG)
    assert world.condition("ClientsConfigured") == ("True", "Configured")
    assert world.condition("Ready") == ("True", "Ready")
    return world, sorted(str(write) for write in world.server.writes)


@pytest.mark.parametrize("apart", [0.0, 5.0])
@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_new_object_with_a_server_and_a_client_costs_five_writes_and_then_none(
    order: tuple[int, ...], apart: float
) -> None:
    # Where the object is not the last to come, each of the others is another change of it.
    world, made = _come(order if not apart else (*order[: order.index(0)], *order[order.index(0) + 1 :], 0), apart)
    assert [write for write in made if not write.startswith("status")] == MADE
    assert len(made) <= 5
    assert world.writes_in(LONG) == []


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_each_workload_that_comes_later_is_patched_once_and_then_all_is_quiet(order: tuple[int, ...]) -> None:
    world, made = _come(order, 5.0)
    assert [write for write in made if not write.startswith("status")] == MADE
    assert len(made) <= 5 + 2
    assert world.writes_in(LONG) == []


@pytest.mark.parametrize(("takes", "most"), [(0.5, 3), (1.0, 3), (2.0, 3), (20.0, 4)])
def test_a_status_that_is_soon_overtaken_is_not_written(takes: float, most: int) -> None:
    world = shop(World(takes=lambda _: takes))
    assert [w.verb for w in world.server.writes].count("status") <= most
    assert world.condition("ClientsConfigured") == ("True", "Configured")


# -- restarts -------------------------------------------------------------------------------------------------


def _configured() -> World:
    return shop(World())


def _own_value() -> World:
    world = World()
    own = make.container(env=make.env(GRPC_ORDERS_TARGET="mine"))
    world.server.put(make.gbs(), make.server(), make.deployment(client="orders", containers=[own]))
    world.start().run(LONG)
    assert world.standing("checkout") == ("Refused", "EnvConflict")
    return world


def _no_endpoints() -> World:
    world = shop(World(slices=False))
    assert world.standing("checkout") == ("Pending", "TargetNotServing")
    return world


def _held() -> World:
    world = shop(World())
    world.spec(PLURAL, "orders", server={"maxConnectionAge": "2m"})
    world.run(LONG)
    assert world.condition("ServersConfigured") == ("False", "UnsafeRollout")
    return world


def _held_for_two() -> World:
    # Two services of the same pods, both with clients; the one that was made later is listed first.
    world = World()
    both = make.container(env=make.env(T="dns:///alias-headless.shop.svc.cluster.local.:5000"))
    world.server.put(make.gbs(), make.server(), make.deployment(client="orders,alias", containers=[both]))
    world.start().run(10.0)
    world.server.put(make.gbs("alias", selector={"app": "orders"}))
    world.spec(PLURAL, "orders", server={"maxConnectionAge": "2m"})
    world.run(LONG)
    assert world.condition("ServersConfigured") == ("False", "UnsafeRollout")
    return world


def _object_gone() -> World:
    world = shop(World())
    world.server.remove(PLURAL, "orders")
    return world.run(LONG)


def _not_accepted() -> World:
    world = shop(World(), port=6000)
    assert world.condition("Accepted") == ("False", "PortNotDeclared")
    return world


def _name_taken() -> World:
    world = World()
    world.server.put(make.service("orders-headless"))
    shop(world)
    assert world.condition("ServiceReady") == ("False", "NameConflict")
    return world


def _in_the_users_own_rollout() -> World:
    # Of a minute, during which only the stored status knows that the old pods carry the values too.
    world = shop(World(takes=lambda _: 60.0))
    world.server.edit("deployments", "checkout", _new_image)
    world.run(10.0)
    assert world.condition("ClientsConfigured") == ("True", "Configured")
    return world


def _new_image(raw: Raw) -> None:
    raw["spec"]["template"]["spec"]["containers"][0]["image"] = "app:2"


SITUATIONS = [
    _configured,
    _own_value,
    _no_endpoints,
    _held,
    _held_for_two,
    _object_gone,
    _not_accepted,
    _name_taken,
    _in_the_users_own_rollout,
]


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda f: f.__name__.strip("_"))
def test_restart_with_nothing_changed_writes_nothing(situation: Callable[[], World]) -> None:
    world = situation()
    world.start()
    assert world.writes_in(LONG) == []


# -- endpoints ------------------------------------------------------------------------------------------------


def _endpoints(world: World, *endpoints: Raw) -> None:
    world.server.edit("endpointslices", "orders-headless-abc", lambda raw: raw.update(endpoints=list(endpoints)))


def _pods(count: int, first: int = 0) -> list[Raw]:
    return [make.endpoint(f"10.2.0.{first + number}", ready=True) for number in range(count)]


def test_a_burst_of_endpoint_changes_costs_one_status_write_a_second_and_ends_right() -> None:
    world = shop(World())
    before = len(world.server.writes)
    for number in range(200):
        _endpoints(world, *_pods(1 + number % 7))
        world.run(0.05)
    _endpoints(world, *_pods(5))
    world.run(LONG)
    writes = world.server.writes[before:]
    assert {write.verb for write in writes} == {"status"}
    assert len(writes) <= 12
    assert all(b.at - a.at >= 1.0 for a, b in itertools.pairwise(writes))
    assert world.status()["summary"]["endpoints"] == "5/5"


@pytest.mark.parametrize("interval", [0.0, 1.0, 5.0])
def test_the_pace_of_status_writes_is_the_settings(interval: float) -> None:
    world = shop(World(Settings(status_interval=interval)))
    before = len(world.server.writes)
    for number in range(100):
        _endpoints(world, *_pods(1 + number % 3))
        world.run(0.3)
    times = [write.at for write in world.server.writes[before:]]
    assert len(times) > 3
    assert all(b - a >= interval - 1e-6 for a, b in itertools.pairwise(times))


def test_an_endpoint_change_that_status_does_not_show_writes_nothing() -> None:
    world = shop(World())
    for number in range(20):
        _endpoints(world, *_pods(1, first=number))
        assert world.writes_in(2.0) == []


def _with_status(fields: Raw) -> Callable[[Raw], None]:
    return lambda raw: raw.setdefault("status", {}).update(fields)


def test_events_without_news_write_nothing() -> None:
    world = shop(World())
    for number in range(10):
        news = {"conditions": [{"type": "Noted", "message": str(number)}]}
        world.server.edit("deployments", "checkout", _with_status(news))
        world.server.edit("services", "orders-headless", _with_status(news))
        assert world.writes_in(2.0) == []


def test_endpoints_that_all_go_are_told_of_at_once_and_roll_nobody() -> None:
    world = shop(World())
    _endpoints(world)
    writes = world.writes_in(1.0)
    assert [write.verb for write in writes] == ["status"]
    assert world.condition("EndpointsReady") == ("False", "NoEndpoints")
    _endpoints(world, *_pods(1))
    assert [write.verb for write in world.writes_in(LONG)] == ["status"]
    assert world.condition("Ready") == ("True", "Ready")
