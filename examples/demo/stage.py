"""What the demo acts with: the shop's namespace in a cluster, and the few things that are done to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from lab import Cluster, LabError
from lab.install import GBS, condition, echo_image_name, wait_rolled_out
from lab.rest import Object, Rest, path

NAMESPACE: Final = "shop"
MANIFESTS: Final = Path(__file__).parent / "manifests"


@dataclass(frozen=True, slots=True)
class Stage:
    """The shop: server Deployment `orders`, client Deployment `checkout`, and their cluster."""

    cluster: Cluster
    api: Rest

    def prepare(self) -> None:
        """Create the shop's namespace, server, client and ordinary Service, and wait until they run.

        Raises LabError when the namespace is there already: what is in it would spoil the numbers.
        """
        if self.api.find(path("v1", "namespaces", "", NAMESPACE)):
            raise LabError(
                f"there is a namespace {NAMESPACE} already: `kubectl delete namespace {NAMESPACE}` removes it"
            )
        self.kubectl("create", "namespace", NAMESPACE)
        documents = list(yaml.safe_load_all((MANIFESTS / "shop.yaml").read_text()))
        for document in documents:
            if document["kind"] == "Deployment":
                document["spec"]["template"]["spec"]["containers"][0]["image"] = echo_image_name()
        self.apply(yaml.safe_dump_all(documents))
        for name in ("orders", "checkout"):
            wait_rolled_out(self.api, NAMESPACE, name, within=90)

    def kubectl(self, *args: str, stdin: str | None = None) -> str:
        """kubectl in the shop's namespace."""
        return self.cluster.kubectl("--namespace", NAMESPACE, *args, stdin=stdin)

    def apply(self, text: str) -> None:
        """`kubectl apply -f -`."""
        self.kubectl("apply", "-f", "-", stdin=text)

    def apply_balanced(self) -> None:
        """Apply the GrpcBalancedService."""
        self.apply((MANIFESTS / "orders.yaml").read_text())

    def deployment(self, name: str) -> str:
        """API path of a Deployment of the shop."""
        return path("apps/v1", "deployments", NAMESPACE, name)

    def balanced(self) -> str:
        """API path of the GrpcBalancedService."""
        return path(*GBS, NAMESPACE, "orders")

    def generations(self) -> dict[str, int]:
        """Generation of each Deployment's newest ReplicaSet template: it moves only when pods are rolled."""
        found = {}
        for name in ("orders", "checkout"):
            annotations = self.api.get(self.deployment(name))["metadata"].get("annotations", {})
            found[name] = int(annotations["deployment.kubernetes.io/revision"])
        return found

    def scale(self, replicas: int) -> None:
        """Scale the servers."""
        self.kubectl("scale", "deployment/orders", f"--replicas={replicas}")

    def server_pods(self) -> list[Object]:
        """Pods of the server that are not on their way out."""
        pods = self.api.items(path("v1", "pods", NAMESPACE), "app=orders")
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def ready_times(self, known: set[str], count: int, within: float) -> dict[str, float]:
        """Name and moment of becoming Ready of `count` pods beyond `known`, as their readiness is seen."""
        seen: dict[str, float] = {}
        for pod in self._pod_events(within):
            name = pod["metadata"]["name"]
            leaving = "deletionTimestamp" in pod["metadata"]
            if name not in known and name not in seen and not leaving and _is_ready(pod):
                seen[name] = time.time()
            if len(seen) == count:
                return seen
        raise AssertionError(f"only {len(seen)} of {count} new pods became ready within {within:g} s")

    def _pod_events(self, within: float) -> Iterator[Object]:
        url = path("v1", "pods", NAMESPACE)
        yield from self.api.items(url, "app=orders")
        for _, pod in self.api.watch(url, {"labelSelector": "app=orders"}, within):
            yield pod

    def wait_balanced(self, accept: Callable[[Object], bool], within: float, what: str) -> Object:
        """Wait for a state of the GrpcBalancedService."""
        return self.api.wait(self.balanced(), accept, within=within, what=what)

    def wait_pods_gone(self, keep: int, within: float) -> None:
        """Wait until only `keep` server pods are left, terminating ones included."""
        deadline = time.monotonic() + within
        while len(self.api.items(path("v1", "pods", NAMESPACE), "app=orders")) > keep:
            if time.monotonic() > deadline:
                raise AssertionError(f"more than {keep} server pods are left after {within:g} s")
            time.sleep(0.2)


def _is_ready(pod: Object) -> bool:
    return condition(pod, "Ready").get("status") == "True"


def is_true(balanced: Object, *kinds: str) -> bool:
    """Whether all of these conditions are true for the newest spec."""
    generation = balanced["metadata"]["generation"]
    return all(
        condition(balanced, kind).get("status") == "True"
        and condition(balanced, kind).get("observedGeneration") == generation
        for kind in kinds
    )
