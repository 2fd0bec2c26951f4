from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpcbalance import observe
from grpcbalance.model import Rollout
from grpcbalance.names import ANNOTATION_INJECTED, ANNOTATION_SERVER, LABEL_SERVICE, value_hash
from grpcbalance.observe_rollout import deployment_rollout
from grpcbalance.observe_workload import workload
from tests.unit import factories as make


@pytest.mark.parametrize(
    ("conditions", "ready", "terminating"),
    [
        ({}, True, False),
        ({"ready": None}, True, False),
        ({"ready": True}, True, False),
        ({"ready": False}, False, False),
        ({"ready": False, "serving": True, "terminating": True}, False, True),
        ({"ready": True, "terminating": None}, True, False),
    ],
)
def test_endpoint_conditions_follow_the_api(conditions: dict[str, Any], ready: bool, terminating: bool) -> None:
    raw = make.endpoint_slice(endpoints=[{"addresses": ["10.0.0.1", "10.0.0.2"], "conditions": conditions}])
    (found,) = make.piece(raw).endpoints
    assert (found.address, found.ready, found.terminating) == ("10.0.0.1", ready, terminating)


def test_slice_of_another_service_is_not_kept() -> None:
    raw = make.endpoint_slice()
    del raw["metadata"]["labels"][LABEL_SERVICE]
    assert observe.endpoint_slice(raw) is None


def test_slice_with_null_lists() -> None:
    raw = make.endpoint_slice() | {"ports": None, "endpoints": None}
    assert (make.piece(raw).ports, make.piece(raw).endpoints) == ((), ())


def test_service_defaults() -> None:
    raw = make.service(ports=[{"port": 80}], selector={})
    found = make.observed_service(raw)
    assert [(p.name, p.port, p.target_port, p.protocol) for p in found.ports] == [("", 80, 80, "TCP")]
    assert (found.selector, found.managed, found.balanced) == ((), False, None)


def test_balanced_wants_the_default_or_the_given_service_name() -> None:
    assert make.balanced(make.gbs("orders")).service_name == "orders-headless"
    assert make.balanced(make.gbs("orders", serviceName="other")).service_name == "other"


def test_spec_text_does_not_depend_on_key_order() -> None:
    one, other = make.gbs(port=1, serviceName="a"), make.gbs(serviceName="a", port=1)
    assert make.balanced(one).spec == make.balanced(other).spec


def test_plain_deployment_is_not_kept_unless_it_rolls_out() -> None:
    assert workload("Deployment", make.deployment()) is None
    assert workload("Deployment", make.deployment(rolled=False)) is not None


def test_deployment_that_names_a_service_is_kept() -> None:
    raw = make.deployment(
        containers=[make.container(env=make.env(T="dns:///orders-headless.shop.svc.cluster.local.:5000"))]
    )
    assert make.workload(raw).hosts == {"orders-headless.shop.svc"}


def test_own_annotation_wins_over_the_templates() -> None:
    raw = make.deployment(server="mine", template_annotations={ANNOTATION_SERVER: "theirs"})
    assert make.workload(raw).annotation(ANNOTATION_SERVER) == "mine"


def test_annotation_of_the_template_alone_counts() -> None:
    raw = make.deployment(template_annotations={ANNOTATION_SERVER: "theirs"})
    assert make.workload(raw).annotation(ANNOTATION_SERVER) == "theirs"


def test_record_counts_on_the_template_only() -> None:
    text = json.dumps({"app": {"A": "x"}})
    assert make.workload(make.deployment(annotations={ANNOTATION_INJECTED: text})).record == ()
    found = make.workload(make.deployment(template_annotations={ANNOTATION_INJECTED: text}))
    assert found.record == (("app", (("A", "x"),)),)


@pytest.mark.parametrize(
    "text", ["", "x", "[]", '{"app": 1}', '{"app": ["A"]}', "1" * 5000, "[" * 100_000, "null", '"a"']
)
def test_record_that_cannot_be_read_is_noticed(text: str) -> None:
    found = make.workload(make.deployment(template_annotations={ANNOTATION_INJECTED: text}))
    assert found.record_malformed
    assert found.record == ()


