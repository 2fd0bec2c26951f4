"""Changes go out at once, unless they follow each other."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from grpcbalance.xds.gather import LONGEST, QUIET, Gather
from tests.unit.fake_time import run


def flushes(*changes: tuple[float, str], concerned: int = 1) -> list[tuple[float, str]]:
    """What goes out, and when, if keys change at these moments (seconds, ascending) and concern so many clients."""
    out: list[tuple[float, str]] = []

    async def play() -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()

        def flush(key: str) -> int:
            out.append((round(loop.time() - begun, 6), key))
            return concerned

        gather: Gather[str] = Gather(flush)
        for at, key in changes:
            await asyncio.sleep(begun + at - loop.time())
            gather.changed(key)
        await asyncio.sleep(LONGEST + 1)

    run(play())
    return out


def test_a_single_change_goes_out_at_once() -> None:
    assert flushes((0.5, "a")) == [(0.5, "a")]


def test_those_that_follow_go_out_together_when_it_is_quiet() -> None:
    assert flushes((0.0, "a"), (0.01, "a"), (0.05, "a")) == [(0.0, "a"), (0.15, "a")]


def test_an_endless_series_goes_out_every_second() -> None:
    out = flushes(*((number * 0.06, "a") for number in range(60)))
    assert [at for at, _ in out[:3]] == [0.0, 1.06, 2.08]


def test_after_a_pause_a_change_goes_out_at_once_again() -> None:
    assert flushes((0.0, "a"), (0.11, "a"), (0.3, "a")) == [(0.0, "a"), (0.11, "a"), (0.3, "a")]


def test_keys_do_not_wait_for_each_other() -> None:
    assert flushes((0.0, "a"), (0.01, "a"), (0.02, "b")) == [(0.0, "a"), (0.02, "b"), (0.11, "a")]


def test_what_concerns_nobody_delays_nothing() -> None:
    assert flushes((0.0, "a"), (0.001, "a"), concerned=0) == [(0.0, "a"), (0.001, "a")]


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=40).map(sorted))
def test_whatever_comes_is_told_once_within_a_second(moments: list[int]) -> None:
    changes = [number / 1000 for number in moments]
    out = [at for at, _ in flushes(*((at, "a") for at in changes))]
    assert all(later - before >= QUIET - 1e-6 for before, later in pairwise(out))
    assert all(any(at <= told <= at + LONGEST + 1e-6 for told in out) for at in changes)
    # Nothing goes out without a change since the last time.
    assert all(any(before <= at <= later for at in changes) for before, later in pairwise([-1.0, *out]))
