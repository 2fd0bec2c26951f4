"""What /debug/services tells of services, their clients, and what those refuse or do otherwise."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from grpcbalance.lookaside.page import MAX_REJECTIONS, MESSAGE, Page, Ports
from grpcbalance.xds.clients import Identity
from grpcbalance.xds.debug_services import page
from grpcbalance.xds.kinds import Kind
from grpcbalance.xds.session import Request
from grpcbalance.xds.wire import Node
from tests.unit import factories as make
from tests.unit.xds.world import ALL, NOTHING, SAME, TARGET, World, left, orders, shop

PORTS = Ports(plaintext=True, tls=False)
GO = Node("checkout-1", "gRPC Go", "1.60.0", "a", "web")


def told(world: World) -> Page:
    text = asyncio.run(page(world.clients, world.directory, PORTS))
    made = Page.model_validate_json(text)
    assert json.loads(text) == made.model_dump(mode="json", by_alias=True)
    return made


def connect(world: World, node: Node, identity: Identity, *names: str, kind: Kind = Kind.CLUSTER) -> Any:
    stream = world.clients.open("ipv4:10.0.0.1:1", identity, since=0.0)
    stream.introduce(node)
    stream.receive(Request(kind, names))
    return stream, world.clients.take(stream).responses


def reject(world: World, node: Node, words: str) -> Any:
    stream, [response] = connect(world, node, Identity(), TARGET)
    stream.receive(Request(Kind.CLUSTER, (TARGET,), "", response.nonce, words))
    world.clients.take(stream)
    return stream, response


def test_nothing_is_known() -> None:
    assert told(World()).model_dump(mode="json") == {
        "version": "v1",
        "ports": {"plaintext": True, "tls": False, "mtls": False},
        "clients": [],
        "services": [],
    }


def test_which_services_are_known_and_have_a_ready_endpoint() -> None:
    world = shop("a", "b")
    world.put(make.endpoint_slice("b-headless-abc", balanced="b", endpoints=[make.endpoint("10.1.1.1", ready=False)]))
    # Without a headless Service nobody can ask for it.
    world.put(make.gbs("c"))
    assert [(one.namespace, one.name, one.ready) for one in told(world).services] == [
        ("shop", "a", True),
        ("shop", "b", False),
    ]
    # What goes in pieces has not lost its endpoints, as for clients.
    world.drop(make.headless("a"))
    world.drop(make.serving("a", "10.1.0.1"))
    assert [one.ready for one in told(world).services] == [True, False]
    world.drop(make.gbs("a"))
    assert [one.name for one in told(world).services] == ["b"]


def test_clients_by_what_is_proven_and_else_by_their_own_words_each_once() -> None:
    world = World(*orders(allowedClients=ALL))
    connect(world, GO, Identity("pay", "pay-1"), TARGET)
    connect(world, GO, Identity(), TARGET)
    connect(world, GO, Identity(), TARGET, "orders.shop:6000")
    made = told(world)
    [service] = made.services
    named = [(made.clients[n].cluster, made.clients[n].node, made.clients[n].agent) for n in service.clients]
    assert named == [("pay", "pay-1", "gRPC Go"), ("web", "checkout-1", "gRPC Go")]
    assert len(made.clients) == 2


def test_who_is_not_let_in_is_not_there() -> None:
    world = World(*orders(allowedClients=SAME))
    connect(world, GO, Identity("web", "web-1"), TARGET)
    assert told(world).services[0].clients == ()
    assert told(world).clients == ()


def test_what_is_refused_until_it_is_accepted() -> None:
    world = World(*orders(allowedClients=ALL))
    stream, _ = reject(world, GO, "no\nsuch\x1b[31m " + "x" * 2000)
    [rejected] = told(world).services[0].rejections
    assert (rejected.cluster, rejected.node, rejected.kind) == ("web", "checkout-1", "cluster")
    assert rejected.message.startswith("no such [31m xxx")
    assert len(rejected.message) == MESSAGE
    # The object changes, and with it what is sent.
    world.put(make.gbs(allowedClients=ALL, client={"maxRequests": 7}))
    [response] = world.clients.take(stream).responses
    stream.receive(Request(Kind.CLUSTER, (TARGET,), response.version, response.nonce))
    world.clients.take(stream)
    assert told(world).services[0].rejections == ()


def test_clients_that_call_themselves_anything_fill_no_list() -> None:
    world = World(*orders(allowedClients=ALL, client={"policy": "LeastRequest"}))
    for number in range(30):
        connect(world, Node(f"checkout-{number}", f"my client {number}", "1.0.0", "", "shop"), Identity(), TARGET)
    connect(world, GO, Identity(), TARGET)
    [service] = told(world).services
    found = {(one.agent, one.version) for one in service.downgrades if one.feature == "client.policy"}
    assert found == {("", ""), ("gRPC Go", "1.60.0")}


def test_rejections_are_bounded() -> None:
    world = World(*orders(allowedClients=ALL))
    for number in range(MAX_REJECTIONS + 5):
        reject(world, Node(f"checkout-{number}"), "no")
    assert len(told(world).services[0].rejections) == MAX_REJECTIONS


def test_downgrades_by_library_and_version() -> None:
    world = World(*orders(allowedClients=ALL, client={"waitForReady": True}))
    for pod in ("a", "b"):
        connect(world, Node(pod, "gRPC Go", "1.60.0"), Identity(), TARGET)
    connect(world, Node("c", "gRPC Java", "1.60.0"), Identity(), TARGET)
    [service] = told(world).services
    assert [(one.agent, one.version, one.feature) for one in service.downgrades] == [
        ("gRPC Go", "1.60.0", "client.waitForReady"),
        ("gRPC Java", "1.60.0", "client.waitForReady"),
    ]


def test_words_of_clients_are_bounded_and_one_line() -> None:
    world = World(*orders(allowedClients=ALL))
    long = "y" * 256
    connect(world, Node(long, f"a\n{long}", long, "", long), Identity(), TARGET)
    [client] = told(world).clients
    assert [len(word) for word in (client.cluster, client.node, client.agent, client.version)] == [63, 253, 64, 64]
    assert client.agent.startswith("a yy")


def test_other_work_goes_on_and_who_leaves_meanwhile_leaves_nothing_behind() -> None:
    world = World(*orders(allowedClients=ALL))
    streams = [connect(world, Node(str(number)), Identity(), TARGET)[0] for number in range(5)]

    async def main() -> Page:
        making = asyncio.create_task(page(world.clients, world.directory, PORTS))
        turns = 0
        while not making.done():
            turns += 1
            if streams:
                world.clients.close(streams.pop())
            await asyncio.sleep(0)
        assert turns > 3
        return Page.model_validate_json(await making)

    assert len(asyncio.run(main()).clients) < 5
    assert left(world) == NOTHING
