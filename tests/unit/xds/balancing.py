"""A look-aside balancer as a whole, and an API server of the test for it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import grpc
from aiohttp import web

from grpcbalance.xds.main import Balancer
from grpcbalance.xds.settings import XdsSettings
from tests.unit.api_server import kubeconfig
from tests.unit.xds.ads import METHOD
from tests.unit.xds.world import PLURALS

Raw = dict[str, Any]


class Api:
    """Objects by plural, and the watches on them. Kinds in `away` are refused."""

    def __init__(self, *raws: Raw) -> None:
        self.objects: dict[str, dict[str, Raw]] = {plural: {} for plural in PLURALS.values()}
        self.watches: dict[str, list[asyncio.Queue[Raw | None]]] = {plural: [] for plural in PLURALS.values()}
        self.away: set[str] = set()
        self.asked: list[str] = []
        self._version = 100
        for raw in raws:
            self.put(raw)

    def put(self, raw: Raw, event: str = "MODIFIED") -> None:
        self._version += 1
        raw["metadata"]["resourceVersion"] = str(self._version)
        plural = PLURALS[raw["kind"]]
        self.objects[plural][raw["metadata"]["name"]] = raw
        for queue in self.watches[plural]:
            queue.put_nowait({"type": event, "object": raw})

    def go(self) -> None:
        """Be away: every kind is refused, and every watch ends."""
        self.away = set(PLURALS.values())
        for queues in self.watches.values():
            for queue in queues:
                queue.put_nowait(None)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        plural = request.path.rpartition("/")[2]
        self.asked.append(request.path)
        if plural in self.away:
            return web.json_response({"kind": "Status", "message": "no", "code": 503}, status=503)
        if "watch" not in request.query:
            items = list(self.objects[plural].values())
            return web.json_response({"metadata": {"resourceVersion": str(self._version)}, "items": items})
        queue: asyncio.Queue[Raw | None] = asyncio.Queue()
        self.watches[plural].append(queue)
        response = web.StreamResponse()
        await response.prepare(request)
        while (event := await queue.get()) is not None:
            await response.write(json.dumps(event).encode() + b"\n")
        return response

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self.handle)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


Story = Callable[[Balancer], Awaitable[None]]


def balance(folder: Path, api: Api, story: Story, **settings: Any) -> tuple[int, float]:
    """Run a balancer while a story is told; answers with the exit status and how long stopping took."""
    given = {"plaintext_address": "127.0.0.1:0", "http_address": "127.0.0.1:0", **settings}

    async def main() -> tuple[int, float]:
        async with api.serving() as url, asyncio.timeout(30):
            balancer = Balancer(XdsSettings(kubeconfig=kubeconfig(folder, url), **given))
            async with balancer.kube, balancer.probes:
                running = asyncio.create_task(balancer.run())
                await story(balancer)
                began = asyncio.get_running_loop().time()
                return await running, asyncio.get_running_loop().time() - began

    return asyncio.run(main())


def stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


async def get(balancer: Balancer, path: str) -> tuple[int, str]:
    url = f"http://127.0.0.1:{balancer.probes.port}{path}"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.text()


async def ready(balancer: Balancer) -> None:
    while (await get(balancer, "/readyz"))[0] != 200:  # noqa: ASYNC110
        await asyncio.sleep(0.01)  # an HTTP answer is waited for: there is no event


@asynccontextmanager
async def connected(balancer: Balancer) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{balancer.servers[0].port}") as channel:
        yield channel.stream_stream(METHOD)()


def metric(balancer: Balancer, name: str) -> float:
    return balancer.metrics.registry.get_sample_value(name) or 0.0
