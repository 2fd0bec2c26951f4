"""States of a service for tests of its xDS resources, made from raw objects as everywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from grpcbalance.model import Ref
from grpcbalance.view import View
from grpcbalance.xds.directory import Directory
from grpcbalance.xds.kinds import Kind, Resource
from grpcbalance.xds.resources.catalog import Served, Variant, build
from grpcbalance.xds.resources.features import FEATURES, Features
from grpcbalance.xds.resources.names import Name
from tests.unit import factories as make

Raw = dict[str, Any]

ALL = Features(**dict.fromkeys(FEATURES, True))
NAME = "orders.shop:5000"
ORDERS = Ref("shop", "orders")
TWO_ZONES = (
    make.endpoint_slice(
        "orders-headless-one",
        endpoints=[
            make.endpoint("10.1.0.2", zone="a", ready=True),
            make.endpoint("10.1.0.1", zone="a", ready=True),
            make.endpoint("10.1.0.3", zone="a", ready=False),
        ],
    ),
    make.endpoint_slice(
        "orders-headless-two",
        endpoints=[
            make.endpoint("10.2.0.1", zone="b", ready=True),
            make.endpoint("10.2.0.2", zone="b", ready=False, serving=True, terminating=True),
            make.endpoint("10.3.0.1", ready=True),
        ],
    ),
)


def served_by(client: Mapping[str, Any] | None = None, slices: Sequence[Raw] = TWO_ZONES, **spec: Any) -> Served:
    """The state of `orders` with these fields of `spec.client`."""
    raw = make.gbs(client=dict(client or {}), **spec)
    view = View()
    view.apply("grpcbalancedservices", None, raw)
    for piece in slices:
        view.apply("endpointslices", None, piece)
    view.apply("services", None, make.headless())
    directory = Directory(view)
    directory.refresh(ORDERS)
    found = directory.served(Name("orders", "shop", 5000))
    assert found is not None
    return found


def built(
    kind: Kind, client: Mapping[str, Any] | None = None, features: Features = ALL, zone: str = "", **more: Any
) -> Resource:
    """One resource of `orders`."""
    return build(served_by(client, **more), Variant(features, zone))[kind][NAME]
