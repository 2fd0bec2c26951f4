"""The work queue: what to reconcile next, how soon, and how soon again after a failure. Knows nothing of the work.

One key is never worked on twice at a time. A key added again while it waits stays one piece of work; added
while it is worked on, it is looked at once more afterwards. One bad key never delays another.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from .errors import Retry

logger = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)

FRESH: Final = "fresh"
BACKLOG: Final = "backlog"
LANES: Final = (FRESH, BACKLOG)

SETTLE: Final = 0.1
BACKOFF_BASE: Final = 0.5
BACKOFF_CAP: Final = 300.0
# Out of so many pieces of work one is backlog, if there is any: endless changes must not starve a resync.
_BACKLOG_SHARE: Final = 10


class Hooks(Protocol):
    """What the queue tells about itself; `metrics` is the one that listens."""

    def added(self, lane: str) -> None:
        """A key came in that was not waiting yet."""

    def started(self, key: object, waited: float) -> None:
        """Work on a key begins, so many seconds after it was due."""

    def finished(self, key: object, took: float, result: str) -> None:
        """Work ended after `took` seconds: success, requeue_after or error."""


class _Due(NamedTuple):
    """A key whose time has not come: its timer and the lane it will go to."""

    timer: asyncio.TimerHandle
    lane: str


class WorkQueue(Generic[K]):
    """Keys in, at most one reconciliation per key at a time out. Owned by one event loop, whose clock it uses."""

    def __init__(self, hooks: Hooks, jitter: Callable[[float], float] | None = None) -> None:
        """`jitter` draws the delay of a retry below its bound; the default is uniform ("full jitter")."""
        self._hooks = hooks
        self._jitter = jitter or (lambda bound: random.uniform(0.0, bound))  # noqa: S311 - spreads load, no secret
        self._due: dict[K, _Due] = {}
        # key -> when it became ready; insertion order is the order of work
        self._ready: dict[str, OrderedDict[K, float]] = {lane: OrderedDict() for lane in LANES}
        # keys in work -> when that began; keys that came again meanwhile -> their lane
        self._busy: dict[K, float] = {}
        self._again: dict[K, str] = {}
        self._failures: Counter[K] = Counter()
        self._complaints: dict[K, str] = {}
        # One permit per ready key: workers sleep on it and are woken one by one.
        self._permits = asyncio.Semaphore(0)
        self._closed = False
        self._workers = 0
        self._taken = 0

    # -- what comes in -----------------------------------------------------------------------------------

    def add(self, key: K, delay: float = SETTLE, *, backlog: bool = False) -> None:
        """Have `key` reconciled in `delay` seconds. The earliest time asked for stands; fresh beats backlog."""
        if self._closed:
            return
        lane = BACKLOG if backlog else FRESH
        if key in self._again:
            self._make_ready(key, lane)
            return
        if any(key in ready for ready in self._ready.values()):
            self._promote(key, lane)
            return
        waiting = self._due.get(key)
        if waiting is None:
            self._hooks.added(lane)
        elif waiting.lane == FRESH:
            lane = FRESH
        loop = asyncio.get_running_loop()
        due = loop.time() + delay
        if waiting is not None:
            due = min(due, waiting.timer.when())
            waiting.timer.cancel()
        if due <= loop.time():
            self._due.pop(key, None)
            self._make_ready(key, lane)
        else:
            self._due[key] = _Due(loop.call_at(due, self._come, key), lane)

    def _promote(self, key: K, lane: str) -> None:
        if lane == FRESH and key in self._ready[BACKLOG]:
            self._ready[FRESH][key] = self._ready[BACKLOG].pop(key)

    def _come(self, key: K) -> None:
        self._make_ready(key, self._due.pop(key).lane)

    def _make_ready(self, key: K, lane: str) -> None:
        if key in self._busy:
            self._again[key] = FRESH if FRESH in (lane, self._again.get(key)) else BACKLOG
            return
        self._ready[lane][key] = asyncio.get_running_loop().time()
        self._permits.release()

    # -- the work ----------------------------------------------------------------------------------------

    async def run(self, reconcile: Callable[[K], Awaitable[float | None]], workers: int) -> None:
        """Work with so many workers until `close`. `reconcile` answers in how many seconds to look again, or None."""
        self._workers = workers
        async with asyncio.TaskGroup() as group:
            for number in range(workers):
                group.create_task(self._work(reconcile), name=f"worker {number}")

    async def _work(self, reconcile: Callable[[K], Awaitable[float | None]]) -> None:
        while True:
            await self._permits.acquire()
            if self._closed:
                return
            key, since = self._take()
            loop = asyncio.get_running_loop()
            self._busy[key] = loop.time()
            self._hooks.started(key, loop.time() - since)
            result = "error"
            try:
                result = self._settle(key, await reconcile(key))
            except Exception as error:
                # One bad key must not end the operator.
                self._failed(key, error)
            finally:
                self._hooks.finished(key, loop.time() - self._busy.pop(key), result)
                self._look_again(key)

    def _take(self) -> tuple[K, float]:
        self._taken += 1
        lanes = LANES if self._taken % _BACKLOG_SHARE else LANES[::-1]
        lane = next(lane for lane in lanes if self._ready[lane])
        return self._ready[lane].popitem(last=False)

    def _settle(self, key: K, again: float | None) -> str:
        del self._failures[key]
        self._complaints.pop(key, None)
        if again is None:
            return "success"
        # A look that was only promised yields to what somebody changed.
        self.add(key, again, backlog=True)
        return "requeue_after"

    def _failed(self, key: K, error: Exception) -> None:
        self._failures[key] += 1
        bound = min(BACKOFF_CAP, BACKOFF_BASE * 2.0 ** min(self._failures[key], 20))
        delay = self._jitter(bound)
        if isinstance(error, Retry) and error.after is not None:
            # Never sooner than the server asked for; a little later, so that not all come back at once.
            delay = error.after + self._jitter(BACKOFF_BASE)
        complaint = f"{type(error).__name__}: {error}"
        if self._complaints.get(key) != complaint:
            self._complaints[key] = complaint
            expected = isinstance(error, Retry)
            logger.log(
                logging.WARNING if expected else logging.ERROR,
                "%s: %s; tried again later",
                key,
                complaint,
                exc_info=None if expected else error,
                extra={"key": str(key)},
            )
        # What came meanwhile waits, too: the later look sees it, and it must not undo the back-off.
        lane = self._forget_wishes(key)
        self.add(key, delay, backlog=lane != FRESH)

    def _look_again(self, key: K) -> None:
        if key in self._again:
            self._make_ready(key, self._forget_wishes(key) or BACKLOG)

    def _forget_wishes(self, key: K) -> str | None:
        """Drop every wish to look at `key` again; answers with the best lane among them."""
        lanes = {self._again.pop(key, None)}
        if (waiting := self._due.pop(key, None)) is not None:
            waiting.timer.cancel()
            lanes.add(waiting.lane)
        return FRESH if FRESH in lanes else max(filter(None, lanes), default=None)

    # -- the end, and what is asked about it -------------------------------------------------------------

    def close(self) -> None:
        """Take no more keys; `run` returns when those in work are done."""
        self._closed = True
        for waiting in self._due.values():
            waiting.timer.cancel()
        self._due.clear()
        # One for each worker that sleeps: it wakes, sees the flag and leaves.
        for _ in range(self._workers):
            self._permits.release()

    def depth(self, lane: str) -> int:
        """Keys whose time has come and that no worker has taken yet."""
        return len(self._ready[lane])

    def unfinished(self) -> list[float]:
        """For each key in work, the seconds since that began."""
        now = asyncio.get_running_loop().time()
        return [now - began for began in self._busy.values()]

    def idle(self) -> bool:
        """Nothing is ready and nothing in work; keys may still wait for a later time."""
        return not self._busy and not any(self._ready.values())

    def drained(self) -> bool:
        """Idle, and no key waits for a later time either."""
        return self.idle() and not self._due
