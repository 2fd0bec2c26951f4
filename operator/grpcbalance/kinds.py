"""The kinds of workloads, and where each keeps its pod template. One table: whoever tells kinds apart reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple


class WorkloadKind(NamedTuple):
    """A kind that can be annotated. `template` leads to its pod template, from the object's root."""

    kind: str
    group: str
    version: str
    plural: str
    template: tuple[str, ...] = ("spec", "template")

    @property
    def api_version(self) -> str:
        """Group and version, as manifests write them."""
        return f"{self.group}/{self.version}"

    def pod_template(self, raw: Mapping[str, Any]) -> Any:
        """The pod template in an object, or in a patch, of this kind."""
        found: Any = raw
        for step in self.template:
            found = found[step]
        return found

    def around(self, template: Mapping[str, Any]) -> dict[str, Any]:
        """A patch body that holds nothing but this template."""
        body: Any = template
        for step in reversed(self.template):
            body = {step: body}
        return dict(body)


WORKLOADS: Final = (
    WorkloadKind("Deployment", "apps", "v1", "deployments"),
    WorkloadKind("StatefulSet", "apps", "v1", "statefulsets"),
    WorkloadKind("DaemonSet", "apps", "v1", "daemonsets"),
    WorkloadKind("CronJob", "batch", "v1", "cronjobs", ("spec", "jobTemplate", "spec", "template")),
)
BY_KIND: Final[Mapping[str, WorkloadKind]] = {workload.kind: workload for workload in WORKLOADS}
BY_PLURAL: Final[Mapping[str, WorkloadKind]] = {workload.plural: workload for workload in WORKLOADS}
