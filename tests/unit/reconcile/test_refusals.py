"""What the API server says no to: lost races are decided anew, refusals are told and tried again at their pace."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from grpcbalance.errors import Conflict, Retry
from grpcbalance.names import PLURAL
from grpcbalance.reconcile.context import REFUSED_AGAIN
from tests.unit import factories as make

from .server import REFUSAL, Write
from .world import LONG, World, shop

Raw = dict[str, Any]
TARGET = "GRPC_ORDERS_TARGET"
VALUE = "dns:///orders-headless.shop.svc.cluster.local.:5000"


# -- conflicts ------------------------------------------------------------------------------------------------


def racing(world: World, user: Any, times: int = 1) -> None:
    """Let a user's edit of `checkout` reach the API server just before our PATCH does, so many times."""
    left = times

    def fault(write: Write, done: bool) -> None:
        nonlocal left
        if write.name == "checkout" and not done and left > 0:
            left -= 1
            world.server.edit("deployments", "checkout", user)

    world.server.faults.append(fault)


def add_env(**variables: str) -> Any:
    def change(raw: Raw) -> None:
        container = raw["spec"]["template"]["spec"]["containers"][0]
        container["env"] = [*(container.get("env") or ()), *make.env(**variables)]

    return change


def up(raw: Raw) -> None:
    raw["endpoints"] = [make.endpoint("10.1.0.1", ready=True)]


def down(raw: Raw) -> None:
    raw["endpoints"] = []


def attempts(world: World, name: str = "checkout") -> list[float]:
    return [write.at for write in world.server.attempts if write.name == name]


def test_a_users_edit_that_wins_the_race_is_kept_and_ours_is_added_to_it() -> None:
    world = World()
    racing(world, add_env(LOG_LEVEL="debug"))
    shop(world)
    assert world.env("checkout")["LOG_LEVEL"] == "debug"
    assert world.env("checkout")[TARGET] == VALUE
    assert len(attempts(world)) == 2


def test_a_users_own_value_that_wins_the_race_stays_and_is_told_as_conflict() -> None:
    world = World()
    racing(world, add_env(**{TARGET: "dns:///mine:1"}))
    shop(world)
    assert world.env("checkout")[TARGET] == "dns:///mine:1"
    assert world.standing("checkout") == ("Refused", "EnvConflict")


def test_an_opt_out_that_wins_the_race_leaves_the_workload_untouched() -> None:
    world = World()
    racing(world, lambda raw: raw["metadata"].update(annotations={}))
    shop(world)
    assert world.env("checkout") == {}
    assert world.status()["clients"]["matched"] == 0


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.4, 3.0])
def test_races_are_lost_again_and_again_without_harm_however_late_the_watch_is(delay: float) -> None:
    world = World(watch_delay=delay)
    edits = itertools.count()
    racing(world, lambda raw: raw["metadata"]["annotations"].update(note=str(next(edits))), times=5)
    shop(world)
    assert world.env("checkout")[TARGET] == VALUE
    # As often as it was lost, and while the watch has not told of it.
    assert 6 <= len(attempts(world)) <= 6 + 5 * (1 + delay / 0.5)
    assert world.condition("ClientsConfigured") == ("True", "Configured")


def test_a_workload_that_goes_during_the_patch_is_forgotten() -> None:
    world = World()
    world.server.put(make.gbs(), make.server(), make.deployment(client="orders"))

    def go(write: Write, done: bool) -> None:
        if write.name == "checkout" and not done and world.server.has("deployments", "checkout"):
            world.server.remove("deployments", "checkout")

    world.server.faults.append(go)
    world.start().run(LONG)
    assert len(attempts(world)) == 1
    assert world.status()["clients"]["matched"] == 0
    assert world.operator is not None
    assert world.operator.view.slots.in_flight == set()


@pytest.mark.parametrize("number", [1, 2, 3])
def test_an_edit_that_is_first_seen_in_the_answer_to_a_status_write_is_acted_on(number: int) -> None:
    world = World()
    left = number

    def fault(write: Write, done: bool) -> None:
        nonlocal left
        if write.verb == "status" and not done:
            left -= 1
            if left == 0:
                world.spec(PLURAL, "orders", serviceName="other", rollout={"allowUnsafe": True})

    world.server.faults.append(fault)
    shop(world)
    assert left <= 0
    assert world.env("checkout")[TARGET] == "dns:///other.shop.svc.cluster.local.:5000"
    assert world.status()["observedGeneration"] == 2
    assert world.condition("Ready") == ("True", "Ready")


def test_a_status_that_lost_a_race_is_written_again() -> None:
    world = shop(World())
    world.server.refuse("orders", Conflict("the object has been modified"), times=3)
    world.server.edit("endpointslices", "orders-headless-abc", down)
    world.run(10.0)
    assert world.condition("Ready") == ("False", "NoEndpoints")
    assert len(attempts(world, "orders")) <= 9


def test_a_status_of_an_object_that_is_gone_is_let_go() -> None:
    world = shop(World(watch_delay=5.0))
    world.server.edit("endpointslices", "orders-headless-abc", down)
    world.run(4.9)
    world.server.remove(PLURAL, "orders")
    before = len(world.server.attempts)
    world.run(LONG)
    assert [write.verb for write in world.server.attempts[before:]] == ["status"]


# -- refusals -------------------------------------------------------------------------------------------------


