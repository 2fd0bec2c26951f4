"""What /debug/clients tells: who is connected, what it asked for, has accepted, and has refused. No I/O.

People read it when something is amiss, and `grpcbalance status` shows it. The operator reads /debug/services.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from grpcbalance.lookaside.connected import VERSION, Asked, Downgraded, Rejected, Told
from grpcbalance.moments import to_text

from .clients import Clients, Stream
from .session import Subscription


async def page(clients: Clients) -> str:
    """What there is to tell of connected clients, the oldest first: a `lookaside.connected.Page` as JSON.

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