def test_values_are_kept_as_fingerprints_only() -> None:
    entries: list[dict[str, Any]] = [
        {"name": "A", "value": "secret"},
        {"name": "B", "valueFrom": {"secretKeyRef": {"name": "x", "key": "y"}}},
        {"name": "C"},
    ]
    raw = make.server(containers=[make.container(env=entries)])
    (app,) = make.workload(raw).containers
    assert [(v.name, v.digest) for v in app.env] == [("A", value_hash("secret")), ("B", None), ("C", value_hash(""))]
    assert "secret" not in repr(make.workload(raw))


@pytest.mark.parametrize(
    ("value", "hosts"),
    [
        ("dns:///orders-headless.shop.svc.cluster.local.:5000", {"orders-headless.shop.svc"}),
        (
            "orders-headless.shop.svc:5000,pay-headless.bank.svc:1",
            {"orders-headless.shop.svc", "pay-headless.bank.svc"},
        ),
        ("--target=orders-headless.shop.svc.cluster.local.", {"orders-headless.shop.svc"}),
        ("--orders-headless.shop.svc", {"orders-headless.shop.svc"}),
        ("pod-0.orders-headless.shop.svc.cluster.local", {"orders-headless.shop.svc"}),
        ("orders-headless.shop.svcs", set()),
        ("orders-headless.shop", set()),
        ("xds:///orders.shop:5000", {"orders.shop.xds"}),
        ("xds:///orders.shop", set()),
        ("--target=xds:///orders.shop:5000", set()),
        (".svc", set()),
    ],
)
def test_hosts_in_values(value: str, hosts: set[str]) -> None:
    raw = make.server(containers=[make.container(env=make.env(T=value))])
    assert make.workload(raw).hosts == hosts


@pytest.mark.parametrize("filler", ["a" * 300_000, "a-" * 150_000, "-" * 300_000, "a." * 150_000, "sleep " * 50_000])
def test_hostile_values_are_read_in_no_time(filler: str) -> None:
    raw = make.server(
        containers=[
            make.container(
                env=make.env(T=filler + ".svc"),
                lifecycle={"preStop": {"exec": {"command": ["sh", "-c", filler]}}},
            )
        ]
    )
    began = time.process_time()
    assert make.workload(raw).ref.name == "orders"
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize(
    ("hook", "grace", "seconds"),
    [
        ({"sleep": {"seconds": 40}}, 60, 40),
        ({"sleep": {"seconds": 40}}, 30, 30),
        ({"sleep": {"seconds": 40}}, None, 30),
        ({"exec": {"command": ["sleep", "40"]}}, 60, 40),
        ({"exec": {"command": ["sh", "-c", "/bin/sleep 35.5 && kill 1"]}}, 60, 35.5),
        ({"exec": {"command": ["sh", "-c", "nosleep 40"]}}, 60, 0),
        ({"httpGet": {"path": "/"}}, 60, 0),
        (None, 60, 0),
    ],
)
def test_pre_stop(hook: dict[str, Any] | None, grace: int | None, seconds: float) -> None:
    more: dict[str, Any] = {} if hook is None else {"lifecycle": {"preStop": hook}}
    pod = {} if grace is None else {"terminationGracePeriodSeconds": grace}
    (app,) = make.workload(make.server(containers=[make.container(**more)], pod=pod)).containers
    assert app.pre_stop_seconds == seconds


STATUS: dict[str, Any] = {
    "observedGeneration": 2,
    "conditions": [{"type": "Progressing", "reason": "NewReplicaSetAvailable", "status": "True"}],
}
DEADLINE = [{"type": "Progressing", "reason": "ProgressDeadlineExceeded", "status": "False"}]


