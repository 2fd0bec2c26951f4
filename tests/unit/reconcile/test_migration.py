"""`discovery: XDS` over time: asked for before the balancer is there, restarts in between, clients that go back."""

from __future__ import annotations

import json

import pytest

from grpcbalance.lookaside.seen import Downgrade, Node, Rejection, Seen
from grpcbalance.lookaside.steady import Steady
from grpcbalance.names import ANNOTATION_INJECTED, BOOTSTRAP, PLURAL, value_hash
from tests.unit import factories as make

from .moving import ON_DNS, ON_XDS, ORDERS, SERVES, TARGET, mark, on_xds, tell
from .tenants import ALL, WEB, events, foreign, two
from .tenants import CLIENT as FAR
from .world import LONG, World, shop

PLAIN = {"grpcbalance.dev/xds": "plaintext"}


def test_nobody_moves_until_the_balancer_has_said_that_it_serves() -> None:
    world = World()
    shop(world, allowedClients={"namespaces": {"from": "All"}})
    mark(world, "plaintext")
    world.spec(PLURAL, "orders", discovery="XDS")
    world.run(LONG)
    assert world.env("checkout")[TARGET] == ON_DNS
    assert world.standing("checkout") == ("Pending", "XdsNotAsked")
    tell(world, Seen("10.0.0.1 does not answer"))
    world.run(LONG)
    assert world.env("checkout")[TARGET] == ON_DNS
    assert world.standing("checkout") == ("Pending", "XdsNotServing")
    tell(world, SERVES)
    world.run(LONG)
    assert world.env("checkout")[TARGET] == ON_XDS
    assert world.standing("checkout") == ("Configured", "Configured")


def test_there_and_back_is_two_rollouts() -> None:
    world = on_xds(World())
    before = [write for write in world.server.writes if write.kind == "deployments" and write.name == "checkout"]
    world.spec(PLURAL, "orders", discovery="DNS")
    world.run(LONG)
    after = [write for write in world.server.writes if write.kind == "deployments" and write.name == "checkout"]
    assert (len(before), len(after)) == (2, 3)
    assert (world.env("checkout")[TARGET], BOOTSTRAP in world.env("checkout")) == (ON_DNS, False)


def test_a_restart_writes_nothing_and_takes_nothing_back() -> None:
    world = on_xds(World())
    again = World(after=world).start()
    # Nobody was asked yet, and later nobody answers.
    assert again.writes_in(LONG) == []
    tell(again, SERVES)
    assert again.writes_in(LONG) == []
    tell(again, Seen("10.0.0.1 does not answer", plaintext=True))
    again.run(LONG)
    assert again.env("checkout")[TARGET] == ON_XDS
    assert again.standing("checkout") == ("Configured", "Configured")


def test_a_restart_while_a_client_waits_writes_nothing() -> None:
    world = World()
    shop(world, allowedClients={"namespaces": {"from": "All"}})
    mark(world, "plaintext")
    world.spec(PLURAL, "orders", discovery="XDS")
    world.run(1.0)
    tell(world, Seen("10.0.0.1 does not answer"))
    world.run(LONG)
    before = world.status()
    again = World(after=world).start()
    assert again.writes_in(LONG) == []
    tell(again, Seen("10.0.0.1 does not answer"))
    assert again.writes_in(LONG) == []
    assert again.status() == before
    assert again.standing("checkout") == ("Pending", "XdsNotServing")
    # What it waits for now is told.
    tell(again, Seen("10.0.0.2 does not answer"))
    assert "10.0.0.2" in str(again.run(LONG).status()["workloads"])


def test_a_restart_while_a_client_elsewhere_waits_writes_nothing() -> None:
    world = two(ALL)
    world.server.edit("deployments", FAR, lambda raw: raw["metadata"]["annotations"].update(PLAIN), WEB)
    world.spec(PLURAL, "orders", discovery="XDS")
    world.run(1.0)
    tell(world, Seen("10.0.0.1 does not answer"))
    world.run(LONG)
    assert world.condition("ClientsConfigured") == ("False", "Pending")
    again = World(after=world).start()
    assert again.writes_in(LONG) == []
    tell(again, SERVES)
    assert again.run(LONG).condition("ClientsConfigured") == ("True", "Configured")


def test_clients_that_come_and_go_write_nothing() -> None:
    world = on_xds(World())
    for number in range(5):
        connected = frozenset({Node("shop", f"checkout-{number}")})
        tell(world, Seen("", plaintext=True, tls=True, connected=connected))
        assert world.writes_in(LONG) == []


@pytest.mark.parametrize("flips", [False, True], ids=["other words", "now and then"])
def test_whatever_a_client_says_status_is_written_twice_a_minute_at_most(flips: bool) -> None:
    world, steady, writes = on_xds(World()), Steady(), 0
    for number in range(60):
        refused = Rejection(Node("shop", f"checkout-{number}"), "cluster", f"words {number}")
        other = Downgrade(f"gRPC Go 1.{number}.0", "client.policy", "RoundRobin")
        rejections = () if flips and number % 2 else (refused,)
        said = Seen("", plaintext=True, tls=True, rejections=rejections, downgrades=(other,))
        tell(world, steady({ORDERS: said}, world.now)[ORDERS])
        writes += len(world.writes_in(2.0))
    assert 2 <= writes <= 4


