"""Rules 3, 4, 5 and 9: who is written to, when, and what the people concerned are told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from grpcbalance.api import Reason
from grpcbalance.names import ANNOTATION_INJECTED
from grpcbalance.optin import Problem
from tests.unit import factories as make
from tests.unit.core.merge import merge
from tests.unit.core.snapshots import decide_in, reasons

Raw = dict[str, Any]
SAFE: dict[str, Any] = {"minReadySeconds": 35}


def injected(name: str, *objects: Raw, **situation: Any) -> Raw:
    """The Deployment `name` among `objects`, written to and rolled out."""
    raw = next(o for o in objects if o["kind"] == "Deployment" and o["metadata"]["name"] == name)
    patch = decide_in(name, *objects, **situation).patch
    assert patch is not None
    return make.roll(merge(raw, {**patch, "metadata": {"resourceVersion": "2"}}))


def annotate(raw: Raw, **annotations: str | None) -> Raw:
    return merge(raw, {"metadata": {"annotations": {f"grpcbalance.dev/{k}": v for k, v in annotations.items()}}})


def names_in(patch: Raw | None) -> set[str]:
    assert patch is not None
    return {entry["name"] for c in patch["spec"]["template"]["spec"]["containers"] for entry in c["env"]}


SERVER = injected("orders", make.gbs(), make.server())
READY = (make.gbs(), SERVER, make.serving())
CLIENT = make.deployment(client="orders")
CONFIGURED_CLIENT = injected("checkout", *READY, CLIENT)


# -- rule 3 ----------------------------------------------------------------------------------------------


def test_client_of_a_serving_service_is_written() -> None:
    decision = decide_in("checkout", *READY, CLIENT)
    assert names_in(decision.patch) == {
        "GRPC_ORDERS_TARGET",
        "GRPC_ORDERS_SERVICE_CONFIG",
        "GRPC_ORDERS_MIN_RESOLUTION_INTERVAL_MS",
    }
    assert reasons(decision) == ["Pending"]


@pytest.mark.parametrize(
    ("objects", "reason"),
    [
        ([make.gbs(), SERVER], "TargetNotServing"),
        ([make.gbs(), SERVER, make.serving(ports=[1])], "TargetNotServing"),
        ([make.gbs(), make.serving()], "PortNotConfirmed"),
        ([make.gbs(), make.server(containers=[make.container(ports=[1])]), make.serving()], "NotAccepted"),
    ],
    ids=["no endpoint", "other port", "nobody declares the port", "wrong port"],
)
def test_rule3_client_waits_for_what_does_not_answer(objects: list[Raw], reason: str) -> None:
    decision = decide_in("checkout", *objects, CLIENT)
    assert decision.patch is None
    assert reasons(decision) == [reason]
    assert decision.findings[0].state == "Pending"


def test_rule3_a_change_of_target_waits_too_and_the_old_values_stay() -> None:
    moved = make.gbs(serviceName="orders-two", client={"minResolutionInterval": "20s"})
    decision = decide_in("checkout", moved, SERVER, make.serving(), CONFIGURED_CLIENT)
    assert decision.patch is None
    assert reasons(decision) == ["TargetNotServing"]
    arrived = make.serving(service_name="orders-two")
    assert "GRPC_ORDERS_TARGET" in names_in(decide_in("checkout", moved, SERVER, arrived, CONFIGURED_CLIENT).patch)


def test_rule3_other_values_change_without_endpoints() -> None:
    slower = make.gbs(client={"minResolutionInterval": "20s"})
    decision = decide_in("checkout", slower, SERVER, CONFIGURED_CLIENT)
    assert names_in(decision.patch) == {"GRPC_ORDERS_MIN_RESOLUTION_INTERVAL_MS"}


def test_endpoints_that_go_change_nothing() -> None:
    decision = decide_in("checkout", make.gbs(), SERVER, CONFIGURED_CLIENT)
    assert (decision.patch, reasons(decision)) == (None, ["Configured"])


# -- rule 4 ----------------------------------------------------------------------------------------------


def test_rule4_opting_out_removes_ours() -> None:
    decision = decide_in("checkout", *READY, annotate(CONFIGURED_CLIENT, client=None))
    assert decision.patch is not None
    template = decision.patch["spec"]["template"]
    assert template["metadata"]["annotations"] == {ANNOTATION_INJECTED: None}
    assert {entry["$patch"] for c in template["spec"]["containers"] for entry in c["env"]} == {"delete"}


@pytest.mark.parametrize(
    "annotations",
    [
        {"client": "payments"},
        {"client": "not valid!"},
        {"client": None, "clients": "orders"},
        {"client": None, "paused": "maybe"},
        {"client": "bank/payments"},
        {"containers": "gone"},
    ],
    ids=["missing service", "bad value", "misspelt", "bad pause", "other namespace", "no such container"],
)
def test_rule4_nothing_is_removed_while_anything_is_unresolved(annotations: dict[str, str | None]) -> None:
    decision = decide_in("checkout", *READY, annotate(CONFIGURED_CLIENT, **annotations))
    assert decision.patch is None
    assert decision.findings


def test_rule4_annotation_moved_to_another_service_acts_only_when_that_one_serves() -> None:
    moved = annotate(CONFIGURED_CLIENT, client="payments")
    both = (*READY, make.gbs("payments"), make.server("payments"))
    waiting = decide_in("checkout", *both, moved)
    assert (waiting.patch, reasons(waiting)) == (None, ["TargetNotServing"])
    acted = decide_in("checkout", *both, make.serving("payments"), moved, waited=300.0)
    assert {name for name in names_in(acted.patch) if name.startswith("GRPC_ORDERS")} == {
        "GRPC_ORDERS_TARGET",
        "GRPC_ORDERS_SERVICE_CONFIG",
        "GRPC_ORDERS_MIN_RESOLUTION_INTERVAL_MS",
    }
    assert "GRPC_PAYMENTS_TARGET" in names_in(acted.patch)


def test_rule4_a_controlled_workload_is_refused_and_left_alone() -> None:
    owned = {"ownerReferences": [{"kind": "Rollout", "name": "web", "controller": True}]}
    for raw in (CLIENT, annotate(CONFIGURED_CLIENT, client=None)):
        decision = decide_in("checkout", *READY, merge(raw, {"metadata": owned}))
        assert decision.patch is None
    controlled = decide_in("checkout", *READY, merge(CLIENT, {"metadata": owned}))
    assert reasons(controlled) == ["Controlled"]
    assert controlled.findings[0].state == "Refused"


def test_one_missing_service_does_not_keep_the_other_from_its_client() -> None:
    decision = decide_in("checkout", *READY, annotate(CLIENT, client="orders,payments"))
    assert reasons(decision) == ["Pending", "ServiceMissing"]
    assert "GRPC_ORDERS_TARGET" in names_in(decision.patch)


# -- rule 1, as told -------------------------------------------------------------------------------------


def test_rule1_conflict_is_refused_with_container_and_name() -> None:
    own = make.deployment(client="orders", containers=[make.container(env=make.env(GRPC_ORDERS_TARGET="mine"))])
    decision = decide_in("checkout", *READY, injected("checkout", *READY, own))
    assert decision.patch is None
    (finding,) = decision.findings
    assert (finding.state, str(finding.reason)) == ("Refused", "EnvConflict")
    assert "GRPC_ORDERS_TARGET (container app)" in finding.message


def test_rule1_a_name_that_stands_twice_is_refused() -> None:
    twice = [*make.env(GRPC_ORDERS_TARGET="a"), *make.env(GRPC_ORDERS_TARGET="a")]
    decision = decide_in("checkout", *READY, make.deployment(client="orders", containers=[make.container(env=twice)]))
    assert (decision.patch, reasons(decision)) == (None, ["DuplicateEnv"])


def test_two_services_with_one_variable_name_are_both_refused() -> None:
    other = make.gbs("payments", client={"env": {"target": {"name": "GRPC_ORDERS_TARGET"}}})
    objects = (*READY, other, make.server("payments"), make.serving("payments"))
    decision = decide_in("checkout", *objects, annotate(CLIENT, client="orders,payments"), waited=300.0)
    assert (decision.patch, reasons(decision)) == (None, ["VariableClash", "VariableClash"])


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (make.deployment(client="orders", containers=[make.container("a"), make.container("b")]), "AmbiguousContainer"),
        (annotate(CLIENT, containers="zzz"), "ContainerNotFound"),
        (annotate(CLIENT, client="bank/orders"), "NamespaceNotAllowed"),
        (annotate(CLIENT, sever="x"), "UnknownAnnotation"),
        (annotate(CLIENT, paused="x"), "InvalidAnnotation"),
    ],
)
def test_refusals(raw: Raw, reason: str) -> None:
    decision = decide_in("checkout", *READY, raw)
    assert (decision.patch, reasons(decision)) == (None, [reason])
    assert decision.findings[0].state == "Refused"


def test_a_refused_write_is_told() -> None:
    decision = decide_in("checkout", *READY, CLIENT, refusal=Problem(Reason.API_REFUSED, "quota exceeded"))
    (finding,) = decision.findings
    assert (finding.state, str(finding.reason), finding.message) == ("Refused", "ApiRefused", "quota exceeded")


# -- rule 9 ----------------------------------------------------------------------------------------------


def test_rule9_missing_service_is_told_and_nothing_else_happens() -> None:
    decision = decide_in("checkout", CLIENT)
    assert decision.patch is None
    (finding,) = decision.findings
    assert (str(finding.reason), finding.state) == ("ServiceMissing", "Pending")
    assert "'orders'" in finding.message


# -- rule 5 ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "reason", "state"),
    [
        ({}, "RollingOut", "Pending"),
        (
            {"observedGeneration": 1, "conditions": [{"type": "Progressing", "reason": "ProgressDeadlineExceeded"}]},
            "RolloutFailed",
            "Pending",
        ),
        (SERVER["status"], "Configured", "Configured"),
    ],
)
def test_server_is_configured_when_its_rollout_is_finished(status: Raw, reason: str, state: str) -> None:
    (finding,) = decide_in("orders", make.gbs(), SERVER | {"status": status}).findings
    assert (str(finding.reason), finding.state) == (reason, state)


def test_unmanaged_servers_are_configured_without_a_patch() -> None:
    decision = decide_in("orders", make.gbs(server={"mode": "Unmanaged"}), make.server())
    assert (decision.patch, reasons(decision)) == (None, ["Unmanaged"])
    assert decision.findings[0].state == "Configured"


def test_the_record_is_readable_json_by_container() -> None:
    text = SERVER["spec"]["template"]["metadata"]["annotations"][ANNOTATION_INJECTED]
    assert set(json.loads(text)["app"]) == {
        "GRPC_SERVER_MAX_CONNECTION_AGE_MS",
        "GRPC_SERVER_MAX_CONNECTION_AGE_GRACE_MS",
    }
