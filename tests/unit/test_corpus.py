"""The corpus of real manifests: what it must hold, and injection into each of them and back, without a cluster."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from grpcbalance.assess import Assessor
from grpcbalance.kinds import WORKLOADS
from grpcbalance.model import WorkloadRef
from grpcbalance.names import PLURAL
from grpcbalance.plan import Decision
from grpcbalance.situation import Situation
from grpcbalance.view import View
from tests.corpus import systems
from tests.corpus.systems import FOLDER, SYSTEMS, Expected, Object, System
from tests.unit import factories as make
from tests.unit.core.merge import merge, tidy

FILES = sorted(FOLDER.glob("*.yaml"))
EACH = pytest.mark.parametrize("system", SYSTEMS, ids=str)


class Cluster:
    """What the operator sees of a system, and its writes applied; every rollout ends at once."""

    def __init__(self, system: System) -> None:
        self._view, self._version = View(), 0
        self.objects: dict[tuple[str, str], Object] = {}
        for item in (*system.at_rest(), make.gbs() | {"spec": system.service}):
            self.put(item)
        self.put(make.serving(ports=[system.port]))

    def get(self, item: Object | Expected) -> Object:
        return self.objects[(item.kind, item.name) if isinstance(item, Expected) else _key(item)]

    def put(self, item: Object) -> None:
        """Store a new version of an object, as the API server and the controller of its kind would."""
        self._version += 1
        name = item["metadata"]["name"]
        stored = copy.deepcopy(item)
        stored["metadata"] = make.metadata(name, uid=None, rv=self._version) | stored["metadata"]
        stored["metadata"] |= {"resourceVersion": str(self._version), "generation": self._version}
        stored["status"] = {"observedGeneration": self._version}
        self.objects[_key(item)] = stored
        plural = PLURAL if item["kind"] == "GrpcBalancedService" else f"{item['kind'].lower()}s"
        self._view.apply(plural, None, stored)

    def annotate(self, expected: Expected, annotations: Mapping[str, str | None]) -> None:
        self.put(merge(self.get(expected), {"metadata": {"annotations": dict(annotations)}}))

    def decide(self, expected: Expected) -> Decision | None:
        """What is decided about a workload; None where nothing of it concerns the operator."""
        workload = self._view.workloads.get(WorkloadRef(expected.kind, make.NAMESPACE, expected.name))
        return Assessor(self._view, make.DOMAIN).decide(workload, Situation()) if workload else None

    def settle(self, workloads: tuple[Expected, ...]) -> None:
        """Apply what is decided, until nothing more is: first to servers, for which clients wait."""
        for expected in (*workloads, *workloads):
            decision = self.decide(expected)
            if decision and decision.patch:
                self.put(merge(self.get(expected), decision.patch))
        assert not any(decision.patch for decision in map(self.decide, workloads) if decision)


def _key(item: Object) -> tuple[str, str]:
    return item["kind"], item["metadata"]["name"]


def workloads_of(system: System) -> Iterator[Object]:
    return (item for item in system.objects if item["kind"] != "Service")


@EACH
def test_injected_and_back(system: System) -> None:
    cluster = Cluster(system)
    originals = copy.deepcopy(cluster.objects)
    for expected in system.workloads:
        cluster.annotate(expected, expected.opt_in)
    cluster.settle(system.workloads)
    for expected in system.workloads:
        assert systems.is_injected(cluster.get(expected)) == (expected.refused is None)
        assert reasons(cluster.decide(expected)) == [expected.refused or "Configured"]
        cluster.annotate(expected, expected.choice)
    cluster.settle(system.workloads)
    for expected in system.workloads:
        assert reasons(cluster.decide(expected)) == ["Configured"]
        check_injected(expected, originals[expected.kind, expected.name], cluster.get(expected))
    for expected in system.workloads:
        cluster.annotate(expected, dict.fromkeys([*expected.opt_in, *expected.choice]))
    cluster.settle(system.workloads)
    for item in workloads_of(system):
        after, before = cluster.get(item), originals[_key(item)]
        assert not systems.is_injected(after)
        assert tidy(systems.comparable(after)) == tidy(systems.comparable(before))


def reasons(decision: Decision | None) -> list[str]:
    return [str(finding.reason) for finding in decision.findings] if decision else []


def check_injected(expected: Expected, before: Object, after: Object) -> None:
    """Exactly the expected containers have variables of the role, and nothing else has changed."""
    variables = systems.added(before, after)
    assert set(variables) == set(expected.containers)
    prefix = "GRPC_SERVER_" if expected.role == "server" else "GRPC_ORDERS_"
    assert all(name.startswith(prefix) for container in variables.values() for name in container)
    assert tidy(systems.without(after, variables)) == tidy(systems.comparable(before))


# -- the corpus itself -----------------------------------------------------------------------------------


def test_it_is_large_enough() -> None:
    assert len(SYSTEMS) >= 7
    kinds = {item["kind"] for system in SYSTEMS for item in workloads_of(system)}
    assert kinds == {workload.kind for workload in WORKLOADS}
    listed = {expected.kind for system in SYSTEMS for expected in system.workloads}
    assert listed == kinds


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_files_are_small_and_say_what_they_stand_for(file: Path) -> None:
    text = file.read_text()
    assert len(text.splitlines()) <= 80
    assert text.startswith("# ")
    assert systems.OURS not in text


@EACH
def test_expectations_speak_of_what_is_there(system: System) -> None:
    there = {_key(item): item for item in workloads_of(system)}
    for expected in system.workloads:
        containers = systems.template_of(there[expected.kind, expected.name])["spec"]["containers"]
        assert set(expected.containers) <= {container["name"] for container in containers}
    assert {expected.role for expected in system.workloads} == {"server", "client"}


@EACH
def test_nothing_can_be_pulled_and_no_namespace_is_named(system: System) -> None:
    for item in workloads_of(system):
        pod = systems.template_of(item)["spec"]
        for container in (*pod["containers"], *pod.get("initContainers", ())):
            assert container["image"].startswith("example/")
        assert "namespace" not in item["metadata"]


def _pods(item: Object) -> Object:
    pod: Object = systems.template_of(item)["spec"]
    return pod


def _env(item: Object) -> list[list[str]]:
    return [[entry["name"] for entry in container.get("env", ())] for container in _pods(item)["containers"]]


QUIRKS: dict[str, Callable[[Object], Any]] = {
    "native sidecar": lambda w: any(c.get("restartPolicy") == "Always" for c in _pods(w).get("initContainers", ())),
    "known sidecar first": lambda w: _pods(w)["containers"][0]["name"] in ("daprd", "linkerd-proxy"),
    "several containers": lambda w: len(_pods(w)["containers"]) > 2,
    "a variable twice": lambda w: any(len(names) > len(set(names)) for names in _env(w)),
    "no env at all": lambda w: not any(_env(w)),
    "envFrom": lambda w: any("envFrom" in c for c in _pods(w)["containers"]),
    "value over several lines": lambda w: "\\n" in json.dumps(_pods(w)),
    "reference to another variable": lambda w: "$(" in json.dumps(_pods(w)["containers"]),
    "fieldRef": lambda w: "fieldRef" in json.dumps(_pods(w)["containers"]),
    "resourceFieldRef": lambda w: "resourceFieldRef" in json.dumps(_pods(w)["containers"]),
    "secretKeyRef": lambda w: "secretKeyRef" in json.dumps(_pods(w)["containers"]),
    "template without metadata": lambda w: "metadata" not in systems.template_of(w),
    "empty annotations": lambda w: systems.template_of(w).get("metadata", {}).get("annotations") == {},
    "OnDelete": lambda w: w["spec"].get("updateStrategy", {}).get("type") == "OnDelete",
    "Parallel": lambda w: w["spec"].get("podManagementPolicy") == "Parallel",
    "Recreate": lambda w: w["spec"].get("strategy", {}).get("type") == "Recreate",
    "host network": lambda w: _pods(w).get("hostNetwork"),
    "replicas left out": lambda w: w["kind"] == "Deployment" and "replicas" not in w["spec"],
}


@pytest.mark.parametrize("quirk", QUIRKS)
def test_quirks_that_somebody_must_have(quirk: str) -> None:
    assert [system.name for system in SYSTEMS for item in workloads_of(system) if QUIRKS[quirk](item)]
