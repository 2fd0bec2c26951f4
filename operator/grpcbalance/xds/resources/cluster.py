"""The cluster of a service: where its endpoints are asked for, and how a client chooses among them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from envoy.config.cluster.v3 import outlier_detection_pb2
from envoy.config.cluster.v3.circuit_breaker_pb2 import CircuitBreakers
from envoy.config.cluster.v3.cluster_pb2 import Cluster, LoadBalancingPolicy
from envoy.config.core.v3.config_source_pb2 import AggregatedConfigSource, ConfigSource
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.extensions.load_balancing_policies.client_side_weighted_round_robin.v3 import (
    client_side_weighted_round_robin_pb2 as weighted_pb2,
)
from envoy.extensions.load_balancing_policies.least_request.v3.least_request_pb2 import LeastRequest
from envoy.extensions.load_balancing_policies.pick_first.v3.pick_first_pb2 import PickFirst
from envoy.extensions.load_balancing_policies.round_robin.v3.round_robin_pb2 import RoundRobin
from envoy.extensions.load_balancing_policies.wrr_locality.v3.wrr_locality_pb2 import WrrLocality
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import UInt32Value

from grpcbalance.api import Client, milliseconds
from grpcbalance.api.outliers import FailurePercentage, OutlierDetection, SuccessRate
from grpcbalance.xds.kinds import Kind, Resource

from .encoding import duration, packed, resource
from .features import Features
from .names import Name, cluster_name

# Without a number a client lets 1024 calls be in flight (A32). Nobody asked for that, and DNS has no such limit.
NO_LIMIT: Final = 2**31 - 1


def cluster(name: Name, client: Client, features: Features) -> Resource:
    """The cluster (A27): endpoints by EDS on the same stream, the policy of `client`, and round robin for the rest.

    `lb_policy` stays ROUND_ROBIN for clients that do not know load_balancing_policy (A52). It must never be
    LEAST_REQUEST: C-core and Node refuse a cluster with that.
    """
    message = Cluster(
        name=cluster_name(name),
        type=Cluster.EDS,
        eds_cluster_config=Cluster.EdsClusterConfig(
            eds_config=ConfigSource(ads=AggregatedConfigSource()), service_name=cluster_name(name)
        ),
        lb_policy=Cluster.ROUND_ROBIN,
        circuit_breakers=_circuit_breakers(client),
    )
    policies = _policies(client, features)
    if policies:
        message.load_balancing_policy.CopyFrom(_list(*policies))
    if features.outlier_detection:
        # Also when it is off: grpc-js-xds compares only what the former cluster had, and would not see it come.
        message.outlier_detection.CopyFrom(_outlier_detection(client.outlier_detection or OutlierDetection()))
    return resource(Kind.CLUSTER, cluster_name(name), message)


def _policies(client: Client, features: Features) -> tuple[Message, ...]:
    """The policies of which a client takes the first that it knows (A52).

    None, if that would be round robin anyway: A27 reads lb_policy ROUND_ROBIN as WrrLocality{RoundRobin}.
    """
    made = _MADE.get(client.policy)
    if made is None or not getattr(features, FEATURE_OF[client.policy]):
        return ()
    return made()


def _weighted() -> tuple[Message, ...]:
    return (_per_locality(weighted_pb2.ClientSideWeightedRoundRobin(), RoundRobin()),)


def _least_request() -> tuple[Message, ...]:
    return (_per_locality(LeastRequest(), RoundRobin()),)


def _pick_first() -> tuple[Message, ...]:
    # Shuffled: the list is in the same order for all, so without it all clients would choose the same pod (A62).
    # Not within WrrLocality: that would keep a connection to each zone.
    return PickFirst(shuffle_address_list=True), _per_locality(RoundRobin())


_MADE: Final[Mapping[str, Callable[[], tuple[Message, ...]]]] = {
    "WeightedRoundRobin": _weighted,
    "LeastRequest": _least_request,
    "PickFirst": _pick_first,
}
# Policy of spec.client -> the feature that a client needs for it. RoundRobin needs none.
FEATURE_OF: Final[Mapping[str, str]] = {
    "WeightedRoundRobin": "weighted_round_robin",
    "LeastRequest": "least_request",
    "PickFirst": "pick_first",
}


def _per_locality(*policies: Message) -> Message:
    """Localities by weight, endpoints within each by the first known policy."""
    made: Message = WrrLocality(endpoint_picking_policy=_list(*policies))
    return made


def _list(*policies: Message) -> Any:
    return LoadBalancingPolicy(
        policies=[
            LoadBalancingPolicy.Policy(
                typed_extension_config=TypedExtensionConfig(name=policy.DESCRIPTOR.name, typed_config=packed(policy))
            )
            for policy in policies
        ]
    )


def _circuit_breakers(client: Client) -> Any:
    # Priority DEFAULT, which is the only one that gRPC reads.
    limit = CircuitBreakers.Thresholds(max_requests=UInt32Value(value=client.max_requests or NO_LIMIT))
    return CircuitBreakers(thresholds=[limit])


def _outlier_detection(wanted: OutlierDetection) -> Any:
    """The message of A50. What is off has an explicit 0: an absent enforcing_success_rate would mean 100."""
    message = outlier_detection_pb2.OutlierDetection(
        interval=duration(milliseconds(wanted.interval) or 1),
        base_ejection_time=duration(milliseconds(wanted.base_ejection_time) or 1),
        max_ejection_time=duration(milliseconds(wanted.max_ejection_time) or 1),
        max_ejection_percent=UInt32Value(value=wanted.max_ejection_percent),
        enforcing_success_rate=UInt32Value(value=0),
        enforcing_failure_percentage=UInt32Value(value=0),
    )
    for numbers in (_success_rate(wanted.success_rate), _failure_percentage(wanted.failure_percentage)):
        for field, value in numbers.items():
            getattr(message, field).value = value
    return message


def _success_rate(wanted: SuccessRate | None) -> Mapping[str, int]:
    if wanted is None:
        return {}
    return {
        "enforcing_success_rate": wanted.enforcement_percentage,
        "success_rate_stdev_factor": wanted.stdev_factor,
        "success_rate_minimum_hosts": wanted.minimum_hosts,
        "success_rate_request_volume": wanted.request_volume,
    }


def _failure_percentage(wanted: FailurePercentage | None) -> Mapping[str, int]:
    if wanted is None:
        return {}
    return {
        "enforcing_failure_percentage": wanted.enforcement_percentage,
        "failure_percentage_threshold": wanted.threshold,
        "failure_percentage_minimum_hosts": wanted.minimum_hosts,
        "failure_percentage_request_volume": wanted.request_volume,
    }
