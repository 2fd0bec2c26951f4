"""kopf's tasks end together, even those that do not want to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from grpcbalance.handlers import HungError, run_tasks

from .fake_time import run


async def fails() -> None:
    await asyncio.sleep(1)
    raise RuntimeError("the stream said 500")


async def ends_when_told() -> None:
    await asyncio.sleep(10_000)


async def waits_once_more() -> None:
    """A watcher that takes the cancellation for a lost connection, and waits for somebody who has ended."""
    try:
        await asyncio.sleep(10_000)
    except asyncio.CancelledError:
        await asyncio.Event().wait()


async def never_ends() -> None:
    while True:
        try:
            await asyncio.sleep(10_000)
        except asyncio.CancelledError:
            continue


def took(*others: Callable[[], Coroutine[Any, Any, None]]) -> tuple[BaseException, float]:
    """What came of it when one task fails after a second beside others, and after how many seconds."""

    async def main() -> tuple[BaseException, float]:
        loop = asyncio.get_running_loop()
        older, began = asyncio.all_tasks(), loop.time()
        tasks = [asyncio.create_task(work()) for work in (fails, *others)]
        with pytest.raises(RuntimeError) as caught:
            await run_tasks(tasks, older)
        found = caught.value, loop.time() - began
        for task in tasks:
            if not task.done():
                # Or the loop would wait for it.
                task._log_destroy_pending = False  # type: ignore[attr-defined]  # it is meant to be left behind
                asyncio.tasks._unregister_task(task)
        return found

    return run(main())


def test_who_ends_when_told_is_not_waited_for() -> None:
    error, seconds = took(ends_when_told)
    assert (str(error), seconds) == ("the stream said 500", 1.0)


def test_who_waits_for_somebody_that_has_ended_is_told_again() -> None:
    error, seconds = took(ends_when_told, waits_once_more)
    assert str(error) == "the stream said 500"
    assert seconds < 20


def test_who_never_ends_ends_the_process() -> None:
    error, seconds = took(never_ends)
    assert isinstance(error, HungError)
    assert seconds < 30
