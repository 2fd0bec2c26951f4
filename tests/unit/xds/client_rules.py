"""What gRPC clients demand of resources: who breaks one of these is refused (NACK), or dropped without a word.

Read from the validation code of grpc-go, grpc-js-xds and C-core and from measurements; written as each client would
read the bytes, so nothing of the code under test is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import ip_address
from itertools import pairwise
from typing import Any

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from envoy.extensions.load_balancing_policies.wrr_locality.v3.wrr_locality_pb2 import WrrLocality

from grpcbalance.xds.kinds import Kind, Resource

_EXTENSIONS = "type.googleapis.com/envoy.extensions"
_ROUTER = f"{_EXTENSIONS}.filters.http.router.v3.Router"
_POLICIES = f"{_EXTENSIONS}.load_balancing_policies"
_ROUND_ROBIN = f"{_POLICIES}.round_robin.v3.RoundRobin"
_PER_LOCALITY = f"{_POLICIES}.wrr_locality.v3.WrrLocality"
_RETRYABLE = {"cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"}
_UINT32 = 2**32 - 1


def message_of(resource: Resource) -> Any:
    """The message of a resource, read from its bytes."""
    kinds = {Kind.LISTENER: Listener, Kind.CLUSTER: Cluster, Kind.ENDPOINTS: ClusterLoadAssignment}
    assert resource.kind == f"type.googleapis.com/{kinds[resource.kind].DESCRIPTOR.full_name}"
    message = kinds[resource.kind].FromString(resource.body)
    name = message.cluster_name if resource.kind is Kind.ENDPOINTS else message.name
    assert name == resource.name
    return message


def broken(resource: Resource) -> list[str]:
    """The rules that a resource breaks."""
    rules: dict[Kind, Callable[[Any], Iterator[str]]] = {
        Kind.LISTENER: _listener,
        Kind.CLUSTER: _cluster,
        Kind.ENDPOINTS: _endpoints,
    }
    return list(rules[resource.kind](message_of(resource)))


def manager_of(listener: Any) -> Any:
    """The HttpConnectionManager of a listener."""
    manager = HttpConnectionManager()
    assert listener.api_listener.api_listener.Unpack(manager)
    return manager


def _listener(message: Any) -> Iterator[str]:
    manager = manager_of(message)
    filters = [one.typed_config.type_url for one in manager.http_filters]
    if filters[-1:] != [_ROUTER] or filters.count(_ROUTER) != 1:
        yield "the router must be the last filter, and once"
    if manager.WhichOneof("route_specifier") != "route_config":
        yield "no route"
    for host in manager.route_config.virtual_hosts:
        if not host.domains or any("*" in domain.strip("*") or domain.count("*") > 1 for domain in host.domains):
            yield "bad domains"
        for route in host.routes:
            yield from _route(route)


def _route(route: Any) -> Iterator[str]:
    if route.match.WhichOneof("path_specifier") is None:
        yield "no path specifier"
    if route.route.WhichOneof("cluster_specifier") != "cluster" or not route.route.cluster:
        yield "no cluster"
    if not route.route.HasField("retry_policy"):
        return
    policy = route.route.retry_policy
    first, longest = (getattr(policy.retry_back_off, one).ToNanoseconds() for one in ("base_interval", "max_interval"))
    if policy.num_retries.value < 1 or not 1_000_000 <= first <= longest:
        yield "bad numbers of retries"
    if set(policy.retry_on.split(",")) - _RETRYABLE:
        yield "a code that A44 does not know"


def _cluster(message: Any) -> Iterator[str]:
    if message.type != Cluster.EDS or not message.eds_cluster_config.eds_config.HasField("ads"):
        yield "not EDS over ADS"
    if message.lb_policy != Cluster.ROUND_ROBIN:
        yield "an lb_policy that C-core and Node refuse"
    if message.HasField("load_balancing_policy"):
        yield from _policies(message.load_balancing_policy, depth=0)
    for limit in message.circuit_breakers.thresholds:
        if limit.priority == 0 and not 1 <= limit.max_requests.value <= 2**31 - 1:
            yield "a limit that some read as negative, or that stops all"
    outliers = message.outlier_detection
    fields = ("max_ejection_percent", "enforcing_success_rate", "enforcing_failure_percentage")
    if any(getattr(outliers, one).value > 100 for one in (*fields, "failure_percentage_threshold")):
        yield "percentage above 100"


def _policies(listed: Any, depth: int) -> Iterator[str]:
    types = [one.typed_extension_config.typed_config for one in listed.policies]
    last = types[-1].type_url if types else ""
    if last != (_ROUND_ROBIN if depth else _PER_LOCALITY):
        yield "the last policy is not one that every client has"
    for one in types:
        if one.type_url == _PER_LOCALITY:
            yield from _policies(_unpacked(one).endpoint_picking_policy, depth + 1)


def _unpacked(wrapper: Any) -> Any:
    message = WrrLocality()
    assert wrapper.Unpack(message)
    return message


def _endpoints(message: Any) -> Iterator[str]:
    addresses = [address_of(endpoint) for group in message.endpoints for endpoint in group.lb_endpoints]
    if len(addresses) != len(set(addresses)):
        yield "an address stands twice"
    if any(not 1 <= port <= 65535 for _, port in addresses):
        yield "no port"
    places = [(group.priority, group.locality.zone) for group in message.endpoints]
    if len(places) != len(set(places)):
        yield "a locality stands twice in a priority"
    priorities = sorted({priority for priority, _ in places})
    if priorities[:1] not in ([], [0]) or any(after - before != 1 for before, after in pairwise(priorities)):
        yield "priorities have a gap"
    for group in message.endpoints:
        if not group.HasField("locality") or not 1 <= group.load_balancing_weight.value <= _UINT32:
            yield "a locality without a place or a weight"
        if any(
            one.HasField("load_balancing_weight") and not one.load_balancing_weight.value for one in group.lb_endpoints
        ):
            yield "an endpoint of no weight"


def address_of(endpoint: Any) -> tuple[str, int]:
    """Address and port of an LbEndpoint; ValueError if it is no IP address."""
    found = endpoint.endpoint.address.socket_address
    return str(ip_address(found.address)), found.port_value
