"""What the tests of the diff share: a cluster in a dict, and the report about it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import yaml

from grpcbalance.diff.manifests import Manifest, parse
from grpcbalance.diff.report import Report, WorkloadChange
from grpcbalance.diff.run import Wish, diff
from grpcbalance.diff.source import Nothing
from grpcbalance.names import PLURAL
from tests.unit import factories as make

Raw = dict[str, Any]
NOW = datetime(2026, 1, 1, tzinfo=UTC)
PLURALS = {
    "GrpcBalancedService": PLURAL,
    "Service": "services",
    "EndpointSlice": "endpointslices",
    "Namespace": "namespaces",
    "Deployment": "deployments",
    "StatefulSet": "statefulsets",
}


class Cluster:
    """A source that holds some objects, and the ready pods of each namespace by selector."""

    def __init__(self, objects: Iterable[Raw], pods: Mapping[str, Iterable[str]] | None = None) -> None:
        self._objects, self._pods = list(objects), dict(pods or {})
        self.asked: list[tuple[str, str]] = []

    async def objects(self) -> Mapping[str, list[Raw]]:
        found: dict[str, list[Raw]] = {}
        for raw in self._objects:
            found.setdefault(PLURALS[raw["kind"]], []).append(raw)
        return found

    async def pods(self, namespace: str, selector: str) -> list[Raw]:
        self.asked.append((namespace, selector))
        ready = {"conditions": [{"type": "Ready", "status": "True"}]}
        return [{"metadata": {"name": name}, "status": ready} for name in self._pods.get(selector, ())]


def manifests(*raws: Raw, file: str = "shop.yaml") -> tuple[Manifest, ...]:
    """Objects as a file would tell of them: without what only an API server adds."""
    stripped = []
    for raw in raws:
        meta = {
            key: raw["metadata"][key]
            for key in ("name", "namespace", "labels", "annotations")
            if raw["metadata"].get(key)
        }
        stripped.append({key: value for key, value in raw.items() if key != "status"} | {"metadata": meta})
    return tuple(parse(yaml.safe_dump_all(stripped), file))


def report(cluster: Cluster | None = None, given: tuple[Manifest, ...] = ()) -> Report:
    """What the operator would do about a cluster, about manifests, or both."""
    wish = Wish(
        given,
        make.NAMESPACE,
        forced=False,
        balancer=make.balancer(cluster_domain=make.DOMAIN),
        with_cluster=cluster is not None,
    )
    return asyncio.run(diff(cluster or Nothing(), wish, NOW))


def workload(found: Report, name: str) -> WorkloadChange:
    """The entry about a workload."""
    (entry,) = (item for item in found.workloads if item.name == name)
    return entry


def variables(change: WorkloadChange, container: str = "app") -> dict[str, tuple[str, str | None, str | None]]:
    """Variable -> change, old and new value."""
    found = {c.name: c.variables for c in change.containers}.get(container, ())
    return {variable.name: (variable.change, variable.old, variable.new) for variable in found}


def reasons(change: WorkloadChange) -> list[str]:
    """Why a workload is refused or waits."""
    return [told.reason for told in change.findings]