@pytest.mark.parametrize(
    ("status", "replicas", "expected"),
    [
        ({}, 1, Rollout.UNSEEN),
        ({"observedGeneration": 2}, 0, Rollout.COMPLETE),
        (
            {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1},
            1,
            Rollout.UNSEEN,
        ),
        (
            {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 1, "availableReplicas": 2},
            1,
            Rollout.PROGRESSING,
        ),
        ({"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1}, 1, Rollout.PROGRESSING),
        ({"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}, 1, Rollout.COMPLETE),
        (
            {"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1},
            None,
            Rollout.COMPLETE,
        ),
        ({"observedGeneration": 2, "conditions": DEADLINE}, 1, Rollout.FAILED),
        # Complete once; pods that fail, or are added, later are no rollout.
        (STATUS | {"replicas": 3, "updatedReplicas": 3, "availableReplicas": 1}, 3, Rollout.COMPLETE),
        (STATUS | {"replicas": 3, "updatedReplicas": 3, "availableReplicas": 3}, 9, Rollout.COMPLETE),
        (STATUS | {"replicas": 4, "updatedReplicas": 1, "availableReplicas": 3}, 3, Rollout.PROGRESSING),
        # Undone to an earlier template, Recreate: all are gone, and the reason has not changed yet.
        (STATUS | {"replicas": 0, "updatedReplicas": 0}, 3, Rollout.PROGRESSING),
        (STATUS | {"observedGeneration": 1, "replicas": 3, "updatedReplicas": 3}, 3, Rollout.UNSEEN),
        ({"observedGeneration": 1, "conditions": DEADLINE}, 1, Rollout.UNSEEN),
    ],
)
def test_rollout(status: dict[str, Any], replicas: int | None, expected: Rollout) -> None:
    raw = make.deployment(replicas=replicas, meta={"generation": 2}) | {"status": status}
    assert deployment_rollout(raw) is expected


RECORD = {ANNOTATION_INJECTED: json.dumps({"app": {"A": value_hash("1")}})}
FIELDS: dict[str, Any] = {
    "f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"app"}': {"f:env": {'k:{"name":"A"}': {}}}}}}}
}


def manifest(*env: str) -> str:
    containers = [{"name": "app", "env": [{"name": name, "value": "1"} for name in env]}]
    return json.dumps({"spec": {"template": {"spec": {"containers": containers}}}})


@pytest.mark.parametrize(
    ("meta", "expected"),
    [
        ({}, set()),
        ({"managedFields": [{"manager": "helm", "operation": "Apply", "fieldsV1": FIELDS}]}, {("app", "A")}),
        ({"managedFields": [{"manager": "grpcbalance", "operation": "Apply", "fieldsV1": FIELDS}]}, set()),
        # What `rollout undo` leaves behind is no standing claim.
        ({"managedFields": [{"manager": "kubectl", "operation": "Update", "fieldsV1": FIELDS}]}, set()),
        ({"managedFields": [{"manager": "helm", "operation": "Apply"}]}, set()),
    ],
)
def test_co_owners(meta: dict[str, Any], expected: set[tuple[str, str]]) -> None:
    raw = make.server(template_annotations=RECORD, containers=[make.container(env=make.env(A="1"))])
    raw["metadata"] |= meta
    assert make.workload(raw).co_owned == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (manifest("A"), {("app", "A")}),
        (manifest("B"), set()),
        ("not json", set()),
        ("[" * 100_000, set()),
        ("null", set()),
        ('{"spec": null}', set()),
        ('{"spec": {"template": {"spec": {"containers": [{"env": [{"name": []}], "name": "app"}]}}}}', set()),
    ],
)
def test_last_applied_configuration_is_a_claim(text: str, expected: set[tuple[str, str]]) -> None:
    raw = make.server(
        template_annotations=RECORD,
        annotations={"kubectl.kubernetes.io/last-applied-configuration": text},
        containers=[make.container(env=make.env(A="1"))],
    )
    assert make.workload(raw).co_owned == expected


def test_controller_is_named() -> None:
    owners = [{"kind": "ReplicaSet", "name": "x"}, {"kind": "Rollout", "name": "web", "controller": True}]
    assert (
        make.workload(make.server(meta={"ownerReferences": owners, "annotations": {ANNOTATION_SERVER: "a"}})).controller
        == "Rollout web"
    )


@given(st.text(max_size=50), st.text(max_size=50))
def test_any_annotation_text_is_survived(record: str, applied: str) -> None:
    raw = make.server(
        template_annotations={ANNOTATION_INJECTED: record},
        annotations={"kubectl.kubernetes.io/last-applied-configuration": applied},
    )
    assert make.workload(raw).ref.name == "orders"
