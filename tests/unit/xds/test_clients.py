"""Who asks for what, whom a change concerns, who may know what; and nothing is kept that nobody asks for."""

from __future__ import annotations

import pytest

from grpcbalance.xds.kinds import Kind
from grpcbalance.xds.session import Request
from tests.unit import factories as make
from tests.unit.xds.world import (
    ALL,
    ORDERS,
    SAME,
    TARGET,
    World,
    of,
    orders,
    selected,
    shop,
)

# -- whom a change concerns ------------------------------------------------------------------------------


def test_a_client_gets_what_it_asks_for_and_then_each_change() -> None:
    world = World(*orders("10.1.0.1"))
    client = world.client().ask(TARGET)
    assert client.endpoints() == ["10.1.0.1:5000"]
    world.now = 7.0
    assert world.put(make.serving("orders", "10.1.0.1", "10.1.0.2")) == 1
    assert client.stream.changed == 7.0
    assert [response.kind for response in client.read()] == [Kind.ENDPOINTS]
    assert client.endpoints() == ["10.1.0.1:5000", "10.1.0.2:5000"]
    assert client.stream.changed is None


def test_a_change_concerns_those_who_ask_and_nobody_else() -> None:
    world = shop("orders", "payments")
    both, one = world.client().ask(of("orders"), of("payments")), world.client().ask(of("payments"))
    assert world.put(make.serving("orders", "10.1.0.9")) == 1
    assert both.stream.due.is_set()
    assert not one.stream.due.is_set()
    both.ask(of("payments"))
    assert world.put(make.serving("orders", "10.1.0.8")) == 0


def test_what_is_made_later_reaches_those_who_waited() -> None:
    world = World()
    client = world.client().ask(TARGET)
    assert client.has == {}
    for raw in orders("10.1.0.1"):
        world.put(raw)
    client.read()
    assert client.endpoints() == ["10.1.0.1:5000"]


def test_a_change_is_told_although_a_request_of_another_kind_came_at_the_same_time() -> None:
    world = World(*orders("10.1.0.1"))
    client = world.client().ask(TARGET)
    client.stream.receive(Request(Kind.LISTENER, (TARGET, "another.shop:1")))
    world.put(make.serving("orders", "10.1.0.2"))
    client.names[Kind.LISTENER] = (TARGET, "another.shop:1")
    client.read()
    assert client.endpoints() == ["10.1.0.2:5000"]


def test_the_first_of_several_changes_tells_since_when() -> None:
    world = World(*orders("10.1.0.1"))
    client = world.client().ask(TARGET)
    for now in (5.0, 6.0):
        world.now = now
        world.put(make.serving("orders", f"10.1.0.{now:.0f}"))
    assert client.stream.changed == 5.0


def test_two_ports_of_a_service_are_both_told() -> None:
    world = World(*orders("10.1.0.1"))
    client = world.client().ask(of("orders"), of("orders", 6000))
    assert world.put(make.serving("orders", "10.1.0.2")) == 1
    client.read()
    assert client.endpoints(of("orders", 6000)) == ["10.1.0.2:6000"]
    assert client.endpoints(of("orders")) == ["10.1.0.2:5000"]


def test_nonces_of_streams_and_of_replicas_differ() -> None:
    worlds = [World(*orders("10.1.0.1")) for _ in range(2)]
    nonces = set()
    for client in [world.client() for world in worlds for _ in range(2)]:
        client.stream.receive(Request(Kind.LISTENER, (TARGET,)))
        nonces |= {response.nonce for response in client.take().responses}
    assert len(nonces) == 4


# -- who may know what -----------------------------------------------------------------------------------


def test_a_client_is_told_of_what_lets_it_in_only() -> None:
    world = World(*orders(allowedClients=selected(team="web")), make.namespace("web", {"team": "web"}))
    has = {one: len(world.client(one).ask(TARGET).has) for one in ("shop", "web", "other", None)}
    assert has == {"shop": 3, "web": 3, "other": 0, None: 0}


def test_who_is_let_in_later_is_told_then() -> None:
    world = World(*orders(allowedClients=SAME))
    client = world.client("web").ask(TARGET)
    assert client.has == {}
    assert world.put(make.gbs(allowedClients=ALL)) == 1
    client.read()
    assert len(client.has) == 3


def test_labels_of_its_namespace_let_a_client_in() -> None:
    world = World(*orders(allowedClients=selected(team="web")), make.namespace("web"))
    client, other = world.client("web").ask(TARGET), world.client("other").ask(TARGET)
    assert world.put(make.namespace("web", {"team": "web"})) == 1
    client.read()
    assert len(client.has) == 3
    assert other.has == {}
    assert world.put(make.namespace("web", {"team": "web"})) == 0


@pytest.mark.parametrize("narrowing", ["spec", "labels"])
def test_who_is_not_let_in_any_more_stays_up_to_date_until_it_asks_anew(narrowing: str) -> None:
    world = World(*orders("10.1.0.1", allowedClients=selected(team="web")), make.namespace("web", {"team": "web"}))
    client, own = world.client("web").ask(TARGET), world.client("shop").ask(TARGET)
    assert world.clients.tolerated(client.stream) == []
    world.put(make.gbs(allowedClients=SAME) if narrowing == "spec" else make.namespace("web"))
    world.put(make.serving("orders", "10.1.0.2"))
    client.read()
    assert client.deleted == []
    assert client.endpoints() == ["10.1.0.2:5000"]
    assert world.clients.tolerated(client.stream) == [ORDERS]
    assert world.clients.tolerated(own.stream) == []
    # Another port is another name of the same; a name that was dropped is judged anew, and so is a new stream.
    client.ask(TARGET, of("orders", 6000))
    assert client.endpoints(of("orders", 6000)) == ["10.1.0.2:6000"]
    client.ask()
    assert world.clients.tolerated(client.stream) == []
    client.has.clear()
    assert client.ask(TARGET).has == {}
    assert world.client("web").ask(TARGET).has == {}


# -- what is gone ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("gone", [1, 2, 3])
def test_nothing_is_taken_from_clients_whatever_is_deleted(gone: int) -> None:
    raws = orders("10.1.0.1")
    world = World(*raws)
    client = world.client().ask(TARGET)
    for raw in raws[:gone]:
        world.drop(raw)
        client.read()
    assert client.deleted == []
    # Nor from those that start while it runs.
    assert world.client().ask(TARGET).endpoints() == client.endpoints() == ["10.1.0.1:5000"]


def test_a_service_that_comes_again_is_followed_again() -> None:
    raws = orders("10.1.0.1")
    world = World(*raws)
    client = world.client().ask(TARGET)
    for raw in raws:
        world.drop(raw)
    for raw in (make.gbs(uid="new"), make.headless(uid="new"), make.serving("orders", "10.1.0.2", uid="new")):
        world.put(raw)
        client.read()
    assert client.deleted == []
    assert client.endpoints() == ["10.1.0.2:5000"]
