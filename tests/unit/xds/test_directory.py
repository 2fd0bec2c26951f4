"""What is known of a service stays known while parts of it are missing, and no longer than anybody asks."""

from __future__ import annotations

from typing import Any

import pytest

from grpcbalance.api import Client
from grpcbalance.model import Ref
from grpcbalance.names import LABEL_MANAGED_BY, LABEL_SERVICE, MANAGED_BY
from grpcbalance.view import View
from grpcbalance.xds.directory import Directory
from grpcbalance.xds.resources.endpoints import Host, Zone
from grpcbalance.xds.resources.names import Name
from tests.unit import factories as make
from tests.unit.xds.world import ALL, NAME, ORDERS, SAME, World, orders, selected

Raw = dict[str, Any]


def hosts(world: World, name: Name = NAME) -> list[str] | None:
    """Addresses of a service; None while none are known."""
    found = world.directory.served(name)
    assert found is not None
    return None if found.zones is None else [host.address for zone in found.zones for host in zone.hosts]


def policy(world: World) -> str:
    found = world.directory.served(NAME)
    assert found is not None
    return found.client.policy


# -- what there is ---------------------------------------------------------------------------------------


def test_a_service_is_what_its_three_objects_say() -> None:
    world = World(*orders("10.1.0.1", client={"policy": "LeastRequest"}))
    found = world.directory.served(NAME)
    assert found is not None
    assert found.name == NAME
    assert found.zones == (Zone("", (Host("10.1.0.1", True),)),)
    assert found.client.policy == "LeastRequest"
    assert world.directory.served(NAME) is found


def test_what_has_no_headless_service_yet_is_not_served() -> None:
    world = World(make.gbs())
    assert world.directory.served(NAME) is None
    world.put(make.headless())
    assert hosts(world) is None
    world.put(make.serving("orders", "10.1.0.1"))
    assert hosts(world) == ["10.1.0.1"]


@pytest.mark.parametrize("name", [Name("orders", "other", 5000), Name("payments", "shop", 5000)])
def test_other_names_are_nothing(name: Name) -> None:
    assert World(*orders()).directory.served(name) is None


def test_a_service_that_somebody_else_made_is_not_ours() -> None:
    assert World(make.gbs(), make.headless(labels={})).directory.served(NAME) is None


def test_refs_are_all_that_could_be_asked_for() -> None:
    world = World(make.gbs("new"), *orders(), make.headless("left"))
    assert Directory(world.view).refs() == {ORDERS, Ref("shop", "new"), Ref("shop", "left")}


def test_an_empty_slice_means_no_endpoints() -> None:
    world = World(*orders())
    world.put(make.endpoint_slice(ports=()))
    assert hosts(world) == []


# -- changes ---------------------------------------------------------------------------------------------


def changed(world: World, raw: Raw) -> bool:
    """Whether that is news."""
    return any(world.directory.refresh(one) for one in world.apply(raw) if isinstance(one, Ref))


def test_only_what_concerns_clients_is_news() -> None:
    world = World(*orders("10.1.0.1"))
    world.directory.served(NAME)
    assert not changed(world, make.gbs(status={"target": "x"}))
    assert not changed(world, make.headless(unreferenced="2026-01-01T00:00:00Z"))
    assert not changed(world, make.serving("orders", "10.1.0.1", ports=[6000]))
    assert not changed(world, make.endpoint_slice("other", endpoints=[make.endpoint("10.1.0.9", ready=False)]))
    assert changed(world, make.serving("orders", "10.1.0.1", "10.1.0.2"))
    assert changed(world, make.gbs(client={"policy": "PickFirst"}))
    assert changed(world, make.gbs(client={"policy": "PickFirst"}, allowedClients=ALL))


def test_endpoints_that_nobody_asked_for_are_no_news() -> None:
    world = World(*orders("10.1.0.1"))
    assert not changed(world, make.serving("orders", "10.1.0.2"))


def test_of_two_ports_both_have_every_pod() -> None:
    """spec.port has changed, and not every pod has followed: DNS would not cut them off either."""
    world = World(*orders("10.1.0.1", "10.1.0.2"))
    before, after = NAME, NAME._replace(port=6000)
    assert hosts(world, before) == ["10.1.0.1", "10.1.0.2"]
    world.put(make.gbs(port=6000))
    world.put(make.serving("orders", "10.1.0.1", "10.1.0.3", ports=[6000]))
    assert hosts(world, before) == hosts(world, after) == ["10.1.0.1", "10.1.0.3"]


