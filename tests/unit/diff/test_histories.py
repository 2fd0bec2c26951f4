"""Whatever people did, when the operator is at rest the diff agrees with it."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.unit.reconcile.test_random import Action, actions, annotating, begin, pauses, setting, toggling, unsetting

from .kit import Cluster, reasons, report

# Longer than the operator's longest patience with those who undo its work.
REST = 7200.0


# A client that has waited long enough for its servers, and then is held for another reason: it does not begin anew.
HELD = [(setting("a", "GRPC_A_TARGET"), 2.0), (annotating("a", "b", "b"), 0.11), (annotating("b", "b", None), 0.0)]
# Where a client has a target of its own there is nothing to wait for.
OWN_TARGET = [
    (setting("b", "GRPC_A_TARGET"), 2.0),
    (toggling("a"), 0.0),
    (unsetting("a", "GRPC_SERVER_MAX_CONNECTION_AGE_MS"), 0.0),
    (annotating("b", None, "a"), 0.0),
    (toggling("a"), 0.0),
]


@example(steps=HELD)
@example(steps=OWN_TARGET)
@settings(max_examples=25)
@given(steps=st.lists(st.tuples(actions, pauses), max_size=12))
def test_where_the_operator_is_at_rest_nothing_is_foretold(steps: list[tuple[Action, float]]) -> None:
    people = begin([])
    for act, pause in steps:
        act(people)
        people.world.run(pause)
    world = people.world.run(REST)
    kinds = ("grpcbalancedservices", "services", "endpointslices", "deployments")
    raws = [raw for kind in kinds for raw in world.server.all(kind)]
    found = report(Cluster(raws))
    assert [service.name for service in found.services] == []
    assert [(w.name, w.containers) for w in found.workloads if w.action == "Write"] == []
    told = {(w.name, reason) for w in found.workloads for reason in reasons(w)}
    statuses = (raw["status"] for raw in raws if raw["kind"] == "GrpcBalancedService")
    listed = {(w["name"], w["reason"]) for s in statuses for w in s["workloads"] if w["state"] != "Configured"}
    # What concerns no object that there is stands in no status.
    assert listed <= told
