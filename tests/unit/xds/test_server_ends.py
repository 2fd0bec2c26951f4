"""ADS over loopback: what ends a stream, and how."""

from __future__ import annotations

import contextlib
import logging
from typing import Any

import grpc
import pytest

from grpcbalance.xds.clients import Identity
from grpcbalance.xds.kinds import Kind
from grpcbalance.xds.server import SERVICE, RefusedError
from tests.unit import factories as make
from tests.unit.xds.ads import Ads, addresses, ask, ended, read, serve, subscribe, until
from tests.unit.xds.world import NOTHING, TARGET, World, left, orders

Code = grpc.StatusCode
# Of a client that takes no more than it reads, and so many names that a response is longer than that.
NARROW = (("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65_536))
MANY = [f"orders.shop:{port}" for port in range(1, 1001)]


# -- how a stream ends -----------------------------------------------------------------------------------


def test_a_client_that_has_no_more_to_say_ends_well() -> None:
    world = World(*orders("10.1.0.1"))

    async def story(ads: Ads) -> None:
        call = ads.call()
        await ask(call, Kind.ENDPOINTS, TARGET)
        await call.done_writing()
        # What it asked for it gets nevertheless.
        assert addresses(await read(call)) == ["10.1.0.1"]
        assert await read(call) is grpc.aio.EOF
        assert await call.code() is Code.OK
        await until(lambda: left(world) == NOTHING)

    serve(world, story)


def test_what_a_client_asks_for_last_while_it_is_written_to_is_answered() -> None:
    world = World(*orders(*(f"10.1.0.{last}" for last in range(100))), names=2000)

    async def story(ads: Ads) -> None:
        call = ads.call(options=NARROW)
        await ask(call, Kind.ENDPOINTS, *MANY)
        await until(lambda: any(len(stream.names) == 1000 for stream in world.clients))
        [stream] = world.clients
        await ask(call, Kind.CLUSTER, TARGET)
        await call.done_writing()
        await until(stream.due.is_set)
        assert [(await read(call)).type_url for _ in range(2)] == [Kind.ENDPOINTS, Kind.CLUSTER]
        assert await read(call) is grpc.aio.EOF

    serve(world, story)


def test_one_that_says_nothing_at_all_ends_well() -> None:
    async def story(ads: Ads) -> None:
        call = ads.call()
        await call.done_writing()
        assert await read(call) is grpc.aio.EOF
        assert await call.code() is Code.OK

    serve(World(), story)


def test_disconnection_frees_everything(caplog: pytest.LogCaptureFixture) -> None:
    world = World(*orders(*(f"10.1.0.{last}" for last in range(200))), names=2000)

    async def story(ads: Ads) -> None:
        idle, waiting, writing = ads.call(), ads.call(), ads.call(options=NARROW)
        await subscribe(idle, TARGET)
        await waiting.wait_for_connection()
        await ask(writing, Kind.ENDPOINTS, *MANY)
        await until(lambda: any(len(stream.names) == 1000 for stream in world.clients))
        assert len(world.clients) == 3
        for call in (idle, waiting, writing):
            call.cancel()
        await until(lambda: left(world) == NOTHING)

    with caplog.at_level(logging.INFO):
        serve(world, story)
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


def test_clients_that_go_in_the_midst_of_anything_are_no_errors(caplog: pytest.LogCaptureFixture) -> None:
    world = World(*orders("10.1.0.1"), most=5)

    async def story(ads: Ads) -> None:
        for number in range(60):
            call = ads.call()
            # It may be one too many.
            with contextlib.suppress(grpc.aio.AioRpcError):
                await ask(call, Kind.ENDPOINTS, TARGET)
                if number % 3 == 0:
                    await read(call)
                elif number % 3 == 1:
                    await call.write(b"\xff")
                if number % 2:
                    await call.done_writing()
            call.cancel()
        await until(lambda: left(world) == NOTHING)

    with caplog.at_level(logging.INFO):
        serve(world, story)
    assert [record.getMessage() for record in caplog.records if record.levelno > logging.INFO] == []


def test_what_is_no_request_ends_the_stream() -> None:
    world = World(*orders())

    async def story(ads: Ads) -> None:
        call, other = ads.call(), ads.call()
        await subscribe(other, TARGET)
        await subscribe(call, TARGET)
        await call.write(b"\xff")
        assert await ended(call) == (Code.INVALID_ARGUMENT, "this is no DiscoveryRequest")
        assert ads.value("grpcbalance_xds_refusals_total", reason="malformed") == 1
        await until(lambda: len(world.clients) == 1)
        world.put(make.serving("orders", "10.1.0.9"))
        assert addresses(await read(other)) == ["10.1.0.9"]

    serve(world, story)


def test_a_request_beyond_the_limit_ends_the_stream() -> None:
    world = World(*orders(), names=2)

    async def story(ads: Ads) -> None:
        call = ads.call()
        await subscribe(call, TARGET)
        await ask(call, Kind.CLUSTER, "a.b:1", "a.b:2", "a.b:3")
        code, text = await ended(call)
        assert code is Code.RESOURCE_EXHAUSTED
        assert text.startswith("3 names of kind CLUSTER in one request, and the limit is 2")
        assert ads.value("grpcbalance_xds_refusals_total", reason="names") == 1
        await until(lambda: left(world) == NOTHING)

    serve(world, story)


def test_a_message_that_is_too_long_ends_the_stream() -> None:
    async def story(ads: Ads) -> None:
        call = ads.call()
        await ask(call, Kind.CLUSTER, "x" * 300_000)
        assert (await ended(call))[0] is Code.RESOURCE_EXHAUSTED

    serve(World(names=1), story)


def test_as_many_names_as_are_allowed_fit_into_a_request() -> None:
    world = World(*orders(), names=10_000)

    async def story(ads: Ads) -> None:
        call = ads.call()
        names = [f"{'a' * 53}.{'b' * 63}:{port}" for port in range(10_000, 19_999)]
        await ask(call, Kind.CLUSTER, TARGET, *names, id="x" * 100_000)
        assert len((await read(call)).resources) == 1

    serve(world, story)


def test_no_more_streams_than_may_be() -> None:
    world = World(*orders(), most=1)

    async def story(ads: Ads) -> None:
        first = ads.call()
        await subscribe(first, TARGET)
        code, text = await ended(ads.call())
        assert code is Code.RESOURCE_EXHAUSTED
        assert "connect to another one" in text
        assert ads.value("grpcbalance_xds_refusals_total", reason="streams") == 1
        first.cancel()
        await until(lambda: len(world.clients) == 0)
        await subscribe(ads.call(), TARGET)

    serve(world, story)


def test_who_cannot_be_identified_is_refused() -> None:
    world = World(*orders())

    async def story(ads: Ads) -> None:
        async def refuse(_: Any) -> Identity:
            raise RefusedError("no token")

        ads.identify = refuse
        assert await ended(ads.call()) == (Code.UNAUTHENTICATED, "no token")
        assert ads.value("grpcbalance_xds_refusals_total", reason="identity") == 1
        assert len(world.clients) == 0

    serve(world, story)


def test_what_each_may_know_is_judged_by_its_own_identity() -> None:
    world = World(*orders())

    async def story(ads: Ads) -> None:
        ads.identity = Identity("web")
        stranger = ads.call()
        await ask(stranger, Kind.ENDPOINTS, TARGET)
        await until(lambda: any(stream.names for stream in world.clients))
        ads.identity = Identity("shop")
        await subscribe(ads.call(), TARGET)
        world.put(make.serving("orders", "10.1.0.9"))
        await stranger.done_writing()
        assert await read(stranger) is grpc.aio.EOF

    serve(world, story)


def test_delta_is_not_implemented() -> None:
    async def story(ads: Ads) -> None:
        call = ads.call(f"/{SERVICE}/DeltaAggregatedResources")
        assert (await ended(call))[0] is Code.UNIMPLEMENTED

    serve(World(), story)
