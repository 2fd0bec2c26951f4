"""A real Python client: it spreads calls evenly, follows changes, and does not notice that we are away."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
from prometheus_client import CollectorRegistry

from grpcbalance.xds.clients import Identity
from grpcbalance.xds.metrics import Metrics
from grpcbalance.xds.server import Server
from tests.unit import factories as make
from tests.unit.xds.world import ALL, World, orders

CLIENT = Path(__file__).with_name("real_client.py")
DEADLINE = 60.0
HOSTS = ("127.0.9.1", "127.0.9.2", "127.0.9.3")


class Stage:
    """Three backends on one port, of which the first two are endpoints, our server, and a client."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self.world = World(*orders(*HOSTS[:2], allowedClients=ALL))
        self.port, self.control_port = 0, 0
        self._stack, self._control = stack, AsyncExitStack()
        self._client: asyncio.subprocess.Process

    async def begin(self) -> None:
        for host in HOSTS:
            await self._backend(host)
        await self.start_control()
        self._stack.push_async_callback(self.stop_control)
        bootstrap = {
            "xds_servers": [
                {
                    "server_uri": f"127.0.0.1:{self.control_port}",
                    "channel_creds": [{"type": "insecure"}],
                    "server_features": ["xds_v3", "ignore_resource_deletion"],
                }
            ],
            "node": {"id": "test", "locality": {"zone": "a"}},
        }
        environment = {**os.environ, "GRPC_XDS_BOOTSTRAP_CONFIG": json.dumps(bootstrap)}
        self._client = await asyncio.create_subprocess_exec(
            sys.executable, str(CLIENT), f"xds:///orders.shop:{self.port}", stdin=-1, stdout=-1, env=environment
        )
        self._stack.push_async_callback(self._end_client)

    async def _end_client(self) -> None:
        self._client.kill()
        await self._client.wait()

    async def _backend(self, host: str) -> None:
        async def who(_: bytes, __: Any) -> bytes:
            return host.encode()

        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(who)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("tests.Echo", {"Who": handler}),))
        self.port = server.add_insecure_port(f"{host}:{self.port}")
        await server.start()
        self._stack.push_async_callback(server.stop, None)

    async def start_control(self) -> None:
        """Let our server listen; again on the port of before."""

        async def anybody(_: Any) -> Identity:
            return Identity()

        metrics = Metrics(CollectorRegistry())
        server = Server(("127.0.0.1", self.control_port), None, self.world.clients, anybody, metrics)
        self.control_port = (await self._control.enter_async_context(server)).port

    async def stop_control(self) -> None:
        """End our server, and with it all streams."""
        await self._control.aclose()

    async def call(self, times: int) -> dict[str, int]:
        """Let the client call: whom it reached how often."""
        assert self._client.stdin is not None
        assert self._client.stdout is not None
        self._client.stdin.write(f"{times}\n".encode())
        found: dict[str, int] = json.loads(await self._client.stdout.readline())
        return found

    def endpoints(self, *hosts: str) -> None:
        """Let these be the endpoints."""
        self.world.put(make.serving("orders", *hosts))

    async def reaches(self, *hosts: str) -> None:
        """Wait until the client calls exactly these."""
        while set(await self.call(len(HOSTS) * 2)) != set(hosts):
            pass


@asynccontextmanager
async def _stage() -> AsyncIterator[Stage]:
    async with asyncio.timeout(DEADLINE), AsyncExitStack() as stack:
        stage = Stage(stack)
        await stage.begin()
        yield stage


def play(story: Callable[[Stage], Awaitable[None]]) -> None:
    async def main() -> None:
        async with _stage() as stage:
            await story(stage)

    asyncio.run(main())


def even(found: dict[str, int], *hosts: str) -> None:
    """All calls went to these hosts, to each as many as to any other, give or take one."""
    mean = sum(found.values()) / len(hosts)
    assert set(found) == set(hosts)
    assert all(abs(count - mean) <= 1 for count in found.values()), found


def test_calls_are_spread_evenly_and_changes_are_followed() -> None:
    async def story(stage: Stage) -> None:
        # Until both connections stand.
        await stage.reaches(*HOSTS[:2])
        even(await stage.call(100), *HOSTS[:2])
        stage.endpoints(*HOSTS)
        await stage.reaches(*HOSTS)
        even(await stage.call(99), *HOSTS)
        stage.endpoints(*HOSTS[1:])
        await stage.reaches(*HOSTS[1:])
        even(await stage.call(100), *HOSTS[1:])

    play(story)


def test_of_two_zones_calls_are_spread_as_evenly() -> None:
    async def story(stage: Stage) -> None:
        pieces = [make.endpoint(host, zone=zone, ready=True) for host, zone in zip(HOSTS, "aab", strict=True)]
        stage.world.put(make.endpoint_slice(endpoints=pieces))
        await stage.reaches(*HOSTS)
        even(await stage.call(99), *HOSTS)

    play(story)


def test_calls_go_on_while_the_control_plane_is_away_and_it_is_followed_again() -> None:
    async def story(stage: Stage) -> None:
        await stage.reaches(*HOSTS[:2])
        calls = asyncio.create_task(stage.call(500))
        await stage.stop_control()
        stage.endpoints(*HOSTS)
        await stage.start_control()
        # Whether the new one is among them is a matter of time; failures would be, too.
        assert set(HOSTS[:2]) <= set(await calls) <= set(HOSTS)
        # gRPC waits for a second or so before it connects again.
        await stage.reaches(*HOSTS)
        even(await stage.call(99), *HOSTS)

    play(story)


def test_nothing_fails_when_the_service_is_deleted() -> None:
    async def story(stage: Stage) -> None:
        await stage.reaches(*HOSTS[:2])
        for raw in orders(*HOSTS[:2]):
            stage.world.drop(raw)
            even(await stage.call(20), *HOSTS[:2])
        # It comes again, and is followed again.
        for raw in orders(*HOSTS, allowedClients=ALL):
            stage.world.put(raw)
        await stage.reaches(*HOSTS)

    play(story)
