"""The example programs as their own manifests run them, renamed and varied: servers and clients of four languages."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping
from typing import Final

import yaml

from lab.install import ROOT, echo_image_name
from lab.rest import Object

# Each client language with a server of another; every language is both once.
SERVER_OF: Final[Mapping[str, str]] = {"go": "python", "python": "go", "node": "java", "java": "node"}


@functools.cache
def _manifest(language: str) -> dict[str, Object]:
    documents = yaml.safe_load_all((ROOT / "examples" / language / "manifest.yaml").read_text())
    return {document["metadata"]["name"]: document for document in documents if document["kind"] == "Deployment"}


def server(language: str, name: str, service: str, *, replicas: int = 3, naive: bool = False) -> Object:
    """The language's server, opted in as a server of `service`; `naive`: without what makes a rollout safe."""
    made = _renamed(language, "orders", name, {"grpcbalance.dev/server": service})
    made["spec"]["replicas"] = replicas
    if naive:
        made["spec"].pop("minReadySeconds", None)
        del container(made)["lifecycle"]
    return made


def client(
    language: str,
    name: str,
    service: str,
    *,
    replicas: int = 1,
    rate: int = 25,
    timeout_ms: int = 5000,
    opted_in: bool = True,
) -> Object:
    """The language's client of `service`, which falls back on the ordinary Service of the same name.

    `timeout_ms`: by default long enough for a program that has just started on a busy machine.
    """
    made = _renamed(language, "checkout", name, {"grpcbalance.dev/client": service} if opted_in else {})
    made["spec"]["replicas"] = replicas
    name_in_variables = service.upper().replace("-", "_")
    numbers = {"RATE": str(rate), "TIMEOUT_MS": str(timeout_ms)}
    set_env(made, {"SERVICE": name_in_variables, "FALLBACK_TARGET": f"{service}:5000", **numbers})
    return made


def container(deployment: Object) -> Object:
    """The only container of a program's Deployment."""
    only: Object
    (only,) = deployment["spec"]["template"]["spec"]["containers"]
    return only


def set_env(deployment: Object, variables: Mapping[str, str | None]) -> None:
    """Set variables of a program, or remove those that are None."""
    env = [entry for entry in container(deployment).get("env", []) if entry["name"] not in variables]
    env += [{"name": name, "value": value} for name, value in variables.items() if value is not None]
    container(deployment)["env"] = env


def _renamed(language: str, original: str, name: str, annotations: Mapping[str, str]) -> Object:
    made = copy.deepcopy(_manifest(language)[original])
    made["metadata"] = {"name": name, "annotations": dict(annotations)}
    labels = {"app": name, "part": "server" if original == "orders" else "client"}
    made["spec"]["selector"] = {"matchLabels": {"app": name}}
    made["spec"]["template"]["metadata"] = {"labels": labels}
    if language == "java":
        # Many of them start at once on a small machine. What the manifest has here, the program also does by itself.
        set_env(made, {"JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1"})
    container(made).update(image=echo_image_name(language), imagePullPolicy="IfNotPresent")
    return made
