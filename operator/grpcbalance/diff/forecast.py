"""Where the operator would get to: its Services made, their endpoints found, servers before clients. Pure.

The rules are those of the operator: `retire` plans Services, `assess` decides about workloads. What is foretold here
is only what others do meanwhile: the endpoint controller, and pods that come up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple

from grpcbalance import observe_workload
from grpcbalance.assess import Assessor
from grpcbalance.balancer import Balancer
from grpcbalance.desired import Resolution, is_ours, resolve
from grpcbalance.kinds import WORKLOADS
from grpcbalance.listed import listed
from grpcbalance.lookaside.seen import Seen
from grpcbalance.model import Ref, Service, ServiceKey, ServiceSnapshot, Workload, WorkloadRef
from grpcbalance.names import ANNOTATION_UNREFERENCED, LABEL_SERVICE, LABEL_SERVICE_NAME
from grpcbalance.plan import Decision, Finding
from grpcbalance.retire import Action, Apply, Create, Delete, ReplacePorts, plan_services
from grpcbalance.situation import Situation
from grpcbalance.view import View

from .checked import UNKNOWN_UID, replicas_of
from .compare import patched, service_changes
from .known import Known
from .report import FieldChange, ServiceChange

# No rollout is in flight, and every client has waited for its servers.
_IN_THE_END = Situation(rollouts=0, max_rollouts=1, waited=1.0, server_wait=1.0)


class Foretold(NamedTuple):
    """A workload, the decision about it, and what would be told of it when that is done."""

    workload: Workload
    decision: Decision
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A headless Service whose endpoints no cluster tells, and the pods that will be its endpoints."""

    balanced: Ref
    service: str
    port: int
    selector: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Forecast:
    """Foretells in steps: `services`, then `answer` for each of `unanswered`, then `decide`."""

    known: Known
    balancer: Balancer
    now: datetime
    retire_after: float = 0.0
    # Services under an earlier name, and the workloads that keep them.
    leaving: list[tuple[ServiceChange, frozenset[WorkloadRef]]] = field(default_factory=list)
    view: View = field(init=False)
    _moved: set[Ref] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.view = self.known.view()
        # Nobody asks the look-aside balancer here; in the end it serves.
        self.view.seen = dict.fromkeys(self.view.balanced, Seen("", plaintext=True, tls=True))

    # -- Services ----------------------------------------------------------------------------------------

    def services(self) -> list[ServiceChange]:
        """What would be done about headless Services. The view has those that are wanted from then on."""
        found: list[ServiceChange] = []
        for ref in sorted(key.ref for key in self.view.all_keys() if isinstance(key, ServiceKey)):
            snapshot = self.view.snapshot(ref)
            plan = plan_services(snapshot, self.resolution(snapshot), self.now, self.retire_after)
            changes = [self._change(ref, action) for action in plan.actions]
            found += _joined(changes)
            self.leaving += [
                (_left(ref, service, users), frozenset(users)) for service, users in _still_named(snapshot)
            ]
            self._put(ref, plan.actions)
        return found

    def resolution(self, snapshot: ServiceSnapshot) -> Resolution | None:
        """What the object of a snapshot resolves to, or None."""
        if snapshot.balanced is None:
            return None
        found = resolve(snapshot, snapshot.balanced, self.balancer.cluster_domain)
        return found if isinstance(found, Resolution) else None

    def _change(self, ref: Ref, action: Action) -> ServiceChange:
        if isinstance(action, Delete) or (isinstance(action, Apply) and _is_marked(action.manifest)):
            name = action.service.ref.name if isinstance(action, Delete) else action.manifest["metadata"]["name"]
            return _service_change(ref, name, "Retire", (), "nothing refers to it; it is deleted after a while")
        if isinstance(action, ReplacePorts):
            ports = self.known.raws["services"][action.service.ref]["spec"].get("ports")
            change = FieldChange(path="spec.ports", old=ports, new=action.ports)
            return _service_change(ref, action.service.ref.name, "Change", (change,), "")
        name = action.manifest["metadata"]["name"]
        live = None if isinstance(action, Create) else self.known.raws["services"][Ref(ref.namespace, name)]
        return _service_change(ref, name, "Change" if live else "Create", service_changes(live, action.manifest), "")

    def _put(self, ref: Ref, actions: Iterable[Action]) -> None:
        for action in actions:
            if isinstance(action, ReplacePorts):
                raw = self.known.raws["services"][action.service.ref]
                made = {**raw, "spec": {**raw["spec"], "ports": action.ports}}
            elif isinstance(action, (Create, Apply)) and not _is_marked(action.manifest):
                made = action.manifest
            else:
                continue
            live = self.view.services.get(Ref(ref.namespace, made["metadata"]["name"]))
            version = live.resource_version if live else "0"
            meta = {"uid": UNKNOWN_UID, **made["metadata"], "resourceVersion": version}
            self.view.apply("services", None, {**made, "metadata": meta})
            self._moved.add(ref)

    # -- endpoints ---------------------------------------------------------------------------------------

    def unanswered(self) -> Iterator[Unanswered]:
        """Headless Services whose endpoints are to be foretold: new ones, and those that look for other pods."""
        for ref in sorted(self.view.balanced):
            snapshot = self.view.snapshot(ref)
            resolution, service = self.resolution(snapshot), snapshot.wanted
            if resolution is None or service is None or not is_ours(service, self.view.balanced[ref]):
                continue
            told = any(piece.service_name == resolution.service_name for piece in snapshot.slices)
            if ref in self._moved or not told:
                yield Unanswered(ref, resolution.service_name, resolution.port, resolution.selector)

    def answer(self, question: Unanswered, ready: bool) -> None:
        """Put the endpoints of a Service into the view: one that is ready, or none."""
        namespace = question.balanced.namespace
        for ref, piece in list(self.view.slices.items()):
            if ref.namespace == namespace and piece.service_name == question.service:
                self.view.prune("endpointslices", [ref])
        labels = {LABEL_SERVICE: question.balanced.name, LABEL_SERVICE_NAME: question.service}
        name = f"{question.service}-foretold"
        meta = {"name": name, "namespace": namespace, "uid": name, "resourceVersion": "0", "labels": labels}
        endpoints = [{"addresses": ["foretold"]}] if ready else []
        raw = {"metadata": meta, "ports": [{"port": question.port}], "endpoints": endpoints}
        self.view.apply("endpointslices", None, raw)

    def comes_up(self, question: Unanswered) -> bool:
        """Whether a workload that only a manifest tells of will have pods that the Service selects."""
        wanted = dict(question.selector).items()
        for kind in WORKLOADS:
            for ref, raw in self.known.raws[kind.plural].items():
                labels = (kind.pod_template(raw).get("metadata") or {}).get("labels") or {}
                serves = ref.namespace == question.balanced.namespace and wanted <= labels.items()
                if serves and (kind.plural, ref) in self.known.new and replicas_of(raw) > 0:
                    return True
        return False

    # -- workloads ---------------------------------------------------------------------------------------

    def decide(self) -> Iterator[Foretold]:
        """The decision about each workload, in the end."""
        assessor = Assessor(self.view, self.balancer.cluster_domain)
        in_the_end = replace(_IN_THE_END, balancer=self.balancer)
        for ref in sorted(self.view.workloads):
            workload = self.view.workloads[ref]
            decision = assessor.decide(workload, in_the_end)
            findings = decision.findings
            if decision.patch is not None:
                raw = patched(ref.kind, self.known.workload(ref), decision.patch)
                after = observe_workload.workload(ref.kind, raw)
                findings = assessor.decide(after, in_the_end).findings if after else ()
            yield Foretold(workload, decision, findings)


