"""The view: whatever the order of events, it holds what a fresh one fed with the final objects would hold."""

from __future__ import annotations

from typing import Any

import pytest

from grpcbalance.model import Ref, ServiceKey, StatusKey, WorkloadKey, WorkloadRef
from grpcbalance.names import PLURAL
from tests.unit import factories as make
from tests.unit.core.snapshots import PLURALS, contents, newer, view_of
from tests.unit.core.test_plan import CONFIGURED_CLIENT, SERVER

Raw = dict[str, Any]
STATUS, SERVICE = StatusKey("shop", "orders"), ServiceKey("shop", "orders")
CLIENT = make.deployment(client="orders")
FOREIGN_KEY = WorkloadKey("Deployment", "evil", "spy")
CLIENT_KEY, SERVER_KEY = WorkloadKey("Deployment", "shop", "checkout"), WorkloadKey("Deployment", "shop", "orders")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (make.gbs(rv=1), make.gbs(rv=2, port=6000)),
        (make.headless(rv=1), make.headless(rv=2, publishNotReadyAddresses=True)),
        (make.serving(rv=1), make.serving(rv=2, ports=[6000])),
        (make.deployment(rv=1), make.deployment(rv=2, client="orders")),
        (make.deployment(rv=1, client="orders"), make.deployment(rv=2)),
        (make.deployment(rv=9, client="orders"), make.deployment(rv=10, client="payments")),
    ],
    ids=["object", "service", "slice", "annotated since", "un-annotated since", "compared as numbers"],
)
def test_older_version_never_wins(old: Raw, new: Raw) -> None:
    view = view_of(new)
    before = contents(view)
    assert view.apply(PLURALS[old["kind"]], "MODIFIED", old) == set()
    assert contents(view) == before


def test_answer_of_a_write_that_arrives_after_the_deletion_brings_nothing_back() -> None:
    view = view_of(make.gbs(rv=1))
    view.apply(PLURAL, "DELETED", make.gbs(rv=3))
    assert view.apply(PLURAL, None, make.gbs(rv=2)) == set()
    assert view.balanced == {}


def test_late_deletion_of_an_earlier_object_leaves_its_successor() -> None:
    view = view_of(make.gbs(uid="one"), make.gbs(uid="two", rv=3))
    assert view.apply(PLURAL, "DELETED", make.gbs(uid="one", rv=2)) == set()
    assert Ref("shop", "orders") in view.balanced


def test_a_slice_that_leaves_the_selector_and_comes_back_is_seen() -> None:
    view = view_of(make.serving(rv=1))
    view.apply("endpointslices", "DELETED", make.serving(rv=2))
    view.apply("endpointslices", "ADDED", make.serving(rv=3))
    assert len(view.slices) == 1


def test_a_pruned_object_may_come_back() -> None:
    view = view_of(make.serving(rv=1))
    view.prune("endpointslices", [("shop", "orders-headless-abc")])
    view.apply("endpointslices", "ADDED", make.serving(rv=2))
    assert len(view.slices) == 1


# -- what a change concerns ------------------------------------------------------------------------------


def test_same_object_again_concerns_nothing() -> None:
    objects = (make.gbs(), make.headless(), make.serving(), SERVER, CONFIGURED_CLIENT)
    view = view_of(*objects)
    for raw in objects:
        version = int(raw["metadata"]["resourceVersion"])
        assert view.apply(PLURALS[raw["kind"]], "MODIFIED", newer(raw, version + 1)) == set()


def test_object_concerns_itself_and_its_users() -> None:
    view = view_of(CLIENT, make.server())
    assert view.apply(PLURAL, "ADDED", make.gbs()) == {SERVICE, STATUS, CLIENT_KEY, SERVER_KEY}
    assert view.apply(PLURAL, "DELETED", make.gbs(rv=2)) == {SERVICE, STATUS, CLIENT_KEY, SERVER_KEY}


def test_status_alone_concerns_status() -> None:
    view = view_of(make.gbs(), CLIENT)
    assert view.apply(PLURAL, "MODIFIED", make.gbs(rv=2, status={"port": 1})) == {STATUS}


