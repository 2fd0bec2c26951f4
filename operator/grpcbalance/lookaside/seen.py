"""What the replicas of the look-aside balancer tell of one service, all together. Pure, and no I/O.

The operator asks them (`reading`); whom it moves to xDS, and what status says of those, is decided by this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Node(NamedTuple):
    """A connected client by `node` of its bootstrap, which we fill: the cluster is its namespace, the id its pod."""

    namespace: str
    pod: str


class Rejection(NamedTuple):
    """A response that a client refused (NACK): who, which kind of resource, and the client's words."""

    client: Node
    kind: str
    message: str


class Downgrade(NamedTuple):
    """Clients of one library and version do something else than a field of the spec says."""

    client: str
    feature: str
    what: str


@dataclass(frozen=True, slots=True)
class Seen:
    """One service, as all replicas see it.

    `problem` says why no client may be moved now, in a sentence: nobody answers, or a replica does not know the service
    or has no endpoint for it. Empty: each of them serves it, `plaintext` and over `tls` as these say.
    """

    problem: str
    plaintext: bool = False
    tls: bool = False
    connected: frozenset[Node] = frozenset()
    rejections: tuple[Rejection, ...] = ()
    downgrades: tuple[Downgrade, ...] = ()
