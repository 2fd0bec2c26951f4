"""One namespace of the test cluster: create objects, change them as a user would, and wait for what must follow."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lab import Cluster
from lab.install import GBS, condition, rolled_out
from lab.rest import Object, Rest, path

_COLLECTIONS: Final = {
    "GrpcBalancedService": GBS,
    "Deployment": ("apps/v1", "deployments"),
    "StatefulSet": ("apps/v1", "statefulsets"),
    "DaemonSet": ("apps/v1", "daemonsets"),
    "ReplicaSet": ("apps/v1", "replicasets"),
    "ControllerRevision": ("apps/v1", "controllerrevisions"),
    "CronJob": ("batch/v1", "cronjobs"),
    "Job": ("batch/v1", "jobs"),
    "Service": ("v1", "services"),
    "EndpointSlice": ("discovery.k8s.io/v1", "endpointslices"),
    "Pod": ("v1", "pods"),
    "Event": ("v1", "events"),
}
RECORD: Final = "grpcbalance.dev/injected"
# How long the operator may take for what depends on it alone; generous, since CI machines are slow.
SOON: Final = 30.0
# For what also needs pods to start or to end.
ROLLOUT: Final = 120.0


@dataclass(frozen=True, slots=True)
class Shop:
    """A namespace, and the API server it is in."""

    cluster: Cluster
    api: Rest
    namespace: str

    def url(self, kind: str, name: str = "", sub: str = "") -> str:
        """API path of an object of this namespace, or of the collection."""
        return path(*_COLLECTIONS[kind], self.namespace, name, sub)

    def create(self, *made: Object) -> None:
        """Create objects."""
        for item in made:
            self.api.create(self.url(item["kind"]), item)

    def get(self, kind: str, name: str) -> Object:
        """An object as it is now."""
        return self.api.get(self.url(kind, name))

    def delete(self, kind: str, name: str) -> None:
        """Delete an object."""
        self.api.delete(self.url(kind, name))

    def merge(self, kind: str, name: str, patch: Object) -> Object:
        """JSON merge patch, as `kubectl patch --type=merge`."""
        return self.api.merge(self.url(kind, name), patch)

    def kubectl(self, *args: str, stdin: str | None = None) -> str:
        """kubectl in this namespace."""
        return self.cluster.kubectl("--namespace", self.namespace, *args, stdin=stdin)

    # -- workloads ---------------------------------------------------------------------------------------

    def annotate(self, workload: str, kind: str = "Deployment", /, **annotations: str | None) -> None:
        """Set our annotations by their short names; None removes one, `_` stands for `-`."""
        full = {f"grpcbalance.dev/{key.replace('_', '-')}": value for key, value in annotations.items()}
        self.merge(kind, workload, {"metadata": {"annotations": full}})

    def env(self, workload: str, container: str = "app", kind: str = "Deployment") -> dict[str, Any]:
        """Variables of a container: name -> value, or the whole entry for valueFrom."""
        return env_of(self.get(kind, workload), container)

    def revision(self, deployment: str) -> int:
        """How often the pods were rolled: the Deployment's revision."""
        annotations = self.get("Deployment", deployment)["metadata"].get("annotations", {})
        return int(annotations["deployment.kubernetes.io/revision"])

    def wait_object(
        self, kind: str, name: str, accept: Callable[[Object], bool], what: str, within: float = SOON
    ) -> Object:
        """Wait for a state of an object."""
        return self.api.wait(self.url(kind, name), accept, within=within, what=what)

    def wait_deployment(self, name: str, accept: Callable[[Object], bool], what: str, within: float = SOON) -> Object:
        """Wait for a state of a Deployment."""
        return self.wait_object("Deployment", name, accept, what, within)

    def wait_rolled_out(self, *names: str, within: float = ROLLOUT) -> None:
        """Wait until Deployments are rolled out and available."""
        for name in names:
            self.wait_deployment(name, rolled_out, f"Deployment {name} rolled out", within)

    def wait_env(
        self, workload: str, variable: str, value: str | None, within: float = SOON, kind: str = "Deployment"
    ) -> Object:
        """Wait until a variable of container `app` has a value, or is absent."""
        what = f"{kind} {workload}: {variable} is {value!r}"
        return self.wait_object(kind, workload, lambda w: env_of(w).get(variable) == value, what, within)

    # -- the object --------------------------------------------------------------------------------------

    def wait_balanced(
        self, accept: Callable[[Object], bool], what: str, name: str = "orders", within: float = SOON
    ) -> Object:
        """Wait for a state of a GrpcBalancedService."""
        return self.api.wait(self.url("GrpcBalancedService", name), accept, within=within, what=what)

    def wait_condition(
        self,
        kind: str,
        status: str = "True",
        reason: str | None = None,
        name: str = "orders",
        within: float = SOON,
    ) -> Object:
        """Wait until a condition has a status, and a reason if one is given, for the newest spec."""

        def accept(balanced: Object) -> bool:
            found = condition(balanced, kind)
            fresh = found.get("observedGeneration") == balanced["metadata"]["generation"]
            return bool(fresh and found["status"] == status and reason in (None, found["reason"]))

        what = f"{name}: {kind}={status}" + (f"/{reason}" if reason else "")
        return self.wait_balanced(accept, what, name, within)

    def wait_configured(self, name: str = "orders", within: float = ROLLOUT) -> Object:
        """Wait until servers and clients are configured."""
        self.wait_condition("ServersConfigured", name=name, within=within)
        return self.wait_condition("ClientsConfigured", name=name, within=within)

    def wait_workload(self, workload: str, reason: str, name: str = "orders", within: float = SOON) -> Object:
        """Wait until status lists a workload with a reason; answers with that entry."""

        def entry(balanced: Object) -> Mapping[str, Any]:
            listed = balanced.get("status", {}).get("workloads", [])
            return next((w for w in listed if w["name"] == workload and w["reason"] == reason), {})

        found = self.wait_balanced(lambda b: bool(entry(b)), f"{workload} listed with {reason}", name, within)
        return dict(entry(found))

    def wait_event(self, about: str, reason: str, within: float = SOON) -> Object:
        """Wait for an Event about an object of that name."""
        selector = {"fieldSelector": f"involvedObject.name={about},reason={reason}"}
        found = self.api.request("GET", self.url("Event"), query=selector)["items"]
        if found:
            return dict(found[0])
        for kind, event in self.api.watch(self.url("Event"), selector, within):
            if kind == "ADDED":
                return event
        raise AssertionError(f"no Event {reason} about {about} within {within:g} s")


def template_of(workload: Object) -> Object:
    """The pod template of a workload of any kind, a Job too; a pod is its own."""
    spec = workload["spec"]
    if "containers" in spec:
        return workload
    return dict((spec["jobTemplate"]["spec"] if "jobTemplate" in spec else spec)["template"])


def env_of(workload: Object, container: str = "app") -> dict[str, Any]:
    """Variables of a container of a workload, or of a pod: name -> value, or the whole entry for valueFrom."""
    containers = template_of(workload)["spec"]["containers"]
    entries = next(c for c in containers if c["name"] == container).get("env", [])
    return {entry["name"]: entry if "valueFrom" in entry else entry.get("value", "") for entry in entries}


def record_of(workload: Object) -> dict[str, Any]:
    """Our record on the pod template; empty when there is none."""
    annotations = template_of(workload)["metadata"].get("annotations", {})
    return dict(json.loads(annotations.get(RECORD, "{}")))
