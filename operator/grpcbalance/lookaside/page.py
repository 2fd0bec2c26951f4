"""What /debug/services of a replica of the look-aside balancer tells: its structure, and bounds of what is in it. Pure.

The balancer makes it and the operator reads it, both by these types. Every text that a client has sent is one line.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from grpcbalance.api import MAX_DOWNGRADES

VERSION: Final = "v1"
PATH: Final = "/debug/services"
# Longest names of a namespace and of a pod; what is longer is nobody's.
CLUSTER, NODE = 63, 253
WORD: Final = 64
MESSAGE: Final = 500
# Of one service, of a replica as of all together; what is beyond is not told. MAX_DOWNGRADES is that of status.
MAX_REJECTIONS: Final = 20

_Name = Annotated[str, Field(max_length=NODE)]
_Word = Annotated[str, Field(max_length=WORD)]


class _Part(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


class Ports(_Part):
    """How clients are served."""

    plaintext: bool
    tls: bool
    mtls: bool = False


class Client(_Part):
    """A connected client. `cluster` is its namespace, proven or, where nothing is, by its own words; `node` its pod."""

    cluster: Annotated[str, Field(max_length=CLUSTER)]
    node: _Name
    agent: _Word
    version: _Word


class Rejected(_Part):
    """A response that a client refused and has not accepted since (NACK): which kind of it, and the client's words."""

    cluster: Annotated[str, Field(max_length=CLUSTER)]
    node: _Name
    kind: Annotated[str, Field(max_length=WORD)]
    message: Annotated[str, Field(max_length=MESSAGE)]


class Downgraded(_Part):
    """What clients of one library and version do instead of what a field of the spec says.

    Both are empty for all that `libraries` does not know, so that those cannot fill the list.
    """

    agent: _Word
    version: _Word
    feature: Annotated[str, Field(max_length=NODE)]
    what: Annotated[str, Field(max_length=MESSAGE)]


class Service(_Part):
    """A service that clients can ask for. `ready`: it has an endpoint that is.

    `clients` are positions in the page's list of those that ask for it and are let in.
    """

    namespace: _Name
    name: _Name
    ready: bool
    clients: tuple[int, ...]
    rejections: Annotated[tuple[Rejected, ...], Field(max_length=MAX_REJECTIONS)]
    downgrades: Annotated[tuple[Downgraded, ...], Field(max_length=MAX_DOWNGRADES)]


class Page(_Part):
    """All that one replica knows of services. A client stands in it once, whatever it asks for."""

    version: Literal["v1"] = VERSION
    ports: Ports
    clients: tuple[Client, ...]
    services: tuple[Service, ...]

    @model_validator(mode="after")
    def _listed(self) -> Self:
        if any(not 0 <= number < len(self.clients) for service in self.services for number in service.clients):
            raise ValueError("a service has a client that is not in the list")
        return self
