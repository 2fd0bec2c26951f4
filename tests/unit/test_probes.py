"""The HTTP side, over a real socket."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from contextlib import ExitStack

import aiohttp
import pytest
from aiohttp.web_protocol import RequestHandler
from prometheus_client import CollectorRegistry

from grpcbalance import probes
from grpcbalance.metrics import Metrics
from grpcbalance.probes import Health, Probes

from .fake_time import run

Get = Callable[[str], Awaitable[tuple[int, str]]]


def serve(use: Callable[[Health, Get, dict[str, str]], Awaitable[None]]) -> None:
    async def main() -> None:
        missing: dict[str, str] = {}
        metrics = Metrics(CollectorRegistry())
        health = Health(lambda: missing, metrics.loop_lagged)
        async with Probes(health, metrics.registry, ("127.0.0.1", 0)) as served, aiohttp.ClientSession() as session:

            async def get(path: str) -> tuple[int, str]:
                async with session.get(f"http://127.0.0.1:{served.port}{path}") as answer:
                    return answer.status, await answer.text()

            await use(health, get, missing)

    asyncio.run(main())


def test_alive_and_ready() -> None:
    async def use(_: Health, get: Get, __: dict[str, str]) -> None:
        assert await get("/livez") == (200, "ok\n")
        assert await get("/readyz") == (200, "ok\n")

    serve(use)


def test_ready_tells_what_is_missing_and_alive_does_not_care() -> None:
    async def use(_: Health, get: Get, missing: dict[str, str]) -> None:
        missing["deployments"] = "list deployments: forbidden"
        missing["services"] = "not listed yet"
        status, text = await get("/readyz")
        assert (status, text.splitlines()) == (
            503,
            ["deployments: list deployments: forbidden", "services: not listed yet"],
        )
        assert (await get("/livez"))[0] == 200

    serve(use)


def test_a_dead_task_is_an_ailment_unless_we_stop() -> None:
    async def use(health: Health, get: Get, _: dict[str, str]) -> None:
        async def ends() -> None:
            return

        health.tasks["queue"] = asyncio.create_task(ends())
        health.tasks["watch"] = asyncio.create_task(asyncio.sleep(60))
        await health.tasks["queue"]
        assert await get("/livez") == (503, "queue ended\n")
        health.stopping = True
        assert (await get("/livez"))[0] == 200
        assert await get("/readyz") == (503, "stopping\n")
        health.tasks["watch"].cancel()

    serve(use)


def test_a_heart_that_stands_still_is_an_ailment(monkeypatch: pytest.MonkeyPatch) -> None:
    async def use(_: Health, get: Get, __: dict[str, str]) -> None:
        monkeypatch.setattr(probes, "STALLED", -1.0)
        status, text = await get("/livez")
        assert status == 503
        assert text.startswith("event loop stalled for ")

    serve(use)


def test_the_heart_beats_and_tells_how_late() -> None:
    async def main() -> list[float]:
        lags: list[float] = []
        health = Health(dict, lags.append)
        heart = asyncio.create_task(health.heart())
        await asyncio.sleep(2.5)
        heart.cancel()
        return lags

    assert run(main()) == pytest.approx([0.0, 0.0])


def test_metrics_are_in_the_format_that_is_scraped() -> None:
    async def use(_: Health, get: Get, __: dict[str, str]) -> None:
        status, text = await get("/metrics")
        assert status == 200
        assert "# TYPE grpcbalance_synced gauge" in text
        assert "grpcbalance_build_info{" in text
        assert (await get("/"))[0] == 404

    serve(use)


# -- readers that ask for too much -----------------------------------------------------------------------


def serve_page(make: Callable[[], Awaitable[str]], use: Callable[[Probes], Awaitable[None]]) -> None:
    async def main() -> None:
        health = Health(dict, lambda _: None)
        async with (
            asyncio.timeout(20),
            Probes(health, CollectorRegistry(), ("127.0.0.1", 0), {"/page": make}) as served,
        ):
            await use(served)

    asyncio.run(main())


async def ask(session: aiohttp.ClientSession, port: int) -> tuple[int, str]:
    async with session.get(f"http://127.0.0.1:{port}/page") as answer:
        return answer.status, await answer.text()


def test_a_page_is_made_once_for_all_who_wait_and_after_they_asked() -> None:
    made: list[asyncio.Event] = []

    async def make() -> str:
        made.append(asyncio.Event())
        number = len(made)
        await made[-1].wait()
        return json.dumps(number)

    async def use(served: Probes) -> None:
        async with aiohttp.ClientSession() as session:
            first = asyncio.create_task(ask(session, served.port))
            while not made:  # noqa: ASYNC110 - it is made in answer to a request over a socket
                await asyncio.sleep(0.001)
            # They may know of something that the first page was too early for.
            late = [asyncio.create_task(ask(session, served.port)) for _ in range(5)]
            while sum(one.done() for one in late) + first.done() < 6:
                for event in made:
                    event.set()
                await asyncio.sleep(0.001)
            assert await first == (200, "1")
            assert {await one for one in late} <= {(200, "2"), (200, "3")}

    serve_page(make, use)


def test_who_asks_all_the_time_has_a_page_made_for_a_part_of_it() -> None:
    spent = []

    async def make() -> str:
        await asyncio.sleep(0.02)
        spent.append(0.02)
        return "{}"

    async def use(served: Probes) -> None:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        async with aiohttp.ClientSession() as session:
            while len(spent) < 10:
                assert (await ask(session, served.port))[0] == 200
        assert sum(spent) / (loop.time() - begin) < 1.2 * probes._SHARE

    serve_page(make, use)


async def silent(port: int) -> socket.socket:
    """Somebody who asks for the page, and reads nothing of it."""
    made = socket.socket()
    made.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(made, ("127.0.0.1", port))
    await loop.sock_sendall(made, b"GET /page HTTP/1.1\r\nHost: x\r\n\r\n")
    return made


def stuck(connection: RequestHandler) -> bool:
    """Whether there is something to write that nobody reads."""
    transport = connection.transport
    return isinstance(transport, asyncio.WriteTransport) and transport.get_write_buffer_size() > 0


def test_who_does_not_read_is_cut_off_and_others_are_told_to_come_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "_PATIENCE", 4.0)
    # More than the kernel keeps for a connection.
    texts = ["x" * 12_000_000]

    async def make() -> str:
        return texts[-1]

    async def use(served: Probes) -> None:
        port, server = served.port, served._runner.server
        assert server is not None
        with ExitStack() as stack:
            for _ in range(probes._READERS):
                stack.enter_context(await silent(port))
            while sum(map(stuck, server.connections)) < probes._READERS:  # noqa: ASYNC110 - it tells nobody of them
                await asyncio.sleep(0.001)
            async with aiohttp.ClientSession() as session:
                # Probes go on.
                async with session.get(f"http://127.0.0.1:{port}/livez") as alive:
                    assert alive.status == 200
                assert await ask(session, port) == (503, "too many read this page now\n")
                texts.append("short")
                while (answer := await ask(session, port))[0] == 503:  # noqa: ASYNC110 - as above
                    await asyncio.sleep(0.01)
                assert answer == (200, "short")
            while server.connections:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)

    serve_page(make, use)


def test_a_page_that_cannot_be_made_is_asked_for_again() -> None:
    outcomes = [RuntimeError("no"), None]

    async def make() -> str:
        outcome = outcomes.pop(0)
        if outcome is not None:
            raise outcome
        return "{}"

    async def use(served: Probes) -> None:
        async with aiohttp.ClientSession() as session:
            assert (await ask(session, served.port))[0] == 500
            assert await ask(session, served.port) == (200, "{}")

    serve_page(make, use)
