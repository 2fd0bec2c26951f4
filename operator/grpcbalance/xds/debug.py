"""What /debug/clients tells: who is connected, what it asked for, has accepted, and has refused. No I/O.

The operator reads it to tell in status who follows by xDS and who does not; people read it when something is amiss.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from grpcbalance.moments import to_text

from .clients import Clients, Stream
from .session import Subscription

VERSION: Final = "v1"


class _Model(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


class Rejected(_Model):
    """The last response that was refused (NACK): names in it, and the client's words."""

    names: tuple[str, ...]
    message: str


class Asked(_Model):
    """One kind of resources. `refused`: names of refused responses that were not accepted since."""

    kind: str
    names: tuple[str, ...]
    sent: str | None
    acknowledged: str | None
    in_flight: bool
    rejection: Rejected | None
    refused: tuple[str, ...]


class Downgraded(_Model):
    """A field of the spec of a service that is called `name`, and what this client does instead."""

    name: str
    feature: str
    what: str


class Told(_Model):
    """A connected client. `namespace` and `pod` are proven, `cluster` to `zone` are its own words.

    `tolerated`: services, as namespace/name, that it would not be let in to any more, and is told about until it asks
    anew. `downgraded`: what it does not do of what services say, since xDS or its library cannot. `slowed`: so many of
    its requests had to wait, since it sends more than --requests-per-second.
    """

    peer: str
    since: str
    namespace: str | None
    pod: str | None
    cluster: str
    node: str
    agent: str
    version: str
    zone: str
    slowed: int = 0
    tolerated: tuple[str, ...]
    downgraded: tuple[Downgraded, ...]
    asked: tuple[Asked, ...]


class Page(_Model):
    """All clients of one replica."""

    version: Literal["v1"] = VERSION
    clients: tuple[Told, ...]


async def page(clients: Clients) -> str:
    """What there is to tell of connected clients, the oldest first: a Page as JSON.

    It is made client by client, and other work goes on in between: thousands of them take most of a second.
    """
    told = []
    for stream in sorted(clients, key=lambda stream: stream.since):
        told.append(_told(clients, stream).model_dump_json(by_alias=True))
        await asyncio.sleep(0)
    return f'{{"version":"{VERSION}","clients":[{",".join(told)}]}}'


def _told(clients: Clients, stream: Stream) -> Told:
    node, identity = stream.node, stream.identity
    return Told(
        peer=stream.peer,
        since=to_text(datetime.fromtimestamp(stream.since, UTC)),
        namespace=identity.namespace,
        pod=identity.pod,
        cluster=node.cluster,
        node=node.id,
        agent=node.agent,
        version=node.version,
        zone=node.zone,
        slowed=stream.slowed,
        tolerated=tuple(f"{ref.namespace}/{ref.name}" for ref in clients.tolerated(stream)),
        downgraded=tuple(Downgraded(name=str(name), **one._asdict()) for name, one in clients.downgraded(stream)),
        asked=tuple(map(_asked, stream.subscriptions())),
    )


def _asked(one: Subscription) -> Asked:
    rejection = one.rejection and Rejected(names=one.rejection.names, message=one.rejection.message)
    return Asked(
        kind=one.kind.name.lower(),
        names=one.names,
        sent=one.sent,
        acknowledged=one.acknowledged,
        in_flight=one.in_flight,
        rejection=rejection,
        refused=one.refused,
    )
