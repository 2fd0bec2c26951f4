"""Clients in other namespaces: both sides must agree, both see what is theirs, and neither learns of the other."""

from __future__ import annotations

from typing import Any

import pytest

from grpcbalance.names import PLURAL
from tests.unit import factories as make

from .tenants import (
    ALL,
    CLIENT,
    HOME,
    SERVER,
    TARGET,
    TEAM,
    URI,
    WEB,
    assert_nothing_leaked,
    clients,
    events,
    foreign,
    label,
    message,
    patched,
    two,
)
from .world import LONG, World

Raw = dict[str, Any]


@pytest.mark.parametrize(("allowed", "labels"), [(ALL, {}), (TEAM, {"team": "web"})], ids=["All", "Selector"])
def test_a_client_of_another_namespace_is_configured_and_counted_but_never_named(
    allowed: Raw, labels: dict[str, str]
) -> None:
    world = two(allowed, labels=labels)
    assert world.env(CLIENT, WEB)[TARGET] == URI
    assert clients(world) == (1, 1, 0, 0)
    assert world.status()["summary"]["clients"] == "1/1"
    assert world.condition("ClientsConfigured") == ("True", "Configured")
    assert [w["name"] for w in world.status()["workloads"]] == [SERVER]
    assert "omittedWorkloads" not in world.status()
    assert_nothing_leaked(world)


def test_own_namespace_may_be_written_out() -> None:
    world = World()
    world.server.put(make.gbs(), make.server(), make.deployment(client="shop/orders"))
    world.start().run(LONG)
    assert world.env("checkout")[TARGET] == URI
    assert world.standing("checkout") == ("Configured", "Configured")


def test_who_is_not_let_in_cannot_tell_whether_the_object_exists() -> None:
    missing = World()
    missing.server.put(make.namespace(HOME), make.namespace(WEB), foreign())
    missing.start().run(LONG)
    worlds = [missing, two({}), two(TEAM), two(TEAM, labels={"team": "other"}), two(ALL, spec={"port": "NOT-A-PORT"})]
    told = [[e["message"] for e in world.server.events if e["metadata"]["namespace"] == WEB] for world in worlds]
    assert told[0] == [
        "shop/orders: no GrpcBalancedService shop/orders lets this namespace in; its owner may, by spec.allowedClients"
    ]
    assert told == [told[0]] * 5
    for world in worlds:
        assert TARGET not in world.env(CLIENT, WEB)


def test_who_is_not_let_in_is_no_part_of_the_status() -> None:
    world = two({})
    assert clients(world) == (0, 0, 0, 0)
    assert world.condition("ClientsConfigured") == ("False", "NoneAnnotated")
    assert_nothing_leaked(world)


def test_a_label_that_comes_later_heals() -> None:
    world = two(TEAM)
    assert clients(world) == (0, 0, 0, 0)
    label(world, team="web")
    world.run(LONG)
    assert world.env(CLIENT, WEB)[TARGET] == URI
    assert clients(world) == (1, 1, 0, 0)


def test_allowing_later_heals() -> None:
    world = two({})
    world.spec(PLURAL, "orders", allowedClients=ALL)
    world.run(LONG)
    assert world.env(CLIENT, WEB)[TARGET] == URI


@pytest.mark.parametrize("how", ["label", "spec", "object"])
def test_rule4_who_is_no_longer_let_in_keeps_its_values_gets_no_new_ones_and_is_told(how: str) -> None:
    world = two(TEAM, labels={"team": "web"})
    before = world.server.get("deployments", CLIENT, WEB)["spec"]
    if how == "label":
        label(world)
    elif how == "spec":
        world.spec(PLURAL, "orders", allowedClients={})
    else:
        world.server.remove(PLURAL, "orders")
    assert patched(world.writes_in(LONG)) == []
    if how != "object":
        assert clients(world) == (0, 0, 0, 0)
        world.spec(PLURAL, "orders", client={"waitForReady": True})
        assert patched(world.writes_in(LONG)) == []
    assert world.server.get("deployments", CLIENT, WEB)["spec"] == before
    assert len(events(world, CLIENT, "NamespaceNotAllowed")) == 1
    assert_nothing_leaked(world)


def test_a_client_that_waits_is_told_of_as_a_number() -> None:
    world = two(ALL, foreign(), make.deployment(client="orders"), world=World(slices=False))
    assert clients(world) == (2, 0, 2, 0)
    assert events(world, CLIENT, "TargetNotServing")
    assert world.condition("ClientsConfigured") == ("False", "TargetNotServing")
    assert message(world, "ClientsConfigured").endswith(
        "; of the clients in other namespaces 1 is pending; their owners are told why"
    )
    world.annotate("checkout")
    world.run(LONG)
    assert world.condition("ClientsConfigured") == ("False", "Pending")
    assert_nothing_leaked(world)


