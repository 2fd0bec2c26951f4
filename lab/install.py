"""Installs the operator into a cluster the way a user does: from its own image and `manifests/`.

Nothing is special about the installed operator but what the caller asks for: other flags, or another image.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import urllib3
import yaml

from .images import LANGUAGES, example_image, operator_image
from .model import Cluster, LabError
from .rest import Object, Rest, RestError, WaitTimeoutError, path

ROOT: Final = Path(__file__).resolve().parent.parent
NAMESPACE: Final = "grpcbalance-system"
# What `rest.path` wants for the objects that the operator serves.
GBS: Final = ("grpcbalance.dev/v1alpha1", "grpcbalancedservices")
DEPLOYMENT: Final = "grpcbalance-operator"
XDS_DEPLOYMENT: Final = "grpcbalance-xds"
OPERATOR_IMAGE: Final = "docker.io/grpcbalance/operator:dev"


def provide_images(cluster: Cluster, languages: Iterable[str] = ("go",)) -> None:
    """Make the operator's image and those of examples known to the cluster.

    A cluster that is not a lab has to have them already.
    """
    if cluster.takes_images:
        for archive in image_archives(languages):
            cluster.import_image(archive)


def image_archives(languages: Iterable[str] = LANGUAGES) -> Iterator[Path]:
    """Archives of the operator's image and of those of examples, built if need be."""
    yield operator_image(ROOT, OPERATOR_IMAGE)
    for language in languages:
        yield example_image(ROOT / "examples", language, _echo_image(language))


def operator_image_name() -> str:
    """Image of the operator: GRPCBALANCE_IMAGE, or the one built here."""
    return os.environ.get("GRPCBALANCE_IMAGE", OPERATOR_IMAGE)


def echo_image_name(language: str = "go") -> str:
    """Image of an example: GRPCBALANCE_ECHO_IMAGE (Go), GRPCBALANCE_ECHO_JAVA_IMAGE …, or the one built here."""
    variable = "GRPCBALANCE_ECHO_IMAGE" if language == "go" else f"GRPCBALANCE_ECHO_{language.upper()}_IMAGE"
    return os.environ.get(variable, _echo_image(language))


def _echo_image(language: str) -> str:
    return f"docker.io/grpcbalance/echo-{language}:dev"


def install_operator(
    cluster: Cluster, flags: Sequence[str] = (), within: float = 60.0, change: Callable[[Object], None] | None = None
) -> None:
    """Apply the CRD and `manifests/`, and wait until the operator is ready. `change` may change its Deployment first.

    Raises LabError with what holds its pod up, and the pod's log, when it does not become ready.
    """
    _apply(cluster, ROOT / "manifests", flags, change=change)
    wait_operator(cluster, within)


def install_xds(cluster: Cluster, variant: str = "plaintext", within: float = 60.0) -> None:
    """Apply a folder of `manifests/xds`, and wait until the look-aside balancer is ready.

    What it needs, such as a Secret, has to be there. Raises LabError as `install_operator` does.
    """
    _apply(cluster, ROOT / "manifests/xds" / variant, ())
    with Rest(cluster.kubeconfig) as api:
        wait_rolled_out(api, NAMESPACE, XDS_DEPLOYMENT, within)


def install_in_namespace(
    cluster: Cluster, namespace: str, user: str, flags: Sequence[str] = (), within: float = 60.0
) -> None:
    """Apply `manifests/namespaced` to a namespace, as a user, and wait until that operator is ready.

    The CRD has to be there. Raises LabError as `install_operator` does.
    """
    _apply_overlay(cluster, {"namespace": namespace}, ["namespaced"], flags, user)
    wait_operator(cluster, within, namespace)


def install_xds_in_namespace(
    cluster: Cluster, namespace: str, user: str, components: Sequence[str] = (), within: float = 60.0
) -> None:
    """Apply `manifests/xds/namespaced-mtls` with more components to a namespace, as a user, and wait until it is ready.

    CRD and Secret have to be there. Raises LabError as `install_operator` does.
    """
    more = [f"xds/components/{name}" for name in components]
    _apply_overlay(cluster, {"namespace": namespace}, ["xds/namespaced-mtls"], (), user, more)
    with Rest(cluster.kubeconfig) as api:
        wait_rolled_out(api, namespace, XDS_DEPLOYMENT, within)


