"""How each kind replaces its pods, and where it stands: tables after what the controllers of Kubernetes 1.37 report."""

from __future__ import annotations

import json
from typing import Any

import pytest

from grpcbalance.model import Rollout
from grpcbalance.names import ANNOTATION_INJECTED, value_hash
from grpcbalance.observe_rollout import Replacing, replacing
from tests.unit import factories as make
from tests.unit.core.snapshots import view_of

Raw = dict[str, Any]

COMPLETE, PROGRESSING, WAITING, UNSEEN = Rollout.COMPLETE, Rollout.PROGRESSING, Rollout.WAITING, Rollout.UNSEEN
ROLLING, ON_DELETE = {"type": "RollingUpdate"}, {"type": "OnDelete"}


def look(raw: Raw) -> Replacing:
    return replacing(raw["kind"], raw)


def partition(count: int) -> Raw:
    return {"type": "RollingUpdate", "rollingUpdate": {"partition": count}}


def counts(replicas: int, updated: int, ready: int | None = None, revisions: str = "ab") -> Raw:
    """Status of a StatefulSet: pods there, pods of the newest template, pods ready; current and newest revision."""
    return {
        "replicas": replicas,
        "updatedReplicas": updated,
        "readyReplicas": replicas if ready is None else ready,
        "currentRevision": revisions[0],
        "updateRevision": revisions[1],
    }


@pytest.mark.parametrize(
    ("strategy", "replicas", "status", "expected"),
    [
        # Without pods a rollout is over as soon as the controller has seen it.
        (ROLLING, 0, counts(0, 0, revisions="bb"), COMPLETE),
        (ON_DELETE, 0, counts(0, 0), COMPLETE),
        (partition(1), 0, counts(0, 0, revisions="bb"), COMPLETE),
        # One pod after the other; the current revision moves when the last one is ready.
        (ROLLING, 3, counts(3, 0), PROGRESSING),
        (ROLLING, 3, counts(2, 1), PROGRESSING),
        (ROLLING, 3, counts(3, 3, ready=2), PROGRESSING),
        (ROLLING, 3, counts(3, 3, revisions="bb"), COMPLETE),
        ({}, 3, counts(3, 3, revisions="bb"), COMPLETE),
        # Once it was complete, pods that fail or are added are no rollout.
        (ROLLING, 3, counts(3, 3, ready=0, revisions="bb"), COMPLETE),
        (ROLLING, 9, counts(3, 3, revisions="bb"), COMPLETE),
        # Undone halfway: the template is that of the current revision, but there are pods of another one.
        (ROLLING, 3, counts(3, 2, revisions="aa"), PROGRESSING),
        # They need not be ready. A pod that was deleted cannot be told from them until it is gone.
        (ROLLING, 3, counts(3, 2, ready=2, revisions="aa"), PROGRESSING),
        (ROLLING, 3, counts(2, 2, revisions="aa"), COMPLETE),
        (ROLLING, 3, counts(3, 3, ready=3, revisions="aa"), COMPLETE),
        # A partition: pods below it keep the old template until people lower it.
        (partition(1), 3, counts(3, 1), PROGRESSING),
        (partition(1), 3, counts(3, 2), WAITING),
        (partition(3), 3, counts(3, 0), WAITING),
        (partition(9), 3, counts(3, 0), WAITING),
        (partition(1), 3, counts(3, 3, revisions="bb"), COMPLETE),
        (partition(0), 3, counts(3, 2), PROGRESSING),
        # Undone while the partition holds back what would have to be replaced.
        (partition(3), 3, counts(3, 2, revisions="aa"), WAITING),
        # OnDelete: people delete the pods. Before 1.37 the current revision never moves.
        (ON_DELETE, 2, counts(2, 0), WAITING),
        (ON_DELETE, 2, counts(2, 1), WAITING),
        (ON_DELETE, 2, counts(2, 2), COMPLETE),
        (ON_DELETE, 2, counts(2, 2, revisions="bb"), COMPLETE),
        # What is not there yet comes from the newest template.
        (ON_DELETE, 2, counts(1, 1), COMPLETE),
        # Back to the template that OnDelete began with, which its current revision stood for all the time.
        (ON_DELETE, 2, counts(2, 0, revisions="aa"), WAITING),
    ],
)  # fmt: skip
def test_stateful_set(strategy: Raw, replicas: int, status: Raw, expected: Rollout) -> None:
    assert look(make.stateful_set(replicas=replicas, updateStrategy=strategy, status=status)).rollout is expected


