"""What /debug/clients tells."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from grpcbalance.lookaside.connected import Page
from grpcbalance.xds.clients import Identity
from grpcbalance.xds.debug import page
from grpcbalance.xds.kinds import Kind
from grpcbalance.xds.session import Request
from grpcbalance.xds.wire import Node
from tests.unit import factories as make
from tests.unit.xds.world import ALL, SAME, TARGET, World, orders


def told(world: World) -> list[dict[str, Any]]:
    text = asyncio.run(page(world.clients))
    # It is what the model says, to which `grpcbalance status` holds.
    assert json.loads(text) == Page.model_validate_json(text).model_dump(mode="json", by_alias=True)
    clients: list[dict[str, Any]] = json.loads(text)["clients"]
    return clients


def test_nobody() -> None:
    assert json.loads(asyncio.run(page(World().clients))) == {"version": "v1", "clients": []}


def test_a_client_by_all_that_is_known_of_it() -> None:
    world = World(*orders())
    stream = world.clients.open("ipv4:10.0.0.1:55", Identity("web", "web-1"), 1_700_000_000.0)
    stream.introduce(Node("me", "gRPC Go", "1.60.0", "a", "shop"))
    assert told(world) == [
        {
            "peer": "ipv4:10.0.0.1:55",
            "since": "2023-11-14T22:13:20Z",
            "namespace": "web",
            "pod": "web-1",
            "cluster": "shop",
            "node": "me",
            "agent": "gRPC Go",
            "version": "1.60.0",
            "zone": "a",
            "slowed": 0,
            "tolerated": [],
            "downgraded": [],
            "asked": [],
        }
    ]


def test_what_it_asked_for_has_accepted_and_has_refused() -> None:
    world = World(*orders())
    client = world.client().ask(TARGET, kinds=(Kind.LISTENER,))
    client.stream.receive(Request(Kind.CLUSTER, (TARGET,)))
    [response] = client.take().responses
    [[listener, cluster]] = [one["asked"] for one in told(world)]
    assert listener["kind"] == "listener"
    assert listener["names"] == [TARGET]
    assert listener["sent"] == listener["acknowledged"]
    assert listener["inFlight"] is False
    assert (cluster["acknowledged"], cluster["inFlight"], cluster["rejection"]) == (None, True, None)
    client.stream.receive(Request(Kind.CLUSTER, (TARGET,), "", response.nonce, "cannot"))
    client.take()
    cluster = told(world)[0]["asked"][1]
    assert cluster["sent"] == response.version
    assert cluster["rejection"] == {"names": [TARGET], "message": "cannot"}
    assert cluster["refused"] == [TARGET]


def test_who_is_tolerated_only() -> None:
    world = World(*orders(allowedClients=ALL))
    world.client("web").ask(TARGET)
    world.put(make.gbs(allowedClients=SAME))
    assert told(world)[0]["tolerated"] == ["shop/orders"]


def test_what_a_client_does_not_do_is_told_of_services_that_let_it_in() -> None:
    spec = {"retry": {"mode": "Unavailable"}, "policy": "LeastRequest", "waitForReady": True}
    world = World(*orders(client=spec))
    for namespace in ("shop", "web"):
        client = world.client(namespace)
        client.stream.introduce(Node("me", "gRPC C-core linux Python", "C-core 58.0.0 Python 1.85.3"))
        client.ask(TARGET)
    own, other = told(world)
    assert [(one["name"], one["feature"]) for one in own["downgraded"]] == [
        (TARGET, "client.retry.throttling"),
        (TARGET, "client.waitForReady"),
        (TARGET, "client.policy"),
    ]
    assert own["downgraded"][-1]["what"] == "RoundRobin"
    assert other["downgraded"] == []


def test_the_oldest_first_and_other_work_goes_on() -> None:
    world = World()
    for since in (3.0, 1.0, 2.0):
        world.clients.open(f"p{since:.0f}", Identity(), since)
    assert [one["peer"] for one in told(world)] == ["p1", "p2", "p3"]

    async def main() -> int:
        turns = 0
        making = asyncio.create_task(page(world.clients))
        while not making.done():
            turns += 1
            await asyncio.sleep(0)
        return turns

    assert asyncio.run(main()) > 3
