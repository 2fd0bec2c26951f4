"""Who is on xDS and not connected is told after a minute, by few looks, and never because somebody cannot look."""

from __future__ import annotations

from typing import Any

import pytest

from grpcbalance.errors import Retry
from grpcbalance.lookaside.changes import take
from grpcbalance.lookaside.pods import Pod
from grpcbalance.lookaside.seen import Node, Seen
from grpcbalance.model import Ref
from grpcbalance.moments import to_text
from tests.unit import factories as make

from .world import BEGINNING, World

ORDERS = Ref("shop", "orders")
POD = Node("shop", "checkout-6b7f9-x2x4z")
XDS = make.env(GRPC_ORDERS_TARGET="xds:///orders.shop:5000")
# Longer than a status, a look and the minute that is waited for together.
TOLD = 100.0


def pod(node: Node = POD) -> Pod:
    labels = (("app", "checkout"), ("pod-template-hash", "6b7f9"))
    owner = ("ReplicaSet", "checkout-6b7f9", "uid")
    return Pod(node, owner, labels, frozenset({"orders.shop.xds"}), to_text(BEGINNING))


def see(world: World, *connected: Node, problem: str = "") -> None:
    """What the look-aside balancer tells."""
    operator = world.operator
    assert operator is not None
    operator.enqueue(take(operator.view, {ORDERS: Seen(problem, plaintext=True, connected=frozenset(connected))}))


def on_xds(discovery: str = "XDS") -> World:
    """A client that was pointed at the balancer by hand, under the name that is ours: the user's own value wins."""
    world = World()
    client = make.deployment(client="orders", containers=[make.container(env=XDS)])
    world.server.put(make.gbs(discovery=discovery, client={"env": {"target": {"name": "OURS"}}}), make.server(), client)
    world.server.xds_pods = [pod()]
    return world.start().run(1000.0)


def told(world: World) -> tuple[str, str]:
    return world.condition("ClientsConfigured")


@pytest.fixture
def world() -> World:
    made = on_xds()
    see(made)
    return made


def test_who_is_not_connected_is_told_after_a_minute_and_who_comes_back_at_once(world: World) -> None:
    assert told(world.run(50)) == ("True", "Configured")
    assert told(world.run(TOLD - 50)) == ("False", "XdsNotConnected")
    see(world, POD)
    assert told(world.run(3)) == ("True", "Configured")


def test_who_is_connected_is_not_told_of(world: World) -> None:
    see(world, POD)
    assert told(world.run(10 * TOLD)) == ("True", "Configured")


def test_clients_that_come_and_go_cost_no_write(world: World) -> None:
    see(world, POD)
    world.run(TOLD)
    before = len(world.server.writes)
    for _ in range(20):
        see(world)
        world.run(20)
        see(world, POD)
        world.run(20)
    assert len(world.server.writes) == before


def test_pods_are_listed_twice_a_minute_and_only_for_objects_with_clients_on_xds(world: World) -> None:
    before = len(world.server.listings)
    for _ in range(60):
        see(world, POD)
        world.run(5)
        see(world)
        world.run(5)
    assert 19 <= len(world.server.listings) - before <= 21
    dns = on_xds(discovery="DNS")
    assert dns.run(10 * TOLD).server.listings == []


def test_one_list_serves_all_objects_of_a_namespace() -> None:
    world = on_xds()
    for name in ("a", "b"):
        env = {f"GRPC_{name.upper()}_TARGET": f"xds:///{name}.shop:5000"}
        containers = [make.container(env=make.env(**env))]
        renamed: dict[str, Any] = {"env": {"target": {"name": "OURS"}}}
        world.server.put(make.gbs(name, discovery="XDS", client=renamed), make.server(name))
        world.server.put(make.deployment(f"client-{name}", client=name, containers=containers))
    world.run(1000)
    operator = world.operator
    assert operator is not None
    seen = {Ref("shop", name): Seen("", plaintext=True) for name in ("orders", "a", "b")}
    before = len(world.server.listings)
    operator.enqueue(take(operator.view, seen))
    world.run(300)
    assert len(world.server.listings) - before <= 11


def test_nobody_is_accused_while_a_replica_is_away_and_the_minute_begins_anew(world: World) -> None:
    world.run(50)
    see(world, problem="replica A is away")
    assert told(world.run(10 * TOLD)) == ("True", "Configured")
    see(world)
    assert told(world.run(50)) == ("True", "Configured")
    assert told(world.run(TOLD)) == ("False", "XdsNotConnected")


def test_an_accusation_outlives_a_restart_without_a_write(world: World) -> None:
    world.run(TOLD)
    world.run(50)
    world.start()
    assert world.writes_in(20) == []
    see(world)
    assert world.writes_in(10 * TOLD) == []
    assert told(world) == ("False", "XdsNotConnected")


def test_a_list_that_fails_is_no_reason_to_say_anything(world: World) -> None:
    world.run(TOLD)
    world.server.xds_refusal = Retry(None, "away")
    assert world.writes_in(10 * TOLD) == []
    world.server.xds_pods = []
    world.server.xds_refusal = None
    assert told(world.run(TOLD)) == ("True", "Configured")


def test_a_pod_that_is_new_has_its_minute(world: World) -> None:
    young = world.now
    world.server.xds_pods = [
        pod()._replace(
            ready_since=to_text(BEGINNING.fromtimestamp(BEGINNING.timestamp() + young + 600, BEGINNING.tzinfo))
        )
    ]
    assert told(world.run(600)) == ("True", "Configured")
    assert told(world.run(TOLD)) == ("False", "XdsNotConnected")


def test_an_object_that_goes_leaves_nothing_behind(world: World) -> None:
    world.run(TOLD)
    world.server.remove("grpcbalancedservices", "orders")
    world.run(TOLD)
    listings = len(world.server.listings)
    assert len(world.run(TOLD).server.listings) == listings