def test_a_client_that_is_refused_is_told_of_as_a_number() -> None:
    own = [make.container(env=make.env(**{TARGET: "mine"}))]
    world = two(ALL, foreign(containers=own), foreign("other", containers=own), foreign("third"))
    assert clients(world) == (3, 1, 0, 2)
    assert events(world, CLIENT, "EnvConflict")
    assert world.condition("ClientsConfigured") == ("False", "RefusedElsewhere")
    assert message(world, "ClientsConfigured") == (
        "1 of 3 workloads are configured; of the clients in other namespaces 2 are refused; their owners are told why"
    )
    assert_nothing_leaked(world)


@pytest.mark.parametrize(
    "spec",
    [{"port": 6000}, {"port": "grpc"}, {"client": {"serviceConfig": "{"}}],
    ids=["port of named servers", "named port", "service config"],
)
def test_an_object_that_is_not_accepted_is_told_of_in_one_way(spec: Raw) -> None:
    world = two(ALL, spec=spec)
    assert world.condition("Accepted")[0] == "False"
    assert SERVER in message(world, "Accepted") or "client" in spec
    assert world.condition("ClientsConfigured") == ("False", "Pending")
    assert TARGET not in world.env(CLIENT, WEB)
    (event,) = events(world, CLIENT, "NotAccepted")
    assert event["message"] == "shop/orders: shop/orders is not accepted; ask its owner"
    assert_nothing_leaked(world)


def test_foreign_clients_wait_for_servers_and_ports_as_others_do() -> None:
    unconfirmed = two(ALL, foreign(), spec={"selector": {"app": "elsewhere"}})
    unconfirmed.server.remove("deployments", SERVER)
    unconfirmed.annotate(CLIENT, namespace=WEB)
    unconfirmed.run(LONG)
    unconfirmed.annotate(CLIENT, client="shop/orders", namespace=WEB)
    unconfirmed.run(LONG)
    assert events(unconfirmed, CLIENT, "PortNotConfirmed")
    slow = World(takes=lambda name: 100.0 if name == SERVER else 1.0)
    two(ALL, world=slow)
    assert events(slow, CLIENT, "WaitingForServers")
    assert slow.env(CLIENT, WEB)[TARGET] == URI


def test_servers_are_held_while_clients_elsewhere_use_them() -> None:
    world = two(ALL)
    world.spec(PLURAL, "orders", server={"maxConnectionAge": "1m"})
    assert patched(world.writes_in(LONG)) == []
    assert world.standing(SERVER) == ("Pending", "UnsafeRollout")
    # The last client leaves: nobody can be hurt any more.
    world.server.remove("deployments", CLIENT, WEB)
    assert patched(world.writes_in(5.0)) == [SERVER]


def test_two_objects_of_one_name_are_refused() -> None:
    local = make.gbs(namespace=WEB)
    world = two(ALL, local, make.server("local", server="orders", namespace=WEB), foreign(client="orders,shop/orders"))
    texts = sorted(e["message"].partition(";")[0] for e in events(world, CLIENT, "VariableClash"))
    assert texts == [
        f"orders: {TARGET} would also be set for shop/orders",
        f"shop/orders: {TARGET} would also be set for web/orders",
    ]
    assert TARGET not in world.env(CLIENT, WEB)


def test_a_server_never_crosses_namespaces() -> None:
    world = two(ALL, make.server("spy", server="shop/orders", namespace=WEB))
    (event,) = events(world, "spy", "InvalidAnnotation")
    assert "names shop/orders; servers are in the namespace of their object" in event["message"]
    assert world.status()["servers"]["matched"] == 1


# -- restarts -------------------------------------------------------------------------------------------------


def test_a_restart_during_a_rollout_of_theirs_changes_no_status() -> None:
    takes: dict[str, float | None] = {}
    world = two(ALL, world=World(takes=lambda name: takes.get(name, 1.0)))

    def change(raw: Raw) -> None:
        raw["spec"]["template"]["spec"]["containers"][0]["image"] = "app:2"

    takes[CLIENT] = None
    world.server.edit("deployments", CLIENT, change, WEB)
    assert world.writes_in(LONG) == []
    world.start()
    assert [str(write) for write in world.writes_in(LONG)] == []
    assert clients(world) == (1, 1, 0, 0)


def test_a_restart_during_a_rollout_of_ours_does_not_take_it_for_finished() -> None:
    world = two(ALL, world=World(takes=lambda name: 50_000.0 if name == CLIENT else 1.0))
    assert clients(world) == (1, 0, 1, 0)
    world.start()
    assert [str(write) for write in world.writes_in(LONG)] == []
    assert clients(world) == (1, 0, 1, 0)