def test_a_refused_patch_is_told_with_the_servers_words_and_blocks_nobody_else() -> None:
    world = World()
    world.server.refuse("checkout")
    world.server.put(*(make.deployment(f"other-{n}", client="orders") for n in range(20)))
    shop(world)
    (entry,) = [w for w in world.status()["workloads"] if w["name"] == "checkout"]
    assert (entry["state"], entry["reason"]) == ("Refused", "ApiRefused")
    assert entry["message"] == REFUSAL
    assert world.condition("ClientsConfigured") == ("False", "ApiRefused")
    assert world.condition("Ready") == ("True", "Ready")
    assert world.status()["clients"] == {"matched": 21, "configured": 20, "pending": 0, "refused": 1}
    said = [e for e in world.server.events if e["involvedObject"]["name"] == "checkout"]
    assert [(e["reason"], e["type"]) for e in said if REFUSAL in e["message"]] == [("ApiRefused", "Warning")]


def test_a_refused_patch_is_tried_again_once_a_minute_and_heals_when_granted() -> None:
    world = World()
    world.server.refuse("checkout", times=5)
    world.server.put(make.gbs(), make.server(), make.deployment(client="orders"))
    world.start().run(4.5 * REFUSED_AGAIN)
    times = attempts(world)
    assert len(times) == 5
    assert all(b - a >= REFUSED_AGAIN for a, b in itertools.pairwise(times))
    assert world.condition("ClientsConfigured") == ("False", "ApiRefused")
    world.run(REFUSED_AGAIN)
    assert len(attempts(world)) == 6
    assert world.env("checkout")[TARGET] == VALUE
    assert world.condition("ClientsConfigured") == ("True", "Configured")
    assert world.writes_in(LONG) == []


def test_a_refused_workload_writes_no_status_again_and_again() -> None:
    world = World()
    world.server.refuse("checkout")
    shop(world)
    assert world.writes_in(LONG) == []


def test_a_refused_service_is_told_and_heals() -> None:
    world = World()
    world.server.refuse("orders-headless", times=3)
    world.server.put(make.gbs(), make.server(), make.deployment(client="orders"))
    world.start().run(10.0)
    assert world.condition("ServiceReady") == ("False", "ApiRefused")
    (message,) = [c["message"] for c in world.status()["conditions"] if c["type"] == "ServiceReady"]
    assert REFUSAL in message
    # A server needs no Service; a client does.
    assert world.standing("orders") == ("Configured", "Configured")
    assert TARGET not in world.env("checkout")
    world.run(2.5 * REFUSED_AGAIN)
    times = attempts(world, "orders-headless")
    assert len(times) == 3
    assert all(b - a >= REFUSED_AGAIN for a, b in itertools.pairwise(times))
    world.run(REFUSED_AGAIN)
    assert world.condition("Ready") == ("True", "Ready")
    assert world.env("checkout")[TARGET] == VALUE


def test_a_refused_status_is_tried_again_at_its_pace() -> None:
    world = World()
    world.server.refuse("orders", times=float("inf"))
    world.server.put(make.gbs())
    world.start().run(5.5 * REFUSED_AGAIN)
    assert 5 <= len(attempts(world, "orders")) <= 8


# -- an API server that is away -------------------------------------------------------------------------------


def test_after_an_outage_all_is_done_that_was_due() -> None:
    world = World()
    away = True

    def fault(_: Write, done: bool) -> None:
        if away and not done:
            raise Retry(None, "connection refused")

    world.server.faults.append(fault)
    shop(world)
    assert world.server.writes == []
    assert len(world.server.attempts) < 60
    away = False
    # The longest back-off.
    world.run(300.0)
    assert world.condition("ClientsConfigured") == ("True", "Configured")
    assert world.writes_in(LONG) == []


def test_a_busy_server_is_left_alone_for_as_long_as_it_asked() -> None:
    world = World()
    world.server.refuse("checkout", Retry(30.0, "too many requests"), times=2)
    shop(world)
    times = attempts(world)
    assert [round(b - a) for a, b in itertools.pairwise(times)] == [30, 30]
    assert world.env("checkout")[TARGET] == VALUE


@pytest.mark.parametrize("name", ["orders-headless", "orders", "checkout"])
def test_a_write_whose_answer_was_lost_is_not_done_twice(name: str) -> None:
    world = World()
    lost = 0

    def fault(write: Write, done: bool) -> None:
        nonlocal lost
        if write.name == name and write.kind != PLURAL and done and not lost:
            lost += 1
            raise Retry(None, "timeout")

    world.server.faults.append(fault)
    shop(world)
    assert lost == 1
    assert [w.verb for w in world.server.writes if w.name == name and w.kind != PLURAL] in (["patch"], ["create"])
    assert world.condition("ClientsConfigured") == ("True", "Configured")


def test_what_happens_meanwhile_does_not_hurry_a_refused_patch() -> None:
    # Any policy may refuse a thousand clients; each endpoint that flaps must not send their patches again.
    world = World()
    world.server.refuse("checkout")
    shop(world)
    before = len(attempts(world))
    for number in range(40):
        world.server.edit("endpointslices", "orders-headless-abc", up if number % 2 else down)
        world.run(3.0)
    times = attempts(world)[before - 1 :]
    assert 2 <= len(times) <= 4
    assert all(b - a >= REFUSED_AGAIN for a, b in itertools.pairwise(times))


def test_a_users_change_of_a_refused_workload_is_tried_at_once() -> None:
    world = World()
    world.server.refuse("checkout", times=1)
    world.server.put(make.gbs(), make.server(), make.deployment(client="orders"))
    world.start().run(10.0)
    assert world.standing("checkout") == ("Refused", "ApiRefused")
    world.server.edit("deployments", "checkout", lambda raw: raw["metadata"].update(labels={"team": "a"}))
    world.spec("deployments", "checkout", replicas=2)
    world.run(10.0)
    assert world.standing("checkout") == ("Configured", "Configured")
