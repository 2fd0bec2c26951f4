"""Complete listings: the first one, before anything is decided, and those that repair what watches lost.

kopf tells of every change that it sees, but forgets deletions that happen while it begins a watch anew. So
everything, events and listings alike, comes in through `Sync.take`, and every so often a listing tells which
objects are no more.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, Final, Generic, Protocol, TypeVar

from .errors import Gone, Invalid, KubeError
from .watched import KINDS, Kind

logger = logging.getLogger(__name__)

K_co = TypeVar("K_co", covariant=True)
K = TypeVar("K")

# kopf begins a watch anew with a listing that tells no deletions; so long after its end one of ours does.
_AFTER_RELIST: Final = 5.0
_BACKOFF: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0)
# A kind that is said to be gone is asked for twice: while an API server starts it knows no kinds of CRDs.
_GONE_TWICE: Final = 5.0


class Store(Protocol[K_co]):
    """Where objects go: `view.View`."""

    def apply(self, kind: str, event: str | None, raw: Mapping[str, Any]) -> Iterable[K_co]:
        """Take an object; answers with the keys that it concerns."""

    def names(self, kind: str) -> Mapping[tuple[str, str], str]:
        """Names and uids known, as a copy."""

    def prune(self, kind: str, dead: Iterable[tuple[str, str]]) -> Iterable[K_co]:
        """Forget objects; answers with the keys that this concerns."""


class Source(Protocol):
    """Where listings come from: `kube.Kube`."""

    def pages(self, path: str, *, label_selector: str = "") -> AsyncIterator[dict[str, Any]]:
        """A LIST page by page."""


class Listener(Protocol):
    """What is told; `metrics` is the one that listens."""

    def watched(self, kind: str, event: str | None) -> None:
        """A watch told of an object."""

    def resynced(self, kind: str, seconds: float, pruned: int) -> None:
        """A complete listing is done."""

    def resync_failed(self, kind: str) -> None:
        """A complete listing failed."""

    def synced(self, everything: bool) -> None:
        """Whether every kind is known by now; not any more, when a permission went."""


class _State:
    """Of one kind: what is wrong with it, deletions seen during a listing, and the wish for the next one."""

    def __init__(self) -> None:
        self.trouble = "not listed yet"
        # ever listed; listed, and kept up to date since
        self.listed = self.current = False
        # the next attempt is due at once
        self.retry = asyncio.Event()
        # uids that a watch saw deleted since the listing in progress began, None when there is none
        self.deleted: set[str] | None = None
        self.due = asyncio.Event()
        # when kopf's own listing last told of an object
        self.relisted = float("-inf")
        self.timer: asyncio.TimerHandle | None = None


class Sync(Generic[K]):
    """Feeds a store from listings and watches, and hands the keys on. One event loop owns it.

    `done` is set while everything is known, `undone` while it is not: before the first listings, and while a kind
    is barred.
    """

    def __init__(
        self,
        source: Source,
        store: Store[K],
        enqueue: Callable[[Iterable[K], bool], None],
        listener: Listener,
        interval: float,
        kinds: tuple[Kind, ...] = KINDS,
    ) -> None:
        """`enqueue` takes keys and whether they are backlog; `interval` is the seconds between two listings."""
        self._source, self._store, self._enqueue, self._listener = source, store, enqueue, listener
        self._interval = interval
        self._kinds = kinds
        self._states = {kind.plural: _State() for kind in kinds}
        self._barred: frozenset[str] = frozenset()
        self.done, self.undone = asyncio.Event(), asyncio.Event()
        self.undone.set()
        self._news = asyncio.Event()

    def trouble(self) -> dict[str, str]:
        """What keeps each kind from being known, by plural; empty when all is well."""
        return {plural: state.trouble for plural, state in self._states.items() if state.trouble}

    def take(self, plural: str, event: str | None, raw: Mapping[str, Any]) -> None:
        """An object of a watch; `event` is None when it comes from the listing before it."""
        state = self._states[plural]
        self._listener.watched(plural, event)
        if event == "DELETED" and state.deleted is not None:
            state.deleted.add(raw["metadata"]["uid"])
        if event is None:
            state.relisted = asyncio.get_running_loop().time()
            self._wish(state, _AFTER_RELIST)
        self._enqueue(self._store.apply(plural, event, raw), False)

    def hurry(self) -> None:
        """List everything again soon: watches were interrupted."""
        for state in self._states.values():
            self._wish(state, _AFTER_RELIST)

    def bar(self, plurals: Iterable[str]) -> None:
        """Say which kinds may not be listed or watched now. Such a kind is unknown until it was listed afterwards."""
        barred = frozenset(plurals) & self._states.keys()
        for plural in barred ^ self._barred:
            self._states[plural].current = False
            self._wish(self._states[plural], 0.0)
        self._barred = barred
        for state in self._states.values():
            state.retry.set()
        self._settle()

    @property
    def watchable(self) -> tuple[Kind, ...]:
        """Kinds that are not barred."""
        return tuple(kind for kind in self._kinds if kind.plural not in self._barred)

    async def ready(self) -> None:
        """Return when everything that may be listed has been: from then on it may be watched."""
        while not all(state.current or plural in self._barred for plural, state in self._states.items()):
            self._news.clear()
            await self._news.wait()

    async def run(self) -> None:
        """List each kind, however long the first time takes, then every so often, for ever.

        The first listing of a kind enqueues nothing: who waits for `done` has everything done then.
        """
        async with asyncio.TaskGroup() as group:
            for kind in self._kinds:
                group.create_task(self._again_and_again(kind), name=f"list {kind.plural}")

    def _settle(self) -> None:
        """Set `done` and `undone` to what is so, and wake who waits."""
        everything = not self._barred and all(state.current for state in self._states.values())
        if everything != self.done.is_set():
            before, now = (self.undone, self.done) if everything else (self.done, self.undone)
            before.clear()
            now.set()
            self._listener.synced(everything)
        self._news.set()

    async def _again_and_again(self, kind: Kind) -> None:
        state = self._states[kind.plural]
        await self._until_listed(kind, enqueue=False)
        while True:
            self._wish(state, self._interval * random.uniform(0.8, 1.2))  # noqa: S311 - spreads load, no secret
            await state.due.wait()
            while (wait := state.relisted + _AFTER_RELIST - asyncio.get_running_loop().time()) > 0:  # noqa: ASYNC110
                # It may go on; there is no event for its end.
                await asyncio.sleep(wait)
            state.due.clear()
            await self._until_listed(kind, enqueue=True)

    def _wish(self, state: _State, delay: float) -> None:
        """The earliest time wished for stands."""
        loop = asyncio.get_running_loop()
        due = loop.time() + delay
        if state.timer is not None and not state.timer.cancelled() and loop.time() < state.timer.when() <= due:
            return
        if state.timer is not None:
            state.timer.cancel()
        state.timer = loop.call_at(due, state.due.set)

    async def _until_listed(self, kind: Kind, *, enqueue: bool) -> None:
        state, attempt, complaint = self._states[kind.plural], 0, ""
        while True:
            state.retry.clear()
            try:
                await self._list(kind, state, enqueue=enqueue)
            except KubeError as error:
                self._listener.resync_failed(kind.plural)
                if complaint != str(error):
                    complaint = str(error)
                    extra = {"verb": "list", "resource": kind.plural}
                    logger.warning("cannot list %s, trying on: %s", kind.plural, error, extra=extra)
                if not state.listed or isinstance(error, Invalid):
                    # Once all is known, an API server that is away makes nothing unknown; a missing permission does.
                    state.trouble = str(error)
                await self._pause(state, _BACKOFF[min(attempt, len(_BACKOFF) - 1)])
                attempt += 1
            else:
                state.trouble = ""
                state.listed = state.current = True
                self._settle()
                return

    async def _pause(self, state: _State, delay: float) -> None:
        """Wait before the next attempt, unless there is reason to believe that it will go better now."""
        spread = delay * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, no secret
        # No wait_for: it makes a task, which kopf takes for one of its own and cancels when it ends; and a cancelled
        # listing is one that nobody misses.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(spread):
                await state.retry.wait()

    async def _list(self, kind: Kind, state: _State, *, enqueue: bool) -> None:
        """One complete listing. Only what was known before it began, and is still the same object, can be dead."""
        loop = asyncio.get_running_loop()
        began, before = loop.time(), self._store.names(kind.plural)
        state.deleted = set()
        try:
            alive = await self._read(kind, state.deleted, enqueue=enqueue)
        finally:
            state.deleted = None
        now = self._store.names(kind.plural)
        dead = [name for name, uid in before.items() if name not in alive and now.get(name) == uid]
        self._hand_on(self._store.prune(kind.plural, dead), enqueue)
        if dead:
            logger.info("%d %s were deleted unseen", len(dead), kind.plural, extra={"resource": kind.plural})
        self._listener.resynced(kind.plural, loop.time() - began, len(dead))

    async def _read(self, kind: Kind, deleted: set[str], *, enqueue: bool) -> set[tuple[str, str]]:
        alive: set[tuple[str, str]] = set()
        async for page in self._pages(kind):
            for raw in page["items"]:
                meta = raw["metadata"]
                # A page tells of the moment the listing began; a deletion seen since is newer.
                if meta["uid"] not in deleted:
                    alive.add((meta.get("namespace", ""), meta["name"]))
                    self._hand_on(self._store.apply(kind.plural, None, raw), enqueue)
        return alive

    async def _pages(self, kind: Kind) -> AsyncIterator[dict[str, Any]]:
        for last in (False, True):
            try:
                async for page in self._source.pages(kind.path, label_selector=kind.label_selector):
                    yield page
                return
            except Gone:
                if not kind.optional:
                    raise
            if not last:
                await asyncio.sleep(_GONE_TWICE if self._states[kind.plural].listed else 0)
        logger.info("%s are not defined in this cluster", kind.plural, extra={"resource": kind.plural})

    def _hand_on(self, keys: Iterable[K], enqueue: bool) -> None:
        # The store must be told of every object even if nobody wants its keys.
        found = list(keys)
        if enqueue and found:
            self._enqueue(found, True)
