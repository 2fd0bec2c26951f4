"""Rules 7 and 8: Services are created, never taken over; made first and removed last."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from grpcbalance.names import (
    ANNOTATION_KEPT,
    ANNOTATION_OWNER_UID,
    ANNOTATION_UNREFERENCED,
    LABEL_MANAGED_BY,
    LABEL_SERVICE,
)
from grpcbalance.retire import Apply, Create, Delete, ReplacePorts, ServicePlan, plan_services
from tests.unit import factories as make
from tests.unit.core.snapshots import resolve_in, snapshot_of

Raw = dict[str, Any]
NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
USER = make.deployment(
    containers=[make.container(env=make.env(T="dns:///orders-headless.shop.svc.cluster.local.:5000"))]
)


def plan(*objects: Raw, now: datetime = NOW) -> ServicePlan:
    snapshot = snapshot_of(*objects)
    resolution = resolve_in(*objects) if snapshot.balanced else None
    assert resolution is None or hasattr(resolution, "host")
    return plan_services(snapshot, resolution, now, 60.0)  # type: ignore[arg-type]  # narrowed by the line above


def marked(seconds_ago: float) -> Raw:
    return make.headless(unreferenced=(NOW - timedelta(seconds=seconds_ago)).isoformat())


def test_rule8_absent_service_is_created_with_labels_and_uid_and_no_owner() -> None:
    (action,) = plan(make.gbs()).actions
    assert isinstance(action, Create)
    meta = action.manifest["metadata"]
    assert meta["labels"] == {LABEL_MANAGED_BY: "grpcbalance", LABEL_SERVICE: "orders"}
    assert meta["annotations"] == {ANNOTATION_OWNER_UID: "uid-shop-orders"}
    # Rule 7: neither may take the Service along when the object goes.
    assert not {"ownerReferences", "finalizers", "uid"} & set(meta)


def test_service_as_wanted_is_left_alone() -> None:
    assert plan(make.gbs(), make.headless()) == ServicePlan(())


def test_rule8_drift_is_repaired_by_apply_with_its_uid() -> None:
    (action,) = plan(make.gbs(), make.headless(publishNotReadyAddresses=True, uid="svc-1")).actions
    assert isinstance(action, Apply)
    assert action.manifest["metadata"]["uid"] == "svc-1"
    assert action.manifest["spec"]["publishNotReadyAddresses"] is False


@pytest.mark.parametrize(
    "ports",
    [
        [{"name": "grpc", "port": 6000, "targetPort": 6000}],
        [{"name": "grpc", "port": 5000}, {"name": "other", "port": 1, "targetPort": 1}],
        [{"name": "grpc", "port": 5000, "protocol": "UDP"}],
    ],
    ids=["spec.port changed", "a port more", "another protocol"],
)
def test_rule8_ports_of_another_key_are_replaced_before_apply_could_double_them(ports: list[Raw]) -> None:
    # Server-side apply merges ports by number and protocol, and keeps those that another manager set.
    (replaced,) = plan(make.gbs(), make.headless(ports=ports)).actions
    assert isinstance(replaced, ReplacePorts)
    assert [(port["name"], port["port"], port["protocol"]) for port in replaced.ports] == [("grpc", 5000, "TCP")]


def test_rule8_what_else_differs_is_applied_after_the_ports_are_right() -> None:
    foreign = [{"name": "grpc", "port": 6000, "targetPort": 6000}]
    actions = plan(make.gbs(), make.headless(ports=foreign, publishNotReadyAddresses=True)).actions
    assert [type(action) for action in actions] == [ReplacePorts, Apply]


def test_rule8_a_port_of_the_same_key_needs_no_more_than_an_apply() -> None:
    (action,) = plan(make.gbs(), make.headless(ports=[{"name": "x", "port": 5000, "targetPort": 7}])).actions
    assert isinstance(action, Apply)


@pytest.mark.parametrize(
    "foreign",
    [
        make.service("orders-headless"),
        make.headless("payments", service_name="orders-headless"),
        make.service("orders-headless", clusterIP="None", labels={LABEL_SERVICE: "orders"}),
    ],
    ids=["a user's", "another object's", "a user's with our label"],
)
def test_rule8_somebody_elses_service_is_never_touched(foreign: Raw) -> None:
    assert plan(make.gbs(), foreign).actions == ()


@pytest.mark.parametrize("balanced", [[make.gbs()], []], ids=["object there", "object gone"])
def test_rule8_a_users_service_with_our_label_only_is_never_retired(balanced: list[Raw]) -> None:
    # People copy manifests. Without managed-by it is not ours, whatever else stands on it.
    copied = make.service("copy", labels={LABEL_SERVICE: "orders"})
    ours = [make.headless()] if balanced else []
    assert plan(*balanced, *ours, copied).actions == ()


def test_ours_whose_labels_were_stripped_is_repaired() -> None:
    (action,) = plan(make.gbs(), make.headless(labels={})).actions
    assert isinstance(action, Apply)


def test_rule7_service_without_object_stays_while_a_template_names_it() -> None:
    found = plan(make.headless(), USER)
    assert found.actions == ()
    assert [ref.name for ref in found.stranded] == ["checkout"]


def test_rule7_an_unreferenced_one_is_marked_first() -> None:
    found = plan(make.headless())
    (action,) = found.actions
    assert isinstance(action, Apply)
    assert action.manifest["metadata"]["annotations"][ANNOTATION_UNREFERENCED] == "2026-01-01T12:00:00Z"
    assert found.again == 60.0


@pytest.mark.parametrize(
    ("seconds", "deleted"), [(0, False), (59, False), (60, True), (3600, True), (-1, True)], ids=str
)
def test_rule7_it_is_deleted_60_seconds_later(seconds: float, deleted: bool) -> None:
    found = plan(marked(seconds))
    assert [type(action) for action in found.actions] == ([Delete] if deleted else [])
    if not deleted:
        assert found.again == 60 - seconds


def test_rule7_the_mark_survives_a_restart_and_goes_when_somebody_refers_to_it_again() -> None:
    (action,) = plan(marked(3600), USER).actions
    assert isinstance(action, Apply)
    assert ANNOTATION_UNREFERENCED not in action.manifest["metadata"]["annotations"]


@pytest.mark.parametrize("text", ["", "yesterday", "2026-01-01", "2026-01-01T00:00:00"])
def test_a_mark_that_cannot_be_read_is_written_anew(text: str) -> None:
    (action,) = plan(make.headless(unreferenced=text)).actions
    assert isinstance(action, Apply)


def test_rule7_recreated_object_takes_the_service_up_again() -> None:
    (action,) = plan(make.gbs(uid="second"), marked(3600), USER).actions
    assert isinstance(action, Apply)
    assert action.manifest["metadata"]["annotations"] == {ANNOTATION_OWNER_UID: "second"}


def test_rule7_changed_service_name_is_made_before_the_old_one_goes() -> None:
    renamed = make.gbs(serviceName="other")
    first = plan(renamed, make.headless(), USER)
    assert [type(action) for action in first.actions] == [Create]
    # Its user still has the object: nobody is stranded.
    assert first.stranded == ()
    assert [type(action) for action in plan(renamed, marked(60), make.headless(service_name="other")).actions] == [
        Delete
    ]


def test_unaccepted_object_changes_no_service() -> None:
    snapshot = snapshot_of(make.gbs(), make.headless(publishNotReadyAddresses=True))
    assert plan_services(snapshot, None, NOW, 60.0).actions == ()


# -- what is kept of a spec ------------------------------------------------------------------------------

OPEN: Raw = {"discovery": "XDS", "allowedClients": {"namespaces": {"from": "All"}}}
KEPT = '{"allowedClients":{"namespaces":{"from":"All"}}}'


def kept_by(*objects: Raw) -> list[str | None]:
    """What each Service that is applied is to keep."""
    actions = plan(*objects).actions
    return [
        action.manifest["metadata"]["annotations"].get(ANNOTATION_KEPT)
        for action in actions
        if isinstance(action, Apply)
    ]


def test_it_is_there_from_the_beginning() -> None:
    (action,) = plan(make.gbs(**OPEN)).actions
    assert isinstance(action, Create)
    assert action.manifest["metadata"]["annotations"][ANNOTATION_KEPT] == KEPT
    assert plan(make.gbs(**OPEN), make.headless(kept=KEPT)).actions == ()


@pytest.mark.parametrize("kept", [None, "", "{}", "foreign"])
def test_it_is_brought_back_to_what_it_should_be(kept: str | None) -> None:
    assert kept_by(make.gbs(**OPEN), make.headless(kept=kept)) == [KEPT]


def test_with_dns_it_goes() -> None:
    closed = make.gbs(discovery="DNS")
    assert kept_by(closed, make.headless(kept=KEPT)) == [""]
    assert kept_by(closed, make.headless(kept="")) == [None]
    assert plan(closed, make.headless()).actions == ()


@pytest.mark.parametrize("kept", [None, KEPT, "foreign"])
def test_without_the_object_it_stays_with_the_mark_and_without(kept: str | None) -> None:
    assert kept_by(make.headless(kept=kept)) == [kept]
    assert kept_by(make.headless(kept=kept, unreferenced="2026-01-01T11:59:30Z"), USER) == [kept]
    (action,) = plan(make.headless(kept=kept, unreferenced="2026-01-01T11:00:00Z")).actions
    assert isinstance(action, Delete)
    assert action.again["metadata"]["annotations"].get(ANNOTATION_KEPT) == kept


def test_under_a_new_name_it_moves_and_the_mark_stays() -> None:
    renamed, since = make.gbs(serviceName="other", **OPEN), "2026-01-01T11:59:30Z"
    old, new = make.headless(kept=KEPT, unreferenced=since), make.headless(service_name="other", kept=KEPT)
    # Not before the new one has it.
    assert [type(action) for action in plan(renamed, old).actions] == [Create]
    assert kept_by(renamed, old, make.headless(service_name="other")) == [KEPT]
    (action,) = plan(renamed, old, new).actions
    assert isinstance(action, Apply)
    assert action.manifest["metadata"]["annotations"] == {
        ANNOTATION_OWNER_UID: "uid-shop-orders",
        ANNOTATION_UNREFERENCED: since,
        ANNOTATION_KEPT: "",
    }
    assert kept_by(renamed, make.headless(kept="", unreferenced=since), new) == [None]
    assert plan(renamed, make.headless(unreferenced=since), new).actions == ()


def test_a_name_that_is_somebody_elses_moves_nothing() -> None:
    assert (
        plan(make.gbs(serviceName="other", **OPEN), make.headless(kept=KEPT), make.service("other"), USER).actions == ()
    )