def test_endpoints_concern_status_and_clients_only_when_the_first_one_is_ready() -> None:
    view = view_of(make.gbs(), CLIENT)
    assert view.apply("endpointslices", "ADDED", make.serving()) == {STATUS, CLIENT_KEY}
    assert view.apply("endpointslices", "MODIFIED", make.serving("orders", "10.1.0.1", "10.1.0.2", rv=2)) == {STATUS}


def test_endpoints_on_another_port_concern_clients() -> None:
    # A client that waits for the new port is woken although readiness itself did not change.
    view = view_of(make.gbs(), CLIENT, make.serving(rv=1))
    assert CLIENT_KEY in view.apply("endpointslices", "MODIFIED", make.serving(rv=2, ports=[6000]))


def test_a_new_server_concerns_the_other_servers() -> None:
    # It may be the one that makes the port known.
    view = view_of(make.gbs(), make.server("one", server="orders", containers=[make.container()]), CLIENT)
    keys = view.apply("deployments", "ADDED", make.server("two", server="orders"))
    assert {WorkloadKey("Deployment", "shop", "one"), CLIENT_KEY, SERVICE, STATUS} <= keys


def test_servers_are_woken_when_their_last_client_opts_out() -> None:
    view = view_of(make.gbs(), SERVER, CONFIGURED_CLIENT)
    out = newer(CONFIGURED_CLIENT, 9)
    out["metadata"]["annotations"] = {}
    assert SERVER_KEY in view.apply("deployments", "MODIFIED", out)


def test_servers_are_woken_when_their_last_client_is_deleted() -> None:
    view = view_of(make.gbs(), SERVER, CONFIGURED_CLIENT)
    assert SERVER_KEY in view.apply("deployments", "DELETED", newer(CONFIGURED_CLIENT, 9))


def test_template_that_drops_a_host_concerns_its_service() -> None:
    view = view_of(make.headless(), CONFIGURED_CLIENT)
    assert SERVICE in view.apply("deployments", "DELETED", newer(CONFIGURED_CLIENT, 9))


def test_service_that_a_reference_names_concerns_all_users() -> None:
    view = view_of(make.gbs(selector=None, port=None, serviceRef={"name": "web"}), CLIENT)
    assert view.apply("services", "ADDED", make.service("web")) == {SERVICE, STATUS, CLIENT_KEY}


def test_a_deleted_workload_is_looked_at_once_more_to_forget_it() -> None:
    view = view_of(CLIENT)
    assert CLIENT_KEY in view.apply("deployments", "DELETED", newer(CLIENT))


def test_foreign_names_concern_nobody_else() -> None:
    foreign = make.deployment("spy", client="shop/orders", namespace="evil")
    view = view_of(make.gbs())
    assert view.apply("deployments", "ADDED", foreign) == {WorkloadKey("Deployment", "evil", "spy")}


TEAM = {"team": "a"}


def foreign(**more: Any) -> Raw:
    return make.deployment("spy", client="shop/orders", namespace="evil", **more)


def test_a_client_that_is_let_in_concerns_what_a_local_one_does() -> None:
    view = view_of(make.gbs(allowedClients={"namespaces": {"from": "All"}}), make.server())
    assert view.apply("deployments", "ADDED", foreign()) == {FOREIGN_KEY, STATUS, SERVER_KEY}
    assert FOREIGN_KEY in view.apply("endpointslices", "ADDED", make.serving())
    assert FOREIGN_KEY in view.apply(PLURAL, "MODIFIED", make.gbs(rv=2))


@pytest.mark.parametrize(("allowed", "waits"), [("Same", False), ("All", True)])
def test_only_who_is_let_in_waits_for_servers_in_line(allowed: str, waits: bool) -> None:
    view = view_of(make.gbs(allowedClients={"namespaces": {"from": allowed}}), make.server(), foreign())
    view.wait_for_slot(SERVER_KEY.ref)
    assert view.servers_in_line(FOREIGN_KEY.ref) is waits


