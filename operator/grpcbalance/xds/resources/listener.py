"""The listener of a service, with its route in it: that saves a client one round trip. Pure."""

from __future__ import annotations

from typing import Any, Final

from envoy.config.listener.v3.api_listener_pb2 import ApiListener
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_components_pb2 import RetryPolicy, Route, RouteAction, RouteMatch, VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.http.router.v3.router_pb2 import Router
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
    HttpFilter,
)
from google.protobuf.wrappers_pb2 import UInt32Value

from grpcbalance.api import Client, milliseconds
from grpcbalance.api.client import Retry
from grpcbalance.xds.kinds import Kind, Resource

from .encoding import duration, packed, resource
from .features import Features
from .names import Name, cluster_name, listener_name

# Of the five codes that A44 knows, the one that our API offers.
_RETRY_ON: Final = "unavailable"


def listener(name: Name, client: Client, features: Features) -> Resource:
    """The listener (A27): every call of a client of `name` goes to the cluster of that name.

    No max_stream_duration (A31), as calls have no deadline but their own.
    """
    manager = HttpConnectionManager(
        route_config=_routes(name, client, features),
        # It does nothing, and must be the last one nevertheless (A39).
        http_filters=[HttpFilter(name="envoy.filters.http.router", typed_config=packed(Router()))],
    )
    message = Listener(name=listener_name(name), api_listener=ApiListener(api_listener=packed(manager)))
    return resource(Kind.LISTENER, listener_name(name), message)


def _routes(name: Name, client: Client, features: Features) -> Any:
    action = RouteAction(cluster=cluster_name(name))
    if features.retry and client.retry.mode != "Off":
        action.retry_policy.CopyFrom(_retry_policy(client.retry))
    route = Route(match=RouteMatch(prefix=""), route=action)
    # Clients look for their authority here, which an application may have set to anything; the name of the listener
    # has said already which service is meant.
    host = VirtualHost(name=str(name), domains=["*"], routes=[route])
    return RouteConfiguration(name=str(name), virtual_hosts=[host])


def _retry_policy(retry: Retry) -> Any:
    first, longest = milliseconds(retry.initial_backoff) or 1, milliseconds(retry.max_backoff) or 1
    back_off = RetryPolicy.RetryBackOff(
        base_interval=duration(first),
        # Node refuses a longest wait below the first one, which objects older than the rule of the CRD may have.
        max_interval=duration(max(first, longest)),
    )
    return RetryPolicy(
        retry_on=_RETRY_ON, num_retries=UInt32Value(value=retry.max_attempts - 1), retry_back_off=back_off
    )
