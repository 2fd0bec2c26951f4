"""The token bucket before every write."""

from __future__ import annotations

import asyncio

from grpcbalance.bucket import TokenBucket

from .fake_time import run


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


def test_what_counts_more_takes_longer_and_who_had_to_wait_is_told() -> None:
    async def main() -> list[tuple[float, bool]]:
        bucket, times = TokenBucket(10, 5), []
        for tokens in (4.0, 1.0, 2.5, 0.5):
            short = await bucket.take(tokens)
            times.append((round(asyncio.get_running_loop().time() - 1000, 3), short))
        return times

    assert run(main()) == [(0, False), (0, False), (0.25, True), (0.3, True)]


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
