"""What is told is true, and what is refused is seen by people: in an Event, in status where that can be, in a metric."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any

import pytest

from grpcbalance.errors import Retry
from grpcbalance.names import PLURAL
from grpcbalance.reconcile.context import REFUSED_AGAIN
from grpcbalance.settings import Settings
from tests.unit import factories as make

from .server import REFUSAL, Write
from .world import LONG, CrashError, World, shop

Raw = dict[str, Any]


def events(world: World, about: str) -> Counter[str]:
    """How often each reason was told of an object."""
    return Counter(event["reason"] for event in world.server.events if event["involvedObject"]["name"] == about)


def note(raw: Raw, number: int) -> None:
    """Change what the operator does not look at."""
    raw["metadata"]["note"] = str(number)


@pytest.mark.parametrize(
    ("objects", "reason"),
    [
        ([make.gbs(), make.service("orders-headless")], "NameConflict"),
        ([make.gbs(port="grpc")], "PortUnresolved"),
        ([make.gbs(client={"serviceConfig": "{"})], "InvalidServiceConfig"),
    ],
)
def test_what_is_wrong_with_the_object_is_told_in_status_event_and_metric(objects: list[Raw], reason: str) -> None:
    world = World()
    world.server.put(*objects)
    world.start().run(LONG)
    assert reason in {condition["reason"] for condition in world.status()["conditions"]}
    assert events(world, "orders")[reason] == 1
    assert world.refusals(reason) == 1


def test_a_status_that_is_refused_is_told_otherwise_and_sent_at_its_pace() -> None:
    world = World()
    world.server.refuse("orders")
    world.server.put(make.gbs())
    world.start().run(1.0)
    for number in range(20):
        # Each asks for a look; none changes what would be written.
        world.server.edit("services", "orders-headless", partial(note, number=number))
        world.run(1.0)
    assert world.status() == {}
    assert events(world, "orders")["ApiRefused"] >= 1
    assert world.refusals("ApiRefused") >= 1
    assert len([a for a in world.server.attempts if a.verb == "status"]) <= 3


def test_a_service_that_stays_for_its_users_is_counted() -> None:
    world = World()
    shop(world)
    world.server.remove(PLURAL, "orders")
    world.run(LONG)
    assert events(world, "checkout")["StillReferenced"] == 1
    assert world.refusals("StillReferenced") == 1


def test_a_fresh_object_is_not_said_to_have_no_endpoints_before_anybody_can_know() -> None:
    world = World()
    world.server.put(make.gbs())
    world.start().run(LONG)
    assert events(world, "orders")["NoEndpoints"] == 0


def undo_patches(world: World, name: str) -> None:
    """A mutating webhook that takes back whatever is written to one Deployment."""
    patch = world.server.patch_workload

    async def undone(ref: Any, body: Raw) -> Raw:
        return world.server.get("deployments", name) if ref.name == name else await patch(ref, body)

    world.server.patch_workload = undone  # type: ignore[method-assign]  # one method of a fake


def test_a_patch_that_is_taken_back_is_a_refusal_and_keeps_no_slot() -> None:
    world = World(Settings(max_concurrent_rollouts=1))
    world.server.put(make.gbs(), make.server(), *(make.deployment(name, client="orders") for name in ("a", "b")))
    undo_patches(world, "a")
    world.start().run(LONG)
    assert world.standing("a") == ("Refused", "ApiRefused")
    assert world.standing("b") == ("Configured", "Configured")
    assert events(world, "a")["ApiRefused"] == 1
    assert events(world, "a")["Removed"] == events(world, "a")["Injected"] == 0


def test_a_refusal_of_what_is_no_longer_wanted_is_not_told_of_something_else() -> None:
    world = World()
    world.server.refuse("checkout", times=1)
    world.server.put(make.gbs(), make.server(), make.deployment("checkout"))
    world.start().run(10.0)
    world.annotate("checkout", client="orders")
    world.run(10.0)
    assert world.standing("checkout") == ("Refused", "ApiRefused")
    world.annotate("checkout")
    world.run(10.0)
    world.server.put(make.gbs("other"), make.server("other"))
    world.annotate("checkout", client="orders,other")
    world.run(LONG)
    assert world.standing("checkout", "other") == ("Configured", "Configured")
    assert events(world, "checkout")["ApiRefused"] == 1


def test_progress_of_a_refused_workload_does_not_hurry_its_patch() -> None:
    world = World()
    world.server.refuse("checkout")
    shop(world)
    before = len([a for a in world.server.attempts if a.name == "checkout"])
    for number in range(30):
        # Only its version moves.
        world.server.edit("deployments", "checkout", partial(note, number=number))
        world.run(2.0)
    assert len([a for a in world.server.attempts if a.name == "checkout"]) - before <= 60.0 / REFUSED_AGAIN + 1
    assert REFUSAL in next(w["message"] for w in world.status()["workloads"] if w["name"] == "checkout")


def test_after_a_crash_behind_a_patch_nobody_is_called_configured_before_the_pods_are() -> None:
    world = World(takes=lambda _: 120.0)
    shop(world)

    def die(write: Write, done: bool) -> None:
        if done and write.name == "checkout" and write.verb == "patch":
            world.server.faults.clear()
            raise CrashError

    world.server.faults.append(die)
    world.spec(PLURAL, "orders", client={"waitForReady": True})
    seen = set()
    for _ in range(60):
        world.run(1.0)
        if world.status()["observedGeneration"] == 2:
            seen.add(world.condition("ClientsConfigured"))
    assert world.crashes == 1
    assert seen == {("False", "RollingOut")}
    world.run(LONG)
    assert world.condition("ClientsConfigured") == ("True", "Configured")


def test_many_services_at_once_are_all_configured_though_their_servers_stand_in_line_for_long() -> None:
    world = World(takes=lambda _: 60.0)
    names = [f"s{number:02}" for number in range(70)]
    for name in names:
        world.server.put(make.gbs(name), make.server(name), make.deployment(f"{name}-client", client=name))
    world.start().run(2 * LONG)
    found = Counter((world.condition(f"{side}Configured", name)) for name in names for side in ("Servers", "Clients"))
    assert found == {("True", "Configured"): 140}


def test_env_from_is_told_of_when_variables_are_written_beside_it() -> None:
    world = World()
    container = make.container() | {"envFrom": [{"configMapRef": {"name": "settings"}}]}
    world.server.put(make.gbs(), make.server(), make.deployment("checkout", client="orders", containers=[container]))
    world.start().run(LONG)
    listed = next(w for w in world.status()["workloads"] if w["name"] == "checkout")
    assert (listed["state"], "envFrom" in listed["message"]) == ("Configured", True)
    assert events(world, "checkout")["EnvFrom"] == 1


def test_every_write_is_an_event_of_its_own_and_tells_what_changed() -> None:
    world = shop(World())
    for wait in (True, False, True):
        world.spec(PLURAL, "orders", client={"waitForReady": wait})
        world.run(LONG)
    found = [e for e in world.server.events if (e["involvedObject"]["name"], e["reason"]) == ("checkout", "Injected")]
    patches = [write for write in world.server.writes if str(write) == "patch deployments checkout"]
    assert len({e["metadata"]["name"] for e in found}) == len(found) == len(patches) == 4
    first, *others = [e["message"] for e in found]
    assert first.startswith("GRPC_ORDERS_TARGET, GRPC_ORDERS_SERVICE_CONFIG")
    assert first.endswith(" added, which rolls the pods")
    assert set(others) == {"GRPC_ORDERS_SERVICE_CONFIG changed, which rolls the pods"}


def test_a_restart_writes_no_event_again() -> None:
    world = shop(World())
    world.server.put(
        make.deployment("own", client="orders", containers=[make.container(env=make.env(GRPC_ORDERS_TARGET="x"))])
    )
    world.run(LONG)
    before = [event["metadata"]["name"] for event in world.server.events]
    assert events(world, "own") == {"EnvConflict": 1, "Injected": 1}
    world.start().run(LONG)
    # What is said again has a name that is taken.
    assert {event["metadata"]["name"] for event in world.server.events} == set(before)
    assert events(world, "checkout")["Injected"] == 1


def test_status_does_not_wait_for_a_workload_that_cannot_be_written() -> None:
    world = World()
    world.server.refuse("backend", Retry(None, "webhook is away"))
    backend = make.deployment("backend", server="orders", containers=[make.container(ports=[5000])])
    world.server.put(make.gbs(), backend)
    world.start().run(10.0)
    assert world.condition("EndpointsReady") == ("True", "EndpointsReady")
    world.server.edit("endpointslices", "orders-headless-abc", lambda raw: raw.update(endpoints=[]))
    world.run(5.0)
    assert world.condition("EndpointsReady") == ("False", "NoEndpoints")
