"""ADS over loopback: what reaches a client, what ends its stream and how, and that nobody delays another."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from grpcbalance.xds import clients as clients_module
from grpcbalance.xds.clients import Identity
from grpcbalance.xds.kinds import Kind
from grpcbalance.xds.pace import Pace
from grpcbalance.xds.server import Server, _ended, _read
from tests.unit import factories as make
from tests.unit.xds.ads import Ads, addresses, ask, read, serve, subscribe, until
from tests.unit.xds.world import NOTHING, TARGET, World, left, orders

Code = grpc.StatusCode
# Of a client that takes no more than it reads, and so many names that a response is longer than that.
NARROW = (("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65_536))
MANY = [f"orders.shop:{port}" for port in range(1, 1001)]


# -- what is said ----------------------------------------------------------------------------------------


def test_first_response_push_and_acknowledgement() -> None:
    world = World(*orders("10.1.0.1"))

    async def story(ads: Ads) -> None:
        call = ads.call()
        await ask(call, Kind.LISTENER, TARGET, id="me", user_agent_name="gRPC Go", user_agent_version="1.60.0")
        response = await read(call)
        assert (response.type_url, len(response.resources)) == (Kind.LISTENER, 1)
        [stream] = world.clients
        assert stream.node.id == "me"
        assert stream.peer.startswith("ipv4:127.0.0.1:")
        assert addresses(await subscribe(call, TARGET)) == ["10.1.0.1"]
        await until(lambda: [one.acknowledged for one in stream.subscriptions()][1] is not None)
        world.put(make.serving("orders", "10.1.0.1", "10.1.0.2"))
        pushed = await read(call)
        assert addresses(pushed) == ["10.1.0.1", "10.1.0.2"]
        # It is counted when the client may have read it already.
        await until(lambda: ads.value("grpcbalance_xds_responses_total", kind="endpoints") == 2)
        await until(lambda: ads.value("grpcbalance_xds_push_duration_seconds_count") == 1)

    serve(world, story)


def test_a_refusal_is_noted_and_not_answered() -> None:
    world = World(*orders())

    async def story(ads: Ads) -> None:
        call = ads.call()
        await ask(call, Kind.ENDPOINTS, TARGET)
        await ask(call, Kind.ENDPOINTS, TARGET, answers=await read(call), error="cannot\nread")
        await until(lambda: ads.value("grpcbalance_xds_rejections_total", kind="endpoints") == 1)
        [stream] = world.clients
        [subscription] = stream.subscriptions()
        assert subscription.rejection is not None
        assert subscription.rejection.message == "cannot read"
        # The next thing that comes is the answer to something else.
        await ask(call, Kind.CLUSTER, TARGET)
        assert (await read(call)).type_url == Kind.CLUSTER

    serve(world, story)


def test_two_streams_have_what_each_asked_for() -> None:
    world = World(*orders("10.1.0.1"), make.gbs("pay"), make.headless("pay"), make.serving("pay", "10.2.0.1"))

    async def story(ads: Ads) -> None:
        first, second = ads.call(), ads.call()
        assert addresses(await subscribe(first, TARGET)) == ["10.1.0.1"]
        assert addresses(await subscribe(second, "pay.shop:5000")) == ["10.2.0.1"]
        world.put(make.serving("pay", "10.2.0.2"))
        assert addresses(await read(second)) == ["10.2.0.2"]
        world.put(make.serving("orders", "10.1.0.2"))
        assert addresses(await read(first)) == ["10.1.0.2"]

    serve(world, story)


def test_many_requests_at_once_are_all_read() -> None:
    world = World(*orders("10.1.0.1"))

    async def story(ads: Ads) -> None:
        call = ads.call()
        for port in range(1, 200):
            await ask(call, Kind.ENDPOINTS, f"orders.shop:{port}")
        await ask(call, Kind.CLUSTER, TARGET)
        while (await read(call)).type_url != Kind.CLUSTER:
            pass
        [stream] = world.clients
        assert {name.port for name in stream.names} == {199, 5000}

    serve(world, story)


# -- a slow client ---------------------------------------------------------------------------------------


def test_a_client_that_does_not_read_delays_no_other() -> None:
    """It asks for so much that the connection is full, while others are served."""
    world = World(*orders(*(f"10.1.0.{last}" for last in range(100))), names=2000)

    async def story(ads: Ads) -> None:
        slow, other = ads.call(options=NARROW), ads.call()
        await ask(slow, Kind.ENDPOINTS, *MANY)
        await subscribe(other, TARGET)
        await until(lambda: any(len(stream.names) == 1000 for stream in world.clients))
        [stuck] = [stream for stream in world.clients if len(stream.names) == 1000]
        # A response counts when it is written.
        assert ads.value("grpcbalance_xds_responses_total", kind="endpoints") == 1
        for number in range(5):
            world.put(make.serving("orders", f"10.9.0.{number}"))
            response = await read(other)
            assert addresses(response) == [f"10.9.0.{number}"]
            await ask(other, Kind.ENDPOINTS, TARGET, answers=response)
        await until(lambda: ads.value("grpcbalance_xds_responses_total", kind="endpoints") == 6)
        # What has changed meanwhile waits for it as one.
        assert stuck.due.is_set()
        slow.cancel()
        await until(lambda: len(world.clients) == 1)

    serve(world, story)


def test_a_client_that_asks_faster_than_it_reads_waits_with_its_requests() -> None:
    world = World(*orders(*(f"10.1.0.{last}" for last in range(100))), names=2000)

    async def story(ads: Ads) -> None:
        call = ads.call(options=NARROW)
        await ask(call, Kind.ENDPOINTS, *MANY)
        await until(lambda: any(len(stream.names) == 1000 for stream in world.clients))
        [stream] = world.clients
        for _ in range(100):
            await ask(call, Kind.CLUSTER, TARGET)
        await until(lambda: not stream.room.is_set())
        other = ads.call()
        for number in range(20):
            await ask(other, Kind.ENDPOINTS, f"orders.shop:{number + 1}")
            await read(other)
        assert len(stream._inbox) == clients_module._INBOX
        # It goes, and takes with it who waits for room.
        call.cancel()

    serve(world, story)


def test_nonsense_that_nobody_asks_about_any_more_is_no_complaint() -> None:
    """As when a client goes right after it: the writer has ended by itself."""

    async def requests() -> AsyncIterator[bytes]:
        yield b"\xff"

    async def main() -> None:
        complaints: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        stream = World().clients.open("p", Identity(), 0.0)
        reader = asyncio.create_task(_read(stream, requests(), Pace(stream, 1000.0, lambda: None)))
        reader.add_done_callback(lambda task: _ended(task, stream))
        await asyncio.wait_for(stream.due.wait(), 10)
        del reader
        gc.collect()
        assert complaints == []

    asyncio.run(main())


# -- the port --------------------------------------------------------------------------------------------


def test_the_end_of_the_server_ends_all_streams_and_frees_the_port() -> None:
    world = World(*orders())

    async def story(ads: Ads) -> None:
        async with ads.server() as server:
            before, ads.port = ads.port, server.port
            calls = [ads.call() for _ in range(3)]
            for call in calls:
                await subscribe(call, TARGET)
        for call in calls:
            assert await read(call) is grpc.aio.EOF
        await until(lambda: left(world) == NOTHING)
        async with ads.server(server.port) as again:
            assert again.port == server.port
            await subscribe(ads.call(), TARGET)
        ads.port = before

    serve(world, story)


def test_a_port_is_ours_alone() -> None:
    async def story(ads: Ads) -> None:
        with pytest.raises(RuntimeError, match="Failed to bind"):
            await ads.server(ads.port).__aenter__()

    serve(World(), story)


@pytest.mark.parametrize("host", [None, "::", "127.0.0.1", "localhost"])
def test_addresses(host: str | None) -> None:
    """None is every address, so that of clients here is among them."""

    async def story(ads: Ads) -> None:
        async with Server((host, 0), None, ads.world.clients, ads.identify, ads.metrics) as server:
            ads.port = server.port
            await subscribe(ads.call(), TARGET)

    serve(World(*orders()), story)
