"""Rollouts that fail or get stuck: they free their slot, and no other one is begun for the same object."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

from grpcbalance.settings import Settings
from tests.unit import factories as make

from .world import World, shop

Raw = dict[str, Any]
ENDLESS = {"progressDeadlineSeconds": 2_147_483_647}


def fails(raw: Raw) -> None:
    """What the controller says when a rollout made no progress until its deadline."""
    raw["status"]["conditions"] = [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]


def recovers(raw: Raw) -> None:
    make.roll(raw)


def moves(count: int, raw: Raw) -> None:
    raw["status"]["availableReplicas"] = count + 5


def carriers(world: World) -> list[str]:
    names = [raw["metadata"]["name"] for raw in world.server.all("deployments")]
    return [name for name in names if "GRPC_ORDERS_TARGET" in world.env(name)]


def crowd(count: int, **more: Any) -> list[Raw]:
    return [make.deployment(f"client-{number:02}", client="orders", **more) for number in range(count)]


def begun(settings: Settings, **more: Any) -> World:
    """Five clients of which two roll, and never end."""
    world = World(settings, takes=lambda name: None if name.startswith("client") else 1.0)
    world.server.put(make.gbs(), make.server(replicas=0), *crowd(5, **more))
    world.start().run(30)
    assert carriers(world) == ["client-00", "client-01"]
    return world


def test_a_failed_rollout_stops_the_others_and_goes_on_when_it_is_mended() -> None:
    world = begun(Settings(max_concurrent_rollouts=2))
    world.server.edit("deployments", "client-00", fails)
    world.run(30)
    assert carriers(world) == ["client-00", "client-01"]
    assert world.condition("ClientsConfigured") == ("False", "RolloutFailed")
    assert world.standing("client-00")[1] == "RolloutFailed"
    assert world.standing("client-02") == ("Pending", "RolloutStopped")
    message = next(c["message"] for c in world.status()["conditions"] if c["type"] == "ClientsConfigured")
    assert "Deployment client-00" in message
    world.server.edit("deployments", "client-00", recovers)
    world.run(30)
    assert carriers(world) == ["client-00", "client-01", "client-02"]


def test_those_that_failed_together_are_mended_together() -> None:
    world = begun(Settings(max_concurrent_rollouts=2))
    for name in ("client-00", "client-01"):
        world.server.edit("deployments", name, fails)
    world.run(30)
    world.spec("grpcbalancedservices", "orders", client={"minResolutionInterval": "20s"})
    world.run(30)
    for name in ("client-00", "client-01"):
        assert world.env(name)["GRPC_ORDERS_MIN_RESOLUTION_INTERVAL_MS"] == "20000"
    assert carriers(world) == ["client-00", "client-01"], "the others wait until these are well"


def test_of_seventy_clients_those_that_status_leaves_out_are_known_to_be_well() -> None:
    world = World(takes=lambda _: 0.5)
    world.server.put(make.gbs(), make.server(replicas=0), *crowd(70))
    world.start().run(120)
    assert world.status()["omittedWorkloads"] > 0
    world.server.edit("deployments", "client-69", fails)
    world.start()
    world.server.put(make.deployment("late", client="orders"))
    world.run(60)
    assert "late" in carriers(world)
    assert world.condition("ClientsConfigured") == ("True", "Configured")


def test_an_opt_out_of_the_failed_one_lets_the_others_go_on() -> None:
    world = begun(Settings(max_concurrent_rollouts=2))
    world.server.edit("deployments", "client-00", fails)
    world.run(30)
    world.annotate("client-00")
    world.run(30)
    assert "client-00" not in carriers(world)
    assert "client-02" not in carriers(world), "its own removal rolls, and fills the slot"
    world.server.edit("deployments", "client-01", recovers)
    world.run(30)
    assert "client-02" in carriers(world)


def test_a_stuck_rollout_without_a_deadline_of_its_own_fails_by_ours() -> None:
    world = begun(Settings(max_concurrent_rollouts=2, rollout_deadline=60.0), **ENDLESS)
    world.run(20)
    assert world.standing("client-00")[1] == "RollingOut"
    world.run(60)
    assert world.standing("client-00")[1] == "RolloutFailed"
    assert world.condition("ClientsConfigured") == ("False", "RolloutFailed")
    assert carriers(world) == ["client-00", "client-01"]
    # Something moves after all.
    for name in ("client-00", "client-01"):
        world.server.edit("deployments", name, recovers)
    world.run(30)
    assert carriers(world) == ["client-00", "client-01", "client-02", "client-03"]


def test_a_deadline_of_days_is_none() -> None:
    world = begun(Settings(max_concurrent_rollouts=2, rollout_deadline=60.0), progressDeadlineSeconds=2_000_000_000)
    world.run(80)
    assert world.standing("client-00")[1] == "RolloutFailed"
    assert world.operator is not None
    assert world.operator.view.slots.in_flight == set()


def test_progress_puts_the_deadline_off() -> None:
    world = begun(Settings(max_concurrent_rollouts=2, rollout_deadline=60.0), **ENDLESS)
    for count in range(6):
        for name in ("client-00", "client-01"):
            world.server.edit("deployments", name, partial(moves, count))
        world.run(40)
    assert world.standing("client-00")[1] == "RollingOut"


def test_the_users_own_failed_rollout_stops_nobody_not_even_after_a_restart() -> None:
    world = World(takes=lambda _: 1.0)
    world.server.put(make.gbs(), make.server(replicas=0), *crowd(2))
    world.start().run(60)
    assert world.condition("ClientsConfigured") == ("True", "Configured")
    world.server.edit("deployments", "client-00", fails)
    for restart in (False, True):
        if restart:
            world.start()
        late = copy.deepcopy(crowd(1)[0])
        late["metadata"] |= {"name": f"late-{restart}".lower(), "uid": f"late-{restart}"}
        world.server.put(late)
        world.run(60)
        assert late["metadata"]["name"] in carriers(world)
        assert world.condition("ClientsConfigured") == ("True", "Configured")


def test_progress_of_many_is_told_in_events_and_metrics() -> None:
    world = World(takes=lambda _: 6.0)
    world.server.put(make.gbs(), make.server(replicas=0), *crowd(200))
    world.start().run(3.0)
    assert world.operator is not None
    assert len(world.operator.view.slots.waiting) == 190
    world.run(200)
    told = [event["message"] for event in world.server.events if "clients are configured" in event["message"]]
    assert told[0].startswith("20 of 200 clients are configured, 180 pending")
    assert told[-1] == "200 of 200 clients are configured, 0 pending, 0 refused"
    assert 10 <= len(told) <= 11


def writes_a_label(second: int, raw: Raw) -> None:
    by = {"manager": "labeller", "time": f"2026-01-01T01:00:{second:02}Z", "fieldsV1": {"f:spec": {}}}
    raw["metadata"]["managedFields"] = [by]


def test_edits_that_have_nothing_to_do_with_it_do_not_hurry_a_refused_write() -> None:
    world = shop(World())
    world.server.refuse("checkout")
    world.spec("grpcbalancedservices", "orders", client={"minResolutionInterval": "20s"})
    world.run(5)
    tried = len([write for write in world.server.attempts if write.name == "checkout"])
    for second in range(30):
        world.server.edit("deployments", "checkout", partial(writes_a_label, second))
        world.run(1)
    assert len([write for write in world.server.attempts if write.name == "checkout"]) == tried
