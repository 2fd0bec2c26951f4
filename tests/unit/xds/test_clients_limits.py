"""Nothing is kept for nobody, no client can take more than its share, and one bad object harms no other."""

from __future__ import annotations

import gc
import logging
import weakref
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grpcbalance.xds import clients as clients_module
from grpcbalance.xds.clients import Identity
from grpcbalance.xds.kinds import Kind
from grpcbalance.xds.resources.catalog import build
from grpcbalance.xds.session import LimitExceeded, Request
from grpcbalance.xds.shelf import Shelf
from grpcbalance.xds.wire import Node
from tests.unit import factories as make
from tests.unit.xds.world import (
    KINDS,
    NAME,
    NOTHING,
    ORDERS,
    TARGET,
    Client,
    World,
    left,
    of,
    orders,
    shop,
)

# -- nothing is kept for nobody --------------------------------------------------------------------------


def test_a_client_that_ends_is_freed_without_the_collector_of_cycles() -> None:
    world = World(*orders())
    gc.collect()
    gc.disable()
    try:
        stream = world.clients.open("ipv4:10.0.0.1:1", Identity("shop"), 0.0)
        stream.receive(Request(Kind.LISTENER, (TARGET,)))
        assert world.clients.take(stream).responses != ()
        world.clients.close(stream)
        freed = weakref.ref(stream)
        del stream
        assert freed() is None
    finally:
        gc.enable()


def test_a_client_that_ends_leaves_nothing() -> None:
    world = shop("orders", "payments")
    clients = [world.client().ask(of("orders"), of("payments"), of("nothing"), "no name") for _ in range(3)]
    for client in clients:
        client.close()
    assert left(world) == NOTHING


def test_a_client_that_changes_names_for_ever_leaves_nothing() -> None:
    world = shop("orders")
    client = world.client()
    for port in range(1, 300):
        client.ask(of("orders", port), of(f"none-{port}"), f"no name {port}")
    assert len(world.directory._asked[ORDERS]) == len(world.clients._shelf._built) == 1
    assert len(world.clients._asking) == 2
    assert client.stream.admitted == {ORDERS}
    client.ask()
    assert left(world)[1:] == NOTHING[1:]


def test_kinds_that_are_none_are_not_remembered() -> None:
    world = shop("orders")
    client = world.client()
    for number in range(100):
        client.stream.receive(Request(f"type.googleapis.com/x{number}", (of("orders"),)))
        assert client.take().unknown != ()
    assert client.stream.names == frozenset()
    assert left(world)[1:] == NOTHING[1:]


def test_a_name_is_kept_while_another_client_or_kind_asks_for_it() -> None:
    world = World(*orders("10.1.0.1"))
    first, second = world.client().ask(TARGET), world.client().ask(TARGET)
    first.close()
    assert world.put(make.serving("orders", "10.1.0.2")) == 1
    second.read()
    second.ask(kinds=(Kind.LISTENER, Kind.CLUSTER))
    world.put(make.serving("orders", "10.1.0.3"))
    second.read()
    assert second.endpoints() == ["10.1.0.3:5000"]


@given(st.lists(st.tuples(st.integers(0, 2), st.lists(st.integers(0, 5), max_size=3), st.booleans()), max_size=25))
@settings(max_examples=60)
def test_whatever_clients_do_what_is_kept_is_what_is_asked_for(steps: list[tuple[int, list[int], bool]]) -> None:
    world = shop("orders", "payments")
    names = [of("orders"), of("orders", 1), of("payments"), of("none"), "no name", "*"]
    clients: dict[int, Client] = {}
    for who, asked, ends in steps:
        client = clients.get(who) or clients.setdefault(who, world.client())
        if ends:
            clients.pop(who).close()
        else:
            client.ask(*(names[one] for one in asked), kinds=KINDS[: len(asked)])
    wanted = {name for client in clients.values() for named in client.names.values() for name in named}
    assert {str(name) for named in world.clients._asking.values() for name in named} == wanted - {"no name", "*"}
    served = {str(name) for named in world.directory._asked.values() for name in named}
    assert served == wanted - {"no name", "*", of("none")}
    assert {str(name) for name in world.clients._shelf._built} == served


# -- limits ----------------------------------------------------------------------------------------------


def test_no_more_streams_than_may_be() -> None:
    world = World(most=2)
    first, _ = world.client(), world.client()
    with pytest.raises(LimitExceeded, match=r"2 streams are connected.*--max-streams"):
        world.client()
    first.close()
    world.client()
    assert len(world.clients) == 2


def test_too_many_names_end_the_stream_and_leave_nothing() -> None:
    world = World(*orders(), names=2)
    client = world.client().ask(TARGET)
    with pytest.raises(LimitExceeded):
        client.ask(TARGET, "b", "c")
    client.close()
    assert left(world) == NOTHING


