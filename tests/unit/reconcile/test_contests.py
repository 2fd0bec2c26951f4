"""Somebody keeps taking our variables away: each restoring rolls pods, so there are few, whatever happens to us."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from grpcbalance.errors import Invalid
from tests.unit import factories as make

from .server import Write
from .world import LONG, CrashError, World, shop

Raw = dict[str, Any]
TARGET = "GRPC_ORDERS_TARGET"


def strip(raw: Raw) -> None:
    """What a replacing tool does: the user's own manifest, without anything of ours."""
    template = raw["spec"]["template"]
    template["metadata"].pop("annotations", None)
    for container in template["spec"]["containers"]:
        container["env"] = [e for e in container.get("env", ()) if not e["name"].startswith("GRPC_")]
    by = {"manager": "replacer", "operation": "Update", "time": "2027-01-01T00:00:00Z", "fieldsV1": {"f:spec": {}}}
    raw["metadata"]["managedFields"] = [by]


def vandalise(world: World, every: float, until: float, name: str = "checkout") -> None:
    """Have our variables taken away again and again."""

    def act() -> None:
        if TARGET in world.env(name):
            world.server.edit("deployments", name, strip)
        if world.now < until:
            world.later(every, act)

    world.later(every, act)


def patches(world: World, name: str = "checkout") -> list[float]:
    return [write.at for write in world.server.writes if write.verb == "patch" and write.name == name]


def test_three_restorings_then_one_each_half_hour_and_status_says_who() -> None:
    world = shop(World())
    begun = world.now
    vandalise(world, 1.0, begun + 7200)
    world.run(7200)
    done = [at - begun for at in patches(world) if at > begun]
    assert len(done) == 3 + 3
    assert done[2] < 240
    assert [round((later - before) / 60) for before, later in itertools.pairwise(done[2:])] == [30, 30, 30]
    assert all(later - before >= 58 for before, later in itertools.pairwise(done))
    assert world.standing("checkout") == ("Refused", "Contested")
    assert world.condition("ClientsConfigured") == ("False", "Contested")
    (listed,) = [w for w in world.status()["workloads"] if w["name"] == "checkout"]
    assert listed["message"].startswith("replacer keeps taking our variables away")
    assert world.refusals("Contested") >= 1


def test_it_heals_when_the_quarrel_ends() -> None:
    world = shop(World())
    vandalise(world, 1.0, world.now + 400)
    world.run(500)
    assert world.standing("checkout")[1] == "Contested"
    world.run(3600)
    assert world.condition("ClientsConfigured") == ("True", "Configured")
    assert "restored" not in world.status()
    assert TARGET in world.env("checkout")
    assert world.writes_in(LONG) == []


def test_an_edit_of_the_object_is_no_restoring() -> None:
    world = shop(World())
    vandalise(world, 1.0, world.now + 400)
    world.run(500)
    before = len(patches(world))
    world.spec("grpcbalancedservices", "orders", client={"minResolutionInterval": "20s"})
    world.run(30)
    assert len(patches(world)) == before + 1
    assert world.env("checkout")["GRPC_ORDERS_MIN_RESOLUTION_INTERVAL_MS"] == "20000"


def test_one_removal_is_put_back_at_once() -> None:
    world = shop(World())
    world.server.edit("deployments", "checkout", strip)
    world.run(10)
    assert TARGET in world.env("checkout")
    assert [entry["workload"] for entry in world.status()["restored"]] == ["Deployment/checkout"]
    world.run(LONG)
    assert "restored" not in world.status()


def test_a_workload_made_anew_is_no_quarrel() -> None:
    world = shop(World())
    for number in range(6):
        world.server.remove("deployments", "checkout")
        world.server.put(make.deployment(client="orders", uid=f"anew-{number}"))
        world.run(60)
        assert TARGET in world.env("checkout")
    assert "restored" not in world.status()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_crash_at_every_restoring_forgets_none(after: bool) -> None:
    world = shop(World())
    begun = world.now

    def fault(write: Write, done: bool) -> None:
        if write.verb == "patch" and done is after:
            raise CrashError

    world.server.faults.append(fault)
    vandalise(world, 1.0, begun + 1500)
    world.run(1500)
    assert world.crashes >= 3
    assert len([at for at in patches(world) if at > begun]) <= 3
    assert world.condition("ClientsConfigured") == ("False", "Contested")


def test_restarts_all_the_time_forget_none() -> None:
    world = shop(World())
    begun = world.now

    def restart() -> None:
        world.start()
        if world.now < begun + 1500:
            world.later(20.0, restart)

    world.later(20.0, restart)
    vandalise(world, 1.0, begun + 1500)
    world.run(1500)
    assert len([at for at in patches(world) if at > begun]) == 3
    assert world.condition("ClientsConfigured") == ("False", "Contested")


def test_a_restart_forgets_none_of_those_that_status_has_no_room_for() -> None:
    world = World(takes=lambda _: 0.5)
    clients = [make.deployment(f"client-{number:02}", client="orders") for number in range(70)]
    world.server.put(make.gbs(), make.server(replicas=0), *clients)
    world.start().run(120)
    assert "client-69" not in [listed["name"] for listed in world.status()["workloads"]]
    world.server.edit("deployments", "client-69", strip)
    world.start().run(30)
    assert TARGET in world.env("client-69")
    assert [entry["workload"] for entry in world.status()["restored"]] == ["Deployment/client-69"]


def test_without_any_status_memory_has_to_do() -> None:
    world = shop(World())
    begun = world.now
    world.server.faults.append(_no_status)
    vandalise(world, 1.0, begun + 1500)
    world.run(1500)
    assert len([at for at in patches(world) if at > begun]) == 3


def _no_status(write: Write, done: bool) -> None:
    if write.verb == "status" and not done:
        raise Invalid("patch status: denied")


@pytest.mark.parametrize("every", [1.0, 30.0, 60.0])
def test_taking_back_what_we_removed_is_rationed_too(every: float) -> None:
    world = shop(World())
    injected = world.server.get("deployments", "checkout")["spec"]["template"]
    world.annotate("checkout")
    world.run(20)
    assert TARGET not in world.env("checkout")
    begun = world.now

    def put_back() -> None:
        if TARGET not in world.env("checkout"):
            world.server.edit("deployments", "checkout", lambda raw: raw["spec"].update(template=injected))
        if world.now < begun + 1500:
            world.later(every, put_back)

    world.later(every, put_back)
    world.run(1500)
    assert len([at for at in patches(world) if at > begun]) == 3


@pytest.mark.parametrize("time", ["9999-12-31T23:59:59+00:00", "2926-01-01T00:00:00Z", "2026-01-01T00:00:00+23:59"])
def test_a_time_that_somebody_forged_stops_nothing(time: str) -> None:
    world = shop(World())
    forged = [{"workload": "Deployment/checkout", "times": [time], "contested": True}]
    world.server.edit("grpcbalancedservices", "orders", lambda raw: raw["status"].update(restored=forged))
    world.run(5)
    world.server.edit("deployments", "checkout", strip)
    world.spec("grpcbalancedservices", "orders", client={"minResolutionInterval": "20s"})
    world.run(30)
    assert world.env("checkout")["GRPC_ORDERS_MIN_RESOLUTION_INTERVAL_MS"] == "20000"
    world.server.edit("deployments", "checkout", strip)
    world.run(90)
    assert TARGET in world.env("checkout")
