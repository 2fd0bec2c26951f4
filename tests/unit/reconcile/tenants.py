"""Two namespaces: one with an object and its servers, one with clients of it. Shared by the tests of tenancy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from grpcbalance.names import PLURAL
from tests.unit import factories as make
from tests.unit.factories import NAMESPACE

from .server import Write
from .world import LONG, World

Raw = dict[str, Any]
HOME, WEB = NAMESPACE, "web"
HOST = "orders-headless.shop.svc"
TARGET = "GRPC_ORDERS_TARGET"
URI = f"dns:///{HOST}.cluster.local.:5000"
ALL = {"namespaces": {"from": "All"}}
TEAM = {"namespaces": {"from": "Selector", "selector": {"matchLabels": {"team": "web"}}}}
# Names that stand nowhere but in their own namespace.
SERVER, CLIENT = "backend-of-shop", "frontend-of-web"


def foreign(name: str = CLIENT, client: str = "shop/orders", **more: Any) -> Raw:
    return make.deployment(name, client=client, namespace=WEB, **more)


def two(
    allowed: Raw,
    *more: Raw,
    world: World | None = None,
    spec: Raw | None = None,
    labels: Mapping[str, str] | None = None,
) -> World:
    """`orders` with its server in one namespace, a client of it in another, at rest."""
    world = world or World()
    world.server.put(
        make.namespace(HOME),
        make.namespace(WEB, labels),
        make.gbs(allowedClients=allowed, **(spec or {})),
        make.server(SERVER, server="orders", labels={"app": "orders"}),
        *(more or [foreign()]),
    )
    return world.start().run(LONG)


def label(world: World, **labels: str) -> None:
    def change(raw: Raw) -> None:
        raw["metadata"]["labels"] = labels

    world.server.edit("namespaces", WEB, change, "")


def events(world: World, about: str, reason: str) -> list[Raw]:
    found = [e for e in world.server.events if (e["involvedObject"]["name"], e["reason"]) == (about, reason)]
    assert all(e["metadata"]["namespace"] == e["involvedObject"]["namespace"] for e in found)
    return found


def message(world: World, kind: str) -> str:
    return str(next(c["message"] for c in world.status()["conditions"] if c["type"] == kind))


def clients(world: World) -> tuple[int, int, int, int]:
    counts = world.status()["clients"]
    return counts["matched"], counts["configured"], counts["pending"], counts["refused"]


def patched(writes: list[Write]) -> list[str]:
    return [write.name for write in writes if write.kind == "deployments"]


def assert_nothing_leaked(world: World) -> None:
    """No namespace was told of workloads in another one."""
    messages = {HOME: [json.dumps([raw.get("status") for raw in world.server.all(PLURAL)])], WEB: [""]}
    for event in world.server.events:
        messages[event["metadata"]["namespace"]].append(event["message"])
    assert [text for text in messages[HOME] if CLIENT in text] == []
    assert [text for text in messages[WEB] if SERVER in text] == []