def test_one_that_is_not_let_in_any_more_but_named_the_host_concerns_service_and_servers() -> None:
    host = make.env(T="dns:///orders-headless.shop.svc.cluster.local.:5000")
    view = view_of(make.gbs(), make.server(), make.headless(), foreign(containers=[make.container(env=host)]))
    assert view.apply("deployments", "DELETED", foreign(rv=2)) == {FOREIGN_KEY, SERVICE, SERVER_KEY}


def test_labels_of_a_namespace_concern_its_clients_of_others_and_those_objects() -> None:
    view = view_of(make.gbs(), foreign(), make.deployment("other", client="orders", namespace="evil"), CLIENT)
    assert view.apply("namespaces", "ADDED", make.namespace("evil")) == {FOREIGN_KEY, STATUS}
    assert view.apply("namespaces", "MODIFIED", make.namespace("evil", TEAM, rv=2)) == {FOREIGN_KEY, STATUS}
    assert view.apply("namespaces", "MODIFIED", make.namespace("evil", TEAM, rv=3)) == set()
    assert view.apply("namespaces", "MODIFIED", make.namespace("shop", TEAM)) == set()
    assert view.apply("namespaces", "DELETED", make.namespace("evil", rv=4)) == {FOREIGN_KEY, STATUS}


def test_all_keys_come_in_the_order_that_settles_soonest() -> None:
    keys = list(view_of(CLIENT, make.server(), make.gbs(), make.headless("gone")).all_keys())
    assert set(keys[:2]) == {SERVICE, ServiceKey("shop", "gone")}
    assert keys[2:] == [SERVER_KEY, CLIENT_KEY, STATUS]


# -- rollouts in flight ----------------------------------------------------------------------------------

REF = WorkloadRef("Deployment", "shop", "checkout")


def test_rollouts_in_flight_are_those_of_annotated_workloads() -> None:
    view = view_of(make.deployment(client="orders", rolled=False), make.deployment("other", rolled=False))
    assert view.slots.in_flight == {REF}


def test_paused_rollouts_do_not_count() -> None:
    assert view_of(make.deployment(client="orders", rolled=False, paused=True)).slots.in_flight == set()


def test_a_finished_rollout_wakes_the_one_that_waited_longest() -> None:
    view = view_of(make.deployment(client="orders", rolled=False))
    first, second = WorkloadRef("Deployment", "shop", "one"), WorkloadRef("Deployment", "shop", "two")
    view.slots.waiting = {first: True, second: True}
    keys = view.apply("deployments", "MODIFIED", newer(CLIENT, 2))
    assert WorkloadKey(*first) in keys
    assert list(view.slots.waiting) == [second]
    assert view.slots.in_flight == set()


def test_deleted_workloads_wait_for_no_slot() -> None:
    view = view_of(make.deployment(client="orders", rolled=False), make.deployment("one", client="orders"))
    dead, alive = WorkloadRef("Deployment", "shop", "one"), WorkloadRef("Deployment", "shop", "two")
    view.slots.waiting = {dead: True, alive: True}
    view.apply("deployments", "DELETED", make.deployment("one", client="orders", rv=2))
    assert WorkloadKey(*alive) in view.apply("deployments", "DELETED", newer(CLIENT, 2))


def test_settled_record_is_carried_through_a_rollout() -> None:
    view = view_of(SERVER)
    ref = WorkloadRef("Deployment", "shop", "orders")
    settled = view.workloads[ref].settled
    view.apply("deployments", "MODIFIED", newer(SERVER, 9, status={}))
    assert settled is not None
    assert view.workloads[ref].settled == settled


def test_an_annotation_alone_fills_no_slot_and_frees_none() -> None:
    # It makes a new generation of a Deployment, which the controller has to look at; nobody knows of a rollout yet.
    unseen = make.deployment(client="orders", meta={"generation": 2})
    view = view_of(unseen)
    assert view.slots.in_flight == set()
    # Of our own write we know that it rolls.
    view.slots.in_flight.add(REF)
    view.apply("deployments", "MODIFIED", newer(unseen, 2, spec=unseen["spec"] | {"replicas": 2}))
    assert view.slots.in_flight == {REF}
    view.apply("deployments", "MODIFIED", newer(CLIENT, 3))
    assert view.slots.in_flight == set()
