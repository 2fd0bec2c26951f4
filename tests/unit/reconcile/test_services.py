"""The headless Service: made first, removed last, taken up again; and what becomes of it when the port changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from grpcbalance.errors import Conflict
from grpcbalance.model import Ref
from grpcbalance.names import ANNOTATION_OWNER_UID, ANNOTATION_UNREFERENCED, PLURAL
from tests.unit import factories as make
from tests.unit.factories import NAMESPACE

from .server import Write
from .world import LONG, World, shop

Raw = dict[str, Any]
NAME = "orders-headless"
HOST = "orders-headless.shop.svc"
TARGET = "GRPC_ORDERS_TARGET"


def verbs(writes: list[Write]) -> list[str]:
    return [f"{write.verb} {write.name}" for write in writes]


def marks_of(world: World, name: str = NAME) -> Raw:
    return dict(world.server.get("services", name)["metadata"]["annotations"])


def gone(world: World) -> World:
    """Delete the object."""
    world.server.remove(PLURAL, "orders")
    return world


# -- the object goes ------------------------------------------------------------------------------------------


def test_rule7_without_its_object_a_service_stays_while_templates_name_it_and_nothing_is_taken_away() -> None:
    world = shop(World())
    env = world.env("checkout"), world.env("orders")
    assert gone(world).writes_in(10 * LONG) == []
    assert (world.env("checkout"), world.env("orders")) == env
    assert world.server.has("services", NAME)
    said = {(e["reason"], e["involvedObject"]["name"]) for e in world.server.events}
    assert ("StillReferenced", "checkout") in said
    assert ("ServiceMissing", "checkout") in said


def by_hand() -> Raw:
    """A client in another namespace that somebody pointed at the look-aside balancer."""
    containers = [make.container(env=make.env(TARGET="xds:///orders.shop:5000"))]
    return make.deployment("by-hand", namespace="bank", containers=containers)


def leave(world: World) -> list[Write]:
    """Let the client opt out of what is gone, and everything happen that follows within 10 s."""
    gone(world).run(10.0)
    world.annotate("checkout")
    return world.writes_in(10.0)


def test_rule7_it_is_marked_when_the_last_reference_goes_and_deleted_a_minute_later() -> None:
    world = shop(World())
    assert verbs(leave(world)) == ["patch checkout", f"apply {NAME}"]
    assert TARGET not in world.env("checkout")
    assert ANNOTATION_UNREFERENCED in marks_of(world)
    assert world.writes_in(49.0) == []
    assert verbs(world.writes_in(5.0)) == [f"delete {NAME}"]
    assert world.writes_in(LONG) == []


def test_rule7_a_restart_does_not_begin_the_minute_anew() -> None:
    world = shop(World())
    leave(world)
    world.run(30.0)
    world.start()
    assert verbs(world.writes_in(30.0)) == [f"delete {NAME}"]


def test_rule7_a_running_pod_that_names_it_keeps_it_a_minute_at_a_time() -> None:
    world = shop(World())
    world.server.pods[Ref(NAMESPACE, "checkout-old")] = ("x", f"dns:///{HOST}.cluster.local.:5000")
    leave(world)
    marks = set()
    for _ in range(5):
        assert set(verbs(world.writes_in(60.0))) == {f"apply {NAME}"}
        marks.add(marks_of(world)[ANNOTATION_UNREFERENCED])
    assert len(marks) == 5
    world.server.pods.clear()
    assert verbs(world.writes_in(61.0)) == [f"delete {NAME}"]


def test_rule7_a_template_with_its_xds_target_keeps_it_once_the_object_is_gone() -> None:
    world = shop(World())
    world.server.put(by_hand())
    assert verbs(leave(world)) == ["patch checkout"]
    assert world.writes_in(LONG) == []
    world.server.remove("deployments", "by-hand", "bank")
    assert verbs(world.writes_in(70.0)) == [f"apply {NAME}", f"delete {NAME}"]


def test_rule7_a_running_pod_with_its_xds_target_keeps_it() -> None:
    world = shop(World())
    world.server.pods[Ref("bank", "by-hand")] = ("xds:///orders.shop:5000",)
    leave(world)
    assert set(verbs(world.writes_in(60.0))) == {f"apply {NAME}"}
    world.server.pods.clear()
    assert verbs(world.writes_in(61.0)) == [f"delete {NAME}"]


def test_an_xds_target_does_not_keep_a_service_that_another_one_has_replaced() -> None:
    world = shop(World())
    world.server.pods[Ref("bank", "by-hand")] = ("xds:///orders.shop:5000",)
    world.server.put(by_hand())
    world.run(5.0)
    world.spec(PLURAL, "orders", serviceName="other")
    world.run(LONG)
    assert world.server.has("services", "other")
    assert not world.server.has("services", NAME)


def test_rule7_a_pod_of_another_host_keeps_nothing() -> None:
    world = shop(World())
    world.server.pods[Ref(NAMESPACE, "b")] = ("dns:///payments-headless.shop.svc.cluster.local.:5000",)
    leave(world)
    assert verbs(world.writes_in(61.0)) == [f"delete {NAME}"]


def test_rule7_a_conflict_at_the_deletion_is_looked_at_again() -> None:
    world = shop(World())
    leave(world)
    world.server.refuse(NAME, Conflict("delete services: Precondition failed"), times=2)
    assert verbs(world.writes_in(61.0)) == [f"delete {NAME}"]
    assert [w.verb for w in world.server.attempts[-3:]] == ["delete"] * 3


def test_rule7_a_service_that_changed_behind_our_back_is_not_deleted_for_what_it_was() -> None:
    # The watch tells late, the live look tells now.
    world = shop(World())
    leave(world)
    world.watch_delay = 5.0
    world.run(48.0)
    world.server.edit("services", NAME, lambda raw: raw["metadata"]["labels"].clear())
    assert [w.verb for w in world.server.attempts if w.at > world.now] == []
    assert world.writes_in(LONG) == []
    assert world.server.has("services", NAME)


def test_rule7_a_reference_that_comes_back_takes_the_mark_away() -> None:
    world = shop(World())
    leave(world)
    by_hand = make.deployment("by-hand", containers=[make.container(env=make.env(T=f"dns:///{HOST}.cluster.local.:1"))])
    world.server.put(by_hand)
    assert verbs(world.writes_in(LONG)) == [f"apply {NAME}"]
    assert ANNOTATION_UNREFERENCED not in marks_of(world)


@pytest.mark.parametrize("after", [1.0, 30.0, LONG])
def test_rule7_an_object_made_anew_takes_its_service_up_again_and_rolls_nobody(after: float) -> None:
    world = shop(World())
    gone(world).run(after)
    world.server.put(make.gbs())
    wrote = verbs(world.writes_in(LONG))
    assert wrote[0] == f"apply {NAME}"
    assert set(wrote[1:]) == {"status orders"}
    assert len(wrote) <= 3
    assert marks_of(world) == {ANNOTATION_OWNER_UID: world.server.get(PLURAL, "orders")["metadata"]["uid"]}
    assert world.condition("ClientsConfigured") == ("True", "Configured")


def test_rule7_an_object_made_anew_takes_a_marked_service_up_again() -> None:
    world = shop(World())
    leave(world)
    world.run(30.0)
    world.server.put(make.gbs())
    world.annotate("checkout", client="orders")
    world.run(LONG)
    assert ANNOTATION_UNREFERENCED not in marks_of(world)
    assert world.server.get("services", NAME)["metadata"]["uid"] == f"services-{NAME}-1"
    assert world.condition("ClientsConfigured") == ("True", "Configured")


def test_rule7_a_changed_service_name_is_made_before_the_old_one_goes() -> None:
    world = shop(World())
    world.spec(PLURAL, "orders", serviceName="other")
    wrote = [line for line in verbs(world.writes_in(LONG)) if not line.startswith("status")]
    assert wrote == ["create other", "patch checkout", f"apply {NAME}", f"delete {NAME}"]
    assert world.env("checkout")[TARGET] == "dns:///other.shop.svc.cluster.local.:5000"
    assert world.condition("Ready") == ("True", "Ready")


# -- somebody else's hands ------------------------------------------------------------------------------------


def test_rule8_a_foreign_service_of_the_name_is_never_written_and_the_name_is_taken_when_free() -> None:
    world = World()
    world.server.put(make.service(NAME))
    shop(world)
    assert [write for write in world.server.attempts if write.kind == "services"] == []
    assert world.condition("ServiceReady") == ("False", "NameConflict")
    world.server.remove("services", NAME)
    world.run(30.0)
    assert world.condition("Ready") == ("True", "Ready")
    assert TARGET in world.env("checkout")


def test_rule8_a_name_lost_in_a_race_is_told_as_conflict() -> None:
    world = World(watch_delay=0.3)
    world.server.put(make.gbs())
    world.start().run(0.05)
    world.server.put(make.service(NAME))
    world.run(LONG)
    assert [w.verb for w in world.server.attempts if w.kind == "services"] == ["create"]
    assert world.condition("ServiceReady") == ("False", "NameConflict")


@pytest.mark.parametrize(
    "harm",
    [
        lambda raw: raw["spec"].update(publishNotReadyAddresses=True),
        lambda raw: raw["spec"].update(selector={"app": "other"}),
        lambda raw: raw["metadata"]["labels"].clear(),
        lambda raw: raw["spec"]["ports"].append({"name": "x", "port": 1, "targetPort": 1, "protocol": "TCP"}),
        lambda raw: raw["spec"].update(ports=[{"name": "grpc", "port": 1, "targetPort": 1, "protocol": "TCP"}]),
        lambda raw: raw["spec"]["ports"][0].update(name="mine", targetPort=7),
    ],
    ids=["not ready", "selector", "labels", "port added", "port replaced", "port renamed"],
)
def test_drift_is_brought_back(harm: Callable[[Raw], None]) -> None:
    world = shop(World())
    before = world.server.get("services", NAME)
    world.server.edit("services", NAME, harm)
    wrote = [write.kind for write in world.writes_in(LONG)]
    assert "deployments" not in wrote
    assert wrote.count("services") <= 2
    after = world.server.get("services", NAME)
    assert after["spec"] == before["spec"]
    assert after["metadata"]["labels"] == before["metadata"]["labels"]
    assert world.condition("Ready") == ("True", "Ready")


def test_a_deleted_service_is_made_anew_and_rolls_nobody() -> None:
    world = shop(World())
    world.server.remove("services", NAME)
    wrote = [line for line in verbs(world.writes_in(LONG)) if not line.startswith("status")]
    assert wrote == [f"create {NAME}"]
    assert world.condition("Ready") == ("True", "Ready")


# -- another port ---------------------------------------------------------------------------------------------


def two_ports(**more: Any) -> Raw:
    return make.server(containers=[make.container(ports=[5000, 6000])], minReadySeconds=35, **more)


@pytest.mark.parametrize("restart", [False, True], ids=["the same process", "a new one"])
def test_a_changed_port_becomes_the_only_one_of_the_service_and_reaches_the_clients(restart: bool) -> None:
    world = World()
    world.server.put(make.gbs(), two_ports(), make.deployment(client="orders"))
    world.start().run(LONG)
    if restart:
        world.start()
    for port in (6000, 5000, 6000):
        world.spec(PLURAL, "orders", port=port)
        world.run(LONG)
        ports = world.server.get("services", NAME)["spec"]["ports"]
        assert [(p["name"], p["port"], p["targetPort"]) for p in ports] == [("grpc", port, port)]
        assert world.env("checkout")[TARGET] == f"dns:///{HOST}.cluster.local.:{port}"
        assert world.condition("Ready") == ("True", "Ready")
        assert world.writes_in(LONG) == []