def _still_named(snapshot: ServiceSnapshot) -> Iterator[tuple[Service, tuple[WorkloadRef, ...]]]:
    """Services under an earlier name that templates name as yet."""
    wanted = snapshot.balanced.service_name if snapshot.balanced else None
    for service in snapshot.owned:
        users = dict(snapshot.referrers).get(service.ref.name, ())
        if users and wanted is not None and service.ref.name != wanted:
            yield service, users


def _left(ref: Ref, service: Service, users: tuple[WorkloadRef, ...]) -> ServiceChange:
    what = f"it is deleted a while after {listed(users, 3)} let go of it"
    return _service_change(ref, service.ref.name, "Retire", (), what)


def _is_marked(manifest: Mapping[str, Any]) -> bool:
    return ANNOTATION_UNREFERENCED in manifest["metadata"]["annotations"]


def _service_change(
    balanced: Ref, name: str, action: Any, fields: tuple[FieldChange, ...], message: str
) -> ServiceChange:
    return ServiceChange(
        namespace=balanced.namespace, name=name, balanced=balanced.name, action=action, fields=fields, message=message
    )


def _joined(changes: list[ServiceChange]) -> list[ServiceChange]:
    """One change for each Service: new ports are a write of their own."""
    found: dict[str, ServiceChange] = {}
    for change in changes:
        first = found.get(change.name)
        if first is None:
            found[change.name] = change
        else:
            fields = {field.path: field for field in (*change.fields, *first.fields)}
            found[change.name] = first.model_copy(update={"fields": tuple(fields.values())})
    return list(found.values())
