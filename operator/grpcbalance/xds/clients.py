"""Connected clients: who each is, what it has asked for, and whom a change concerns. No I/O.

What a client was let in to it keeps, up to date, for as long as it asks for it on the same stream: `allowedClients`
that are narrowed, or labels of a namespace, are no reason to stop running traffic (design, rule 4). /debug/clients
tells who is tolerated so. Whoever asks anew is judged anew.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from grpcbalance.model import Ref

from .directory import Directory, ref_of
from .kinds import Kind, Resource
from .resources.catalog import variant
from .resources.downgrades import Downgrade, of_client, of_protocol
from .resources.features import agent
from .resources.names import Name, parse
from .session import LimitExceeded, Limits, Outcome, Request, Session, Subscription
from .shelf import Shelf
from .wire import Node

logger = logging.getLogger(__name__)

# Requests of one stream that wait to be answered. An honest client has four or five at once.
_INBOX: Final = 16


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose client it is, as far as that was proven. Without a namespace it can be anybody's."""

    namespace: str | None = None
    pod: str | None = None


class Stream:
    """One ADS stream. The transport hands requests in while there is `room`, and writes what `take` says when `due`."""

    def __init__(self, peer: str, identity: Identity, since: float, number: str, session: Session) -> None:
        """`peer`: its address; `since`: when it began (Unix time, seconds); `number`: no other stream has it."""
        self.peer, self.identity, self.since, self.number, self.session = peer, identity, since, number, session
        self.node, self.variant = Node(), variant("", "", "")
        # What it asks for, of any kind, and to what of that it was let in.
        self.names: frozenset[Name] = frozenset()
        self.admitted: set[Ref] = set()
        self.due, self.room = asyncio.Event(), asyncio.Event()
        self.room.set()
        self.over = False
        # Requests that had to wait, since it sends so many.
        self.slowed = 0
        # When a change was noticed that it has not been told (monotonic, seconds).
        self.changed: float | None = None
        self._inbox: list[Request] = []
        self._texts: tuple[tuple[str, ...], ...] = ()

    def introduce(self, node: Node) -> None:
        """Who the client is. The first word counts: it would not do to become another one midway."""
        if self.node == Node():
            self.node = node
            self.variant = variant(node.agent, node.version, node.zone)

    def receive(self, request: Request) -> None:
        """Take a request; it is answered by the next `take`."""
        self._inbox.append(request)
        self.due.set()
        if len(self._inbox) >= _INBOX:
            self.room.clear()

    def change(self, now: float) -> None:
        """Something that it asks for may be another now (monotonic, seconds)."""
        if self.changed is None:
            self.changed = now
        self.due.set()

    def end(self) -> None:
        """Nothing more is to be sent."""
        self.over = True
        self.due.set()

    def take(self) -> Outcome:
        """What to send now. Raises LimitExceeded."""
        self.due.clear()
        self.room.set()
        changed, self.changed = self.changed is not None, None
        requests, self._inbox = self._inbox, []
        outcome = self.session.receive(*requests)
        if requests:
            self._note()
        # Requests are answered for their own kinds only; what has changed may be of another one.
        return outcome._replace(responses=outcome.responses + self.session.push()) if changed else outcome

    def _note(self) -> None:
        texts = tuple(one.names for one in self.session.snapshot())
        if texts != self._texts:
            self._texts = texts
            self.names = frozenset(name for named in texts for name in map(parse, named) if name is not None)

    def subscriptions(self) -> tuple[Subscription, ...]:
        """How it stands with each kind."""
        return self.session.snapshot()


