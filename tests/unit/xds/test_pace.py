"""Who sends requests in a loop waits for itself, and nobody else does; whoever is honest never waits."""

from __future__ import annotations

import asyncio
import logging

import pytest
from envoy.service.discovery.v3.discovery_pb2 import DiscoveryRequest

from grpcbalance.xds.clients import Identity, Stream
from grpcbalance.xds.kinds import Kind
from grpcbalance.xds.pace import Pace
from grpcbalance.xds.session import DEFAULT_LIMITS
from grpcbalance.xds.settings import XdsSettings
from tests.unit import factories as make
from tests.unit.fake_time import run
from tests.unit.xds.ads import Ads, addresses, ask, read, serve, subscribe, until
from tests.unit.xds.world import KINDS, TARGET, World, orders


def stream() -> Stream:
    return World().clients.open("ipv4:10.0.0.1:1", Identity(), 0.0)


def test_requests_beyond_the_rate_wait_and_are_counted_and_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> list[float]:
        one, told, times = stream(), [], []
        pace = Pace(one, 2.0, lambda: told.append(1))
        for _ in range(34):
            # So long that it counts twice.
            await pace.wait(256)
            times.append(round(asyncio.get_running_loop().time() - 1000, 3))
        assert one.slowed == len(told) == 14
        return times

    with caplog.at_level(logging.WARNING):
        assert run(main()) == [0.0] * 20 + [float(second) for second in range(1, 15)]
    assert [record.getMessage() for record in caplog.records] == [
        "ipv4:10.0.0.1:1 () sends so many requests that they wait"
    ]


def test_a_client_of_100_names_that_asks_for_them_one_by_one_on_one_stream_never_waits() -> None:
    """More than any library does: those that are measured have a stream for each target, and six requests on it."""

    async def main() -> int:
        one = stream()
        pace = Pace(one, XdsSettings().requests_per_second, lambda: None)
        names: list[str] = []
        for number in range(100):
            names.append(f"orders-{number}.some-namespace:5000")
            for kind in KINDS:
                message = DiscoveryRequest(type_url=kind, resource_names=names, response_nonce="12345678.1.100")
                # The request, and what acknowledges the answer, all in the same moment.
                for _ in range(2):
                    await pace.wait(message.ByteSize())
        return one.slowed

    assert run(main()) == 0
    assert XdsSettings().requests_per_second == DEFAULT_LIMITS.rate


def test_who_asks_in_a_loop_waits_alone_and_is_answered_in_the_end() -> None:
    world = World(*orders("10.1.0.1"), rate=10.0)

    async def story(ads: Ads) -> None:
        looping, honest = ads.call(), ads.call()
        await subscribe(honest, TARGET)
        for _ in range(180):
            await ask(looping, Kind.CLUSTER, TARGET)
        await ask(looping, Kind.ENDPOINTS, TARGET)
        await until(lambda: any(one.slowed for one in world.clients))
        for number in range(5):
            world.put(make.serving("orders", f"10.9.0.{number}"))
            response = await read(honest)
            assert addresses(response) == [f"10.9.0.{number}"]
            await ask(honest, Kind.ENDPOINTS, TARGET, answers=response)
        slow = next(one for one in world.clients if one.slowed)
        # All of that took no time that the other one has not had to wait.
        assert Kind.ENDPOINTS not in {one.kind for one in slow.subscriptions()}
        while (answer := await read(looping)).type_url != Kind.ENDPOINTS:
            pass
        assert addresses(answer) == ["10.9.0.4"]
        assert ads.value("grpcbalance_xds_slowed_requests_total") == slow.slowed > 10
        assert [one.slowed for one in world.clients if one is not slow] == [0]

    serve(world, story)


def test_a_stream_that_ends_while_it_waits_leaves_nothing() -> None:
    world = World(*orders(), rate=1.0)

    async def story(ads: Ads) -> None:
        call = ads.call()
        for _ in range(60):
            await ask(call, Kind.CLUSTER, TARGET)
        await until(lambda: any(one.slowed for one in world.clients))
        call.cancel()
        await until(lambda: len(world.clients) == 0)

    serve(world, story)
