"""The HTTP side: /livez, /readyz, /metrics, and pages of JSON. Answers from memory, never asks the API server.

Alive is a turning event loop with all its tasks: an API server that is away is no reason to be restarted.
A loop that stalls answers no probe at all, which the kubelet takes for a failure.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

BEAT: Final = 1.0
_JSON: Final = "application/json; charset=utf-8"
# A beat this late means that the loop, or the heart itself, stood still.
STALLED: Final = 30.0
# Whoever asks for pages shall not keep us from our work: a page is made for this part of the time at most,
_SHARE: Final = 0.2
# so many read it at the same time, each with a copy of its own,
_READERS: Final = 8
# and take so many seconds at most.
_PATIENCE: Final = 30.0
# A page that is polled is answered with as it was made last, up to so many seconds ago, while it may not be made again:
# who polls waits for a few seconds only.
_FRESH: Final = 30.0


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


class _Page:
    """A page that is made for all who wait for it at once, and after that for nobody for a while.

    One that is `polled` answers meanwhile with what it was, and readers at one address keep out only each other.
    """

    def __init__(self, make: Callable[[], Awaitable[str]], content_type: str, *, polled: bool = False) -> None:
        self._make, self._headers, self._polled = make, {"Content-Type": content_type}, polled
        self._readers: Counter[str] = Counter()
        self._turn = asyncio.Lock()
        self._body = b""
        # When making it began, and from when on it may be made again.
        self._began, self._due = float("-inf"), float("-inf")

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer with it, as it was made since the request came; if it is polled, as it was a moment ago at most."""
        reader = request.remote or "" if self._polled else ""
        if self._readers[reader] >= _READERS:
            return web.Response(status=503, text="too many read this page now\n", headers={"Retry-After": "1"})
        self._readers[reader] += 1
        try:
            return await self._send(request, await self._made())
        finally:
            self._readers[reader] -= 1
            # Drops addresses that nobody reads at.
            self._readers += Counter()

    async def _made(self) -> bytes:
        loop = asyncio.get_running_loop()
        asked = loop.time()
        async with self._turn:
            if self._began <= asked and not self._will_do(loop.time()):
                await asyncio.sleep(self._due - loop.time())
                began = loop.time()
                self._body = (await self._make()).encode()
                self._began = began
                self._due = loop.time() + (loop.time() - began) * (1 / _SHARE - 1)
            return self._body

    def _will_do(self, now: float) -> bool:
        """Whether what was made last is answered with."""
        return self._polled and now < self._due and now - self._began < _FRESH

    async def _send(self, request: web.Request, body: bytes) -> web.StreamResponse:
        response = web.Response(body=body, headers=self._headers)
        try:
            async with asyncio.timeout(_PATIENCE):
                await response.prepare(request)
                await response.write_eof()
        except (TimeoutError, ConnectionError):
            # Who does not read holds its copy until the connection ends.
            if request.transport is not None:
                request.transport.abort()
        return response


class Probes:
    """A small HTTP server in the operator's own event loop. `async with Probes(...)`."""

    def __init__(
        self,
        health: Health,
        registry: CollectorRegistry,
        address: tuple[str | None, int],
        pages: Mapping[str, Callable[[], Awaitable[str]]] = MappingProxyType({}),
        polled: Mapping[str, Callable[[], Awaitable[str]]] = MappingProxyType({}),
    ) -> None:
        """`pages`: more paths, each with a function that answers with JSON text. `polled`: those that programs read
        again and again.
        """
        self._health, self._registry, self._address = health, registry, address
        made = {"/metrics": _Page(self._metrics, CONTENT_TYPE_LATEST)}
        made |= {path: _Page(content, _JSON) for path, content in pages.items()}
        made |= {path: _Page(content, _JSON, polled=True) for path, content in polled.items()}
        application = web.Application()
        application.router.add_get("/livez", self._livez)
        application.router.add_get("/readyz", self._readyz)
        for path, page in made.items():
            application.router.add_get(path, page.answer)
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

    async def _metrics(self) -> str:
        return generate_latest(self._registry).decode()


def _answer(trouble: list[str]) -> web.Response:
    if not trouble:
        return web.Response(text="ok\n")
    return web.Response(status=503, text="".join(f"{line}\n" for line in trouble))
