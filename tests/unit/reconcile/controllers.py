"""What the cluster does beside the operator: Deployments roll out, headless Services get slices."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from grpcbalance.model import Ref
from grpcbalance.names import LABEL_SERVICE
from grpcbalance.observe import ref_of
from tests.unit import factories as make

from .fields import Raw
from .server import Server

# In how many seconds something happens
Later = Callable[[float, Callable[[], None]], None]
_SOON = 0.05


class Deployments:
    """Rolls out what has a new template. `takes` tells the seconds for one, None: it never ends."""

    def __init__(self, server: Server, later: Later, takes: Callable[[str], float | None]) -> None:
        self._server, self._later, self._takes = server, later, takes
        self._templates: dict[Ref, Any] = {}
        for raw in server.all("deployments"):
            self._on("deployments", "ADDED", raw)
        server.watchers.append(self._on)

    def _on(self, kind: str, event: str, raw: Raw) -> None:
        if kind != "deployments" or event == "DELETED":
            return
        if not self._behind(raw):
            self._templates.setdefault(ref_of(raw), raw["spec"]["template"])
        else:
            self._later(_SOON, partial(self._observe, ref_of(raw)))

    @staticmethod
    def _behind(raw: Raw) -> bool:
        return int(raw["status"].get("observedGeneration", 0)) < int(raw["metadata"]["generation"])

    def _observe(self, ref: Ref) -> None:
        if not self._server.has("deployments", ref.name, ref.namespace):
            return
        raw = self._server.get("deployments", ref.name, ref.namespace)
        template = raw["spec"]["template"]
        if not self._behind(raw) or raw["spec"].get("paused"):
            return
        rolls = self._templates.get(ref, template) != template and raw["spec"].get("replicas", 1) > 0
        self._templates[ref] = template
        takes, generation = self._takes(ref.name), raw["metadata"]["generation"]
        if not rolls:
            self._finish(ref, generation)
            return
        self._server.edit("deployments", ref.name, _begin, ref.namespace)
        if takes is not None:
            self._later(takes, partial(self._finish, ref, generation))

    def _finish(self, ref: Ref, generation: int) -> None:
        if self._server.has("deployments", ref.name, ref.namespace):
            raw = self._server.get("deployments", ref.name, ref.namespace)
            if raw["metadata"]["generation"] == generation:
                self._server.edit("deployments", ref.name, _end, ref.namespace)


def _begin(raw: Raw) -> None:
    make.roll(raw)["status"]["updatedReplicas"] = 0


def _end(raw: Raw) -> None:
    make.roll(raw)


class Slices:
    """Gives each headless Service of ours a slice with one ready endpoint, and the ports of the Service."""

    def __init__(self, server: Server, later: Later) -> None:
        self._server, self._later = server, later
        server.watchers.append(self._on)

    def _on(self, kind: str, event: str, raw: Raw) -> None:
        if kind == "services" and LABEL_SERVICE in (raw["metadata"].get("labels") or {}):
            act = self._drop if event == "DELETED" else self._follow
            self._later(_SOON, partial(act, raw))

    def _follow(self, service: Raw) -> None:
        namespace, name = ref_of(service)
        ports = [port["targetPort"] for port in service["spec"]["ports"]]
        if self._server.has("endpointslices", f"{name}-abc", namespace):
            self._server.edit("endpointslices", f"{name}-abc", partial(_listen, ports=ports), namespace)
        elif self._server.has("services", name, namespace):
            made: Raw = {
                "balanced": service["metadata"]["labels"][LABEL_SERVICE],
                "service_name": name,
                "ports": ports,
                "endpoints": [make.endpoint("10.1.0.1", ready=True)],
                "namespace": namespace,
            }
            self._server.put(make.endpoint_slice(f"{name}-abc", **made))

    def _drop(self, service: Raw) -> None:
        namespace, name = ref_of(service)
        gone = not self._server.has("services", name, namespace)
        if gone and self._server.has("endpointslices", f"{name}-abc", namespace):
            self._server.remove("endpointslices", f"{name}-abc", namespace)


def _listen(raw: Raw, ports: list[int]) -> None:
    raw["ports"] = [{"name": "grpc", "port": port, "protocol": "TCP"} for port in ports]
