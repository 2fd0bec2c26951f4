"""The HTTP side, over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
import pytest
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