def _apply_overlay(
    cluster: Cluster,
    overlay: Object,
    resources: Sequence[str],
    flags: Sequence[str],
    user: str,
    components: Sequence[str] = (),
) -> None:
    """Apply folders of `manifests/`, as a user, with an overlay around them."""
    with TemporaryDirectory() as folder:
        for kind, names in (("resources", resources), ("components", components)):
            overlay = {**overlay, kind: [os.path.relpath(ROOT / "manifests" / name, folder) for name in names]}
        (Path(folder) / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
        _apply(cluster, Path(folder), flags, f"--as={user}")


def _apply(
    cluster: Cluster,
    folder: Path,
    flags: Sequence[str],
    *more: str,
    change: Callable[[Object], None] | None = None,
) -> None:
    documents = list(yaml.safe_load_all(cluster.kubectl("kustomize", str(folder))))
    for deployment in (document for document in documents if document["kind"] == "Deployment"):
        container = deployment["spec"]["template"]["spec"]["containers"][0]
        container["image"] = operator_image_name()
        container["args"] = [*container.get("args", []), *flags]
        if change is not None:
            change(deployment)
    text = yaml.safe_dump_all(documents)
    cluster.kubectl("apply", "--server-side", "--force-conflicts", *more, "-f", "-", stdin=text, timeout=120)


def wait_operator(cluster: Cluster, within: float = 60.0, namespace: str = NAMESPACE) -> None:
    """Wait until the operator's Deployment is available in its newest generation."""
    with Rest(cluster.kubeconfig) as api:
        try:
            wait_rolled_out(api, namespace, DEPLOYMENT, within)
        except LabError as error:
            raise LabError(f"{error}\n{operator_log(cluster, namespace)[-4000:]}".rstrip()) from None


def wait_rolled_out(api: Rest, namespace: str, deployment: str, within: float) -> None:
    """Wait until a Deployment is rolled out and available. Raises LabError with what holds its pods up."""
    url = path("apps/v1", "deployments", namespace, deployment)
    try:
        api.wait(url, rolled_out, within=within, what=f"Deployment {deployment} available")
    except WaitTimeoutError as error:
        try:
            labels = api.get(url)["spec"]["selector"]["matchLabels"]
            selector = ",".join(f"{key}={value}" for key, value in labels.items())
            found = "\n".join(held_up(api.items(path("v1", "pods", namespace), selector)))
        except (RestError, urllib3.exceptions.HTTPError, OSError) as lost:
            found = str(lost)
        head = f"Deployment {deployment} in {namespace} is not available after {within:g} s"
        raise LabError(f"{head}:\n{found}" if found else str(error)) from None


def held_up(pods: Iterable[Object]) -> list[str]:
    """What keeps pods from running, a line for each container, in the words of scheduler and kubelet."""
    lines = []
    for pod in pods:
        name, status = pod["metadata"]["name"], pod.get("status", {})
        for kind in status.get("conditions", []):
            if kind["type"] == "PodScheduled" and kind["status"] == "False":
                lines.append(f"{name} is not scheduled: {kind.get('message', kind.get('reason', ''))}")
        for container in (*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])):
            state = container.get("state", {})
            why = state.get("waiting") or state.get("terminated")
            if why and why.get("reason") != "Completed":
                said = " ".join(str(why[key]) for key in ("reason", "message") if key in why)
                lines.append(f"{name}, container {container['name']} ({container['image']}): {said}")
    return lines


def operator_log(cluster: Cluster, namespace: str = NAMESPACE) -> str:
    """Log of the operator's pod, of its previous container too."""
    parts = [
        cluster.kubectl("logs", "-n", namespace, f"deploy/{DEPLOYMENT}", *more, check=False)
        for more in (("--previous",), ())
    ]
    return "".join(parts)


def rolled_out(deployment: Object) -> bool:
    """Whether a Deployment's newest generation is rolled out and available."""
    status, wanted = deployment.get("status", {}), deployment["spec"].get("replicas", 1)
    return bool(
        status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
        and status.get("updatedReplicas", 0)
        == status.get("replicas", 0)
        == status.get("availableReplicas", 0)
        == wanted
    )


def condition(item: Object, kind: str) -> dict[str, Any]:
    """A condition of an object; empty while there is none."""
    found = (c for c in item.get("status", {}).get("conditions", []) if c["type"] == kind)
    return dict(next(found, {}))
