"""Keeps the operator's view up to date with what the look-aside balancer tells, while any object is on xDS."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

from grpcbalance.model import Key, Ref
from grpcbalance.view import View

from .changes import any_on_xds, refs_on_xds, take
from .merge import Answers, merge, trouble
from .seen import Seen
from .steady import Steady

logger = logging.getLogger(__name__)

# Seconds between two looks.
EVERY: Final = 2.0
# Seconds that a replica may be silent before that is told: one that is replaced stays in the DNS for the half minute
# that kubeadm's and kind's CoreDNS keep and cache answers, and each object on xDS would have its status written for it,
# twice.
PATIENCE: Final = 40.0


class Listener(Protocol):
    """What is told about each look; `metrics` is the one that listens."""

    def looked_aside(self, complete: bool) -> None:
        """All replicas were asked: whether each has answered, and serves."""

    def clients_reject(self, count: int) -> None:
        """So many clients refuse something."""


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
        self._steady = Steady()
        self._problem: str | None = None
        # Since when something is wrong for all services (monotonic, seconds).
        self._troubled: float | None = None

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
        if any_on_xds(self._view):
            async with self._replicas() as replicas:
                while any_on_xds(self._view):
                    answers = await replicas.read()
                    self._digest(answers, asyncio.get_running_loop().time())
                    await asyncio.sleep(EVERY)
        self._take({})

    def _take(self, seen: Mapping[Ref, Seen]) -> None:
        if keys := take(self._view, seen):
            self._enqueue(keys)
        self._listener.clients_reject(len({one.client for what in seen.values() for one in what.rejections}))

    def _digest(self, answers: Answers, now: float) -> None:
        """Take what was answered; what was known stays while something is wrong that may be over in a moment."""
        problem = trouble(answers)
        self._troubled = (now if self._troubled is None else self._troubled) if problem else None
        self._listener.looked_aside(not problem)
        if self._troubled is not None and self._view.seen and now - self._troubled < PATIENCE:
            return
        self._take(self._steady(merge(answers, refs_on_xds(self._view)), now))
        if problem != self._problem:
            self._problem = problem
            logger.log(logging.WARNING if problem else logging.INFO, "%s", problem or "the look-aside balancer serves")
