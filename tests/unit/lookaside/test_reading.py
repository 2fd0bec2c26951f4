"""Replicas over real sockets: all are asked at once, and what does not answer as it should is named."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from aiohttp import web

from grpcbalance.lookaside import reading
from grpcbalance.lookaside.merge import Answers
from grpcbalance.lookaside.page import PATH
from grpcbalance.lookaside.reading import Reader, UnresolvedError

from .answers import page

GOOD = page("checkout-1").model_dump_json(by_alias=True)
HOST = "balancer-replicas.mesh.svc.cluster.local"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
# Where replicas listen: Linux has all of 127.0.0.0/8.
ADDRESSES = ("127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4")


def says(text: str, status: int = 200, header: tuple[str, str] = ("X", "x")) -> Handler:
    async def handle(_: web.Request) -> web.Response:
        return web.Response(text=text, status=status, headers=dict([header]))

    return handle


async def hangs(_: web.Request) -> web.Response:
    await asyncio.sleep(60)
    return web.Response()


async def trickles(request: web.Request) -> web.StreamResponse:
    """Something now and then, and never the end."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(0.05)


async def floods(request: web.Request) -> web.StreamResponse:
    """More and more, as fast as it is read."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" " * 65536)


@asynccontextmanager
async def replica(address: str, port: int, handler: Handler, asked: list[web.Request]) -> AsyncIterator[int]:
    async def handle(request: web.Request) -> web.StreamResponse:
        asked.append(request)
        return await handler(request)

    application = web.Application()
    application.router.add_get("/{path:.*}", handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, address, port).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def read(*handlers: Handler | None, addresses: tuple[str, ...] = ADDRESSES) -> tuple[Answers, list[web.Request]]:
    """Ask replicas that answer so; None: nothing listens there."""
    asked: list[web.Request] = []

    async def main() -> Answers:
        async with AsyncExitStack() as stack:
            port = 0
            for address, handler in zip(addresses, handlers, strict=False):
                if handler is not None:
                    port = await stack.enter_async_context(replica(address, port, handler, asked))

            async def resolved(host: str) -> tuple[str, ...]:
                assert host == HOST
                return addresses[: len(handlers)]

            reader = await stack.enter_async_context(Reader(HOST, resolved, port))
            return await reader.read()

    return asyncio.run(main()), asked


def test_all_are_asked_for_the_page() -> None:
    answers, asked = read(says(GOOD), says(GOOD))
    assert sorted(answers.pages) == ["127.0.0.1", "127.0.0.2"]
    assert answers.pages["127.0.0.1"].clients[0].node == "checkout-1"
    assert (answers.silent, answers.unresolved) == ({}, "")
    assert [request.path for request in asked] == [PATH, PATH]


def test_neither_proxies_nor_cookies_of_the_environment_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    answers, asked = read(says(GOOD, header=("Set-Cookie", "a=b")))
    assert list(answers.pages) == ["127.0.0.1"]
    assert "Cookie" not in asked[0].headers


def test_ipv6() -> None:
    answers, _ = read(says(GOOD), addresses=("::1",))
    assert list(answers.pages) == ["::1"]


def test_one_of_two_is_dead() -> None:
    answers, _ = read(says(GOOD), None)
    assert list(answers.pages) == ["127.0.0.1"]
    assert list(answers.silent) == ["127.0.0.2"]
    assert "does not answer on port" in answers.silent["127.0.0.2"]


@pytest.mark.parametrize("slow", [hangs, trickles])
def test_who_is_slow_holds_nobody_up_for_long(slow: Handler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PATIENCE", 1.0)
    began = time.monotonic()
    answers, _ = read(slow, says(GOOD), slow, slow)
    # Side by side: one after the other they would take three times as long.
    assert time.monotonic() - began < 2.9
    assert list(answers.pages) == ["127.0.0.2"]
    assert sorted(answers.silent) == ["127.0.0.1", "127.0.0.3", "127.0.0.4"]
    assert "TimeoutError" in answers.silent["127.0.0.1"]


def test_a_page_without_end_is_read_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LARGEST", 1_000_000)
    answers, _ = read(floods)
    assert answers.silent == {"127.0.0.1": "answers with more than 1000000 bytes"}


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (says("no JSON"), "cannot be read"),
        (says("{}"), "cannot be read"),
        (says(GOOD.replace('"v1"', '"v2"')), "cannot be read"),
        (says(GOOD.replace('"clients":[0]', '"clients":[7]')), "cannot be read"),
        (says(GOOD.replace("checkout-1", "x" * 254)), "cannot be read"),
        (says("[" * 100_000), "cannot be read"),
        (says(GOOD, status=404), "answers 404: are operator and balancer of one version?"),
        (says("too many\n", status=503), "is asked by too many from here"),
        (says("", status=302, header=("Location", "http://127.0.0.2/")), "answers 302"),
        (says(GOOD, header=("Content-Encoding", "gzip")), "Page"),
    ],
    ids=[
        "text",
        "empty",
        "other version",
        "unknown client",
        "long name",
        "deep",
        "none",
        "too many",
        "moved",
        "encoding",
    ],
)
def test_garbage_is_no_page(handler: Handler, words: str) -> None:
    answers, asked = read(handler)
    assert len(asked) == 1
    if words == "Page":
        # Nothing is unpacked, whatever it says.
        assert list(answers.pages) == ["127.0.0.1"]
    else:
        assert words in answers.silent["127.0.0.1"]


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (None, "cannot be resolved: why"),
        ((), "has no address"),
        ((), "kubectl apply -k manifests/xds"),
        ((), "Secret grpcbalance-xds-tls"),
    ],
)
def test_a_name_without_addresses(found: tuple[str, ...] | None, words: str) -> None:
    async def resolved(_: str) -> tuple[str, ...]:
        if found is None:
            raise UnresolvedError("why")
        return found

    async def main() -> Answers:
        async with Reader(HOST, resolved) as reader:
            return await reader.read()

    answers = asyncio.run(main())
    assert HOST in answers.unresolved
    assert words in answers.unresolved
    assert (answers.pages, answers.silent) == ({}, {})


def test_who_cancels_a_question_gets_no_answer_and_ends_nobody_else() -> None:
    async def main() -> Answers:
        asked: list[web.Request] = []
        async with replica("127.0.0.1", 0, hangs, asked) as port:

            async def resolved(_: str) -> tuple[str, ...]:
                return ("127.0.0.1",)

            async with Reader(HOST, resolved, port) as reader:
                mine = asyncio.all_tasks()
                reading = asyncio.create_task(reader.read())
                while not asked:  # noqa: ASYNC110 - a request is waited for: there is no event
                    await asyncio.sleep(0.01)
                # As kopf does with all tasks that are younger than it.
                for task in asyncio.all_tasks() - mine - {reading}:
                    task.cancel()
                return await reading

    assert asyncio.run(main()).silent == {"127.0.0.1": "was not asked to the end"}
