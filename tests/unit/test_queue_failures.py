"""What fails is tried again, ever later, and delays nothing else."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from grpcbalance.errors import Retry
from grpcbalance.queue import BACKOFF_CAP, WorkQueue

from .fake_time import run
from .working import Hooks, Work, make, settle, working


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