def test_stateful_set_is_judged_by_its_counts_not_by_its_pod_management() -> None:
    for policy in ("OrderedReady", "Parallel"):
        raw = make.stateful_set(replicas=3, podManagementPolicy=policy, status=counts(3, 1))
        assert (look(raw).rollout, look(raw).takes_all) == (PROGRESSING, False)


NODES = {"desiredNumberScheduled": 3, "currentNumberScheduled": 3}


@pytest.mark.parametrize(
    ("strategy", "status", "expected"),
    [
        (ROLLING, {"updatedNumberScheduled": 0}, PROGRESSING),
        (ROLLING, {"updatedNumberScheduled": 2}, PROGRESSING),
        ({}, {}, COMPLETE),
        # One may be away for good, as many as maxUnavailable lets: a node that is down is no rollout …
        (ROLLING, {"numberAvailable": 2}, COMPLETE),
        (ROLLING, {"numberAvailable": 1}, PROGRESSING),
        (ROLLING | {"rollingUpdate": {"maxUnavailable": 2}}, {"numberAvailable": 1}, COMPLETE),
        (ROLLING | {"rollingUpdate": {"maxUnavailable": "34%"}}, {"numberAvailable": 1}, COMPLETE),
        (ROLLING | {"rollingUpdate": {"maxUnavailable": "33%"}}, {"numberAvailable": 1}, PROGRESSING),
        # … but never all of them.
        (ROLLING | {"rollingUpdate": {"maxUnavailable": "100%"}}, {"numberAvailable": 0}, PROGRESSING),
        (ROLLING | {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}, {"numberAvailable": 2}, PROGRESSING),
        # The pod of a node that is down keeps its old template: that goes on, until its deadline.
        (ROLLING, {"updatedNumberScheduled": 2, "numberAvailable": 2}, PROGRESSING),
        # Between two pods of a node.
        (ROLLING, {"updatedNumberScheduled": 2, "currentNumberScheduled": 2, "numberAvailable": 2}, PROGRESSING),
        (ON_DELETE, {"updatedNumberScheduled": 0}, WAITING),
        (ON_DELETE, {"updatedNumberScheduled": 2, "numberAvailable": 0}, WAITING),
        (ON_DELETE, {"numberAvailable": 0}, COMPLETE),
        # A node that is new has no pod yet; it gets one of the newest template.
        (ON_DELETE, {"updatedNumberScheduled": 2, "currentNumberScheduled": 2}, COMPLETE),
    ],
)  # fmt: skip
def test_daemon_set(strategy: Raw, status: Raw, expected: Rollout) -> None:
    raw = make.daemon_set(nodes=3, updateStrategy=strategy, status=NODES | status)
    assert look(raw).rollout is expected


def test_daemon_set_without_nodes_is_complete() -> None:
    assert look(make.daemon_set(nodes=0)).rollout is COMPLETE
    assert look(make.daemon_set(nodes=0, updateStrategy=ON_DELETE)).rollout is COMPLETE


