"""A TLS reverse proxy between the operator and the API server that breaks what its rules say, and logs every request.

It runs in a thread of the test's process. Only its socket is inside of the lab's network, where pods reach it at the
address of the first node; the certificate is the API server's own, which names that address.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import aiohttp
from aiohttp import web

from lab import Lab, control, network
from tests.faults.rules import Answer, Cut, Delay, Drop, Duplicate, Hold, Rule, Rules, StreamError, Truncate
from tests.faults.wire import WasCut, half, held, kept, lines_of, listen_inside, stream_error, until

PORT: Final = 6444


@dataclass(slots=True)
class Exchange:
    """One request, in seconds since the epoch; `outcome` is the status sent, or the action of the rule that hit it."""

    verb: str
    path: str
    agent: str
    began: float
    ended: float = 0.0
    outcome: str = ""


class Proxy:
    """`with Proxy(lab) as proxy: with proxy.fault(Rule(...)): ...`. Its methods may be called from any thread."""

    host: Final = network.node_address(1)
    port: Final = PORT

    def __init__(self, lab: Lab) -> None:
        self.log: list[Exchange] = []
        self._lab, self._rules = lab, Rules()
        # Open watches: the event freezes one.
        self._streams: dict[asyncio.Event, None] = {}
        self._thawed = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault proxy", daemon=True)
        self._runner: web.ServerRunner | None = None
        self._session: aiohttp.ClientSession | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._wait(self._start(listen_inside(control.first_pid(self._lab.run_dir), self.port)))
        return self

    def __exit__(self, *_: object) -> None:
        self._wait(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _wait(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _start(self, listening: socket.socket) -> None:
        pki = self._lab.layout.pki
        client = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        connector = aiohttp.TCPConnector(ssl=client, limit=0)
        self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False)
        server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        server.load_cert_chain(pki / "apiserver.crt", pki / "apiserver.key")
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.SockSite(self._runner, listening, ssl_context=server).start()

    async def _stop(self) -> None:
        if self._runner is not None and self._runner.server is not None:
            for connection in self._runner.server.connections:
                if connection.transport is not None:
                    connection.transport.abort()
            await self._runner.cleanup()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
        # Transports close in the next turns of the loop.
        await asyncio.sleep(0.1)

    # -- what tests do -----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def fault(self, *rules: Rule) -> Iterator[None]:
        """Rules in force within the block; what they hold is cut at its end."""
        self._rules.add(rules)
        try:
            yield
        finally:
            self._rules.remove(rules)
            for rule in rules:
                self._loop.call_soon_threadsafe(rule.over.set)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[int]:
        """Every watch that is open now says nothing more, and its connection stays; answers with their number.

        At the end of the block they are cut. Watches that begin within it work.
        """
        streams = list(self._streams)
        for stream in streams:
            self._loop.call_soon_threadsafe(stream.set)
        thawed = self._thawed = asyncio.Event()
        try:
            yield len(streams)
        finally:
            self._loop.call_soon_threadsafe(thawed.set)

    def cut_streams(self) -> None:
        """Cut every watch that is open now."""
        with self.frozen():
            return

    def since(self, moment: float, verbs: frozenset[str], path: str = "") -> list[Exchange]:
        """Requests that began after a moment, by verbs and a part of the path."""
        return [e for e in list(self.log) if e.began >= moment and e.verb in verbs and path in e.path]

    def dump(self, file: Path) -> None:
        """Write the log of all requests, one a line."""
        file.write_text("".join(f"{e.began:.3f} {e.ended:.3f} {e.verb} {e.path} {e.outcome}\n" for e in self.log))

    # -- one request -------------------------------------------------------------------------------------

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        verb = "WATCH" if request.method == "GET" and request.query.get("watch") in ("true", "1") else request.method
        agent = request.headers.get("User-Agent", "")
        exchange = Exchange(verb, request.path_qs, agent, time.time())
        self.log.append(exchange)
        body = await request.read()
        rule = self._rules.take(verb, request.path_qs, agent, body.decode(errors="replace"))
        try:
            answer = await self._answer(request, body, rule, exchange)
        except (WasCut, ConnectionError, aiohttp.ClientError) as error:
            exchange.outcome = exchange.outcome or f"cut: {error!r}"
            if request.transport is not None:
                request.transport.abort()
            answer = web.Response()
        finally:
            exchange.ended = time.time()
        return answer

    async def _answer(
        self, request: web.BaseRequest, body: bytes, rule: Rule | None, exchange: Exchange
    ) -> web.StreamResponse:
        action = rule.action if rule else None
        if action is not None:
            exchange.outcome = str(action)[:120]
        match action:
            case Answer():
                return web.Response(
                    status=action.status,
                    body=action.body,
                    headers={**dict(action.headers), "Content-Type": action.content_type},
                )
            case Delay():
                await asyncio.sleep(action.seconds)
            case Hold(forwarded=False) | Cut(forwarded=False):
                await held(request, rule)
            case StreamError():
                return await stream_error(request, action)
        async with self._forwarded(request, body) as answer:
            if exchange.verb == "WATCH" and answer.status == 200:
                exchange.outcome = exchange.outcome or "200"
                return await self._relay(request, answer, halved=isinstance(action, Truncate))
            content = await answer.read()
        match action:
            case Hold() | Cut():
                exchange.outcome += f", done with {answer.status}"
                await held(request, rule)
            case Truncate():
                await half(request, answer, content)
        exchange.outcome = exchange.outcome or str(answer.status)
        return web.Response(status=answer.status, body=content, headers=kept(answer.headers))

    @contextlib.asynccontextmanager
    async def _forwarded(self, request: web.BaseRequest, body: bytes) -> AsyncIterator[aiohttp.ClientResponse]:
        if self._session is None:
            raise RuntimeError("not started: use `with`")
        url = self._lab.layout.link.url + request.path_qs
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
        async with self._session.request(
            request.method, url, data=body or None, headers=kept(request.headers), timeout=timeout
        ) as answer:
            yield answer

    async def _relay(
        self, request: web.BaseRequest, answer: aiohttp.ClientResponse, *, halved: bool
    ) -> web.StreamResponse:
        """Pass a watch on, line by line; `halved`: only half of the first one, and cut."""
        stream = web.StreamResponse(status=200, headers=kept(answer.headers))
        await stream.prepare(request)
        frozen = asyncio.Event()
        self._streams[frozen] = None
        try:
            async for line in lines_of(answer, request, frozen):
                if halved:
                    await stream.write(line[: len(line) // 2])
                    raise WasCut
                for copy in await self._event(request, line):
                    await stream.write(copy)
            if frozen.is_set():
                await until(request, self._thawed)
                raise WasCut
            await stream.write_eof()
        finally:
            del self._streams[frozen]
        return stream

    async def _event(self, request: web.BaseRequest, line: bytes) -> list[bytes]:
        """A line of a watch as often as it is to be sent."""
        agent = request.headers.get("User-Agent", "")
        rule = self._rules.take("EVENT", request.path_qs, agent, line.decode(errors="replace"))
        match rule.action if rule else None:
            case Drop():
                return []
            case Duplicate():
                return [line, line]
            case Delay(seconds=seconds):
                await asyncio.sleep(seconds)
        return [line]
