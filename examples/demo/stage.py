"""What the demo acts with: the shop's namespace in a cluster, and the few things that are done to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
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
    """The shop: server Deployment `orders`, Deployments of clients, and their cluster.

    A Deployment of a later file of `shop_files` is there instead of one of the same name. `balanced_file` has the
    GrpcBalancedService.
    """

    cluster: Cluster
    api: Rest
    shop_files: Sequence[Path] = (MANIFESTS / "shop.yaml",)
    balanced_file: Path = MANIFESTS / "orders.yaml"
    clients: Sequence[str] = ("checkout",)

    def prepare(self) -> None:
        """Create the shop's namespace, server, clients and ordinary Service, and wait until they run.

        Raises LabError when the namespace is there already: what is in it would spoil the numbers.
        """
        if self.api.find(path("v1", "namespaces", "", NAMESPACE)):
            raise LabError(
                f"there is a namespace {NAMESPACE} already: `kubectl delete namespace {NAMESPACE}` removes it"
            )
        self.kubectl("create", "namespace", NAMESPACE)
        self.apply(yaml.safe_dump_all(documents_of(file.read_text() for file in self.shop_files)))
        for name in ("orders", *self.clients):
            self.wait_rolled_out(name, 90)

    def wait_rolled_out(self, name: str, within: float) -> None:
        """Wait until a Deployment of the shop is rolled out and available."""
        wait_rolled_out(self.api, NAMESPACE, name, within)

    def kubectl(self, *args: str, stdin: str | None = None) -> str:
        """kubectl in the shop's namespace."""
        return self.cluster.kubectl("--namespace", NAMESPACE, *args, stdin=stdin)

    def apply(self, text: str) -> None:
        """`kubectl apply -f -`."""
        self.kubectl("apply", "-f", "-", stdin=text)

    def apply_balanced(self) -> None:
        """Apply the GrpcBalancedService."""
        self.apply(self.balanced_file.read_text())

    def deployment(self, name: str) -> str:
        """API path of a Deployment of the shop."""
        return path("apps/v1", "deployments", NAMESPACE, name)

    def balanced(self) -> str:
        """API path of the GrpcBalancedService."""
        return path(*GBS, NAMESPACE, "orders")

    def generations(self) -> dict[str, int]:
        """Generation of each Deployment's newest ReplicaSet template: it moves only when pods are rolled."""
        found = {}
        for name in ("orders", *self.clients):
            annotations = self.api.get(self.deployment(name))["metadata"].get("annotations", {})
            found[name] = int(annotations["deployment.kubernetes.io/revision"])
        return found

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

    def wait_pods_gone(self, keep: int, within: float, selector: str = "app=orders") -> None:
        """Wait until only `keep` pods are left that a selector takes, terminating ones included."""
        deadline = time.monotonic() + within
        while len(self.api.items(path("v1", "pods", NAMESPACE), selector)) > keep:
            if time.monotonic() > deadline:
                raise AssertionError(f"more than {keep} pods ({selector}) are left after {within:g} s")
            time.sleep(0.2)


def documents_of(files: Iterable[str]) -> list[Object]:
    """Objects of manifests, each once, as the last file has it; Deployments with the image of the examples."""
    found: dict[tuple[str, str], Object] = {}
    for document in (one for text in files for one in yaml.safe_load_all(text)):
        if document["kind"] == "Deployment":
            document["spec"]["template"]["spec"]["containers"][0]["image"] = echo_image_name()
        found[document["kind"], document["metadata"]["name"]] = document
    return list(found.values())


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
