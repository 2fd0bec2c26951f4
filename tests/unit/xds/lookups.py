"""What a session of a test can look up, and how a test reads what the session answers."""

from __future__ import annotations

from typing import Any

from grpcbalance.xds.kinds import Kind, Resource
from grpcbalance.xds.session import Request, Response, Session, Subscription

LDS, RDS, CDS, EDS = Kind.LISTENER, Kind.ROUTE, Kind.CLUSTER, Kind.ENDPOINTS
ALL = list(Kind)
COMPLETE = [LDS, CDS]
PARTIAL = [RDS, EDS]


class World:
    """Resources by kind and name; a content is any text, and the session's view of it its version."""

    def __init__(self) -> None:
        self.contents: dict[tuple[Kind, str], str] = {}

    def put(self, kind: Kind, **contents: str | None) -> World:
        """Set contents by name; None takes the resource away."""
        for name, content in contents.items():
            if content is None:
                self.contents.pop((kind, name), None)
            else:
                self.contents[kind, name] = content
        return self

    def lookup(self, kind: Kind, name: str) -> Resource | None:
        content = self.contents.get((kind, name))
        return None if content is None else Resource(kind, name, content, content.encode())

    def session(self, **more: Any) -> Session:
        return Session(self.lookup, "s", **more)


def ask(session: Session, kind: Kind, names: str, nonce: str = "", error: str | None = None) -> list[str]:
    """Send one request for names like "a b"; the responses, as `told` writes them."""
    return told(session.receive(Request(kind, tuple(names.split()), nonce=nonce, error=error)).responses)


def push(session: Session) -> list[str]:
    return told(session.push())


def told(responses: tuple[Response, ...]) -> list[str]:
    """One text a response: kind, nonce, then name=version of each resource."""
    return [" ".join([r.kind.name, r.nonce, *(f"{x.name}={x.version}" for x in r.resources)]) for r in responses]


def view(session: Session, kind: Kind) -> Subscription:
    return next(found for found in session.snapshot() if found.kind is kind)


def two(kind: Kind) -> World:
    return World().put(kind, a="1", b="1")
