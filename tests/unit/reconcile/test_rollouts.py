"""Who rolls when: so many at a time, held while unsafe, servers first but never for ever."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from grpcbalance.model import Rollout
from grpcbalance.names import PLURAL
from grpcbalance.observe_rollout import deployment_rollout
from grpcbalance.settings import Settings
from tests.unit import factories as make

from .server import Server, Write
from .world import LONG, World, shop

Raw = dict[str, Any]
TARGET = "dns:///orders-headless.shop.svc.cluster.local.:5000"
AGE = "GRPC_SERVER_MAX_CONNECTION_AGE_MS"


def in_flight(server: Server) -> int:
    return server.count("deployments", lambda raw: deployment_rollout(raw) in (Rollout.PROGRESSING, Rollout.UNSEEN))


class Most:
    """The most rollouts that were in flight at any write."""

    def __init__(self, server: Server) -> None:
        self.seen, self._server = 0, server
        server.faults.append(self)

    def __call__(self, write: Write, done: bool) -> None:
        if done and write.kind == "deployments":
            self.seen = max(self.seen, in_flight(self._server))


def crowd(count: int) -> list[Raw]:
    return [make.deployment(f"client-{number:03}", client="orders") for number in range(count)]


# -- the limit ------------------------------------------------------------------------------------------------


def test_two_hundred_clients_roll_ten_at_a_time_and_every_freed_slot_is_taken_at_once() -> None:
    world = World(takes=lambda name: 9.0 if name.endswith("7") else 6.0)
    most = Most(world.server)
    world.server.put(make.gbs(), make.server(replicas=0), *crowd(200))
    world.start().run(20.0)
    assert world.condition("ClientsConfigured")[0] == "False"
    assert world.status()["clients"]["pending"] >= 150
    waiting = [w for w in world.status()["workloads"] if w["reason"] == "RolloutLimit"]
    assert len(waiting) >= 40
    assert "10 rollouts are in flight" in waiting[0]["message"]
    # 20 times 6.3 s on average, and some to notice; what heals a lost wake-up comes after 300 s only.
    world.run(130.0)
    assert [raw["metadata"]["name"] for raw in world.server.all("deployments") if not carries(raw)] == ["orders"]
    assert world.condition("ClientsConfigured") == ("True", "Configured")
    assert most.seen == 10
    assert [w.verb for w in world.server.writes].count("patch") == 201
    assert world.writes_in(LONG) == []


def carries(raw: Raw) -> bool:
    env = raw["spec"]["template"]["spec"]["containers"][0].get("env") or ()
    return {"name": "GRPC_ORDERS_TARGET", "value": TARGET} in env


def test_many_services_finish_under_a_small_limit() -> None:
    world = World(Settings(max_concurrent_rollouts=2), takes=lambda _: 3.0)
    most = Most(world.server)
    for number in range(12):
        name = f"s{number}"
        world.server.put(make.gbs(name), make.server(name), make.deployment(f"c{number}", client=name))
    world.start().run(24 / 2 * 3.0 + 30)
    assert [world.condition("ClientsConfigured", f"s{n}") for n in range(12)] == [("True", "Configured")] * 12
    assert most.seen == 2


def test_a_client_that_goes_while_it_waits_or_rolls_gives_its_place_to_the_next() -> None:
    world = World(Settings(max_concurrent_rollouts=1), takes=lambda _: 10.0)
    world.server.put(make.gbs(), make.server(replicas=0), *crowd(4))
    world.start().run(5.0)
    rolling = [raw["metadata"]["name"] for raw in world.server.all("deployments") if carries(raw)]
    assert len(rolling) == 1
    others = [f"client-{n:03}" for n in range(4) if f"client-{n:03}" not in rolling]
    world.server.remove("deployments", rolling[0])
    world.server.remove("deployments", others[0])
    world.run(30.0)
    assert [carries(world.server.get("deployments", name)) for name in others[1:]] == [True, True]
    assert world.condition("ClientsConfigured") == ("True", "Configured")


def test_a_failed_patch_gives_its_slot_back() -> None:
    world = World(Settings(max_concurrent_rollouts=1), takes=lambda _: 1.0)
    world.server.refuse("client-000", times=3)
    world.server.put(make.gbs(), make.server(replicas=0), *crowd(3))
    world.start().run(20.0)
    assert [carries(world.server.get("deployments", f"client-00{n}")) for n in (1, 2)] == [True, True]
    assert world.standing("client-000") == ("Refused", "ApiRefused")


# -- held while unsafe ----------------------------------------------------------------------------------------


def hold(world: World) -> None:
    shop(world)
    world.spec(PLURAL, "orders", server={"maxConnectionAge": "2m"})
    assert [write.verb for write in world.writes_in(LONG)] == ["status"]
    assert world.condition("ServersConfigured") == ("False", "UnsafeRollout")
    assert world.condition("RolloutSafe") == ("False", "UnsafeRollout")
    assert world.env("orders")[AGE] == "300000"
    assert {e["reason"] for e in world.server.events if e["involvedObject"]["name"] == "orders"} >= {"UnsafeRollout"}


@pytest.mark.parametrize(
    "release",
    [
        lambda w: w.spec("deployments", "orders", minReadySeconds=35),
        lambda w: w.spec(PLURAL, "orders", rollout={"allowUnsafe": True}),
        lambda w: w.annotate("checkout"),
        lambda w: w.spec("deployments", "orders", replicas=0),
        lambda w: w.server.remove("deployments", "checkout"),
    ],
    ids=["minReadySeconds", "allowUnsafe", "client opts out", "no pods", "client goes"],
)
def test_an_unsafe_server_rollout_is_held_while_clients_are_configured_and_then_released(
    release: Callable[[World], None],
) -> None:
    world = World()
    hold(world)
    release(world)
    world.run(10.0)
    assert world.env("orders")[AGE] == "120000"
    assert world.condition("ServersConfigured") == ("True", "Configured")
    assert world.condition("Ready") == ("True", "Ready")


def test_an_unsafe_first_rollout_goes_while_no_client_is_configured() -> None:
    world = shop(World())
    assert world.env("orders")[AGE] == "300000"
    assert world.standing("orders") == ("Configured", "Configured")


def test_a_held_server_is_brought_back_to_nothing_when_the_edit_is_taken_back() -> None:
    world = World()
    hold(world)
    world.spec(PLURAL, "orders", server={"maxConnectionAge": "5m"})
    assert [write.verb for write in world.writes_in(LONG)] == ["status"]
    assert world.condition("Ready") == ("True", "Ready")


# -- servers first, with a bounded wait -----------------------------------------------------------------------


@pytest.mark.parametrize("allow", [{"rollout": {"allowUnsafe": True}}, {}], ids=["unsafe allowed", "safe servers"])
@pytest.mark.parametrize("limit", [1, 10])
def test_two_services_whose_servers_are_each_others_clients_finish(allow: Raw, limit: int) -> None:
    world = World(Settings(max_concurrent_rollouts=limit), takes=lambda _: 5.0)
    safe = {} if allow else {"minReadySeconds": 35}
    world.server.put(make.gbs("a", **allow), make.gbs("b", **allow))
    world.server.put(make.server("a", client="b", **safe), make.server("b", client="a", **safe))
    world.start().run(60.0)
    for name, other in (("a", "b"), ("b", "a")):
        assert world.condition("ServersConfigured", name) == ("True", "Configured")
        assert world.condition("ClientsConfigured", name) == ("True", "Configured")
        assert f"{other}-headless.shop.svc" in str(world.env(name)[f"GRPC_{other.upper()}_TARGET"])
    # Its pods are no endpoints before the Service is there: at most one rollout for each role.
    assert [w.verb for w in world.server.writes].count("patch") <= 4
    assert world.writes_in(LONG) == []


def test_a_ring_of_services_whose_servers_and_clients_are_apart_finishes() -> None:
    world = World(Settings(max_concurrent_rollouts=1), takes=lambda _: 3.0)
    ring = ["a", "b", "c", "d"]
    for name, following in zip(ring, [*ring[1:], "a"], strict=True):
        world.server.put(make.gbs(name), make.server(name), make.deployment(f"{name}-x", client=f"{following},{name}"))
    world.start().run(120.0)
    assert [world.condition("ClientsConfigured", name) for name in ring] == [("True", "Configured")] * 4


@pytest.mark.parametrize("wait", [0.0, 20.0, 300.0])
def test_a_client_waits_for_servers_that_never_finish_only_so_long(wait: float) -> None:
    world = World(Settings(server_wait=wait), takes=lambda name: None if name == "orders" else 1.0)
    world.server.put(make.gbs(), make.server(), make.deployment(client="orders"))
    world.start().run(wait + 10.0)
    patches = {write.name: write.at for write in world.server.writes if write.verb == "patch"}
    assert world.env("checkout")["GRPC_ORDERS_TARGET"] == TARGET
    assert wait <= patches["checkout"] - patches["orders"] <= wait + 2.0
    assert world.standing("checkout") == ("Configured", "Configured")
    assert world.standing("orders") == ("Pending", "RollingOut")


def test_status_tells_of_the_wait_for_servers() -> None:
    world = World(takes=lambda name: None if name == "orders" else 1.0)
    shop_ = (make.gbs(), make.server(), make.deployment(client="orders"))
    world.server.put(*shop_)
    world.start().run(30.0)
    assert world.standing("checkout") == ("Pending", "WaitingForServers")
    assert world.condition("ClientsConfigured") == ("False", "WaitingForServers")


def test_a_paused_deployment_waits_until_it_is_resumed() -> None:
    world = World()
    world.server.put(make.gbs(), make.server(), make.deployment(client="orders", paused=True))
    world.start().run(LONG)
    assert world.standing("checkout") == ("Pending", "DeploymentPaused")
    world.spec("deployments", "checkout", paused=False)
    world.run(10.0)
    assert world.standing("checkout") == ("Configured", "Configured")


def opt_out_held(world: World) -> None:
    """The server opts out; taking the variables away would roll it under its clients, so it is held."""
    shop(world)
    world.annotate("orders")
    world.run(LONG)
    assert AGE in world.env("orders")


@pytest.mark.parametrize(
    "release",
    [
        lambda w: w.spec("deployments", "orders", minReadySeconds=35),
        lambda w: w.spec(PLURAL, "orders", rollout={"allowUnsafe": True}),
        lambda w: w.annotate("checkout"),
        lambda w: w.server.remove("deployments", "checkout"),
    ],
    ids=["minReadySeconds", "allowUnsafe", "client opts out", "client goes"],
)
def test_a_held_removal_is_released_though_no_annotation_ties_it_to_the_service_any_more(
    release: Callable[[World], None],
) -> None:
    world = World()
    opt_out_held(world)
    release(world)
    world.run(70.0)
    assert world.env("orders") == {}


def test_deleting_the_object_does_not_release_a_rollout_that_would_hurt_its_clients() -> None:
    world = World()
    opt_out_held(world)
    world.server.remove(PLURAL, "orders")
    world.run(LONG)
    assert AGE in world.env("orders")
    assert world.server.has("services", "orders-headless")
