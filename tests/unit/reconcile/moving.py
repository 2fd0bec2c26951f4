"""A client that is moved to the look-aside balancer, and what the operator hears of that. Shared by tests."""

from __future__ import annotations

from grpcbalance.lookaside.changes import take
from grpcbalance.lookaside.seen import Seen
from grpcbalance.model import Ref
from grpcbalance.names import PLURAL

from .world import LONG, World, shop

TARGET = "GRPC_ORDERS_TARGET"
ON_DNS, ON_XDS = "dns:///orders-headless.shop.svc.cluster.local.:5000", "xds:///orders.shop:5000"
ORDERS = Ref("shop", "orders")
SERVES = Seen("", plaintext=True, tls=True)


def tell(world: World, seen: Seen) -> None:
    """The operator hears from the look-aside balancer."""
    assert world.operator is not None
    world.operator.enqueue(take(world.operator.view, {ORDERS: seen}))


def on_xds(world: World, how: str = "plaintext") -> World:
    """The client says that it is ready, the object's owner changes one word, and the balancer serves."""
    shop(world, allowedClients={"namespaces": {"from": "All"}})
    mark(world, how)
    world.spec(PLURAL, "orders", discovery="XDS")
    world.run(1.0)
    tell(world, SERVES)
    return world.run(LONG)


def mark(world: World, how: str | None) -> None:
    """Annotate the client."""
    more = {} if how is None else {"grpcbalance.dev/xds": how}
    world.server.edit("deployments", "checkout", lambda raw: raw["metadata"]["annotations"].update(more))
