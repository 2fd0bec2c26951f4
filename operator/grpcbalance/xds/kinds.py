"""The four kinds of xDS resources that gRPC clients read, and how a resource looks on the way to them. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """A kind of resource by its type URL, in the order in which they depend on each other (A27)."""

    LISTENER = "type.googleapis.com/envoy.config.listener.v3.Listener"
    ROUTE = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
    CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
    ENDPOINTS = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"


# A response of these lists every resource that is subscribed to; one that is absent was deleted (SotW, A27).
COMPLETE = frozenset({Kind.LISTENER, Kind.CLUSTER})


class Resource(NamedTuple):
    """A resource, serialized. `version` is a digest of `body`, so equal content has an equal version."""

    kind: Kind
    name: str
    version: str
    body: bytes
