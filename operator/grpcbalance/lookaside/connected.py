"""What /debug/clients of a replica of the look-aside balancer tells: its structure. Pure.

The balancer makes it and `grpcbalance status` reads it, both by these types; what has a default came later.
"""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

VERSION: Final = "v1"
PATH: Final = "/debug/clients"


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
    cluster: str = ""
    node: str
    agent: str
    version: str
    zone: str
    slowed: int = 0
    tolerated: tuple[str, ...] = ()
    downgraded: tuple[Downgraded, ...] = ()
    asked: tuple[Asked, ...]


class Page(_Model):
    """All clients of one replica."""

    version: Literal["v1"] = VERSION
    clients: tuple[Told, ...]
