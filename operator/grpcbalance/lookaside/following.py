"""Keeps the operator's view up to date with what the look-aside balancer tells, while any object is on xDS."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

from grpcbalance.model import Key, Ref
from grpcbalance.view import View

from .changes import refs_on_xds, take
from .merge import Answers, Lingering, merge, trouble
from .seen import Seen

logger = logging.getLogger(__name__)

# Seconds between two looks.
EVERY: Final = 2.0


class Listener(Protocol):
    """What is told about each look; `metrics` is the one that listens."""

    def looked_aside(self, complete: bool, rejected: int) -> None:
        """All replicas were asked: whether each has answered, and how many clients refuse something."""


class Replicas(Protocol):
    """Who asks them; `reading.Reader` is the real one."""

    async def read(self) -> Answers:
        """Ask all of them."""


class Following:
    """`run` never ends. It asks nobody anything while there is no object on xDS."""

    def __init__(
        self,
        view: View,
        replicas: Callable[[], AbstractAsyncContextManager[Replicas]],
        enqueue: Callable[[Iterable[Key]], None],
        listener: Listener,
    ) -> None:
        self._view, self._replicas, self._enqueue, self._listener = view, replicas, enqueue, listener
        self._lingering = Lingering()
        self._problem: str | None = None

    async def run(self) -> None:
        """Look every other second, for ever."""
        while True:
            try:
                await self._follow()
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                # kopf ends, and takes a connection of ours for one of its.
            except Exception:
                logger.exception("the look-aside balancer cannot be asked, beginning anew")
            await asyncio.sleep(EVERY)

    async def _follow(self) -> None:
        """Until no object is on xDS any more."""
        if not refs_on_xds(self._view):
            self._take({})
            return
        async with self._replicas() as replicas:
            while refs_on_xds(self._view):
                answers = await replicas.read()
                # They may be others by now.
                seen = merge(answers, refs_on_xds(self._view))
                self._take(self._lingering(seen, time.monotonic()))
                self._tell(answers, seen)
                await asyncio.sleep(EVERY)
        self._take({})

    def _take(self, seen: Mapping[Ref, Seen]) -> None:
        if keys := take(self._view, seen):
            self._enqueue(keys)

    def _tell(self, answers: Answers, seen: Mapping[Ref, Seen]) -> None:
        rejected = {rejection.client for one in seen.values() for rejection in one.rejections}
        self._listener.looked_aside(bool(answers.pages) and not answers.silent, len(rejected))
        problem = trouble(answers)
        if problem != self._problem:
            self._problem = problem
            logger.log(logging.WARNING if problem else logging.INFO, "%s", problem or "the look-aside balancer serves")
