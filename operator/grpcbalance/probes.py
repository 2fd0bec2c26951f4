"""The HTTP side: /livez, /readyz, /metrics, and pages of JSON. Answers from memory, never asks the API server.

Alive is a turning event loop with all its tasks: an API server that is away is no reason to be restarted.
A loop that stalls answers no probe at all, which the kubelet takes for a failure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

BEAT: Final = 1.0
# A beat this late means that the loop, or the heart itself, stood still.
STALLED: Final = 30.0


class Health:
    """What the probes answer from: the tasks that must not end, the heartbeat, and what is missing."""

    def __init__(self, missing: Callable[[], Mapping[str, str]], lagged: Callable[[float], None]) -> None:
        """`missing` tells what keeps us from being ready, by name; `lagged` is told how late each beat was."""
        self.missing, self._lagged = missing, lagged
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.stopping = False
        self._beat = asyncio.get_running_loop().time()

    async def heart(self) -> None:
        """Beat for ever."""
        loop = asyncio.get_running_loop()
        while True:
            self._beat = loop.time()
            await asyncio.sleep(BEAT)
            self._lagged(max(0.0, loop.time() - self._beat - BEAT))

    def ailments(self) -> list[str]:
        """Why a restart would help; empty while all is well."""
        age = asyncio.get_running_loop().time() - self._beat
        stalled = [f"event loop stalled for {age:.0f} s"] if age > STALLED else []
        dead = [] if self.stopping else [f"{name} ended" for name, task in self.tasks.items() if task.done()]
        return stalled + dead


class Probes:
    """A small HTTP server in the operator's own event loop. `async with Probes(...)`."""

    def __init__(
        self,
        health: Health,
        registry: CollectorRegistry,
        address: tuple[str | None, int],
        pages: Mapping[str, Callable[[], Awaitable[str]]] = MappingProxyType({}),
    ) -> None:
        """`pages`: more paths, each with a function that answers with JSON text."""
        self._health, self._registry, self._address = health, registry, address
        application = web.Application()
        application.router.add_get("/livez", self._livez)
        application.router.add_get("/readyz", self._readyz)
        application.router.add_get("/metrics", self._metrics)
        for path, content in pages.items():
            application.router.add_get(path, partial(_page, content))
        self._runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=1.0)

    async def __aenter__(self) -> Probes:
        await self._runner.setup()
        await web.TCPSite(self._runner, *self._address).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop serving and close every connection; once more does no harm."""
        await self._runner.cleanup()

    @property
    def port(self) -> int:
        """The port that is listened on, which port 0 left to the system."""
        port: int = self._runner.addresses[0][1]
        return port

    async def _livez(self, _request: web.Request) -> web.Response:
        return _answer(self._health.ailments())

    async def _readyz(self, _request: web.Request) -> web.Response:
        missing = [f"{name}: {why}" for name, why in self._health.missing().items()]
        return _answer(["stopping"] if self._health.stopping else missing)

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _page(content: Callable[[], Awaitable[str]], _request: web.Request) -> web.Response:
    return web.json_response(text=await content())


def _answer(trouble: list[str]) -> web.Response:
    if not trouble:
        return web.Response(text="ok\n")
    return web.Response(status=503, text="".join(f"{line}\n" for line in trouble))
