"""A work queue at work on fake time: what it was told, and what it did when."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from grpcbalance.queue import WorkQueue


class Hooks:
    def __init__(self) -> None:
        self.adds: list[str] = []
        self.waits: list[float] = []
        self.results: list[tuple[object, str]] = []

    def added(self, lane: str) -> None:
        self.adds.append(lane)

    def started(self, key: object, waited: float) -> None:  # noqa: ARG002 - the protocol's signature
        self.waits.append(waited)

    def finished(self, key: object, took: float, result: str) -> None:  # noqa: ARG002 - the protocol's signature
        self.results.append((key, result))


class Work:
    """Records when each key was worked on, relative to the start; `does` says what happens then."""

    def __init__(self, does: Callable[[str], Awaitable[float | None]] | None = None) -> None:
        self.log: list[tuple[str, float]] = []
        self.does = does
        self.running: list[str] = []

    async def __call__(self, key: str) -> float | None:
        assert key not in self.running, "two reconciliations of one key at a time"
        self.log.append((key, round(asyncio.get_running_loop().time() - 1000.0, 6)))
        self.running.append(key)
        try:
            return await self.does(key) if self.does else None
        finally:
            self.running.remove(key)


@asynccontextmanager
async def working(queue: WorkQueue[str], work: Work, workers: int = 1) -> Any:
    task = asyncio.create_task(queue.run(work, workers))
    yield
    queue.close()
    await task


def make(**more: Any) -> WorkQueue[str]:
    return WorkQueue(Hooks(), **{"jitter": lambda bound: bound, **more})


async def settle(queue: WorkQueue[str]) -> None:
    # In fake time this costs nothing, and the queue has no need of an event for its tests.
    while not queue.drained():  # noqa: ASYNC110
        await asyncio.sleep(0.01)
