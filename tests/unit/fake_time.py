"""An event loop whose clock jumps: what sleeps wakes at once, in order, at the time it asked for."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _NoWait(selectors.DefaultSelector):
    """Never waits for time to pass; lets the loop's clock jump instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise AssertionError("everything waits for something that will never come")
        self.now += max(0.0, timeout)
        return super().select(0)


def run(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run`, in fake time."""
    selector = _NoWait()
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.now  # type: ignore[method-assign] # the whole point
    loop._clock_resolution = 1e-9  # type: ignore[attr-defined]  # so that timers fire at their very moment
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(main)
