"""A store, a source of listings and a listener, for tests of what keeps them together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any

import pytest

from grpcbalance.errors import KubeError
from grpcbalance.sync import Sync
from grpcbalance.watched import KINDS

from .fake_time import run

PATHS = tuple(kind.path for kind in KINDS)
CRS, SERVICES, SLICES, NAMESPACES, DEPLOYMENTS = PATHS[:5]


def thing(name: str, uid: str = "") -> dict[str, Any]:
    return {"metadata": {"namespace": "ns", "name": name, "uid": uid or f"uid-{name}"}}


class Store:
    """Remembers uids, and which calls it got; a key is `kind/name`."""

    def __init__(self) -> None:
        self.items: dict[str, dict[tuple[str, str], str]] = {kind.plural: {} for kind in KINDS}
        self.pruned: list[tuple[str, tuple[str, str]]] = []

    def apply(self, kind: str, event: str | None, raw: Mapping[str, Any]) -> set[str]:
        meta = raw["metadata"]
        name = meta["namespace"], meta["name"]
        before = self.items[kind].get(name)
        if event == "DELETED":
            self.items[kind].pop(name, None)
            return {f"{kind}/{name[1]}"}
        self.items[kind][name] = meta["uid"]
        return {f"{kind}/{name[1]}"} if before != meta["uid"] else set()

    def names(self, kind: str) -> Mapping[tuple[str, str], str]:
        return dict(self.items[kind])

    def prune(self, kind: str, dead: Iterable[tuple[str, str]]) -> set[str]:
        gone = list(dead)
        self.pruned += [(kind, name) for name in gone]
        for name in gone:
            del self.items[kind][name]
        return {f"{kind}/{name[1]}" for name in gone}


class Source:
    """Answers each LIST of a path with the next of its scripts, the last one for ever.

    A script is a list of pages; a page is a list of objects, an error, or a function called at that moment.
    """

    def __init__(self, **scripts: list[Any]) -> None:
        self.scripts: dict[str, list[list[Any]]] = {path: [[[]]] for path in PATHS}
        self.lists: list[tuple[str, str, float]] = []
        for plural, script in scripts.items():
            self.scripts[next(kind.path for kind in KINDS if kind.plural == plural)] = script

    async def pages(self, path: str, *, label_selector: str = "") -> AsyncIterator[dict[str, Any]]:
        self.lists.append((path, label_selector, asyncio.get_running_loop().time() - 1000))
        scripts = self.scripts[path]
        script = scripts.pop(0) if len(scripts) > 1 else scripts[0]
        page: Any
        for page in script:
            if isinstance(page, KubeError):
                raise page
            if callable(page):
                page()
            else:
                yield {"items": page}

    def times(self, path: str) -> list[float]:
        return [when for which, _, when in self.lists if which == path]


class Listener:
    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def watched(self, kind: str, event: str | None) -> None:
        self.told.append(("watched", kind, event))

    def resynced(self, kind: str, seconds: float, pruned: int) -> None:  # noqa: ARG002 - the protocol's signature
        self.told.append(("resynced", kind, pruned))

    def resync_failed(self, kind: str) -> None:
        self.told.append(("failed", kind))

    def synced(self, everything: bool) -> None:
        self.told.append(("synced", everything))


class Bench:
    def __init__(self, source: Source, interval: float = 600.0) -> None:
        self.source, self.store, self.listener = source, Store(), Listener()
        self.queue: list[tuple[str, bool]] = []
        self.sync: Sync[str] = Sync(source, self.store, self.enqueue, self.listener, interval)

    def enqueue(self, keys: Iterable[str], backlog: bool) -> None:
        self.queue += [(key, backlog) for key in sorted(keys)]

    async def run_for(self, seconds: float, meanwhile: Callable[[], None] | None = None) -> None:
        task = asyncio.create_task(self.sync.run())
        await self.sync.done.wait()
        if meanwhile:
            meanwhile()
        await asyncio.sleep(seconds)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def bench(seconds: float, source: Source, meanwhile: Callable[[Bench], None] | None = None) -> Bench:
    async def main() -> Bench:
        made = Bench(source)
        await made.run_for(seconds, (lambda: meanwhile(made)) if meanwhile else None)
        return made

    return run(main())
