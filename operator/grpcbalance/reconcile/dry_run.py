"""`--dry-run`: an API that reads and never writes. Each write becomes an Event, a count and a line in the log.

To the reconcilers it is an API server that refuses every write, so they pace themselves, give back rollout slots and
go on with everything else. What is kept back is told once while it stays the same.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn

from grpcbalance.api import Reason
from grpcbalance.errors import WouldWrite
from grpcbalance.events import Note, Recorder, Regarding, regarding_workload
from grpcbalance.kinds import BY_KIND
from grpcbalance.metrics import Metrics
from grpcbalance.model import Ref, WorkloadRef
from grpcbalance.names import ANNOTATION_OWNER_UID, ANNOTATION_UNREFERENCED, API_VERSION, KIND, LABEL_SERVICE, PLURAL
from grpcbalance.observe import ref_of
from grpcbalance.recent import Recent
from grpcbalance.view import View

from .context import Api

logger = logging.getLogger(__name__)


class _Write(NamedTuple):
    """A write by which object it concerns, and which `part` of it, where it is written in parts."""

    verb: str
    resource: str
    ref: Ref
    part: str = ""


class DryRun:
    """Reads through another `Api`. Every write raises WouldWrite, and is told first."""

    def __init__(self, api: Api, view: View, recorder: Recorder, metrics: Metrics) -> None:
        self._api, self._view, self._recorder, self._metrics = api, view, recorder, metrics
        # What was told last of each write; of what is forgotten it is told once more.
        self._told: Recent[_Write, str] = Recent()

    async def create_service(self, manifest: dict[str, Any]) -> NoReturn:
        """Would POST a Service. Told of its GrpcBalancedService, since the Service is not there yet."""
        ref, meta = ref_of(manifest), manifest["metadata"]
        owner = Ref(ref.namespace, meta["labels"][LABEL_SERVICE])
        about = Regarding(API_VERSION, KIND, owner, meta["annotations"][ANNOTATION_OWNER_UID])
        what = f"create Service {ref.name}: {_outline(manifest)}"
        await self._keep_back(_Write("create", "services", ref), about, what)

    async def apply_service(self, manifest: dict[str, Any]) -> NoReturn:
        """Would apply a Service."""
        ref = ref_of(manifest)
        unused = ANNOTATION_UNREFERENCED in manifest["metadata"]["annotations"]
        # Without the time of the mark, which would be another one at each look.
        what = "mark the Service as unused, to delete it later" if unused else f"apply {_outline(manifest)}"
        await self._keep_back(_Write("patch", "services", ref), _service(ref, manifest["metadata"]["uid"]), what)

    async def replace_ports(self, ref: Ref, uid: str, ports: list[dict[str, Any]]) -> NoReturn:
        """Would replace the ports of a Service."""
        what = f"make {_ports(ports)} the only port"
        await self._keep_back(_Write("patch", "services", ref, "ports"), _service(ref, uid), what)

    async def get_service(self, ref: Ref) -> dict[str, Any] | None:
        """The live Service, or None."""
        return await self._api.get_service(ref)

    async def delete_service(self, ref: Ref, uid: str, resource_version: str) -> NoReturn:  # noqa: ARG002 - see Api
        """Would delete a Service."""
        what = "delete the Service, which nothing uses"
        await self._keep_back(_Write("delete", "services", ref), _service(ref, uid), what)

    async def patch_workload(self, ref: WorkloadRef, body: dict[str, Any]) -> NoReturn:
        """Would patch a workload."""
        about = regarding_workload(self._view.workloads[ref])
        write = _Write("patch", BY_KIND[ref.kind].plural, about.ref)
        await self._keep_back(write, about, _variables(ref.kind, body))

    async def authority(self, namespace: str) -> str | None:
        """The certificates that a namespace's clients on xDS know the look-aside balancer by."""
        return await self._api.authority(namespace)

    async def apply_status(self, ref: Ref, uid: str, status: dict[str, Any]) -> NoReturn:
        """Would write a status."""
        conditions = (f"{c['type']}={c['status']}/{c['reason']}" for c in status["conditions"])
        write, about = _Write("patch", f"{PLURAL}/status", ref), Regarding(API_VERSION, KIND, ref, uid)
        await self._keep_back(write, about, f"write status {', '.join(conditions)}")

    async def hosts_in_use(self, namespace: str | None) -> frozenset[str]:
        """`<service>.<namespace>.svc` names in env of unfinished pods and Jobs."""
        return await self._api.hosts_in_use(namespace)

    async def _keep_back(self, write: _Write, about: Regarding, what: str) -> NoReturn:
        message = f"--dry-run: would {what}"
        subject = f"{write.verb} {write.resource} {write.ref} {write.part}"
        await self._recorder.say(about, subject, Note(Reason.WOULD_WRITE, message, warning=False))
        if self._told.get(write) != message:
            self._told[write] = message
            self._metrics.would_write(write.resource, write.verb)
            extra = {"resource": write.resource, "verb": write.verb}
            logger.info("%s %s: %s", write.resource, write.ref, message, extra=extra)
        raise WouldWrite(message)


def _service(ref: Ref, uid: str) -> Regarding:
    return Regarding("v1", "Service", ref, uid)


def _outline(manifest: Mapping[str, Any]) -> str:
    spec = manifest["spec"]
    selector = ",".join(f"{key}={value}" for key, value in spec["selector"].items())
    return f"headless, selector {selector}, port {_ports(spec['ports'])}"


def _ports(ports: list[dict[str, Any]]) -> str:
    return ", ".join(str(port["port"]) for port in ports)


def _variables(kind: str, body: Mapping[str, Any]) -> str:
    """The variables of a patch, container by container."""
    told = []
    for container in BY_KIND[kind].pod_template(body)["spec"]["containers"]:
        entries = (_entry(e) for e in (*container.get("env", ()), *container.get("volumeMounts", ())))
        told.append(f"container {container['name']}: {' '.join(entries)}")
    return f"patch {'; '.join(told)}"


def _entry(entry: Mapping[str, Any]) -> str:
    name = entry.get("name") or entry["mountPath"]
    if "$patch" in entry:
        return f"-{name}"
    if "mountPath" in entry:
        return f"+volume {name} at {entry['mountPath']}"
    return f"+{name}=" + (
        f"<{entry['valueFrom']['fieldRef']['fieldPath']}>" if "valueFrom" in entry else entry["value"]
    )
