"""Messages of ADS to and from what `session` speaks of. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from envoy.service.discovery.v3.discovery_pb2 import DiscoveryRequest, DiscoveryResponse
from google.protobuf.any_pb2 import Any as AnyMessage

from grpcbalance.errors import one_line

from .session import Request, Response

# Words of a client about itself are cut off here; they go to logs and to /debug/clients.
WORD: Final = 256


@dataclass(frozen=True, slots=True)
class Node:
    """What a client says of itself in its first request, each word on one line of bounded length. Nothing is proven."""

    id: str = ""
    agent: str = ""
    version: str = ""
    zone: str = ""
    cluster: str = ""


def decode(message: bytes) -> Any:
    """A DiscoveryRequest. Raises google.protobuf.message.DecodeError."""
    return DiscoveryRequest.FromString(message)


def request(message: Any) -> Request:
    """What a DiscoveryRequest asks for, and answers."""
    return Request(
        kind=message.type_url,
        names=tuple(message.resource_names),
        version=message.version_info,
        nonce=message.response_nonce,
        error=message.error_detail.message if message.HasField("error_detail") else None,
    )


def node(message: Any) -> Node | None:
    """Who sends a DiscoveryRequest; only the first one of a stream has to tell."""
    if not message.HasField("node"):
        return None
    told = message.node
    words = (told.id, told.user_agent_name, told.user_agent_version, told.locality.zone, told.cluster)
    return Node(*(one_line(word[:WORD], WORD) for word in words))


def encode(response: Response) -> bytes:
    """A DiscoveryResponse. Bodies of resources are packed as they are."""
    message = DiscoveryResponse(
        version_info=response.version,
        resources=[AnyMessage(type_url=one.kind, value=one.body) for one in response.resources],
        type_url=response.kind,
        nonce=response.nonce,
    )
    encoded: bytes = message.SerializeToString()
    return encoded
