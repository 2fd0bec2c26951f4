"""--dry-run: nothing is written, and all that would be is told, once."""

from __future__ import annotations

from typing import Any

import pytest

from grpcbalance.names import PLURAL
from grpcbalance.settings import Settings
from tests.unit import factories as make

from .world import LONG, World

Raw = dict[str, Any]
MAX_AGE = "+GRPC_SERVER_MAX_CONNECTION_AGE_MS=300000"


def dry(*objects: Raw, **settings: Any) -> World:
    """A world in which a dry operator has looked at these objects for a long time."""
    world = World(Settings(dry_run=True, **settings))
    world.server.put(*objects)
    return world.start().run(LONG)


def would(world: World, about: str) -> list[str]:
    """What was told that would be written, of the objects of a name."""
    told = (e for e in world.server.events if e["involvedObject"]["name"] == about and e["reason"] == "WouldWrite")
    return [event["message"].removeprefix("--dry-run: would ") for event in told]


def counted(world: World, resource: str, verb: str) -> float:
    """How many writes of a sort were kept back."""
    assert world.operator is not None
    name = "grpcbalance_would_write_total"
    registry = world.operator.metrics.registry
    return registry.get_sample_value(name, {"resource": resource, "verb": verb}) or 0.0


def rollouts_and_requests(world: World) -> tuple[int, int]:
    """Rollout slots that are taken, and write requests that were sent."""
    assert world.operator is not None
    return len(world.operator.view.slots.in_flight), len(world.server.attempts)


def test_nothing_is_written_and_everything_is_told_once() -> None:
    world = dry(make.gbs(), make.server())
    assert rollouts_and_requests(world) == (0, 0)
    assert world.server.get(PLURAL, "orders").get("status") is None
    told = would(world, "orders")
    assert [t for t in told if "create Service" in t] == [
        "create Service orders-headless: headless, selector app=orders, port 5000"
    ]
    patches = [t for t in told if t.startswith("patch ")]
    assert len(patches) == 1
    assert patches[0].startswith("patch container app: +")
    assert MAX_AGE in patches[0]
    assert [t.split()[0:3] for t in told if "status" in t] == [
        ["write", "status", "Ready=False/ServicePending,"],
    ]
    assert len(told) == len(set(told)) == 3
    assert counted(world, "services", "create") == 1
    assert counted(world, "deployments", "patch") == 1
    assert counted(world, f"{PLURAL}/status", "patch") >= 1


def test_a_server_that_would_be_written_is_pending_and_holds_no_slot() -> None:
    world = dry(
        *(make.gbs(f"s{n}") for n in range(4)), *(make.server(f"s{n}") for n in range(4)), max_concurrent_rollouts=1
    )
    assert rollouts_and_requests(world) == (0, 0)
    assert counted(world, "deployments", "patch") == 4
    assert world.operator is not None
    pending = world.operator.metrics.registry.get_sample_value(
        "grpcbalance_workloads", {"role": "Server", "state": "Pending"}
    )
    assert pending == 4


def test_a_client_is_told_of_when_its_turn_comes() -> None:
    world = dry(make.gbs(), make.server(), make.deployment(client="orders"))
    assert would(world, "checkout") == []
    assert [e["reason"] for e in world.server.events if e["involvedObject"]["name"] == "checkout"] == [
        "TargetNotServing"
    ]


def test_a_client_does_not_wait_for_servers_that_nobody_will_configure() -> None:
    world = World(Settings(dry_run=True))
    world.server.put(make.gbs(), make.server(), make.deployment(client="orders"), make.headless(), make.serving())
    world.start().run(10.0)
    assert "+GRPC_ORDERS_TARGET" in would(world, "checkout")[0]


def test_a_removal_is_told() -> None:
    world = World()
    world.server.put(make.gbs(), make.server(), make.deployment(client="orders"))
    world.start().run(LONG)
    dry_world = World(Settings(dry_run=True), after=world)
    dry_world.annotate("checkout")
    before = dry_world.env("checkout")
    dry_world.start().run(LONG)
    assert rollouts_and_requests(dry_world) == (0, 0)
    assert dry_world.env("checkout") == before
    assert "-GRPC_ORDERS_TARGET" in would(dry_world, "checkout")[0]


def test_a_service_nothing_uses_would_be_marked_whatever_the_time_is() -> None:
    world = World()
    world.server.put(make.gbs())
    world.start().run(LONG)
    world = World(Settings(dry_run=True), after=world)
    world.server.remove(PLURAL, "orders")
    world.start().run(LONG)
    assert would(world, "orders-headless") == ["mark the Service as unused, to delete it later"]
    assert counted(world, "services", "patch") == 1


def test_a_drifted_service_would_be_repaired() -> None:
    world = World()
    world.server.put(make.gbs())
    world.start().run(LONG)
    world = World(Settings(dry_run=True), after=world)
    world.spec("services", "orders-headless", ports=[{"name": "grpc", "port": 7, "targetPort": 7, "protocol": "TCP"}])
    world.spec(PLURAL, "orders", selector={"app": "other"})
    world.start().run(LONG)
    assert would(world, "orders-headless") == [
        "make 5000 the only port",
        "apply headless, selector app=other, port 5000",
    ]


def test_it_is_idle_when_nothing_changes() -> None:
    world = dry(make.gbs(), make.server())
    events, operator = len(world.server.events), world.operator
    assert operator is not None
    world.run(10 * LONG)
    assert len(world.server.events) == events
    assert counted(world, "deployments", "patch") == 1


@pytest.mark.parametrize("dry_run", [True, False])
def test_conditions_are_told_as_ever(dry_run: bool) -> None:
    world = World(Settings(dry_run=dry_run))
    world.server.put(make.gbs(port="grpc"))
    world.start().run(LONG)
    assert "PortUnresolved" in {event["reason"] for event in world.server.events}
