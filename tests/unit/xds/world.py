"""A look-aside balancer without transport: what it knows, and clients that speak to it."""

from __future__ import annotations

from itertools import count
from typing import Any

from grpcbalance.model import Ref
from grpcbalance.view import View
from grpcbalance.xds.clients import Clients, Identity, Stream
from grpcbalance.xds.directory import Directory
from grpcbalance.xds.kinds import Kind, Resource
from grpcbalance.xds.resources.names import Name
from grpcbalance.xds.session import Limits, Outcome, Request, Response
from grpcbalance.xds.store import Concern, Labels, Store
from tests.unit import factories as make
from tests.unit.xds.client_rules import address_of, message_of

Raw = dict[str, Any]

ORDERS = Ref("shop", "orders")
NAME = Name("orders", "shop", 5000)
TARGET = str(NAME)
PLURALS = {
    "GrpcBalancedService": "grpcbalancedservices",
    "Service": "services",
    "EndpointSlice": "endpointslices",
    "Namespace": "namespaces",
}
KINDS = (Kind.LISTENER, Kind.CLUSTER, Kind.ENDPOINTS)
ALL = {"namespaces": {"from": "All"}}
SAME = {"namespaces": {"from": "Same"}}


def selected(**labels: str) -> Raw:
    """allowedClients of namespaces with these labels."""
    return {"namespaces": {"from": "Selector", "selector": {"matchLabels": labels}}}


class World:
    """A View, fed by `put` and `drop`, and what stands on it. Starts with nothing."""

    def __init__(self, *raws: Raw, most: int = 100, names: int = 100, rate: float = 1000.0) -> None:
        self.view = View()
        self.store, self.directory = Store(self.view), Directory(self.view)
        self.clients = Clients(self.directory, Limits(names, 256, rate), most)
        self.now = 0.0
        self._versions = count(100)
        for raw in raws:
            self.put(raw)

    def put(self, raw: Raw, event: str = "MODIFIED") -> int:
        """An object is another now. Answers how many streams that concerns."""
        told = 0
        for concern in self.apply(raw, event):
            if isinstance(concern, Labels):
                told += self.clients.relabelled(concern.namespace, self.now)
            else:
                told += self.clients.changed(concern, self.now)
        return told

    def apply(self, raw: Raw, event: str = "MODIFIED") -> set[Concern]:
        """The same, and nobody looks at it yet."""
        raw["metadata"]["resourceVersion"] = str(next(self._versions))
        return self.store.apply(PLURALS[raw["kind"]], event, raw)

    def drop(self, raw: Raw) -> int:
        """An object is gone."""
        return self.put(raw, "DELETED")

    def client(self, namespace: str | None = "shop") -> Client:
        """A client that has just connected."""
        return Client(self, namespace)


class Client:
    """One that acknowledges whatever it gets, as gRPC's do, and keeps what is deleted only if it `ignores` that."""

    def __init__(self, world: World, namespace: str | None) -> None:
        self.world = world
        self.stream: Stream = world.clients.open("ipv4:10.0.0.1:1", Identity(namespace), since=0.0)
        self.has: dict[tuple[Kind, str], Resource] = {}
        self.names: dict[Kind, tuple[str, ...]] = {}
        self.deleted: list[tuple[Kind, str]] = []

    def ask(self, *names: str, kinds: tuple[Kind, ...] = KINDS) -> Client:
        """Subscribe to these, and read the answers."""
        for kind in kinds:
            self.names[kind] = names
            self.stream.receive(Request(kind, names))
        self.read()
        return self

    def read(self) -> list[Response]:
        """Everything that is due, each acknowledged."""
        found: list[Response] = []
        while self.stream.due.is_set():
            for response in self.take().responses:
                found.append(response)
                self._keep(response)
                self.stream.receive(Request(response.kind, self.names[response.kind], response.version, response.nonce))
        return found

    def take(self) -> Outcome:
        return self.world.clients.take(self.stream)

    def _keep(self, response: Response) -> None:
        if response.kind in (Kind.LISTENER, Kind.CLUSTER):
            told = {one.name for one in response.resources}
            self.deleted += [key for key in self.has if key[0] is response.kind and key[1] not in told]
        self.has |= {(response.kind, one.name): one for one in response.resources}

    def endpoints(self, name: str = TARGET) -> list[str]:
        """Addresses and ports that it calls."""
        message = message_of(self.has[Kind.ENDPOINTS, name])
        pairs = [address_of(one) for group in message.endpoints for one in group.lb_endpoints]
        return [f"{address}:{port}" for address, port in pairs]

    def close(self) -> None:
        self.world.clients.close(self.stream)


def orders(*addresses: str, **spec: Any) -> tuple[Raw, Raw, Raw]:
    """A service: its object, its Service, its slice."""
    return make.gbs(**spec), make.headless(), make.serving("orders", *addresses)


def left(world: World) -> tuple[object, ...]:
    """What is kept for clients; all empty when there are none."""
    return (
        list(world.clients),
        world.clients._asking,
        world.clients._shelf._built,
        world.directory._asked,
    )


NOTHING: tuple[object, ...] = ([], {}, {}, {})


def shop(*names: str) -> World:
    """Services of these names, with an endpoint each."""
    world = World()
    for number, name in enumerate(names):
        for raw in (make.gbs(name), make.headless(name), make.serving(name, f"10.1.{number}.1")):
            world.put(raw)
    return world


def of(name: str, port: int = 5000) -> str:
    """What clients call it."""
    return f"{name}.shop:{port}"
