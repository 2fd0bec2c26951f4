"""What an accepted spec should mind: settings that mean something, but hardly what their writer hopes. Pure.

Measured on grpc-go, C-core, grpc-js and grpc-java; each is a trap that people fell into.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from .api import Spec, milliseconds
from .desired import read_spec
from .model import Balanced, Service, ServiceSnapshot

# What every library waits between two resolutions unless its program says otherwise.
_FLOOR_MS: Final = 30_000
# What every library's server permits between two pings unless its program says otherwise (gRFC A8).
_PING_MS: Final = 300_000


def advice(snapshot: ServiceSnapshot) -> Iterator[str]:
    """A sentence for each thing to mind about an object's spec, and about the Service that it refers to."""
    spec = read_spec(snapshot.balanced.spec) if snapshot.balanced else None
    if isinstance(spec, Spec):
        if snapshot.referenced is not None:
            yield from _about_service(snapshot.referenced)
        if spec.server.mode == "Inject":
            yield from _about_age(spec)
            yield from _about_pings(spec)


def max_age(balanced: Balanced | None) -> int | None:
    """The maximum connection age that servers are given, in ms; None when that is not ours to know."""
    spec = read_spec(balanced.spec) if balanced else None
    if not isinstance(spec, Spec) or spec.server.mode != "Inject":
        return None
    return milliseconds(spec.server.max_connection_age)


def _about_service(service: Service) -> Iterator[str]:
    name = service.ref.name
    if service.publish_not_ready:
        yield (
            f"Service {name} sets publishNotReadyAddresses, the headless Service does not: clients find no pod before "
            "it is ready"
        )
    if service.ip_family_policy in ("PreferDualStack", "RequireDualStack"):
        yield (
            f"Service {name} is {service.ip_family_policy}, the headless Service has one IP family, the cluster's "
            "first, which servers must listen on: with both, DNS would name each pod twice"
        )


def _about_age(spec: Spec) -> Iterator[str]:
    age, interval = milliseconds(spec.server.max_connection_age), milliseconds(spec.client.min_resolution_interval)
    floor = _FLOOR_MS if interval is None else interval
    if age is None:
        yield (
            "spec.server.maxConnectionAge is Off: clients resolve the name again only when a connection breaks, "
            "whatever minResolutionInterval says, and until then send nothing to new pods"
        )
    elif age < floor:
        yield (
            f"spec.server.maxConnectionAge of {spec.server.max_connection_age} is below the {floor / 1000:g}s that "
            "clients wait between two resolutions: it costs connections and finds new pods no sooner"
        )


def _about_pings(spec: Spec) -> Iterator[str]:
    client, server = spec.client.keepalive, spec.server.keepalive
    if client is None or client.time is None:
        return
    time = milliseconds(client.time) or 0
    permitted = milliseconds(server.min_client_interval) if server and server.min_client_interval else None
    least = _PING_MS if permitted is None else permitted
    # Clients ping a little early, so the same number is too often as well.
    if time <= least:
        yield (
            f"spec.client.keepalive.time of {client.time} is not above what servers permit, {least / 1000:g}s: they "
            "disconnect such clients (too_many_pings); set spec.server.keepalive.minClientInterval below it"
        )
    if client.permit_without_calls and not (server and server.permit_without_calls):
        yield (
            "clients ping without calls (spec.client.keepalive.permitWithoutCalls) and servers do not permit it: they "
            "disconnect such clients (too_many_pings); set spec.server.keepalive.permitWithoutCalls: true"
        )
