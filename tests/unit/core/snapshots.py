"""Snapshots and decisions made from raw objects through a View, as in the operator; shared by the tests of this folder."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

from grpcbalance.assess import Assessor
from grpcbalance.desired import Resolution, resolve
from grpcbalance.lookaside.seen import Seen
from grpcbalance.model import Ref, ServiceSnapshot, WorkloadRef
from grpcbalance.names import PLURAL
from grpcbalance.optin import Problem
from grpcbalance.plan import Decision
from grpcbalance.situation import Situation
from grpcbalance.view import KINDS, View
from tests.unit.factories import DOMAIN, NAMESPACE

PLURALS = {
    "GrpcBalancedService": PLURAL,
    "Service": "services",
    "EndpointSlice": "endpointslices",
    "Deployment": "deployments",
    "Namespace": "namespaces",
}


def view_of(*raws: dict[str, Any]) -> View:
    """A View that has seen these objects."""
    view = View()
    for raw in raws:
        view.apply(PLURALS[raw["kind"]], None, raw)
    return view


def snapshot_of(*raws: dict[str, Any], name: str = "orders", refusal: str | None = None) -> ServiceSnapshot:
    """The snapshot of one GrpcBalancedService among these objects."""
    return view_of(*raws).snapshot(Ref(NAMESPACE, name), refusal)


def resolve_in(*raws: dict[str, Any], name: str = "orders") -> Resolution | Problem:
    """What the named GrpcBalancedService means among these objects."""
    snapshot = snapshot_of(*raws, name=name)
    assert snapshot.balanced is not None
    return resolve(snapshot, snapshot.balanced, DOMAIN)


def resolved_in(*raws: dict[str, Any], name: str = "orders") -> Resolution:
    """The same, where it must resolve."""
    resolution = resolve_in(*raws, name=name)
    assert isinstance(resolution, Resolution), resolution
    return resolution


def decide_in(name: str, *raws: dict[str, Any], seen: Seen | None = None, **situation: Any) -> Decision:
    """The decision about the Deployment `name` among these objects; `seen` is of each GrpcBalancedService."""
    view = view_of(*raws)
    view.seen |= {ref: seen for ref in view.balanced if seen}
    workload = view.workloads[WorkloadRef("Deployment", NAMESPACE, name)]
    return Assessor(view, DOMAIN).decide(workload, Situation(**situation))


def reasons(decision: Decision) -> list[str]:
    """The reasons of its findings, in order."""
    return [str(finding.reason) for finding in decision.findings]


def newer(raw: dict[str, Any], rv: int = 2, **changes: Any) -> dict[str, Any]:
    """The object as a later version of itself."""
    result = copy.deepcopy(raw) | copy.deepcopy(changes)
    result["metadata"]["resourceVersion"] = str(rv)
    return result


def contents(view: View) -> Any:
    """Everything that snapshots can show, and the indices behind it."""
    settled_apart = {ref: dataclasses.replace(w, settled=None) for ref, w in view.workloads.items()}
    indices = {
        name: {key: index[key] for key in index}
        for name, index in vars(view).items()
        if name in ("_wanting", "_referring", "_owned", "_slices", "_servers", "_clients", "_abroad", "_hosts")
    }
    names = {kind: view.names(kind) for kind in KINDS}
    # A rollout of one that has opted out meanwhile counts until it ends; who comes later cannot know whose it is.
    in_flight = {ref for ref in view.slots.in_flight if view.workloads[ref].annotations}
    return view.balanced, view.services, view.slices, settled_apart, indices, names, in_flight
