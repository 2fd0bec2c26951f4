"""What is known stays known while the API server is away, and becomes right again when it is back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from typing import Any

import pytest

from grpcbalance.errors import Expired, Gone, KubeError, Retry
from grpcbalance.kube_watch import Event
from grpcbalance.model import Key, Ref
from grpcbalance.view import View
from grpcbalance.watched import KINDS, Kind
from grpcbalance.xds.watching import Watching
from tests.unit import factories as make
from tests.unit.fake_time import run

Raw = dict[str, Any]
SLICES = next(kind for kind in KINDS if kind.plural == "endpointslices")
OBJECTS = next(kind for kind in KINDS if kind.plural == "grpcbalancedservices")


class Server:
    """Collections that can be changed, and trouble that can be made."""

    def __init__(self, *objects: Raw) -> None:
        self.objects = {item["metadata"]["name"]: item for item in objects}
        self.events_of: asyncio.Queue[Event | KubeError] = asyncio.Queue()
        self.away: KubeError | None = None
        self.listed: list[float] = []
        self.asked: list[str] = []

    async def pages(self, path: str, *, label_selector: str = "") -> AsyncIterator[Raw]:
        self.listed.append(round(asyncio.get_running_loop().time() - 1000, 3))
        self.asked.append(f"{path} {label_selector}")
        if self.away is not None:
            raise self.away
        halves = list(self.objects.values())
        for page in (halves[:1], halves[1:]):
            yield {"metadata": {"resourceVersion": "70"}, "items": page}

    async def events(self, path: str, resource_version: str, label_selector: str = "") -> AsyncIterator[Event]:
        self.asked.append(f"{path} {label_selector} since {resource_version}")
        if self.away is not None:
            raise self.away
        while True:
            event = await self.events_of.get()
            if isinstance(event, KubeError):
                raise event
            yield event
            if event.type == "BOOKMARK":
                # As if the server ended the watch after it.
                return


class World:
    """A watching, its store, and what it told."""

    def __init__(self, server: Server, kind: Kind = SLICES) -> None:
        self.server, self.view, self.told = server, View(), list[Key]()
        clock = asyncio.get_running_loop().time
        self.watching: Watching[Key] = Watching(server, self.view, self._changed, (kind,), clock)

    def _changed(self, keys: Iterable[Key]) -> None:
        self.told += keys


def play(server: Server, story: Any, kind: Kind = SLICES) -> None:
    """Run a story, a function of the World, while it watches."""

    async def main() -> None:
        world = World(server, kind)
        task = asyncio.create_task(world.watching.run())
        try:
            await story(world)
        finally:
            task.cancel()

    main_: Coroutine[Any, Any, None] = main()
    run(main_)


def piece(name: str = "orders-1", version: str = "5", *addresses: str) -> Raw:
    made = make.serving("orders", *addresses) if addresses else make.serving("orders")
    return made | {"metadata": made["metadata"] | {"name": name, "resourceVersion": version, "uid": f"uid-{name}"}}


def names(world: World) -> list[str]:
    return sorted(ref.name for ref in world.view.slices)


def test_the_first_listing_tells_nothing_and_then_each_event_does() -> None:
    async def story(world: World) -> None:
        await world.watching.known.wait()
        assert names(world) == ["one"]
        assert world.told == []
        world.server.events_of.put_nowait(Event("ADDED", piece("two", "71")))
        await asyncio.sleep(0.001)
        assert names(world) == ["one", "two"]
        assert Ref("shop", "orders") in {key.ref for key in world.told}
        assert world.watching.trouble() == {}
        assert world.watching.age() == 0.0

    play(Server(piece("one")), story)


def test_a_watch_that_ends_goes_on_from_where_it_was() -> None:
    async def story(world: World) -> None:
        bookmark = Event("BOOKMARK", {"metadata": {"resourceVersion": "90"}})
        await world.watching.known.wait()
        world.server.events_of.put_nowait(bookmark)
        await asyncio.sleep(0.001)
        assert len(world.server.listed) == 1
        path = "/apis/discovery.k8s.io/v1/endpointslices grpcbalance.dev/service"
        assert world.server.asked == [path, f"{path} since 70", f"{path} since 90"]

    play(Server(piece("one")), story)


def test_while_the_server_is_away_everything_stays_and_its_age_grows() -> None:
    async def story(world: World) -> None:
        await world.watching.known.wait()
        world.server.away = Retry(None, "away")
        world.server.events_of.put_nowait(world.server.away)
        await asyncio.sleep(60)
        assert names(world) == ["one", "two"]
        assert world.watching.known.is_set()
        assert world.watching.trouble() == {"endpointslices": "away"}
        assert world.watching.age() == pytest.approx(60, abs=0.1)
        assert len(world.server.listed) < 25
        world.server.away = None
        del world.server.objects["two"]
        await asyncio.sleep(6.1)
        assert names(world) == ["one"]
        assert world.told != []
        assert world.watching.age() == 0.0

    play(Server(piece("one"), piece("two")), story)


def test_an_expired_watch_lists_again_at_once() -> None:
    async def story(world: World) -> None:
        await world.watching.known.wait()
        world.server.objects["two"] = piece("two", "80")
        world.server.events_of.put_nowait(Expired("too old"))
        await asyncio.sleep(0.001)
        assert names(world) == ["one", "two"]

    play(Server(piece("one")), story)


def test_nothing_is_known_before_the_first_listing() -> None:
    async def story(world: World) -> None:
        await asyncio.sleep(30)
        assert not world.watching.known.is_set()
        assert world.watching.trouble() == {"endpointslices": "away"}
        world.server.away = None
        await asyncio.sleep(6.1)
        assert world.watching.known.is_set()

    server = Server(piece("one"))
    server.away = Retry(None, "away")
    play(server, story)


def test_a_kind_that_is_not_defined_yet_is_known_to_be_empty() -> None:
    async def story(world: World) -> None:
        await asyncio.sleep(0.001)
        assert world.watching.known.is_set()
        world.server.away, world.server.objects = None, {"orders": make.gbs()}
        await asyncio.sleep(6.1)
        assert list(world.view.balanced) == [Ref("shop", "orders")]
        # Its definition is deleted: that takes nothing from running clients.
        world.server.away = Gone("no such kind")
        world.server.events_of.put_nowait(world.server.away)
        await asyncio.sleep(60)
        assert list(world.view.balanced) == [Ref("shop", "orders")]

    server = Server()
    server.away = Gone("no such kind")
    play(server, story, OBJECTS)
