"""The page of a real HTTP side, read by the operator's own reader: it is there whenever it is asked for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from grpcbalance import probes
from grpcbalance.lookaside import reading
from grpcbalance.lookaside.merge import Answers
from grpcbalance.lookaside.page import PATH
from grpcbalance.lookaside.reading import Reader
from grpcbalance.probes import Health, Probes

from .answers import page

PAGE = page("checkout-1").model_dump_json(by_alias=True)


def serve(make: Callable[[], Awaitable[str]], use: Callable[[Probes, Reader], Awaitable[None]]) -> None:
    """Serve what is made, and read it."""

    async def resolved(_: str) -> tuple[str, ...]:
        return ("127.0.0.1",)

    async def main() -> None:
        health = Health(dict, lambda _: None)
        async with (
            asyncio.timeout(60),
            Probes(health, CollectorRegistry(), ("127.0.0.1", 0), polled={PATH: make}) as served,
            Reader("x", resolved, served.port) as reader,
        ):
            await use(served, reader)

    asyncio.run(main())


def test_a_page_that_takes_long_to_make_is_never_waited_for_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    # What took the operator 3 s and the page 1.2 s, in a fifth of the time.
    monkeypatch.setattr(reading, "PATIENCE", 0.9)
    made: list[float] = []

    async def make() -> str:
        await asyncio.sleep(0.24)
        made.append(asyncio.get_running_loop().time())
        return PAGE

    async def use(_: Probes, reader: Reader) -> None:
        begin, told = asyncio.get_running_loop().time(), []
        while len(made) < 4:
            told.append(await reader.read())
            await asyncio.sleep(0.05)
        assert [answers.silent for answers in told] == [{}] * len(told)
        # Still for a fifth of the time only.
        assert made[-1] - begin > 3 * 0.24 / probes._SHARE

    serve(make, use)


def test_what_is_too_old_is_not_answered_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "_FRESH", 0.0)
    pages = [page("late"), page("early")]

    async def make() -> str:
        return pages.pop().model_dump_json(by_alias=True)

    async def use(_: Probes, reader: Reader) -> None:
        for name in ("early", "late"):
            answers = await reader.read()
            assert [client.node for one in answers.pages.values() for client in one.clients] == [name]

    serve(make, use)


def test_who_reads_it_elsewhere_without_end_does_not_keep_us_out() -> None:
    entered, gate = asyncio.Semaphore(0), asyncio.Event()

    async def make() -> str:
        entered.release()
        await gate.wait()
        return PAGE

    async def use(served: Probes, reader: Reader) -> None:
        address = f"http://127.0.0.1:{served.port}{PATH}"
        async with contextlib.AsyncExitStack() as stack:
            connector = aiohttp.TCPConnector(local_addr=("127.0.0.9", 0))
            session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
            others = [asyncio.create_task(session.get(address)) for _ in range(probes._READERS + 1)]
            # All of them wait but the one that is sent away.
            done, _ = await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)
            assert [task.result().status for task in done] == [503]
            await entered.acquire()
            reading_it = asyncio.create_task(reader.read())
            gate.set()
            answers: Answers = await reading_it
            assert list(answers.pages) == ["127.0.0.1"]
            assert sorted([(await task).status for task in others]) == [200] * probes._READERS + [503]

    serve(make, use)
