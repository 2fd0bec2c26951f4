"""The queue, in fake time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest

from grpcbalance.bucket import TokenBucket
from grpcbalance.errors import Invalid, Retry
from grpcbalance.queue import BACKLOG, BACKOFF_CAP, FRESH, WorkQueue

from .fake_time import run


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


def test_failures_back_off_exponentially_up_to_a_cap_and_success_forgets_them() -> None:
    async def main() -> list[float]:
        queue, attempts = make(), 0

        async def does(_: str) -> None:
            nonlocal attempts
            attempts += 1
            if attempts <= 12:
                raise ValueError("broken")

        work = Work(does)
        async with working(queue, work):
            queue.add("a", 0)
            await settle(queue)
            assert attempts == 13
            attempts = 11
            queue.add("a", 0)
            await settle(queue)
        times = [when for _, when in work.log]
        return [round(b - a, 3) for a, b in pairwise(times)]

    gaps = run(main())
    assert gaps[:4] == [1.0, 2.0, 4.0, 8.0]
    assert gaps[9:12] == [BACKOFF_CAP] * 3
    # After a success the first failure costs little again.
    assert gaps[-1] == 1.0


def test_the_default_jitter_is_full() -> None:
    async def main() -> list[float]:
        queue: WorkQueue[str] = WorkQueue(Hooks())
        failed: dict[str, float] = {}
        gaps: list[float] = []

        async def does(key: str) -> None:
            now = asyncio.get_running_loop().time()
            if key in failed:
                gaps.append(now - failed[key])
                return
            failed[key] = now
            raise ValueError(key)

        async with working(queue, Work(does), workers=8):
            for number in range(200):
                queue.add(str(number), 0)
            await settle(queue)
        return gaps

    gaps = run(main())
    assert len(gaps) == 200
    assert 0 <= min(gaps) < 0.1
    assert 0.9 < max(gaps) <= 1.0


def test_one_bad_key_does_not_delay_another() -> None:
    async def main() -> list[tuple[str, float]]:
        queue = make()

        async def does(key: str) -> None:
            if key == "bad":
                raise ValueError(key)

        work = Work(does)
        async with working(queue, work):
            queue.add("bad", 0)
            queue.add("good", 0)
            await asyncio.sleep(0.5)
            queue.add("good", 0)
            await asyncio.sleep(0.1)
        return work.log

    assert run(main()) == [("bad", 0.0), ("good", 0.0), ("good", 0.5)]


@pytest.mark.parametrize(("after", "second"), [(30.0, 30.5), (None, 1.0)])
def test_retry_keeps_the_delay_that_the_server_asked_for(after: float | None, second: float) -> None:
    async def main() -> list[tuple[str, float]]:
        queue, failed = make(), False

        async def does(_: str) -> None:
            nonlocal failed
            if not failed:
                failed = True
                raise Retry(after, "busy")

        work = Work(does)
        async with working(queue, work):
            queue.add("a", 0)
            await settle(queue)
        return work.log

    assert run(main()) == [("a", 0.0), ("a", second)]


@pytest.mark.parametrize("wish", [0.0, 0.1, 1.0])
def test_what_comes_during_a_failing_attempt_does_not_skip_the_back_off(wish: float) -> None:
    async def main() -> list[tuple[str, float]]:
        queue, failed = make(), False

        async def does(_: str) -> None:
            nonlocal failed
            await asyncio.sleep(0.2)
            if not failed:
                failed = True
                queue.add("a", wish)
                raise Retry(5.0, "busy")

        work = Work(does)
        async with working(queue, work):
            queue.add("a", 0)
            await settle(queue)
        return work.log

    assert run(main()) == [("a", 0.0), ("a", 5.7)]


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


def test_bucket_lets_a_burst_go_then_keeps_the_rate() -> None:
    async def main() -> list[float]:
        bucket, times = TokenBucket(10, 3), []
        for _ in range(6):
            await bucket.take()
            times.append(round(asyncio.get_running_loop().time() - 1000, 3))
        await asyncio.sleep(10)
        for _ in range(4):
            await bucket.take()
            times.append(round(asyncio.get_running_loop().time() - 1010.3, 3))
        return times

    assert run(main()) == [0, 0, 0, 0.1, 0.2, 0.3, 0, 0, 0, 0.1]


def test_bucket_keeps_the_rate_among_many_takers_and_pauses_all() -> None:
    async def main() -> list[float]:
        bucket = TokenBucket(2, 1)

        async def one() -> float:
            await bucket.take()
            return round(asyncio.get_running_loop().time() - 1000, 3)

        takers = [asyncio.create_task(one()) for _ in range(4)]
        await asyncio.sleep(0.7)
        bucket.pause(5)
        return [await taker for taker in takers]

    assert run(main()) == [0, 0.5, 5.7, 5.7]