# -- what is missing -------------------------------------------------------------------------------------


def test_without_its_object_a_service_goes_on_as_it_was() -> None:
    one, service, piece = orders("10.1.0.1", client={"policy": "PickFirst"}, allowedClients=ALL)
    world = World(one, service, piece)
    world.directory.served(NAME)
    world.drop(one)
    assert policy(world) == "PickFirst"
    assert world.directory.lets_in(ORDERS, None)
    # Pods still come and go, and new clients, too.
    world.put(make.serving("orders", "10.1.0.2"))
    assert hosts(world) == ["10.1.0.2"]
    assert hosts(world, NAME._replace(port=1)) == ["10.1.0.2"]


def test_after_a_restart_a_service_without_object_has_the_defaults_and_lets_in_its_namespace() -> None:
    world = World(*orders("10.1.0.1")[1:])
    found = world.directory.served(NAME)
    assert found is not None
    assert found.client == Client()
    assert hosts(world) == ["10.1.0.1"]
    assert world.directory.lets_in(ORDERS, "shop")
    assert not world.directory.lets_in(ORDERS, None)


KEPT = '{"allowedClients":{"namespaces":{"from":"All"}},"client":{"policy":"PickFirst"}}'


def test_after_a_restart_a_service_without_object_goes_on_with_what_was_kept() -> None:
    world = World(make.headless(kept=KEPT), make.serving("orders", "10.1.0.1"))
    assert policy(world) == "PickFirst"
    assert world.directory.lets_in(ORDERS, "elsewhere")
    assert world.directory.lets_in(ORDERS, None)
    # The object counts as soon as it is back.
    world.put(make.gbs(allowedClients=SAME))
    assert policy(world) == "RoundRobin"
    assert not world.directory.lets_in(ORDERS, "elsewhere")


def test_after_a_restart_a_spec_that_cannot_be_read_counts_as_what_was_kept_of_the_former_one() -> None:
    world = World(make.gbs(client={"policy": "Fair"}, allowedClients=SAME), make.headless(kept=KEPT))
    assert policy(world) == "PickFirst"
    assert world.directory.lets_in(ORDERS, "elsewhere")


def test_what_was_kept_does_not_undo_what_is_known() -> None:
    world = World(*orders("10.1.0.1", allowedClients=SAME))
    world.drop(make.gbs())
    world.put(make.headless(kept=KEPT))
    assert policy(world) == "RoundRobin"
    assert not world.directory.lets_in(ORDERS, "elsewhere")


@pytest.mark.parametrize("kept", ["", "nonsense", '{"allowedClients":{"namespaces":{"from":"Everybody"}}}'])
def test_what_nobody_can_have_kept_counts_as_the_defaults(kept: str) -> None:
    world = World(make.headless(kept=kept), make.serving("orders", "10.1.0.1"))
    assert policy(world) == "RoundRobin"
    assert hosts(world) == ["10.1.0.1"]
    assert world.directory.lets_in(ORDERS, "shop")
    assert not world.directory.lets_in(ORDERS, "elsewhere")


@pytest.mark.parametrize("labels", [{LABEL_SERVICE: "orders"}, {LABEL_MANAGED_BY: MANAGED_BY}, {}])
def test_what_a_service_keeps_that_is_not_ours_is_not_read(labels: dict[str, str]) -> None:
    world = World(make.headless(kept=KEPT, labels=labels), make.serving("orders", "10.1.0.1"))
    assert world.directory.served(NAME) is None
    assert not world.directory.lets_in(ORDERS, "elsewhere")


def test_of_two_services_without_object_the_one_counts_that_keeps_the_spec() -> None:
    later = make.headless(service_name="z", kept=KEPT)
    fresh = make.endpoint_slice("z", service_name="z", endpoints=[make.endpoint("10.1.0.9", ready=True)])
    world = World(make.headless(), make.serving("orders", "10.1.0.1"), later, fresh)
    assert hosts(world) == ["10.1.0.9"]
    assert policy(world) == "PickFirst"


