"""The queue, in fake time."""

from __future__ import annotations

import asyncio
import logging

import pytest

from grpcbalance.errors import Invalid, Retry
from grpcbalance.queue import BACKLOG, FRESH, WorkQueue

from .fake_time import run
from .working import Hooks, Work, make, settle, working


def test_adds_within_the_window_are_one_piece_of_work_and_do_not_push_it_out() -> None:
    async def main() -> list[tuple[str, float]]:
        queue, work = make(), Work()
        async with working(queue, work):
            for _ in range(5):
                queue.add("a", 0.1)
                await asyncio.sleep(0.03)
            await settle(queue)
        return work.log

    # Added at 0, 0.03, 0.06 and 0.09; the fifth add, at 0.12, is new work.
    assert run(main()) == [("a", 0.1), ("a", 0.22)]


def test_the_earliest_time_asked_for_stands() -> None:
    async def main() -> list[tuple[str, float]]:
        queue, work = make(), Work()
        async with working(queue, work):
            queue.add("a", 50.0)
            queue.add("a", 1.0)
            queue.add("a", 7.0)
            await settle(queue)
        return work.log

    assert run(main()) == [("a", 1.0)]


def test_single_flight_and_one_more_look_for_what_came_meanwhile() -> None:
    async def main() -> list[tuple[str, float]]:
        queue = make()

        async def does(_: str) -> None:
            await asyncio.sleep(1.0)

        work = Work(does)
        async with working(queue, work, workers=4):
            queue.add("a", 0)
            await asyncio.sleep(0.5)
            for _ in range(10):
                queue.add("a", 0)
            queue.add("b", 0)
            await settle(queue)
        return work.log

    assert run(main()) == [("a", 0.0), ("b", 0.5), ("a", 1.0)]


def test_fresh_goes_before_backlog_and_promotes() -> None:
    async def main() -> tuple[list[str], list[int]]:
        queue, work = make(), Work()
        for key in ("b1", "b2", "b3"):
            queue.add(key, 0, backlog=True)
        queue.add("f1", 0)
        queue.add("b3", 0)
        depths = [queue.depth(FRESH), queue.depth(BACKLOG)]
        async with working(queue, work):
            await settle(queue)
        return [key for key, _ in work.log], depths

    assert run(main()) == (["f1", "b3", "b1", "b2"], [2, 2])


def test_backlog_is_not_starved_by_endless_fresh_work() -> None:
    async def main() -> int:
        queue = make()

        async def does(key: str) -> None:
            if key != "backlog":
                queue.add(key, 0)
            await asyncio.sleep(0.01)

        work = Work(does)
        queue.add("backlog", 0, backlog=True)
        queue.add("x", 0)
        queue.add("y", 0)
        async with working(queue, work):
            await asyncio.sleep(1.0)
        return [key for key, _ in work.log].index("backlog")

    assert run(main()) == 9


def test_again_is_looked_at_again_and_a_change_comes_first() -> None:
    async def main() -> list[tuple[str, float]]:
        queue, answers = make(), iter([60.0, 10.0, None])

        async def does(_: str) -> float | None:
            return next(answers)

        work = Work(does)
        async with working(queue, work):
            queue.add("a", 0)
            await asyncio.sleep(5)
            queue.add("a", 0.1)
            await settle(queue)
        return work.log

    assert run(main()) == [("a", 0.0), ("a", 5.1), ("a", 15.1)]


def test_a_complaint_is_logged_once_until_it_changes(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        queue = make()
        errors = iter(
            [ValueError("one"), ValueError("one"), Invalid("two"), Retry(None, "three"), Retry(None, "three")]
        )

        async def does(_: str) -> None:
            error = next(errors, None)
            if error is not None:
                raise error

        async with working(queue, Work(does)):
            queue.add("a", 0)
            await settle(queue)

    with caplog.at_level(logging.DEBUG, logger="grpcbalance.queue"):
        run(main())
    assert [(r.levelname, r.getMessage(), bool(r.exc_info)) for r in caplog.records] == [
        ("ERROR", "a: ValueError: one; tried again later", True),
        ("ERROR", "a: Invalid: two; tried again later", True),
        ("WARNING", "a: Retry: three; tried again later", False),
    ]
    assert caplog.records[0].__dict__["key"] == "a"


def test_close_finishes_what_is_in_work_and_starts_nothing_more() -> None:
    async def main() -> tuple[list[str], list[str]]:
        queue, done = make(), []

        async def does(key: str) -> None:
            await asyncio.sleep(3)
            done.append(key)

        work = Work(does)
        task = asyncio.create_task(queue.run(work, 2))
        for key in "abc":
            queue.add(key, 0)
        queue.add("later", 1)
        await asyncio.sleep(0.5)
        queue.close()
        queue.add("ignored", 0)
        await task
        return [key for key, _ in work.log], sorted(done)

    assert run(main()) == (["a", "b"], ["a", "b"])


def test_hooks_and_introspection() -> None:
    async def main() -> Hooks:
        hooks = Hooks()
        queue: WorkQueue[str] = WorkQueue(hooks)
        assert queue.idle()
        assert queue.drained()
        answers: dict[str, list[float | None]] = {"a": [1.0, None]}

        async def does(key: str) -> float | None:
            await asyncio.sleep(2)
            if key == "bad":
                queue.close()
                raise ValueError(key)
            return answers[key].pop(0)

        queue.add("a", 0)
        assert not queue.idle()
        task = asyncio.create_task(queue.run(does, 1))
        await asyncio.sleep(1)
        assert queue.unfinished() == [1.0]
        await asyncio.sleep(1.5)
        assert queue.idle()
        assert not queue.drained()
        await settle(queue)
        queue.add("bad", 0)
        await task
        return hooks

    hooks = run(main())
    assert hooks.results == [("a", "requeue_after"), ("a", "success"), ("bad", "error")]
    assert hooks.adds[:2] == [FRESH, BACKLOG]
    assert hooks.waits == [0.0, 0.0, 0.0]


def test_a_thousand_keys_each_once() -> None:
    async def main() -> list[str]:
        queue, work = make(), Work()
        async with working(queue, work, workers=16):
            for number in range(1000):
                queue.add(str(number), 0.1, backlog=number % 2 == 0)
                queue.add(str(number), 0.1)
            await settle(queue)
        return [key for key, _ in work.log]

    log = run(main())
    assert len(log) == 1000
    assert len(set(log)) == 1000
