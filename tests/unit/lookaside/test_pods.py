"""Whose a pod is, and whether it should be connected."""

from __future__ import annotations

from typing import Any

import pytest

from grpcbalance.lookaside.pods import NOBODY, Absent, belongs, moved, observe, unconnected
from grpcbalance.lookaside.seen import Node
from grpcbalance.model import Workload
from tests.unit import factories as make

Raw = dict[str, Any]
HOST = "orders.shop.xds"
XDS = make.env(GRPC_ORDERS_TARGET="xds:///orders.shop:5000")
DNS = make.env(GRPC_ORDERS_TARGET="dns:///orders-headless.shop.svc.cluster.local.:5000")
CONTAINERS = [make.container(env=XDS)]
SINCE = "2026-01-01T00:00:00Z"


def pod(
    name: str = "checkout-6b7f9-x2x4z",
    owner: tuple[str, str, str] = ("ReplicaSet", "checkout-6b7f9", "uid-rs"),
    *,
    labels: Raw | None = None,
    env: list[Raw] = XDS,
    ready: str = "True",
    namespace: str = "shop",
    **meta: Any,
) -> Raw:
    kind, owner_name, uid = owner
    given = {"app": "checkout", "pod-template-hash": "6b7f9"} if labels is None else labels
    reference = {"kind": kind, "name": owner_name, "uid": uid, "controller": True}
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": given, "ownerReferences": [reference], **meta},
        "spec": {"containers": [make.container(env=env)]},
        "status": {"conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": SINCE}]},
    }


def workload(kind: str = "Deployment", **more: Any) -> Workload:
    maker = {
        "Deployment": make.deployment,
        "StatefulSet": make.stateful_set,
        "DaemonSet": make.daemon_set,
        "CronJob": make.cron_job,
    }[kind]
    return make.workload(maker(client="orders", containers=CONTAINERS, **more))


def test_a_ready_pod_by_what_is_decided_by() -> None:
    found = observe(pod())
    assert found is not None
    assert found.node == Node("shop", "checkout-6b7f9-x2x4z")
    assert found.owner == ("ReplicaSet", "checkout-6b7f9", "uid-rs")
    assert (found.hosts, found.ready_since) == (frozenset({HOST}), SINCE)


@pytest.mark.parametrize(
    "raw",
    [
        pod(ready="False"),
        pod(env=DNS),
        pod(env=[]),
        pod(deletionTimestamp=SINCE),
        pod(ownerReferences=[]),
        pod() | {"status": {}},
        pod() | {"spec": {"containers": []}},
    ],
    ids=["not ready", "on DNS", "nothing", "goes", "nobody's", "new", "empty"],
)
def test_any_other_does_not_count(raw: Raw) -> None:
    assert observe(raw) is None


OWNERS = [
    ("Deployment", ("ReplicaSet", "checkout-6b7f9", "x"), None, True),
    # Of a Deployment `checkout-6b7f9`, or of one that is called differently.
    ("Deployment", ("ReplicaSet", "checkout-6b7f9-55c4d", "x"), {"app": "checkout", "pod-template-hash": "55c4d"}, False),
    ("Deployment", ("ReplicaSet", "checkout-v2-6b7f9", "x"), None, False),
    ("Deployment", ("ReplicaSet", "checkout", "x"), {"app": "checkout"}, False),
    ("Deployment", ("ReplicaSet", "checkout-6b7f9", "x"), {"app": "other", "pod-template-hash": "6b7f9"}, False),
    ("Deployment", ("StatefulSet", "checkout-6b7f9", "x"), None, False),
    ("StatefulSet", ("StatefulSet", "checkout", "uid-shop-checkout"), {}, True),
    ("StatefulSet", ("StatefulSet", "checkout", "uid-of-former"), None, False),
    ("DaemonSet", ("DaemonSet", "checkout", "uid-shop-checkout"), {}, True),
    ("DaemonSet", ("DaemonSet", "checkout", "uid-of-former"), None, False),
    ("CronJob", ("Job", "checkout-29301120", "x"), None, True),
    ("CronJob", ("Job", "checkout-by-hand", "x"), None, False),
    ("CronJob", ("Job", "checkout-29301120-1", "x"), None, False),
    ("CronJob", ("Job", "checkout", "x"), None, False),
    ("CronJob", ("Job", "checkout-29301120", "x"), {"app": "other"}, False),
    ("CronJob", ("ReplicaSet", "checkout-29301120", "x"), None, False),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "owner", "labels", "its"), OWNERS)
def test_whose_a_pod_is(kind: str, owner: tuple[str, str, str], labels: Raw | None, its: bool) -> None:
    found = observe(pod(owner=owner, labels=labels))
    assert found is not None
    assert belongs(found, workload(kind)) is its


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet", "CronJob"])
def test_a_pod_of_another_namespace_is_never_its(kind: str) -> None:
    owner = {"Deployment": ("ReplicaSet", "checkout-6b7f9", "x"), "CronJob": ("Job", "checkout-1", "x")}.get(
        kind, (kind, "checkout", "uid-shop-checkout")
    )
    found = observe(pod(owner=owner, namespace="web"))
    assert found is not None
    assert not belongs(found, workload(kind))


def missing(*workloads: Workload, connected: frozenset[Node] = frozenset(), **more: Any) -> list[str]:
    found = observe(pod(**more))
    assert found is not None
    return [one.node.pod for one in unconnected(workloads, [found], HOST, connected)]


def test_who_is_missed() -> None:
    name = "checkout-6b7f9-x2x4z"
    assert missing(workload()) == [name]
    assert missing(workload(), connected=frozenset({Node("shop", name)})) == []
    # Who does not tell its namespace is believed.
    assert missing(workload(), connected=frozenset({Node("", name)})) == []
    assert missing(workload(), connected=frozenset({Node("web", name)})) == [name]
    assert missing(workload(rolled=False)) == []
    assert missing() == []
    # Its own env decides, whatever the template has by now.
    assert missing(workload(), env=make.env(GRPC_OTHER_TARGET="xds:///other.shop:5000")) == []
    on_dns = make.workload(make.deployment(client="orders", containers=[make.container(env=DNS)]))
    assert missing(on_dns) == []
    assert moved([on_dns, workload()], HOST) == (workload(),)


def test_a_pod_of_a_cron_job_is_missed_too() -> None:
    assert missing(workload("CronJob"), name="checkout-1-abcde", owner=("Job", "checkout-1", "x")) == [
        "checkout-1-abcde"
    ]


def test_nobody_is_absent_and_that_is_sure() -> None:
    assert Absent() == NOBODY
    assert (NOBODY.pods, NOBODY.unsure) == ((), False)