def test_while_a_spec_cannot_be_read_the_former_one_counts() -> None:
    world = World(*orders("10.1.0.1", client={"policy": "PickFirst"}, allowedClients=ALL))
    world.put(make.gbs(client={"policy": "Fair"}, allowedClients=SAME))
    assert policy(world) == "PickFirst"
    assert world.directory.lets_in(ORDERS, "elsewhere")
    world.put(make.gbs(client={"policy": "LeastRequest"}, allowedClients=SAME))
    assert policy(world) == "LeastRequest"
    assert not world.directory.lets_in(ORDERS, "elsewhere")


def test_a_spec_that_could_never_be_read_is_served_with_the_defaults() -> None:
    world = World(*orders("10.1.0.1", client={"policy": "Fair"}, allowedClients=ALL))
    assert policy(world) == "RoundRobin"
    assert not world.directory.lets_in(ORDERS, "elsewhere")


def test_a_service_deleted_by_hand_keeps_its_endpoints_while_its_slices_go_one_by_one() -> None:
    world = World(*orders("10.1.0.1"))
    second = make.endpoint_slice("orders-headless-two", endpoints=[make.endpoint("10.1.0.2", ready=True)])
    world.put(second)
    assert hosts(world) == ["10.1.0.1", "10.1.0.2"]
    world.drop(make.headless())
    world.drop(second)
    world.drop(make.serving("orders"))
    assert hosts(world) == ["10.1.0.1", "10.1.0.2"]
    # The operator makes it anew; it counts as soon as it has a slice.
    world.put(make.headless(uid="new"))
    assert hosts(world) == ["10.1.0.1", "10.1.0.2"]
    world.put(make.serving("orders", "10.1.0.3", uid="new"))
    assert hosts(world) == ["10.1.0.3"]


def test_a_service_under_a_new_name_counts_when_it_has_a_slice() -> None:
    world = World(*orders("10.1.0.1"))
    assert hosts(world) == ["10.1.0.1"]
    world.put(make.gbs(serviceName="fresh"))
    assert hosts(world) == ["10.1.0.1"]
    world.put(make.serving("orders", "10.1.0.2"))
    assert hosts(world) == ["10.1.0.2"]
    world.put(make.headless(service_name="fresh"))
    assert hosts(world) == ["10.1.0.2"]
    world.put(make.endpoint_slice("f", service_name="fresh", endpoints=[make.endpoint("10.1.0.3", ready=True)]))
    assert hosts(world) == ["10.1.0.3"]


def test_what_is_gone_altogether_stays_until_nobody_asks() -> None:
    one, service, piece = orders("10.1.0.1")
    world = World(one, service, piece)
    other = NAME._replace(port=1)
    for name in (NAME, other):
        world.directory.served(name)
    for raw in (one, service, piece):
        world.drop(raw)
    assert hosts(world) == ["10.1.0.1"]
    world.directory.forget(other)
    assert hosts(world) == ["10.1.0.1"]
    world.directory.forget(NAME)
    assert world.directory.served(NAME) is None
    assert world.directory.refs() == set()


def test_what_nobody_asks_for_is_gone_with_its_service() -> None:
    one, service, piece = orders("10.1.0.1")
    world = World(one, service, piece)
    world.drop(one)
    assert world.directory.refs() == {ORDERS}
    world.drop(service)
    assert world.directory.refs() == set()


# -- who may know ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("allowed", "namespace", "let_in"),
    [
        (SAME, "shop", True),
        (SAME, "web", False),
        (SAME, None, False),
        (ALL, "web", True),
        (ALL, None, True),
        (selected(team="web"), "shop", True),
        (selected(team="web"), "web", True),
        (selected(team="web"), "other", False),
        (selected(team="web"), "unknown", False),
        (selected(team="web"), None, False),
        # Every namespace meets it, but who asks has none that is proven.
        (selected(), None, False),
    ],
)
def test_who_is_let_in(allowed: Raw, namespace: str | None, let_in: bool) -> None:
    world = World(*orders(allowedClients=allowed), make.namespace("web", {"team": "web"}), make.namespace("other"))
    assert world.directory.lets_in(ORDERS, namespace) is let_in


def test_of_what_there_is_not_nobody_learns_that() -> None:
    directory = Directory(View())
    assert not directory.lets_in(ORDERS, "web")
    assert not directory.lets_in(ORDERS, None)
    assert directory.served(NAME) is None
    directory.forget(NAME)
