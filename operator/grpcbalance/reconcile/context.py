"""What every reconciliation works with: the view, the API, time, and where further work is put."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from grpcbalance.assess import Assessor
from grpcbalance.events import Note, Recorder, Regarding
from grpcbalance.lookaside.pods import Pod
from grpcbalance.metrics import Metrics
from grpcbalance.model import Key, Ref, WorkloadRef
from grpcbalance.optin import Problem
from grpcbalance.settings import Settings
from grpcbalance.view import View

# Refused writes are tried again at this pace: the refusal may be a quota or a policy that is lifted later.
REFUSED_AGAIN: Final = 60.0
# After a lost race: by then the watch has told of what won it.
CONFLICT_AGAIN: Final = 0.5


class Api(Protocol):
    """What is written with, and the few live reads. `kube.Kube` is the real one; its errors are the contract."""

    async def create_service(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """POST a Service; Conflict when the name is taken."""

    async def apply_service(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """Server-side apply a Service; Conflict when its uid is not that of the live one."""

    async def replace_ports(self, ref: Ref, uid: str, ports: list[dict[str, Any]]) -> dict[str, Any]:
        """Make these the only ports of a Service; Conflict when its uid is another."""

    async def get_service(self, ref: Ref) -> dict[str, Any] | None:
        """The live Service, or None."""

    async def delete_service(self, ref: Ref, uid: str, resource_version: str) -> None:
        """Delete exactly this state of a Service; Conflict when it changed."""

    async def patch_workload(self, ref: WorkloadRef, body: dict[str, Any]) -> dict[str, Any]:
        """Strategic merge patch; Conflict when its resourceVersion is stale."""

    async def authority(self, namespace: str) -> str | None:
        """The certificates (PEM) that a namespace's clients on xDS know the look-aside balancer by, None without any.

        Empty when its ConfigMap lacks the key.
        """

    async def apply_status(self, ref: Ref, uid: str, status: dict[str, Any]) -> dict[str, Any]:
        """Server-side apply a GrpcBalancedService's status."""

    async def hosts_in_use(self, namespace: str | None) -> frozenset[str]:
        """`<service>.<namespace>.svc` names in env of unfinished pods and Jobs, of one namespace or (None) of all."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Time as an argument: wall clock in UTC, and monotonic seconds."""

    now: Callable[[], datetime]
    monotonic: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Context:
    """Shared by the three kinds of work. The refusals are what status shows until the next success."""

    view: View
    api: Api
    settings: Settings
    recorder: Recorder
    metrics: Metrics
    clock: Clock
    enqueue: Callable[[Iterable[Key]], None]
    service_refusals: dict[Ref, str]
    workload_refusals: dict[WorkloadRef, Problem]
    # The ready pods of a namespace that have an xDS target, as of now.
    pods_on_xds: Callable[[str], Awaitable[tuple[Pod, ...]]]
    # Why who trusts these certificates would not connect to the look-aside balancer, empty if it would; OSError
    # (TimeoutError among them) when nobody can be asked. Arguments: PEM, and the balancer's host.
    refused: Callable[[str, str], Awaitable[str]]
    # Has something done by and by, for which nobody waits.
    beside: Callable[[Callable[[], Awaitable[None]]], None]
    # Permissions that the operator lacks, in a sentence, or empty; and whether it cannot see everything.
    missing: Callable[[], str] = str
    blind: Callable[[], bool] = bool

    def take(self, kind: str, raw: Mapping[str, Any]) -> None:
        """Put a write's answer, or a live read, into the view at once; later decisions must know it."""
        self.enqueue(self.view.apply(kind, None, raw))

    async def tell(self, about: Regarding, subject: str, note: Note) -> None:
        """Say what keeps something from being as wanted, and count it when it is news."""
        if await self.recorder.say(about, subject, note):
            self.metrics.refused(str(note.reason))

    def assessor(self) -> Assessor:
        """A fresh view of decisions."""
        return Assessor(self.view, self.settings.cluster_domain)
