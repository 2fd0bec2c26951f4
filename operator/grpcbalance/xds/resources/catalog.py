"""Which resources a service has for which client. Pure.

    Served ──────────────────┐
                             ├─► narrowed ──► build ──► resources by kind and name
    variant(who, zone) ──────┘

What `build` made may be kept by the service and the narrowed variant: there are few of those, since `narrowed` drops
what makes no difference.
"""

from __future__ import annotations

from dataclasses import dataclass

from grpcbalance.api import Client
from grpcbalance.xds.kinds import Kind, Resource

from .cluster import cluster
from .downgrades import features_of
from .endpoints import Zones, endpoints, ready_zones
from .features import Features, agent
from .listener import listener
from .names import Name

Resources = dict[Kind, dict[str, Resource]]


@dataclass(frozen=True, slots=True)
class Served:
    """All of a service that its resources are made of: equal ones have equal resources.

    `zones` is None while no EndpointSlice was seen.
    """

    name: Name
    client: Client
    zones: Zones | None


@dataclass(frozen=True, slots=True)
class Variant:
    """All of a client that resources may differ by. `zone` is the zone of its Node message, empty if it tells none."""

    features: Features
    zone: str


def variant(user_agent_name: str, user_agent_version: str, zone: str) -> Variant:
    """A client by what it says of itself in its first request; all three are its own words, and not trusted."""
    return Variant(agent(user_agent_name, user_agent_version).features, zone)


def narrowed(service: Served, client: Variant) -> Variant:
    """The variant without what makes no difference to this service. At most (zones + 1) x 8 are left."""
    wanted = service.client.zone_preference == "Prefer" and client.features.priorities
    prefers = wanted and client.zone in ready_zones(service.zones or ())
    # What is narrowed once more stays as it is: a zone without priorities would be none.
    makes_a_difference = features_of(service.client) | ({"priorities"} if prefers else frozenset())
    return Variant(client.features.only(makes_a_difference), client.zone if prefers else "")


def build(service: Served, client: Variant) -> Resources:
    """The resources of a service for a client, by kind and name.

    There is no route of its own: it is in the listener. Nor are there endpoints while nothing is known of them: their
    absence from an answer means nothing to a client (A27), whereas an empty list would stop all calls.
    """
    kept = narrowed(service, client)
    made = [
        listener(service.name, service.client, kept.features),
        cluster(service.name, service.client, kept.features),
    ]
    if service.zones is not None:
        made.append(endpoints(service.name, service.zones, kept.zone))
    return {one.kind: {one.name: one} for one in made}
