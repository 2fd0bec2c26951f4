"""The endpoints of a service, from its EndpointSlices. Pure.

Clients get the ready ones, and those that terminate as DRAINING: no new call goes there, and an operator sees in a
client's dump why. Endpoints that are not ready are left out: a client would skip them, and a pod that fails and
recovers would cost every client two updates.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final, NamedTuple

from envoy.config.core.v3.address_pb2 import Address, SocketAddress
from envoy.config.core.v3.base_pb2 import Locality
from envoy.config.core.v3.health_check_pb2 import DRAINING, HEALTHY
from envoy.config.endpoint.v3.endpoint_components_pb2 import Endpoint as EndpointMessage
from envoy.config.endpoint.v3.endpoint_components_pb2 import LbEndpoint, LocalityLbEndpoints
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from google.protobuf.wrappers_pb2 import UInt32Value

from grpcbalance.conditions import is_ready
from grpcbalance.model import Endpoint, Slice
from grpcbalance.xds.kinds import Kind, Resource

from .encoding import resource
from .names import Name, cluster_name

_Ip = IPv4Address | IPv6Address


class Host(NamedTuple):
    """One endpoint: its address in the canonical form; DRAINING unless `ready`."""

    address: str
    ready: bool


class Zone(NamedTuple):
    """The endpoints of one zone, in the order of their addresses. The name is empty where slices give none."""

    name: str
    hosts: tuple[Host, ...]

    @property
    def ready(self) -> int:
        """How many are ready."""
        return sum(host.ready for host in self.hosts)


Zones = tuple[Zone, ...]


def zones(slices: Iterable[Slice], service_name: str) -> Zones | None:
    """What the slices of a headless Service say, by zone, in the order of names.

    None if there is no slice at all: then nothing is known, which must not be taken for "no endpoints". Kubernetes
    keeps an empty slice for a Service that selects no pod. Each address occurs once, whatever slices say twice.

    Ports of slices are not looked at: our Services give a number, so every pod is in their slices whatever it listens
    on, as in DNS. When `spec.port` changes, clients of the former port go on with the pods that still serve it.
    """
    own = [piece for piece in slices if piece.service_name == service_name]
    if not own:
        return None
    found: dict[_Ip, Endpoint] = {}
    for endpoint in (one for piece in own for one in piece.endpoints):
        address = _address(endpoint)
        if address is not None and (address not in found or _rank(endpoint) < _rank(found[address])):
            found[address] = endpoint
    by_zone: defaultdict[str, list[Host]] = defaultdict(list)
    for address in sorted(_one_family(found), key=lambda ip: ip.packed):
        by_zone[found[address].zone].append(Host(str(address), is_ready(found[address])))
    return tuple(Zone(name, tuple(by_zone[name])) for name in sorted(by_zone))


def _address(endpoint: Endpoint) -> _Ip | None:
    """The address if it is worth telling: C-core refuses host names, and one bad address would spoil all."""
    if not (endpoint.ready or endpoint.terminating):
        return None
    try:
        address = ip_address(endpoint.address)
    except ValueError:
        return None
    return None if getattr(address, "scope_id", None) else address


def _rank(endpoint: Endpoint) -> tuple[bool, bool, str]:
    """Which of two entries of one address counts, the least: ready ones first, as CoreDNS sees it.

    While an endpoint moves from one slice to another, both may have it for a moment.
    """
    return not is_ready(endpoint), endpoint.zone == "", endpoint.zone


def _one_family(found: dict[_Ip, Endpoint]) -> list[_Ip]:
    """The addresses of one family, IPv4 if any of those is ready.

    Our Services have one family. While it changes both are there, and a pod would be counted twice.
    """
    families: dict[int, list[_Ip]] = {4: [], 6: []}
    for address in found:
        families[address.version].append(address)
    serving = (family for family in families.values() if any(is_ready(found[address]) for address in family))
    return next(serving, families[4] or families[6])


def endpoints(name: Name, known: Zones, zone: str) -> Resource:
    """The endpoints for a client in `zone`, which is preferred; empty for none.

    With a preferred zone that has a ready endpoint, that zone is priority 0 and all others are priority 1. Endpoints
    of one priority are one locality, whatever their zones: clients draw a locality at random for each call, so that
    several would spread calls less evenly than one (300 calls over three pods: 79 to 120 each, instead of 100).
    """
    preferred = zone if zone in ready_zones(known) else None
    near = [one for one in known if one.name == preferred]
    far = [one for one in known if one.name != preferred]
    levels = [_merged(group) for group in (near, far) if group]
    message = ClusterLoadAssignment(
        cluster_name=cluster_name(name),
        endpoints=[_locality(one, name.port, priority) for priority, one in enumerate(levels)],
    )
    return resource(Kind.ENDPOINTS, cluster_name(name), message)


def _merged(group: Sequence[Zone]) -> Zone:
    """Several zones as one, which has a name if it is one only."""
    return Zone(group[0].name if len(group) == 1 else "", tuple(host for one in group for host in one.hosts))


def ready_zones(known: Sequence[Zone]) -> frozenset[str]:
    """The named zones with a ready endpoint: those that a client can prefer."""
    return frozenset(one.name for one in known if one.name and one.ready)


# A locality without a weight is dropped without a word, and Envoy's API knows no 0.
_LEAST_WEIGHT: Final = 1


def _locality(zone: Zone, port: int, priority: int) -> Any:
    return LocalityLbEndpoints(
        locality=Locality(zone=zone.name),
        lb_endpoints=[_endpoint(host, port) for host in zone.hosts],
        load_balancing_weight=UInt32Value(value=max(zone.ready, _LEAST_WEIGHT)),
        priority=priority,
    )


def _endpoint(host: Host, port: int) -> Any:
    address = Address(socket_address=SocketAddress(address=host.address, port_value=port))
    return LbEndpoint(endpoint=EndpointMessage(address=address), health_status=HEALTHY if host.ready else DRAINING)
