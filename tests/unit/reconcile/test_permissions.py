"""What the operator does, and tells, while it lacks permissions."""

from __future__ import annotations

from grpcbalance.api import ConditionType
from grpcbalance.errors import Invalid
from grpcbalance.names import PLURAL
from tests.unit import factories as make

from .world import LONG, World, shop

MISSING = "the operator may not patch statefulsets.apps; apply manifests/rbac.yaml"
TARGET = "GRPC_ORDERS_TARGET"


def changed(world: World, missing: str, *, blind: bool = False) -> World:
    """Other permissions are missing now."""
    world.missing, world.blind = missing, blind
    assert world.operator is not None
    world.operator.permissions_changed()
    if not blind:
        world.operator.look_at_all()
    return world.run(LONG)


def test_a_missing_permission_is_told_by_ready_alone_and_nothing_else_stops() -> None:
    world = changed(shop(World()), MISSING)
    assert world.condition("Ready") == ("False", "MissingPermission")
    (ready,) = [c for c in world.status()["conditions"] if c["type"] == "Ready"]
    assert ready["message"] == MISSING
    assert world.condition("ServersConfigured") == ("True", "Configured")
    world.server.put(make.deployment("late", client="orders"))
    world.run(LONG)
    assert world.env("late")[TARGET]
    assert world.condition("Ready") == ("False", "MissingPermission")
    before = [c for c in world.status()["conditions"] if c["type"] != "Ready"]
    changed(world, "")
    assert world.condition("Ready") == ("True", "Ready")
    assert [c for c in world.status()["conditions"] if c["type"] != "Ready"] == before


def test_who_cannot_see_everything_writes_status_only_and_keeps_what_it_said() -> None:
    world = shop(World())
    before = world.status()
    changed(world, MISSING, blind=True)
    told = world.status()
    assert world.condition("Ready") == ("False", "MissingPermission")
    assert {key: told[key] for key in told if key != "conditions"} == {
        key: before[key] for key in before if key != "conditions"
    }
    kept = [c for c in before["conditions"] if c["type"] != "Ready"]
    assert [c for c in told["conditions"] if c["type"] != "Ready"] == kept
    world.server.put(make.deployment("late", client="orders"))
    world.server.remove("services", "orders-headless")
    world.spec(PLURAL, "orders", serviceName="other")
    assert {write.verb for write in world.writes_in(LONG)} <= {"status"}
    changed(world, "")
    assert world.condition("Ready") == ("True", "Ready")
    assert world.env("late")[TARGET].startswith("dns:///other.")  # type: ignore[union-attr]  # a value, or it fails


def test_a_new_object_has_all_its_conditions_while_not_everything_can_be_seen() -> None:
    world = World()
    world.missing, world.blind = MISSING, True
    world.server.put(make.gbs(), make.server())
    world.start().run(LONG)
    reasons = {c["type"]: (c["status"], c["reason"]) for c in world.status()["conditions"]}
    kinds = [str(kind) for kind in ConditionType if kind is not ConditionType.XDS_ACCEPTED]
    expected = dict.fromkeys(kinds, ("Unknown", "MissingPermission"))
    assert reasons == expected | {"Ready": ("False", "MissingPermission")}
    assert world.writes_in(LONG) == []


def test_nothing_is_told_before_anybody_knows_what_is_missing() -> None:
    world = World()
    world.blind = True
    world.server.put(make.gbs(), make.server())
    world.start().run(LONG)
    assert world.server.attempts == []


def test_what_was_refused_is_tried_at_once_when_permissions_change() -> None:
    world = World()
    for name in ("orders", "orders-headless", "checkout"):
        world.server.refuse(name, Invalid("forbidden"), times=1)
    world.server.put(make.gbs(), make.server(name="web"), make.deployment(client="orders"))
    world.start().run(5.0)
    assert not world.status()
    assert not world.server.has("services", "orders-headless")
    assert world.operator is not None
    world.operator.permissions_changed()
    world.run(5.0)
    assert world.server.has("services", "orders-headless")
    assert world.status()["conditions"]
