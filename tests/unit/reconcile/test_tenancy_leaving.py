"""The headless Service outlives its object for clients of other namespaces, too; and who hears of it."""

from __future__ import annotations

from typing import Any

import pytest

from grpcbalance.model import Ref
from grpcbalance.names import ANNOTATION_INJECTED, PLURAL
from grpcbalance.settings import Settings
from tests.unit import factories as make

from .tenants import ALL, CLIENT, HOME, TARGET, URI, WEB, events, foreign, two
from .world import LONG, World, shop

Raw = dict[str, Any]


def test_rule7_its_service_stays_while_another_namespace_uses_it() -> None:
    world = two(ALL)
    world.server.remove(PLURAL, "orders")
    assert world.writes_in(10 * LONG) == []
    assert world.server.has("services", "orders-headless")
    (event,) = events(world, CLIENT, "StillReferenced")
    assert event["message"] == (
        "GrpcBalancedService shop/orders is gone; its headless Service stays while this uses it. "
        "Ask its owner to create it again, or remove our annotations"
    )
    world.annotate(CLIENT, namespace=WEB)
    world.run(LONG)
    assert not world.server.has("services", "orders-headless")
    assert TARGET not in world.env(CLIENT, WEB)


@pytest.mark.parametrize(
    "spy",
    [
        {"client": None, "template_annotations": {ANNOTATION_INJECTED: '{"app":{"X":"0"}}'}},
        {"client": "shop/orders"},
        {"client": "shop/other", "template_annotations": {ANNOTATION_INJECTED: '{"app":{"X":"0"}}'}},
    ],
    ids=["not annotated", "not injected", "client of another"],
)
def test_who_only_names_the_host_keeps_the_service_and_hears_nothing(spy: Raw) -> None:
    world = two(ALL)
    world.server.remove(PLURAL, "orders")
    world.server.put(foreign("spy", containers=[make.container(env=make.env(X=URI))], **spy))
    world.server.remove("deployments", CLIENT, WEB)
    world.run(LONG)
    assert world.server.has("services", "orders-headless")
    assert events(world, "spy", "StillReferenced") == []


@pytest.mark.parametrize(("namespace", "stays"), [(None, True), (HOME, False)], ids=["everywhere", "one namespace"])
def test_rule7_pods_are_looked_for_wherever_clients_may_be(namespace: str | None, stays: bool) -> None:
    world = shop(World(Settings(namespace=namespace)))
    world.server.pods[Ref(WEB, "job-of-web")] = (URI,)
    world.server.remove(PLURAL, "orders")
    world.annotate("checkout")
    world.run(LONG)
    assert world.server.has("services", "orders-headless") is stays


def test_one_look_at_all_pods_serves_deletions_that_come_together() -> None:
    world = World()
    names = [f"s{number}" for number in range(20)]
    world.server.put(*(make.gbs(name) for name in names))
    world.start().run(LONG)
    for name in names:
        world.server.remove(PLURAL, name)
    world.run(LONG)
    assert [name for name in names if world.server.has("services", f"{name}-headless")] == []
    assert world.server.looks == 1
    world.server.put(make.gbs("late"))
    world.run(LONG)
    world.server.remove(PLURAL, "late")
    world.run(LONG)
    assert world.server.looks == 2


def test_a_service_that_is_named_again_during_the_look_is_not_deleted() -> None:
    world = shop(World())
    world.server.remove(PLURAL, "orders")
    world.annotate("checkout")
    world.run(30.0)
    look, late = world.server.hosts_in_use, make.deployment("late", containers=[make.container(env=make.env(X=URI))])

    async def slow(namespace: str | None) -> frozenset[str]:
        hosts = await look(namespace)
        assert world.operator is not None
        world.server.put(late)
        world.operator.take("deployments", "ADDED", world.server.get("deployments", "late"))
        return hosts

    world.server.hosts_in_use = slow  # type: ignore[method-assign]  # a look that takes time
    world.run(LONG)
    assert world.server.looks == 1
    assert world.server.has("services", "orders-headless")