@pytest.mark.parametrize(
    "raw",
    [
        make.deployment(),
        make.stateful_set(replicas=2),
        make.stateful_set(replicas=0),
        make.stateful_set(replicas=2, updateStrategy=ON_DELETE),
        make.stateful_set(replicas=2, updateStrategy=partition(2)),
        make.daemon_set(nodes=2),
        make.daemon_set(nodes=2, updateStrategy=ON_DELETE),
    ],
    ids=["Deployment", "StatefulSet", "no pods", "OnDelete", "partition", "DaemonSet", "DaemonSet OnDelete"],
)
def test_nothing_is_over_before_the_controller_has_seen_the_newest_spec(raw: Raw) -> None:
    assert look(raw).rollout is COMPLETE
    newer = raw | {"metadata": raw["metadata"] | {"generation": 2}}
    assert look(newer).rollout is UNSEEN
    assert look(newer | {"status": {}}).rollout is UNSEEN


def test_cron_job_has_no_rollout() -> None:
    assert look(make.cron_job()) == Replacing(
        COMPLETE, rolls=False, progress=None, replicas=0, recreates=False, takes_all=False
    )


@pytest.mark.parametrize(
    ("raw", "rolls"),
    [
        (make.deployment(), True),
        (make.deployment(paused=True), True),
        (make.stateful_set(replicas=2), True),
        # It is about to have pods again, and then those of the newest template.
        (make.stateful_set(replicas=0), True),
        (make.stateful_set(replicas=2, updateStrategy=partition(1)), True),
        (make.stateful_set(replicas=2, updateStrategy=partition(2)), False),
        (make.stateful_set(replicas=2, updateStrategy=partition(9)), False),
        (make.stateful_set(replicas=2, updateStrategy=ON_DELETE), False),
        (make.daemon_set(), True),
        (make.daemon_set(updateStrategy=ON_DELETE), False),
        (make.cron_job(), False),
    ],
)
def test_whether_a_change_of_the_template_replaces_pods(raw: Raw, rolls: bool) -> None:
    assert look(raw).rolls is rolls


def rolling(**update: Any) -> Raw:
    return {"rollingUpdate": update}


@pytest.mark.parametrize(
    ("raw", "recreates", "takes_all"),
    [
        # Deployments: maxUnavailable is rounded down, maxSurge up; both default to a quarter.
        (make.deployment(replicas=1), False, False),
        (make.deployment(replicas=4), False, False),
        (make.deployment(replicas=4, strategy={"type": "Recreate"}), True, False),
        (make.deployment(replicas=4, strategy=rolling(maxUnavailable="100%")), False, True),
        (make.deployment(replicas=4, strategy=rolling(maxUnavailable="99%")), False, False),
        (make.deployment(replicas=4, strategy=rolling(maxUnavailable=4)), False, True),
        (make.deployment(replicas=1, strategy=rolling(maxUnavailable=1, maxSurge=0)), False, True),
        (make.deployment(replicas=1, strategy=rolling(maxUnavailable="50%", maxSurge="1%")), False, False),
        # 0 and 0 is read as 1 and 0, by rounding.
        (make.deployment(replicas=1, strategy=rolling(maxUnavailable="50%", maxSurge=0)), False, True),
        (make.deployment(replicas=0), False, False),
        # StatefulSets: the only pod goes before the next one comes; maxUnavailable is rounded down, to 1 at least.
        (make.stateful_set(replicas=1), True, True),
        (make.stateful_set(replicas=2), False, False),
        (make.stateful_set(replicas=3, updateStrategy=rolling(maxUnavailable=3)), False, True),
        (make.stateful_set(replicas=3, updateStrategy=rolling(maxUnavailable="100%")), False, True),
        (make.stateful_set(replicas=3, updateStrategy=rolling(maxUnavailable="99%")), False, False),
        (make.stateful_set(replicas=3, updateStrategy=rolling(maxUnavailable="1%")), False, False),
        (make.stateful_set(replicas=3, podManagementPolicy="Parallel"), False, False),
        (make.stateful_set(replicas=3, updateStrategy={"type": "Recreate"}), True, False),
        (make.stateful_set(replicas=0), False, False),
        # DaemonSets: maxUnavailable is rounded up.
        (make.daemon_set(nodes=1), True, True),
        (make.daemon_set(nodes=1, updateStrategy=rolling(maxUnavailable=0, maxSurge=1)), False, False),
        (make.daemon_set(nodes=3), False, False),
        (make.daemon_set(nodes=3, updateStrategy=rolling(maxUnavailable="66%")), False, False),
        (make.daemon_set(nodes=3, updateStrategy=rolling(maxUnavailable="67%")), False, True),
        (make.daemon_set(nodes=0), False, False),
    ],
)
def test_what_a_rolling_update_may_take_at_once(raw: Raw, recreates: bool, takes_all: bool) -> None:
    assert (look(raw).recreates, look(raw).takes_all) == (recreates, takes_all)