def test_there_is_room_for_some_requests_only() -> None:
    client = World().client()
    for _ in range(clients_module._INBOX):
        assert client.stream.room.is_set()
        client.stream.receive(Request(Kind.LISTENER, (TARGET,)))
    assert not client.stream.room.is_set()
    client.take()
    assert client.stream.room.is_set()


def test_who_a_client_is_it_says_once() -> None:
    stream = World().clients.open("p", Identity(), 0.0)
    stream.introduce(Node("me", "gRPC Go", "1.60.0", "a"))
    stream.introduce(Node("you", "gRPC Java", "1.60.0", "b"))
    assert stream.node == Node("me", "gRPC Go", "1.60.0", "a")
    assert stream.variant.zone == "a"


# -- one bad object --------------------------------------------------------------------------------------


@pytest.fixture
def cannot_build(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of services that cannot be built any more."""
    bad: set[str] = set()

    def refuses(service: Any, client: Any) -> Any:
        if service.name.service in bad:
            raise ValueError("out of range")
        return build(service, client)

    monkeypatch.setattr("grpcbalance.xds.shelf.build", refuses)
    return bad


def test_a_state_that_cannot_be_built_leaves_what_was_and_harms_no_other(
    cannot_build: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    world = shop("orders", "payments")
    clients = [world.client().ask(of("orders"), of("payments")) for _ in range(2)]
    cannot_build.add("orders")
    world.put(make.serving("orders", "10.1.0.9"))
    world.put(make.serving("payments", "10.1.1.9"))
    for client in clients:
        client.read()
        assert client.deleted == []
        assert client.endpoints(of("orders")) == ["10.1.0.1:5000"]
        assert client.endpoints(of("payments")) == ["10.1.1.9:5000"]
    # It is tried once, and told once.
    assert [record.getMessage() for record in caplog.records] == [
        "orders.shop:5000 cannot be told to clients, which keep what they have"
    ]
    cannot_build.clear()
    world.put(make.serving("orders", "10.1.0.8"))
    clients[0].read()
    assert clients[0].endpoints(of("orders")) == ["10.1.0.8:5000"]


def test_what_could_never_be_built_does_not_exist(cannot_build: set[str]) -> None:
    cannot_build.add("orders")
    client = shop("orders", "payments").client().ask(of("orders"), of("payments"))
    assert {name for _, name in client.has} == {of("payments")}


def test_what_cannot_be_looked_at_stays_and_harms_no_other(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = shop("orders", "payments")
    client = world.client().ask(of("orders"))
    snapshot = world.view.snapshot

    def broken(ref: Any, refusal: str | None = None) -> Any:
        if ref.name == "orders":
            raise RuntimeError("broken")
        return snapshot(ref, refusal)

    monkeypatch.setattr(world.view, "snapshot", broken)
    assert world.put(make.serving("orders", "10.1.0.9")) == 0
    client.ask(of("orders"), of("orders", 6000), of("payments"))
    assert client.deleted == []
    assert client.endpoints(of("orders")) == ["10.1.0.1:5000"]
    assert client.endpoints(of("payments")) == ["10.1.1.1:5000"]
    assert {record.getMessage() for record in caplog.records} == {
        "shop/orders cannot be looked at",
        "orders.shop:6000 cannot be looked at",
    }


def test_an_object_that_cannot_be_read_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    world = World(*orders("10.1.0.1"))
    client = world.client().ask(TARGET)
    bad = make.serving("orders", "10.1.0.2")
    bad["endpoints"][0]["addresses"] = []
    assert world.put(bad) == 0
    assert client.endpoints() == ["10.1.0.1:5000"]
    assert caplog.records[0].levelno == logging.ERROR
    assert caplog.records[0].getMessage() == "endpointslices shop/orders-headless-abc cannot be read"
    world.put(make.serving("orders", "10.1.0.3"))
    client.read()
    assert client.endpoints() == ["10.1.0.3:5000"]


# -- the store -------------------------------------------------------------------------------------------


def test_pruning_tells_what_it_concerns() -> None:
    world = World(*orders(), make.namespace("web"))
    names = world.store.names("endpointslices")
    assert list(names) == [("shop", "orders-headless-abc")]
    assert world.store.prune("endpointslices", names) == {ORDERS}
    assert world.store.prune("namespaces", [("", "web")]) == set()


# -- the shelf -------------------------------------------------------------------------------------------


def test_what_one_client_needed_is_not_built_again_for_another() -> None:
    world = World(*orders("10.1.0.1"))
    shelf, clients = Shelf(), [world.client() for _ in range(2)]
    clients[0].stream.introduce(Node(agent="gRPC Go", version="1.60.0", zone="a"))
    clients[1].stream.introduce(Node(agent="gRPC Node Pure JS", version="1.14.1", zone="b"))
    service = world.directory.served(NAME)
    assert service is not None
    first, second = (shelf.resources(service, one.stream.variant) for one in clients)
    assert first is second
    shelf.forget(NAME)
    assert shelf.resources(service, clients[0].stream.variant) is not first
    shelf.forget(NAME)
    shelf.forget(NAME)
    assert shelf._built == {}
