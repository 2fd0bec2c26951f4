"""A manifest over a live object: as `kubectl apply` merges."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpcbalance.diff.overlay import lay_over

Raw = dict[str, Any]
META = {"name": "a", "uid": "u", "resourceVersion": "7", "generation": 3}


def live(spec: Raw, applied: Raw | None = None, **meta: Any) -> Raw:
    annotations = dict(meta.pop("annotations", {}))
    if applied is not None:
        annotations["kubectl.kubernetes.io/last-applied-configuration"] = json.dumps(applied)
    return {"metadata": {**META, **meta, "annotations": annotations}, "spec": spec, "status": {"replicas": 1}}


def container(*env: Raw, **more: Any) -> Raw:
    return {"containers": [{"name": "app", "env": list(env), **more}]}


OURS, OWN, OTHER = ({"name": n, "value": n.lower()} for n in ("GRPC_ORDERS_TARGET", "OWN", "OTHER"))


@pytest.mark.parametrize(
    ("stored", "applied", "manifest", "result"),
    [
        # Fields that others set, or that are defaults, stay.
        ({"replicas": 3}, None, {"paused": True}, {"replicas": 3, "paused": True}),
        ({"replicas": 3}, {}, {"replicas": 1}, {"replicas": 1}),
        # What was applied before and is left out now goes; an explicit null asks for the default.
        ({"replicas": 3, "paused": True}, {"spec": {"paused": True}}, {}, {"replicas": 3}),
        ({"replicas": 3}, None, {"replicas": None}, {}),
        # Lists with keys merge by them: our variables stay, the applier's own go with its manifest.
        (container(OURS, OWN), {"spec": container(OWN)}, container(OTHER), container(OTHER, OURS)),
        (container(OURS, OWN), None, container(OTHER), container(OTHER, OURS, OWN)),
        (container(OURS), {"spec": container()}, container({"name": OURS["name"], "value": "mine"}), container({"name": OURS["name"], "value": "mine"})),
        # A list that is left out goes as a whole: that is how kubectl's own merge is.
        (container(OURS, OWN), {"spec": container(OWN)}, {"containers": [{"name": "app"}]}, {"containers": [{"name": "app"}]}),
        # value and valueFrom exclude each other.
        (container(OWN), None, container({"name": "OWN", "valueFrom": {"x": {}}}), container({"name": "OWN", "valueFrom": {"x": {}}})),
        (container({"name": "OWN", "valueFrom": {"x": {}}}), None, container(OWN), container(OWN)),
        # Other lists are replaced.
        (container(ports=[1, 2]), None, container(ports=[3]), container(ports=[3])),
        # A container that was injected by somebody else stays, one that was applied goes.
        ({"containers": [{"name": "app"}, {"name": "proxy"}]}, {"spec": {"containers": [{"name": "app"}]}}, {"containers": [{"name": "app"}]}, {"containers": [{"name": "app"}, {"name": "proxy"}]}),
        ({"containers": [{"name": "app"}, {"name": "old"}]}, {"spec": {"containers": [{"name": "app"}, {"name": "old"}]}}, {"containers": [{"name": "app"}]}, {"containers": [{"name": "app"}]}),
    ],
)  # fmt: skip
def test_fields_merge_as_kubectl_apply_merges_them(
    stored: Raw, applied: Raw | None, manifest: Raw, result: Raw
) -> None:
    merged = lay_over(live(stored, applied), {"metadata": {"name": "a"}, "spec": manifest})
    assert merged["spec"] == result
    assert {key: merged["metadata"][key] for key in META} == META
    assert merged["status"] == {"replicas": 1}


def apply_entry(manager: str, fields: Raw, **more: Any) -> Raw:
    return {"manager": manager, "operation": "Apply", "fieldsV1": fields, **more}


ANNOTATED: Raw = {"f:metadata": {"f:annotations": {"f:grpcbalance.dev/client": {}}}}
ENV: Raw = {"f:spec": {"f:containers": {'k:{"name":"app"}': {"f:env": {'k:{"name":"OWN"}': {".": {}, "f:value": {}}}}}}}


@pytest.mark.parametrize(
    ("entries", "annotation_stays", "env_stays"),
    [
        ([apply_entry("flux", ANNOTATED | ENV)], False, False),
        ([apply_entry("flux", ANNOTATED | ENV), apply_entry("grpcbalance", ENV)], False, False),
        ([apply_entry("flux", ANNOTATED | ENV), apply_entry("scaler", {}, subresource="scale")], False, False),
        # Which of two the manifest is from cannot be told; nothing is taken away.
        ([apply_entry("flux", ANNOTATED), apply_entry("argo", ENV)], True, True),
        ([apply_entry("flux", {})], True, True),
        ([{"manager": "kubectl-edit", "operation": "Update", "fieldsV1": ANNOTATED | ENV}], True, True),
    ],
)
def test_server_side_apply_is_known_by_its_fields(entries: list[Raw], annotation_stays: bool, env_stays: bool) -> None:
    stored = live(container(OURS, OWN), annotations={"grpcbalance.dev/client": "orders"}, managedFields=entries)
    merged = lay_over(stored, {"metadata": {"name": "a"}, "spec": container()})
    assert ("grpcbalance.dev/client" in merged["metadata"]["annotations"]) == annotation_stays
    names = [entry["name"] for entry in merged["spec"]["containers"][0]["env"]]
    assert names == [OURS["name"], *(["OWN"] if env_stays else [])]


@pytest.mark.parametrize("text", ["{", "[]", "null", "7"])
def test_a_copy_that_cannot_be_read_takes_nothing_away(text: str) -> None:
    stored = live(container(OWN), annotations={"kubectl.kubernetes.io/last-applied-configuration": text})
    assert lay_over(stored, {"metadata": {"name": "a"}, "spec": {}})["spec"] == container(OWN)


ENTRIES = st.lists(st.sampled_from([OURS, OWN, OTHER]), unique_by=lambda entry: entry["name"])


@given(stored=ENTRIES, manifest=ENTRIES)
def test_the_manifest_holds_afterwards_and_laying_it_again_changes_nothing(
    stored: list[Raw], manifest: list[Raw]
) -> None:
    before = live(container(*stored), {"spec": container(*stored)})
    given_ = {"metadata": {"name": "a"}, "spec": container(*manifest)}
    kept = copy.deepcopy(before)
    merged = lay_over(before, given_)
    assert merged["spec"] == given_["spec"]
    assert lay_over(merged, given_) == merged
    assert before == kept
