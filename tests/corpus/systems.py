"""Reads the corpus, and compares an object with what it was before.

The first document of a file says what is expected: `service` is the spec of the GrpcBalancedService, `port` the number
that it must come to, and `workloads` are those to annotate. One with `refused` is refused for that reason until the
annotation `grpcbalance.dev/containers` names its `containers`. Workloads that are not listed take no part.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

Object = dict[str, Any]

FOLDER: Final = Path(__file__).parent
# On every template and workload; what begins with it is the operator's or the user's word to the operator.
OURS: Final = "grpcbalance.dev/"
RECORD: Final = f"{OURS}injected"
# Annotations by which Kubernetes counts versions of a template.
_COUNTED: Final = ("deployment.kubernetes.io/revision", "deprecated.daemonset.template.generation")


@dataclass(frozen=True, slots=True)
class Expected:
    """What a workload is, and which of its containers must get variables."""

    kind: str
    name: str
    role: str
    containers: tuple[str, ...]
    refused: str | None

    @property
    def opt_in(self) -> dict[str, str]:
        """Annotations of a user who does not know of any containers."""
        return {f"{OURS}{self.role}": "orders"}

    @property
    def choice(self) -> dict[str, str]:
        """The annotation that a refusal asks for; empty where none is needed."""
        return {f"{OURS}containers": ",".join(self.containers)} if self.refused else {}


@dataclass(frozen=True, slots=True)
class System:
    """One file of the corpus."""

    name: str
    service: Object
    port: int
    workloads: tuple[Expected, ...]
    objects: tuple[Object, ...]

    def __str__(self) -> str:
        return self.name

    def at_rest(self) -> Iterator[Object]:
        """Copies of its objects that run no pod: what an object says besides is as in the file."""
        for item in self.objects:
            made = copy.deepcopy(item)
            if made["kind"] in ("Deployment", "StatefulSet"):
                made["spec"]["replicas"] = 0
            elif made["kind"] == "DaemonSet":
                template_of(made)["spec"]["nodeSelector"] = {"kubernetes.io/hostname": "none"}
            elif made["kind"] == "CronJob":
                made["spec"]["suspend"] = True
            yield made


def _read(file: Path) -> System:
    head, *objects = yaml.safe_load_all(file.read_text())
    workloads = tuple(
        Expected(item["kind"], item["name"], item["role"], tuple(item["containers"]), item.get("refused"))
        for item in head["workloads"]
    )
    return System(file.stem, head["service"], head["port"], workloads, tuple(objects))


SYSTEMS: Final = tuple(_read(file) for file in sorted(FOLDER.glob("*.yaml")))


def template_of(item: Object) -> Object:
    """The pod template of a workload."""
    spec: Object = item["spec"]
    template: Object = spec["jobTemplate"]["spec"]["template"] if item["kind"] == "CronJob" else spec["template"]
    return template


def is_injected(item: Object) -> bool:
    """Whether the template carries the operator's record."""
    return RECORD in ((template_of(item).get("metadata") or {}).get("annotations") or {})


def comparable(item: Object) -> Object:
    """Spec, labels and annotations, but for what Kubernetes itself counts up."""
    meta = item["metadata"]
    annotations = {key: value for key, value in (meta.get("annotations") or {}).items() if key not in _COUNTED}
    return {"spec": item["spec"], "labels": meta.get("labels") or {}, "annotations": annotations}


def added(before: Object, after: Object) -> dict[str, dict[str, Any]]:
    """Container, init containers included -> variable that was not there before -> its value."""
    known = {container["name"]: _names(container) for container in _containers(before)}
    found = {
        container["name"]: {
            entry["name"]: entry.get("value")
            for entry in container.get("env") or ()
            if entry["name"] not in known[container["name"]]
        }
        for container in _containers(after)
    }
    return {name: variables for name, variables in found.items() if variables}


def without(item: Object, variables: Mapping[str, Mapping[str, Any]]) -> Object:
    """What is comparable of an object, less these variables and every annotation of ours."""
    rest = copy.deepcopy(item)
    for container in _containers(rest):
        gone = variables.get(container["name"], {})
        _keep(container, "env", [entry for entry in container.get("env") or () if entry["name"] not in gone])
    for meta in (rest["metadata"], template_of(rest).get("metadata") or {}):
        annotations = meta.get("annotations") or {}
        _keep(meta, "annotations", {key: value for key, value in annotations.items() if not key.startswith(OURS)})
    return comparable(rest)


def _keep(owner: Object, field: str, value: Any) -> None:
    """Set a field, or drop it when nothing is left in it, as the API server does."""
    owner.pop(field, None)
    if value:
        owner[field] = value


def _containers(item: Object) -> Iterator[Object]:
    pod = template_of(item)["spec"]
    yield from pod.get("initContainers") or ()
    yield from pod["containers"]


def _names(container: Object) -> set[str]:
    return {entry["name"] for entry in container.get("env") or ()}
