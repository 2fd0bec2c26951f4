"""Complete listings: the first one, before anything is decided, and those that repair what watches lost.

kopf tells of every change that it sees, but forgets deletions that happen while it begins a watch anew. So
everything, events and listings alike, comes in through `Sync.take`, and every so often a listing tells which
objects are no more.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar

from .errors import Gone, Invalid, KubeError
from .kinds import WORKLOADS
from .names import GROUP, LABEL_SERVICE, PLURAL, VERSION

logger = logging.getLogger(__name__)

K_co = TypeVar("K_co", covariant=True)
K = TypeVar("K")

# kopf begins a watch anew with a listing that tells no deletions; so long after its end one of ours does.
_AFTER_RELIST: Final = 5.0
_BACKOFF: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0)
# A kind that is said to be gone is asked for twice: while an API server starts it knows no kinds of CRDs.
_GONE_TWICE: Final = 5.0


class Kind(NamedTuple):
    """A kind as it is listed and watched. `optional`: its definition may come later, or go."""

    group: str
    version: str
    plural: str
    label_selector: str = ""
    optional: bool = False

    @property
    def path(self) -> str:
        """Of the LIST over all namespaces."""
        prefix = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        return f"{prefix}/{self.plural}"


KINDS: Final = (
    Kind(GROUP, VERSION, PLURAL, optional=True),
    Kind("", "v1", "services"),
    Kind("discovery.k8s.io", "v1", "endpointslices", label_selector=LABEL_SERVICE),
    Kind("", "v1", "namespaces"),
    *(Kind(workload.group, workload.version, workload.plural) for workload in WORKLOADS),
)
# Verbs that listing and watching need, per kind; manifests/ is compared with it.
VERBS: Final = frozenset({"list", "watch"})


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

    def synced(self) -> None:
        """Every kind was listed once."""


class _State:
    """Of one kind: what is wrong with it, deletions seen during a listing, and the wish for the next one."""

    def __init__(self) -> None:
        self.trouble = "not listed yet"
        self.listed = False
        # uids that a watch saw deleted since the listing in progress began, None when there is none
        self.deleted: set[str] | None = None
        self.due = asyncio.Event()
        # when kopf's own listing last told of an object
        self.relisted = float("-inf")
        self.timer: asyncio.TimerHandle | None = None


class Sync(Generic[K]):
    """Feeds a store from listings and watches, and hands the keys on. One event loop owns it."""

    def __init__(
        self,
        source: Source,
        store: Store[K],
        enqueue: Callable[[Iterable[K], bool], None],
        listener: Listener,
        interval: float,
    ) -> None:
        """`enqueue` takes keys and whether they are backlog; `interval` is the seconds between two listings."""
        self._source, self._store, self._enqueue, self._listener = source, store, enqueue, listener
        self._interval = interval
        self._states = {kind.plural: _State() for kind in KINDS}
        self.done = asyncio.Event()

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

    async def seed(self) -> None:
        """Until every kind has been listed once, however long that takes. Nothing is enqueued."""
        async with asyncio.TaskGroup() as group:
            for kind in KINDS:
                group.create_task(self._until_listed(kind, enqueue=False), name=f"seed {kind.plural}")
        self._listener.synced()
        self.done.set()

    async def run(self) -> None:
        """List each kind every so often, for ever; begins to count when all were listed once."""
        async with asyncio.TaskGroup() as group:
            for kind in KINDS:
                group.create_task(self._again_and_again(kind), name=f"resync {kind.plural}")

    async def _again_and_again(self, kind: Kind) -> None:
        state = self._states[kind.plural]
        await self.done.wait()
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
                delay = _BACKOFF[min(attempt, len(_BACKOFF) - 1)]
                await asyncio.sleep(delay * random.uniform(0.8, 1.2))  # noqa: S311 - spreads load, no secret
                attempt += 1
            else:
                state.trouble = ""
                state.listed = True
                return

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
