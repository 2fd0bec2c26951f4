"""Pods with an xDS target in their env: whose they are, and which of them are not connected. Pure.

A pod tells its controller only. That of a StatefulSet's or a DaemonSet's pod is the workload itself, by uid. Between a
Deployment and its pod is a ReplicaSet, named after the Deployment and the hash that the pod has as a label; between a
CronJob and its pod is a Job, named after the CronJob and the time of its schedule. Those are told by their names, and
by the labels of the template, which spares the permission to read them: they are of the same namespace, so nobody else
can be taken for them. A Job that somebody has made of a CronJob by hand, under a name of its own, is not found.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from grpcbalance.model import Rollout, Workload
from grpcbalance.observe_workload import hosts_in

from .seen import Node

_HASH: Final = "pod-template-hash"
_SCHEDULED: Final = re.compile(r"-[0-9]{1,12}")


class Pod(NamedTuple):
    """A ready pod with an xDS target. `owner` is kind, name and uid of its controller, `ready_since` is RFC 3339."""

    node: Node
    owner: tuple[str, str, str]
    labels: tuple[tuple[str, str], ...]
    hosts: frozenset[str]
    ready_since: str


class Absent(NamedTuple):
    """Pods that should be connected to the look-aside balancer and are not.

    `unsure`: for some that cannot be said yet; what was told of them earlier counts.
    """

    pods: tuple[Node, ...] = ()
    unsure: bool = False


NOBODY: Final = Absent()


def observe(raw: Mapping[str, Any]) -> Pod | None:
    """A pod that is ready, stays, and has an xDS target; None for any other."""
    meta, conditions = raw["metadata"], (raw.get("status") or {}).get("conditions") or ()
    ready = next((c for c in conditions if c["type"] == "Ready" and c["status"] == "True"), None)
    owner = next((one for one in meta.get("ownerReferences") or () if one.get("controller")), None)
    if ready is None or owner is None or "deletionTimestamp" in meta:
        return None
    hosts = frozenset(host for host in hosts_in(raw["spec"].get("containers") or ()) if host.endswith(".xds"))
    if not hosts:
        return None
    return Pod(
        node=Node(meta["namespace"], meta["name"]),
        owner=(owner["kind"], owner["name"], owner["uid"]),
        labels=tuple(sorted((meta.get("labels") or {}).items())),
        hosts=hosts,
        ready_since=ready.get("lastTransitionTime") or "",
    )


def belongs(pod: Pod, workload: Workload) -> bool:
    """Whether a pod was made for a workload."""
    (kind, name, uid), ref = pod.owner, workload.ref
    if pod.node.namespace != ref.namespace:
        return False
    if ref.kind in ("StatefulSet", "DaemonSet"):
        return uid == workload.uid
    if not set(workload.labels) <= set(pod.labels):
        return False
    if ref.kind == "Deployment":
        return kind == "ReplicaSet" and name == f"{ref.name}-{dict(pod.labels).get(_HASH)}"
    return kind == "Job" and name.startswith(ref.name) and bool(_SCHEDULED.fullmatch(name[len(ref.name) :]))


def moved(workloads: Iterable[Workload], host: str) -> tuple[Workload, ...]:
    """Workloads whose template has the xDS target `host` (`names.xds_host`)."""
    return tuple(workload for workload in workloads if host in workload.hosts)


def unconnected(
    workloads: Iterable[Workload], pods: Iterable[Pod], host: str, connected: frozenset[Node]
) -> Iterator[Pod]:
    """Ready pods of moved workloads that have the target and are not among those that are connected.

    A client that does not tell its namespace is known by its pod's name alone.
    """
    settled = [w for w in moved(workloads, host) if w.rollout is Rollout.COMPLETE]
    for pod in pods:
        known = pod.node in connected or Node("", pod.node.pod) in connected
        if not known and host in pod.hosts and any(belongs(pod, workload) for workload in settled):
            yield pod
