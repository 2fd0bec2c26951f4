"""What is said of the look-aside balancer's pods when they do not serve."""

from __future__ import annotations

import pytest

from grpcbalance.overview.replicas import asked, trouble

from .kit import Raw, replica

NO_NODE: Raw = {
    "metadata": {"name": "a"},
    "status": {
        "phase": "Pending",
        "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}],
    },
}
LOOK = "kubectl -n mesh describe pod a tells why"


@pytest.mark.parametrize(
    ("pods", "names", "note"),
    [
        ([replica("b"), replica("a")], ["a", "b"], None),
        ([], [], "the look-aside balancer has no pods in mesh: kubectl apply -k manifests/xds installs it"),
        (
            [replica("b"), replica("a", phase="Pending", waits="ContainerCreating")],
            ["b"],
            f"is not ready (ContainerCreating): {LOOK}; is there a Secret grpcbalance-xds-tls?",
        ),
        (
            [replica("a", waits="CrashLoopBackOff"), replica("b", ready=False), replica("c", waits="x")],
            ["b"],
            f"is not ready (CrashLoopBackOff), nor are 2 more: {LOOK}",
        ),
        ([replica("a", ready=False)], ["a"], f"is not ready (ContainersNotReady): {LOOK}"),
        ([NO_NODE], [], f"is not ready (Unschedulable): {LOOK}"),
        ([{"metadata": {"name": "a"}}], [], f"is not ready (Unknown): {LOOK}"),
    ],
    ids=["well", "none", "no Secret", "crashes", "not ready", "no node", "no status"],
)
def test_who_is_asked_and_what_is_told(pods: list[Raw], names: list[str], note: str | None) -> None:
    assert asked(pods) == names
    told = [one.removeprefix("replica a of the look-aside balancer ") for one in trouble(pods, "mesh")]
    assert told == ([] if note is None else [note])
