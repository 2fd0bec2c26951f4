"""What /debug/services tells: which services are known and ready, and how their clients take them. No I/O.

The operator reads it from every replica, every other second, and tells in status what follows from it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from grpcbalance.api import MAX_DOWNGRADES
from grpcbalance.errors import one_line
from grpcbalance.lookaside.libraries import known
from grpcbalance.lookaside.page import (
    CLUSTER,
    MAX_REJECTIONS,
    MESSAGE,
    NODE,
    VERSION,
    WORD,
    Client,
    Downgraded,
    Ports,
    Rejected,
    Service,
)
from grpcbalance.model import Ref

from .clients import Clients, Stream
from .directory import Directory, ref_of
from .resources.names import Name, parse

# So many services at a time; what each takes is little.
_AT_ONCE: Final = 50


@dataclass(slots=True)
class _Found:
    """What streams tell of one service."""

    clients: dict[int, None] = field(default_factory=dict)
    rejections: dict[Rejected, None] = field(default_factory=dict)
    downgrades: dict[Downgraded, None] = field(default_factory=dict)


class _Gathering:
    """Goes through streams one by one; a stream that ends meanwhile asks for nothing any more."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self.numbers: dict[Client, int] = {}
        self.found: dict[Ref, _Found] = {}
        # Thousands of clients are of the same few libraries.
        self._looked: set[tuple[Name, str, str]] = set()

    def add(self, stream: Stream) -> None:
        """Take what a stream tells."""
        client = _client(stream)
        for name in sorted(name for name in stream.names if ref_of(name) in stream.admitted):
            about = self.found.setdefault(ref_of(name), _Found())
            about.clients[self.numbers.setdefault(client, len(self.numbers))] = None
            self._downgrades(about, name, stream, client)
        for rejected, ref in _rejections(stream, client):
            about = self.found.setdefault(ref, _Found())
            if len(about.rejections) < MAX_REJECTIONS:
                about.rejections[rejected] = None

    def _downgrades(self, about: _Found, name: Name, stream: Stream, client: Client) -> None:
        agent, version = (client.agent, client.version) if known(client.agent, client.version) else ("", "")
        looked = name, agent, version
        if looked in self._looked or len(about.downgrades) >= MAX_DOWNGRADES:
            return
        self._looked.add(looked)
        for one in self._clients.downgrades(name, stream.node)[: MAX_DOWNGRADES - len(about.downgrades)]:
            made = Downgraded(agent=agent, version=version, feature=one.feature, what=one.what)
            about.downgrades[made] = None


async def page(clients: Clients, directory: Directory, ports: Ports) -> str:
    """What there is to tell of all services: a `lookaside.page.Page` as JSON.

    It is made client by client, and other work goes on in between, as for /debug/clients.
    """
    gathering = _Gathering(clients)
    for stream in sorted(clients, key=lambda stream: stream.since):
        gathering.add(stream)
        await asyncio.sleep(0)
    told = []
    for number, (ref, ready) in enumerate(sorted(directory.ready().items())):
        told.append(_service(ref, ready, gathering.found.get(ref, _Found())).model_dump_json(by_alias=True))
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0)
    listed = [client.model_dump_json(by_alias=True) for client in gathering.numbers]
    return (
        f'{{"version":"{VERSION}","ports":{ports.model_dump_json(by_alias=True)},'
        f'"clients":[{",".join(listed)}],"services":[{",".join(told)}]}}'
    )


def _client(stream: Stream) -> Client:
    node, identity = stream.node, stream.identity
    return Client(
        cluster=one_line(identity.namespace or node.cluster, CLUSTER),
        node=one_line(identity.pod or node.id, NODE),
        agent=one_line(node.agent, WORD),
        version=one_line(node.version, WORD),
    )


def _rejections(stream: Stream, client: Client) -> Iterable[tuple[Rejected, Ref]]:
    for one in stream.subscriptions():
        if one.rejection is None:
            continue
        rejected = Rejected(
            cluster=client.cluster,
            node=client.node,
            kind=one.kind.name.lower(),
            message=one_line(one.rejection.message, MESSAGE),
        )
        for name in map(parse, one.refused):
            if name is not None and ref_of(name) in stream.admitted:
                yield rejected, ref_of(name)


def _service(ref: Ref, ready: bool, about: _Found) -> Service:
    return Service(
        namespace=ref.namespace,
        name=ref.name,
        ready=ready,
        clients=tuple(about.clients),
        rejections=tuple(about.rejections),
        downgrades=tuple(about.downgrades),
    )
