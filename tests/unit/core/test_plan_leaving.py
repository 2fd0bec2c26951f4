"""Leaving: what is taken back when the opt-in goes, and what stays."""

from __future__ import annotations

import json
from typing import Any

import pytest

from grpcbalance.names import ANNOTATION_INJECTED
from tests.unit import factories as make
from tests.unit.core.merge import merge
from tests.unit.core.snapshots import decide_in
from tests.unit.core.test_plan import CLIENT, CONFIGURED_CLIENT, READY, Raw, annotate, names_in

KEEP = {"on-remove": "Keep"}
OURS = {"GRPC_ORDERS_TARGET", "GRPC_ORDERS_SERVICE_CONFIG", "GRPC_ORDERS_MIN_RESOLUTION_INTERVAL_MS"}


def test_keep_leaves_everything_and_rolls_nothing() -> None:
    left = annotate(CONFIGURED_CLIENT, client=None, **KEEP)
    decision = decide_in("checkout", *READY, left)
    assert (decision.patch, decision.findings) == (None, ())


def test_without_it_everything_goes() -> None:
    assert names_in(decide_in("checkout", *READY, annotate(CONFIGURED_CLIENT, client=None)).patch) == OURS


def test_keep_is_for_leaving_only() -> None:
    # While it is opted in, values follow the object: a variable that it no longer has is taken back.
    shorter = make.gbs(client={"minResolutionInterval": "Off"})
    kept = annotate(CONFIGURED_CLIENT, **KEEP)
    decision = decide_in("checkout", shorter, *READY[1:], kept)
    assert names_in(decision.patch) == {"GRPC_ORDERS_MIN_RESOLUTION_INTERVAL_MS"}


def applied_by(raw: Raw, how: str) -> Raw:
    """The injected workload after its people took our entries into their manifest and applied that."""
    env = raw["spec"]["template"]["spec"]["containers"][0]["env"]
    if how == "kubectl":
        manifest: dict[str, Any] = {"spec": {"template": {"spec": {"containers": [{"name": "app", "env": env}]}}}}
        text = json.dumps(manifest)
        return merge(raw, {"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": text}}})
    if how == "replace":
        return merge(raw, {"spec": {"template": {"metadata": {"annotations": {ANNOTATION_INJECTED: None}}}}})
    fields: Raw = {f'k:{{"name":"{entry["name"]}"}}': {"f:name": {}, "f:value": {}} for entry in env}
    path: Raw = {"f:env": fields}
    for step in ('k:{"name":"app"}', "f:containers", "f:spec", "f:template", "f:spec"):
        path = {step: path}
    managed = [{"manager": "argocd", "operation": "Apply", "time": "2026-01-01T00:00:00Z", "fieldsV1": path}]
    return merge(raw, {"metadata": {"managedFields": managed}})


@pytest.mark.parametrize("how", ["kubectl", "server-side", "replace"])
def test_who_copied_our_entries_into_git_keeps_them_when_the_annotation_goes(how: str) -> None:
    taken_over = annotate(applied_by(CONFIGURED_CLIENT, how), client=None)
    assert decide_in("checkout", *READY, taken_over).patch is None


def test_an_object_that_is_gone_takes_nothing_away() -> None:
    assert decide_in("checkout", *READY[1:], CONFIGURED_CLIENT).patch is None


def test_never_injected_and_no_longer_annotated_is_left_alone() -> None:
    assert decide_in("checkout", *READY, annotate(CLIENT, client=None, **KEEP)).patch is None