class Clients:
    """All streams, and which of them ask for which service."""

    def __init__(self, directory: Directory, limits: Limits, most: int) -> None:
        """`most`: streams at the same time."""
        self._directory, self.limits, self._most = directory, limits, most
        self._shelf = Shelf()
        self._asking: dict[Ref, dict[Name, set[Stream]]] = {}
        self._streams: dict[Stream, frozenset[Name]] = {}
        self._numbered: dict[str, Stream] = {}
        self._count = 0
        # A nonce of before a restart, or of another replica, is none of ours.
        self._instance = secrets.token_hex(4)

    def __len__(self) -> int:
        return len(self._streams)

    def __iter__(self) -> Iterator[Stream]:
        return iter(self._streams)

    def open(self, peer: str, identity: Identity, since: float) -> Stream:
        """A new stream. Raises LimitExceeded when there are as many as may be."""
        if len(self._streams) >= self._most:
            raise LimitExceeded(
                f"{self._most} streams are connected, as many as one replica takes: connect to another one, "
                "run more replicas, or raise --max-streams of grpcbalance xds"
            )
        self._count += 1
        number = f"{self._instance}.{self._count}"
        # By its number: a session that held its stream would be freed by the collector of cycles only.
        session = Session(lambda kind, name: self._lookup(self._numbered[number], kind, name), number, self.limits)
        stream = self._numbered[number] = Stream(peer, identity, since, number, session)
        self._streams[stream] = frozenset()
        return stream

    def take(self, stream: Stream) -> Outcome:
        """What to send to a stream now. Raises LimitExceeded."""
        try:
            return stream.take()
        finally:
            self._follow(stream, stream.names)

    def close(self, stream: Stream) -> None:
        """The stream has ended."""
        self._follow(stream, frozenset())
        del self._streams[stream], self._numbered[stream.number]

    def changed(self, ref: Ref, now: float) -> int:
        """A service is another now (monotonic, seconds), or may be. Answers how many streams that concerns."""
        try:
            if not self._directory.refresh(ref):
                return 0
        except Exception:
            # One bad object must not end the service for all others; what was known of it stays.
            logger.exception("%s/%s cannot be looked at", *ref)
            return 0
        asking = set().union(*self._asking.get(ref, {}).values())
        return _change(asking, now)

    def relabelled(self, namespace: str, now: float) -> int:
        """Labels of a namespace have changed (monotonic, seconds). Answers how many streams that concerns."""
        return _change({one for one in self._streams if one.identity.namespace == namespace}, now)

    def tolerated(self, stream: Stream) -> list[Ref]:
        """Services that a stream is told about and would not be let in to any more."""
        return sorted(ref for ref in stream.admitted if not self._directory.lets_in(ref, stream.identity.namespace))

    def downgraded(self, stream: Stream) -> Iterator[tuple[Name, Downgrade]]:
        """What a client does not do of what the services say that it is told about."""
        for name in sorted(name for name in stream.names if ref_of(name) in stream.admitted):
            for one in self.downgrades(name, stream.node):
                yield name, one

    def downgrades(self, name: Name, node: Node) -> tuple[Downgrade, ...]:
        """What any client of that library and version does not do of a service that somebody asks for."""
        service = self._directory.served(name)
        if service is None:
            return ()
        return *of_protocol(service.client), *of_client(service.client, agent(node.agent, node.version))

    def _follow(self, stream: Stream, names: frozenset[Name]) -> None:
        before = self._streams[stream]
        if before == names:
            return
        self._streams[stream] = names
        stream.admitted &= set(map(ref_of, names))
        for name in names - before:
            self._asking.setdefault(ref_of(name), {}).setdefault(name, set()).add(stream)
        for name in before - names:
            self._leave(stream, name)

    def _leave(self, stream: Stream, name: Name) -> None:
        of_service = self._asking[ref_of(name)]
        of_service[name].discard(stream)
        if of_service[name]:
            return
        del of_service[name]
        if not of_service:
            del self._asking[ref_of(name)]
        self._shelf.forget(name)
        self._directory.forget(name)

    def _lookup(self, stream: Stream, kind: Kind, text: str) -> Resource | None:
        name = parse(text)
        if name is None:
            return None
        # What it may not know of is to it as what does not exist.
        ref = ref_of(name)
        if ref not in stream.admitted and not self._directory.lets_in(ref, stream.identity.namespace):
            return None
        try:
            service = self._directory.served(name)
        except Exception:
            # As above; the stream has other services, too.
            logger.exception("%s cannot be looked at", name)
            return None
        if service is None:
            return None
        stream.admitted.add(ref)
        return self._shelf.resources(service, stream.variant).get(kind, {}).get(text)


def _change(streams: set[Stream], now: float) -> int:
    for stream in streams:
        stream.change(now)
    return len(streams)
