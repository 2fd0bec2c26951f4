"""Lists, then watches, each kind for ever, and feeds a store. What is known stays known while the API server is away.

Without kopf: the look-aside balancer needs nothing of it but events, and those as early as they come.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, Final, Generic, Protocol, TypeVar

from grpcbalance.errors import Expired, Gone, KubeError
from grpcbalance.kube_watch import Event
from grpcbalance.watched import Kind

logger = logging.getLogger(__name__)

K = TypeVar("K")
K_co = TypeVar("K_co", covariant=True)

# Seconds between two attempts to list; each is spread, since several replicas lose the same server.
_PAUSES: Final = (0.2, 0.5, 1.0, 2.0, 5.0)


class Source(Protocol):
    """Where listings and events come from: `kube_watch.WatchingKube`."""

    def pages(self, path: str, *, label_selector: str = "") -> AsyncIterator[dict[str, Any]]:
        """A LIST page by page."""

    def events(self, path: str, resource_version: str, label_selector: str = "") -> AsyncIterator[Event]:
        """Events since a version, until the server ends the watch."""


class Store(Protocol[K_co]):
    """Where objects go: `view.View`."""

    def apply(self, kind: str, event: str | None, raw: Mapping[str, Any]) -> Iterable[K_co]:
        """Take an object; answers with the keys that it concerns."""

    def names(self, kind: str) -> Mapping[tuple[str, str], str]:
        """Names and uids known, as a copy."""

    def prune(self, kind: str, dead: Iterable[tuple[str, str]]) -> Iterable[K_co]:
        """Forget objects; answers with the keys that this concerns."""


class Watching(Generic[K]):
    """Keeps a store up to date. `known` is set once every kind has been listed, and stays so."""

    def __init__(
        self,
        source: Source,
        store: Store[K],
        changed: Callable[[Iterable[K]], None],
        kinds: tuple[Kind, ...],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`changed` takes the keys of each event, and of each listing but the first of a kind."""
        self._source, self._store, self._changed, self._kinds = source, store, changed, kinds
        self._clock = clock
        self._trouble = {kind.plural: "not listed yet" for kind in kinds}
        self._unlisted = {kind.plural for kind in kinds}
        # Since when a kind may have changed unseen.
        self._lost: dict[str, float] = {}
        self.known = asyncio.Event()

    def trouble(self) -> dict[str, str]:
        """What keeps each kind from being up to date, by plural; empty when all is well."""
        return {plural: text for plural, text in self._trouble.items() if text}

    def age(self) -> float:
        """For how many seconds something may have changed unseen; 0 while all watches stand."""
        return self._clock() - min(self._lost.values()) if self._lost else 0.0

    async def run(self) -> None:
        """List and watch, for ever."""
        async with asyncio.TaskGroup() as group:
            for kind in self._kinds:
                group.create_task(self._follow(kind), name=f"watch {kind.plural}")

    async def _follow(self, kind: Kind) -> None:
        failures = 0
        while True:
            try:
                version = await self._list(kind)
                failures = 0
                await self._watch(kind, version)
            except Expired:
                # Too much has changed; nothing is wrong with the server.
                continue
            except KubeError as error:
                if isinstance(error, Gone) and kind.optional and kind.plural in self._unlisted:
                    self._listed(kind)
                self._note(kind, str(error))
                pause = _PAUSES[min(failures, len(_PAUSES) - 1)]
                await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311 - spreads load, no secret
                failures += 1

    def _note(self, kind: Kind, trouble: str) -> None:
        if self._trouble[kind.plural] != trouble:
            self._trouble[kind.plural] = trouble
            logger.warning("%s: %s; trying again", kind.plural, trouble, extra={"resource": kind.plural})
        self._lost.setdefault(kind.plural, self._clock())

    def _listed(self, kind: Kind) -> None:
        self._unlisted.discard(kind.plural)
        self._trouble[kind.plural] = ""
        self._lost.pop(kind.plural, None)
        if not self._unlisted:
            self.known.set()

    async def _list(self, kind: Kind) -> str:
        """One complete listing; answers with its version, from which on it can be watched."""
        alive: set[tuple[str, str]] = set()
        keys: set[K] = set()
        version = ""
        async for page in self._source.pages(kind.path, label_selector=kind.label_selector):
            # That of the whole listing: its later pages repeat it.
            version = page["metadata"]["resourceVersion"]
            for raw in page["items"]:
                alive.add((raw["metadata"].get("namespace", ""), raw["metadata"]["name"]))
                keys.update(self._store.apply(kind.plural, None, raw))
        dead = self._store.names(kind.plural).keys() - alive
        keys.update(self._store.prune(kind.plural, dead))
        if kind.plural not in self._unlisted:
            self._changed(keys)
        self._listed(kind)
        return version

    async def _watch(self, kind: Kind, version: str) -> None:
        while True:
            async for event in self._source.events(kind.path, version, kind.label_selector):
                version = event.object["metadata"]["resourceVersion"]
                if event.type != "BOOKMARK":
                    self._changed(self._store.apply(kind.plural, event.type, event.object))
