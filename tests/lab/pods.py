"""Pods of the lab's own tests: of a program that serves its name, or asks for a name or a URL."""

from __future__ import annotations

from typing import Any, Final

from lab import Lab
from lab.images import go_image
from lab.install import ROOT
from lab.rest import Rest, path

IMAGE: Final = "docker.io/grpcbalance/probe:dev"
PORT: Final = 8080
PODS: Final = path("v1", "pods", "default")
LABELS: Final = {"app": "probe"}


def provide(lab: Lab) -> None:
    """Make the image known to the lab's nodes."""
    lab.import_image(go_image(ROOT / "tests" / "lab" / "probe", IMAGE))


def server() -> dict[str, Any]:
    """Template of a pod that serves its own name."""
    spec = {"terminationGracePeriodSeconds": 1, "containers": [_container("serve")]}
    return {"metadata": {"labels": LABELS}, "spec": spec}


def service(name: str, **spec: Any) -> dict[str, Any]:
    """A Service of the serving pods."""
    return {"metadata": {"name": name}, "spec": {"selector": LABELS, "ports": [{"port": PORT}], **spec}}


def answer(lab: Lab, api: Rest, name: str, question: list[str], **spec: Any) -> str:
    """What a new pod of that name prints when it asks."""
    api.create(PODS, asking(name, question, **spec))
    api.wait(f"{PODS}/{name}", lambda p: p["status"].get("phase") == "Succeeded", within=60, what="an answer")
    return lab.kubectl("logs", name).strip()


def asking(name: str, question: list[str], **spec: Any) -> dict[str, Any]:
    """A pod that asks until it is answered, and ends."""
    pod = {"restartPolicy": "OnFailure", "containers": [_container(*question)], **spec}
    return {"metadata": {"name": name}, "spec": pod}


def _container(*arguments: str) -> dict[str, Any]:
    return {"name": "probe", "image": IMAGE, "imagePullPolicy": "Never", "args": list(arguments)}
