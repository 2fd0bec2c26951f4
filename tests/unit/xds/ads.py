"""A server on loopback, and raw ADS clients that say what they are told to."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.service.discovery.v3.discovery_pb2 import DiscoveryRequest, DiscoveryResponse
from prometheus_client import CollectorRegistry

from grpcbalance.xds.clients import Identity
from grpcbalance.xds.kinds import Kind
from grpcbalance.xds.metrics import Metrics
from grpcbalance.xds.server import SERVICE, Server
from tests.unit.xds.client_rules import address_of
from tests.unit.xds.world import World

DEADLINE = 20.0
METHOD = f"/{SERVICE}/StreamAggregatedResources"

Call = Any


class Ads:
    """A world that is served, and its metrics."""

    def __init__(self, world: World) -> None:
        self.world, self.metrics = world, Metrics(CollectorRegistry())
        self.identity = Identity("shop")
        self.identify: Callable[[Any], Awaitable[Identity]] = self._as_told
        self.port = 0
        self._channels: list[grpc.aio.Channel] = []

    async def _identify(self, context: Any) -> Identity:
        return await self.identify(context)

    async def _as_told(self, _: Any) -> Identity:
        return self.identity

    def server(self, port: int = 0) -> Server:
        return Server(("127.0.0.1", port), None, self.world.clients, self._identify, self.metrics)

    def call(self, method: str = METHOD, options: tuple[tuple[str, int], ...] = ()) -> Call:
        """A stream on a connection of its own."""
        settings = (("grpc.use_local_subchannel_pool", 1), *options)
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{self.port}", options=settings)
        self._channels.append(channel)
        return channel.stream_stream(method)()

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close()

    def value(self, metric: str, /, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(metric, labels) or 0.0


@asynccontextmanager
async def _serving(world: World) -> AsyncIterator[Ads]:
    ads = Ads(world)
    async with asyncio.timeout(DEADLINE), ads.server() as server:
        ads.port = server.port
        try:
            yield ads
        finally:
            await ads.close()


def serve(world: World, story: Callable[[Ads], Awaitable[None]]) -> None:
    """Run a story against a served world; nothing may be wrong with asyncio afterwards."""

    async def main() -> None:
        complaints: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        async with _serving(world) as ads:
            await story(ads)
        await until(lambda: len(world.clients) == 0 and not _readers())
        gc.collect()
        assert complaints == []

    asyncio.run(main())


def _readers() -> list[str]:
    return [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("read ")]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what tells nobody when it becomes true, for a while."""
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def ask(call: Call, kind: str, *names: str, answers: Any = None, error: str | None = None, **node: str) -> None:
    """A request; `answers` a response, with an error or without."""
    message = DiscoveryRequest(type_url=kind, resource_names=names)
    if answers is not None:
        message.response_nonce, message.version_info = answers.nonce, answers.version_info
    if error is not None:
        message.error_detail.message = error
    for name, word in node.items():
        setattr(message.node, name, word)
    await call.write(message.SerializeToString())


async def read(call: Call) -> Any:
    """The next response; `grpc.aio.EOF` at the end."""
    text = await call.read()
    return text if text is grpc.aio.EOF else DiscoveryResponse.FromString(text)


async def subscribe(call: Call, *names: str) -> Any:
    """Ask for endpoints, and acknowledge them."""
    await ask(call, Kind.ENDPOINTS, *names)
    response = await read(call)
    await ask(call, Kind.ENDPOINTS, *names, answers=response)
    return response


def addresses(response: Any) -> list[str]:
    """Of the endpoints in a response."""
    [resource] = response.resources
    message = ClusterLoadAssignment.FromString(resource.value)
    return [address_of(one)[0] for group in message.endpoints for one in group.lb_endpoints]


async def ended(call: Any) -> tuple[grpc.StatusCode, str]:
    """How a stream ends; nothing more comes before that."""
    with pytest.raises(grpc.aio.AioRpcError) as found:
        await read(call)
    return found.value.code(), found.value.details() or ""
