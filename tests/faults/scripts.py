"""What happens to a service while faults strike: a table of short stories of users, each with a clear end.

All of them play in a namespace with a server and a client without pods, endpoints made by hand, and bystanders that
have nothing to do with the operator.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from lab.install import condition
from tests.faults.history import Object
from tests.kit import objects
from tests.kit.shop import Shop, record_of

ANNOTATED: Final = {
    "orders": {"grpcbalance.dev/server": "orders"},
    "checkout": {"grpcbalance.dev/client": "orders"},
}
AGE: Final = "GRPC_SERVER_MAX_CONNECTION_AGE_MS"
TARGET: Final = "GRPC_ORDERS_TARGET"


@dataclass(frozen=True, slots=True)
class Script:
    """`before` is there in peace, `ready` when the operator has dealt with it; then `act` happens, until `done`."""

    name: str
    before: Callable[[Shop], None]
    act: Callable[[Shop], None]
    done: Callable[[Shop], bool]
    ready: Callable[[Shop], bool]


def endpoints(name: str, count: int = 1, service: str = "orders-headless") -> Object:
    """A slice of a headless Service that no controller manages, with so many ready endpoints."""
    return objects.slice_by_hand(name, addresses(count), service)


def addresses(count: int, ready: bool = True) -> list[Object]:
    """Endpoints of a slice."""
    return [{"addresses": [f"10.210.{n // 250}.{n % 250 + 1}"], "conditions": {"ready": ready}} for n in range(count)]


def bystanders(shop: Shop) -> None:
    """A workload and a Service of somebody who never heard of the operator."""
    shop.create(objects.idle("bystander"), objects.cluster_ip("bystander"))


def opted_in(shop: Shop) -> None:
    """A server and a client, a ready endpoint, and the object."""
    shop.create(
        endpoints("by-hand"),
        objects.idle("orders", ports=(5000,), annotations=ANNOTATED["orders"]),
        objects.idle("checkout", annotations=ANNOTATED["checkout"]),
        objects.balanced(),
    )


def all_there(shop: Shop) -> None:
    """Bystanders too."""
    bystanders(shop)
    opted_in(shop)


def edit(shop: Shop, **spec: object) -> None:
    """Change the object's spec."""
    shop.merge("GrpcBalancedService", "orders", {"spec": spec})


def is_told(shop: Shop, clients: str = "True", servers: str = "True") -> bool:
    """Whether status speaks of the newest spec, and says so of clients and servers."""
    item = shop.api.find(shop.url("GrpcBalancedService", "orders")) or {}
    kinds = {"ClientsConfigured": clients, "ServersConfigured": servers}
    return bool(item) and all(
        condition(item, kind).get("status") == status
        and condition(item, kind)["observedGeneration"] == item["metadata"]["generation"]
        for kind, status in kinds.items()
    )


def _scale(shop: Shop) -> None:
    shop.merge("EndpointSlice", "by-hand", {"endpoints": addresses(3)})


def _scaled(shop: Shop) -> bool:
    status = shop.get("GrpcBalancedService", "orders").get("status", {})
    return is_told(shop) and status.get("summary", {}).get("endpoints") == "3/3"


def _change(shop: Shop) -> None:
    edit(shop, server={"maxConnectionAge": "2m"})


def _changed(shop: Shop) -> bool:
    return is_told(shop) and shop.env("orders").get(AGE) == "120000"


def _before_rename(shop: Shop) -> None:
    shop.create(endpoints("direct-by-hand", service="orders-direct"))
    all_there(shop)


def _rename(shop: Shop) -> None:
    edit(shop, serviceName="orders-direct")


def _renamed(shop: Shop) -> bool:
    return (
        is_told(shop)
        and shop.env("checkout").get(TARGET, "").startswith("dns:///orders-direct.")
        and shop.api.find(shop.url("Service", "orders-headless")) is None
    )


def _delete(shop: Shop) -> None:
    shop.delete("GrpcBalancedService", "orders")
    shop.annotate("checkout", client=None)
    shop.annotate("orders", server=None)


def _deleted(shop: Shop) -> bool:
    clean = all(not record_of(shop.get("Deployment", name)) for name in ANNOTATED)
    return clean and shop.api.find(shop.url("Service", "orders-headless")) is None


def _unannotate(shop: Shop) -> None:
    shop.annotate("checkout", client=None)


def _unannotated(shop: Shop) -> bool:
    return is_told(shop, clients="False") and TARGET not in shop.env("checkout")


def _while_away(shop: Shop) -> None:
    """Everything that a user may do while nobody looks."""
    edit(shop, server={"maxConnectionAge": "2m"})
    shop.delete("Service", "orders-headless")
    shop.annotate("checkout", client=None)
    shop.create(objects.idle("billing", annotations=ANNOTATED["checkout"]))


def _caught_up(shop: Shop) -> bool:
    service = shop.api.find(shop.url("Service", "orders-headless"))
    return _changed(shop) and TARGET not in shop.env("checkout") and TARGET in shop.env("billing") and bool(service)


CHURN: Final = 12


def _churn(shop: Shop) -> None:
    """One edit each three seconds; the pauses are the script."""
    for number in reversed(range(CHURN)):
        edit(shop, server={"maxConnectionAge": f"{2 + number}m"})
        time.sleep(3)


def nothing(_: Shop) -> None:
    """What happens is the fault alone."""


def at_once(_: Shop) -> bool:
    """Nothing to wait for."""
    return True


SCRIPTS: Final = {
    script.name: script
    for script in (
        Script("create", bystanders, opted_in, is_told, ready=at_once),
        Script("scale", all_there, _scale, _scaled, ready=is_told),
        Script("change", all_there, _change, _changed, ready=is_told),
        Script("rename", _before_rename, _rename, _renamed, ready=is_told),
        Script("delete", all_there, _delete, _deleted, ready=is_told),
        Script("unannotate", all_there, _unannotate, _unannotated, ready=is_told),
        Script("many changes", all_there, _while_away, _caught_up, ready=is_told),
        Script("churn", all_there, _churn, _changed, ready=is_told),
        Script("nothing", all_there, nothing, is_told, ready=is_told),
    )
}
