"""Messages to bytes, always the same bytes for equal content. Pure."""

from __future__ import annotations

import hashlib

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from grpcbalance.xds.kinds import Kind, Resource


def resource(kind: Kind, name: str, message: Message) -> Resource:
    """The resource that `message` is.

    `body` is the message itself: `Any(type_url=kind, value=body)` is what a DiscoveryResponse carries, and is made
    without reading the body again. `version` is a digest of 64 bits. Protobuf promises equal bytes within one
    release of it only, so after an upgrade of the operator a version may differ once, which costs one push.
    """
    body = message.SerializeToString(deterministic=True)
    return Resource(kind, name, hashlib.sha256(body).hexdigest()[:16], body)


def packed(message: Message) -> AnyMessage:
    """A message inside another one."""
    wrapper = AnyMessage()
    wrapper.Pack(message, deterministic=True)
    return wrapper


def duration(milliseconds: int) -> Duration:
    """A duration, from milliseconds."""
    message = Duration()
    message.FromMilliseconds(milliseconds)
    return message