@pytest.mark.parametrize(
    ("raw", "pods"),
    [
        (make.deployment(replicas=None), 1),
        (make.stateful_set(replicas=None), 1),
        (make.stateful_set(replicas=0), 0),
        (make.daemon_set(nodes=7), 7),
        (make.cron_job(), 0),
    ],
)
def test_how_many_pods(raw: Raw, pods: int) -> None:
    assert look(raw).replicas == pods


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
def test_progress_is_what_moves_while_pods_are_replaced(kind: str) -> None:
    """A Deployment with a deadline is judged by Kubernetes itself; of the others some count moves with each pod."""
    at_first, later = {
        "Deployment": (
            make.deployment(progressDeadlineSeconds=2_147_483_647),
            make.deployment(progressDeadlineSeconds=2_147_483_647) | {"status": {"updatedReplicas": 1}},
        ),
        "StatefulSet": (
            make.stateful_set(replicas=3, status=counts(3, 1)),
            make.stateful_set(replicas=3, status=counts(3, 2)),
        ),
        "DaemonSet": (
            make.daemon_set(nodes=3, status={"updatedNumberScheduled": 1}),
            make.daemon_set(nodes=3, status={"updatedNumberScheduled": 2}),
        ),
    }[kind]
    assert None not in (look(at_first).progress, look(later).progress)
    assert look(at_first).progress != look(later).progress
    assert look(make.deployment()).progress is None


def record(**values: str) -> dict[str, str]:
    return {ANNOTATION_INJECTED: json.dumps({"app": {name: value_hash(value) for name, value in values.items()}})}


def settled(*templates: dict[str, str]) -> Any:
    """What is known to be in every pod after a finished rollout of the first template and unfinished ones of others."""
    view = view_of(make.deployment(server="orders", template_annotations=templates[0]))
    for version, template in enumerate(templates[1:], start=2):
        raw = make.deployment(server="orders", template_annotations=template, rv=version, rolled=False)
        view.apply("deployments", "MODIFIED", raw)
    (workload,) = view.workloads.values()
    assert workload.rollout is (COMPLETE if len(templates) == 1 else PROGRESSING)
    return dict(dict(workload.settled or ()).get("app", ()))


def test_values_that_were_away_during_a_rollout_are_not_known_to_be_in_every_pod() -> None:
    both, one = record(A="1", B="2"), record(A="1")
    kept = {"A": value_hash("1"), "B": value_hash("2")}
    assert settled(both) == settled(both, both) == kept
    # `kubectl rollout undo`, and ours again at once: pods of the template in between may be there by now.
    assert settled(both, {}, both) == {}
    assert settled(both, one, both) == {"A": value_hash("1")}
    assert settled(both, record(A="0", B="2"), both) == {"B": value_hash("2")}


@pytest.mark.parametrize(
    ("conditions", "failure"),
    [
        ([], ""),
        (
            [{"type": "ReplicaFailure", "status": "True", "message": "pods is\nforbidden: quota"}],
            "pods is forbidden: quota",
        ),
        ([{"type": "ReplicaFailure", "status": "False", "message": "no more"}], ""),
    ],
)
def test_what_keeps_a_deployment_from_making_pods(conditions: list[Raw], failure: str) -> None:
    raw = make.deployment()
    assert look(raw | {"status": raw["status"] | {"conditions": conditions}}).failure == failure