def test_a_balancer_that_serves_no_more_as_moved_clients_connect_is_told() -> None:
    world = on_xds(World())
    tell(world, Seen("", tls=True))
    world.run(LONG)
    assert world.standing("checkout") == ("Pending", "XdsNotServing")
    assert "in plain text: kubectl apply -k manifests/xds/both" in str(world.status()["workloads"])
    assert world.env("checkout")[TARGET] == ON_XDS
    tell(world, SERVES)
    assert world.run(LONG).standing("checkout") == ("Configured", "Configured")


def far(how: str) -> World:
    """A client of another namespace that is on xDS."""
    world = two(ALL, spec={"discovery": "XDS"})
    world.server.authorities[WEB] = "PEM"
    note = {"grpcbalance.dev/xds": how}
    world.server.edit("deployments", FAR, lambda raw: raw["metadata"]["annotations"].update(note), WEB)
    world.run(1.0)
    tell(world, SERVES)
    world.run(LONG)
    assert world.env(FAR, WEB)[TARGET] == ON_XDS
    return world


@pytest.mark.parametrize("how", ["plaintext", "ready"])
def test_a_client_that_is_let_in_no_more_goes_back_to_dns_once(how: str) -> None:
    world = far(how)
    before = world.env(FAR, WEB)
    world.spec(PLURAL, "orders", allowedClients={"namespaces": {"from": "Same"}}, client={"waitForReady": True})
    world.run(LONG)
    # Nothing new is told it, and nothing of xDS is left that its pods would need, such as the volume.
    left = {
        name: value for name, value in before.items() if not name.startswith(("GRPCBALANCE_", "GRPC_XDS", "GRPC_EXP"))
    }
    assert world.env(FAR, WEB) == left | {TARGET: ON_DNS}
    template = world.server.get("deployments", FAR, WEB)["spec"]["template"]
    assert not template["spec"].get("volumes")
    assert BOOTSTRAP not in template["metadata"]["annotations"][ANNOTATION_INJECTED]
    assert [event["type"] for event in events(world, FAR, "NamespaceNotAllowed")] == ["Warning"]
    assert World(after=world).start().writes_in(LONG) == []
    world.spec(PLURAL, "orders", allowedClients=ALL)
    world.run(LONG)
    assert world.env(FAR, WEB)[TARGET] == ON_XDS


def test_a_client_on_dns_that_is_let_in_no_more_hears_of_no_new_target() -> None:
    world = two(ALL)
    before = world.env(FAR, WEB)
    assert before[TARGET] == ON_DNS
    # TLS makes another target.
    world.spec(PLURAL, "orders", allowedClients={"namespaces": {"from": "Same"}}, client={"tls": True})
    world.run(LONG)
    assert world.env(FAR, WEB) == before


@pytest.mark.parametrize("target", ["xds:///orders.shop:5000", "xds:///orders.shop:9999"])
def test_who_pretends_to_be_on_xds_learns_no_more_than_dns_tells(target: str) -> None:
    record = json.dumps({"app": {TARGET: value_hash(target)}})
    env = make.container("app", env=make.env(**{TARGET: target}))
    spy = foreign(containers=[env], template_annotations={ANNOTATION_INJECTED: record})
    world = two({"namespaces": {"from": "Same"}}, spy, spec={"client": {"waitForReady": True}})
    assert world.env(FAR, WEB) == {TARGET: ON_DNS}


def test_two_clients_of_one_object_go_their_own_ways() -> None:
    world = World()
    world.server.put(make.deployment("legacy", client="orders"))
    on_xds(world)
    assert (world.env("checkout")[TARGET], world.env("legacy")[TARGET]) == (ON_XDS, ON_DNS)
    assert world.standing("legacy") == ("Configured", "StaysOnDns")
    # It is there on purpose.
    assert events(world, "legacy", "StaysOnDns") == []
    assert world.status()["xds"]["workloads"] == {"moved": 1, "onDns": 1}


def test_who_asked_for_xds_and_stays_on_dns_is_told_once() -> None:
    world = shop(World(), discovery="XDS")
    mark(world, "plaintext")
    world.run(LONG)
    assert world.standing("checkout") == ("Configured", "StaysOnDns")
    (told,) = events(world, "checkout", "StaysOnDns")
    assert told["type"] == "Normal"
    assert "allowedClients" in told["message"]
    world.spec(PLURAL, "orders", client={"waitForReady": True})
    world.run(LONG)
    assert len(events(world, "checkout", "StaysOnDns")) == 1
    world.start().run(LONG)
    # What is said again has a name that is taken.
    names = {event["metadata"]["name"] for event in events(world, "checkout", "StaysOnDns")}
    assert names == {told["metadata"]["name"]}
