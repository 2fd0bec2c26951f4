"""From a forecast to the report: who is concerned, what differs, what is told. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal

from grpcbalance.api import CONFIGURED, REFUSED, ConditionType, Reason
from grpcbalance.conditions import evaluate, observed
from grpcbalance.desired import resolve
from grpcbalance.inject import env_from_note
from grpcbalance.kinds import BY_PLURAL
from grpcbalance.model import Ref, Workload, WorkloadRef
from grpcbalance.names import PLURAL
from grpcbalance.optin import named_roles
from grpcbalance.plan import Finding

from .compare import container_changes
from .forecast import Forecast, Foretold
from .known import Known
from .report import BalancedTold, Condition, Report, Restart, ServiceChange, Summary, Told, WorkloadChange

# Said by what the report shows itself, or of this very moment only.
_NO_NEWS: Final = frozenset({Reason.PENDING, Reason.ROLLING_OUT})
_OF_THE_MOMENT: Final = frozenset(
    {
        ConditionType.READY,
        ConditionType.ENDPOINTS_READY,
        ConditionType.SERVERS_CONFIGURED,
        ConditionType.CLIENTS_CONFIGURED,
    }
)


class Concern:
    """Which objects the report is about: all, or those that the manifests and their neighbours are."""

    def __init__(self, known: Known, workloads: Mapping[WorkloadRef, Workload]) -> None:
        self._everything = not known.given
        given = [(BY_PLURAL[plural].kind, ref) for plural, ref in known.given if plural in BY_PLURAL]
        self._workloads = {WorkloadRef(kind, *ref) for kind, ref in given}
        self._balanced = {ref for plural, ref in known.given if plural == PLURAL}
        services = {ref for plural, ref in known.given if plural == "services"}
        for workload in self._workloads & workloads.keys():
            self._balanced |= _named(workloads[workload])
        for ref, raw in known.raws[PLURAL].items():
            referenced = (raw["spec"].get("serviceRef") or {}).get("name")
            if referenced and Ref(ref.namespace, referenced) in services:
                self._balanced.add(ref)

    def balanced(self, ref: Ref) -> bool:
        """Whether a GrpcBalancedService is concerned."""
        return self._everything or ref in self._balanced

    def workload(self, workload: Workload) -> bool:
        """Whether a workload is concerned."""
        return self._everything or workload.ref in self._workloads or bool(_named(workload) & self._balanced)


def _named(workload: Workload) -> set[Ref]:
    return {ref for refs in named_roles(workload).values() for ref in refs}


Pods = Mapping[WorkloadRef, tuple[str, ...]]


def build(
    forecast: Forecast,
    services: list[ServiceChange],
    foretold: list[Foretold],
    pods: Pods | None,
    assumptions: tuple[str, ...],
) -> Report:
    """The report. `pods` are the names of those that would be replaced, by workload; None without a cluster."""
    concern = Concern(forecast.known, forecast.view.workloads)
    written = {item.workload.ref for item in foretold if item.decision.patch is not None}
    left = [change for change, users in forecast.leaving if users <= written]
    told = [s for s in (*services, *left) if concern.balanced(Ref(s.namespace, s.balanced))]
    changes = [
        change
        for item in foretold
        if concern.workload(item.workload)
        for change in _workload(forecast.known, item, pods)
    ]
    findings: dict[Ref, list[tuple[Workload, Finding]]] = {}
    for item in foretold:
        for finding in item.findings:
            if finding.service is not None:
                findings.setdefault(finding.service, []).append((item.workload, finding))
    refs = (ref for ref in sorted(forecast.view.balanced) if concern.balanced(ref))
    balanced = [told for ref in refs for told in _balanced(forecast, ref, findings.get(ref, []))]
    return Report(
        cluster=pods is not None,
        assumptions=assumptions,
        services=tuple(told),
        workloads=tuple(changes),
        balanced=tuple(balanced),
        summary=_summary(told, changes),
    )


def rolled(item: Foretold) -> bool:
    """Whether a decision replaces pods."""
    return item.decision.patch is not None and item.workload.rolls


def _workload(known: Known, item: Foretold, pods: Pods | None) -> Iterator[WorkloadChange]:
    workload, decision = item.workload, item.decision
    patch = decision.patch or decision.kept_back
    findings = tuple(_told(f) for f in item.findings if f.state != CONFIGURED and f.reason not in _NO_NEWS)
    if patch is None and not findings:
        return
    action: Literal["Write", "Wait", "None"] = "Write" if decision.patch else "Wait" if patch else "None"
    containers = container_changes(workload.ref.kind, known.workload(workload.ref), patch) if patch else ()
    yield WorkloadChange(
        kind=workload.ref.kind,
        namespace=workload.ref.namespace,
        name=workload.ref.name,
        action=action,
        containers=containers,
        restart=_restart(known, workload, pods) if rolled(item) else None,
        findings=findings,
        note=env_from_note(workload, [container.name for container in containers]) if containers else "",
    )


def _restart(known: Known, workload: Workload, pods: Pods | None) -> Restart:
    if pods is None:
        return Restart(pods=workload.replicas, names=None)
    # What is not there yet begins with the values, or nearly so.
    names = () if known.is_new(workload.ref) else pods.get(workload.ref, ())
    return Restart(pods=len(names), names=names)


def _told(finding: Finding) -> Told:
    return Told(
        service=str(finding.service) if finding.service else None,
        role=str(finding.role) if finding.role else None,
        state=finding.state,
        reason=str(finding.reason),
        message=finding.message,
    )


def _balanced(forecast: Forecast, ref: Ref, findings: list[tuple[Workload, Finding]]) -> Iterator[BalancedTold]:
    """Conditions that do not come true by themselves."""
    snapshot, balanced = forecast.view.snapshot(ref), forecast.view.balanced[ref]
    checks = evaluate(observed(snapshot, resolve(snapshot, balanced, forecast.balancer.cluster_domain), findings))
    found = tuple(
        Condition(type=str(kind), status=check.status, reason=str(check.reason), message=check.message)
        for kind, check in checks.items()
        if check.status == "False" and kind not in _OF_THE_MOMENT
    )
    if found:
        yield BalancedTold(namespace=ref.namespace, name=ref.name, conditions=found)


def _summary(services: list[ServiceChange], workloads: list[WorkloadChange]) -> Summary:
    refused = [w for w in workloads if any(told.state == REFUSED for told in w.findings)]
    waiting = [w for w in workloads if w.action != "Write" and w.findings and w not in refused]
    return Summary(
        services=len(services),
        workloads=sum(w.action == "Write" for w in workloads),
        pods=sum(w.restart.pods for w in workloads if w.restart),
        waiting=len(waiting),
        refused=len(refused),
    )
