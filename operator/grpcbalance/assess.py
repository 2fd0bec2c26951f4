"""From the view to decisions: gathers what `plan.decide` needs about every service that a workload names. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .api import CONFIGURED, Reason
from .desired import Resolution, allows_unsafe
from .migration import returning
from .model import Balanced, Ref, Workload
from .optin import Problem, read_opt_in
from .plan import Decision, Finding, decide
from .roles import service_state
from .situation import ServiceState, Situation
from .told import was_configured, why_waiting
from .view import View


@dataclass(slots=True)
class Assessor:
    """Decides about workloads as the view stands now. Short-lived: it remembers what it gathered."""

    view: View
    cluster_domain: str
    _states: dict[Ref, ServiceState | None] = field(default_factory=dict)

    def state(self, ref: Ref) -> ServiceState | None:
        """What workloads must know of a service; None when there is no such object."""
        if ref not in self._states:
            self._states[ref] = service_state(self.view.snapshot(ref), self.cluster_domain)
        return self._states[ref]

    def decide(self, workload: Workload, situation: Situation) -> Decision:
        """The decision about one workload."""
        states = {ref: self._towards(ref, workload) for ref in read_opt_in(workload).refs}
        return decide(workload, states, lambda: self._endangered(workload), situation)

    def _towards(self, ref: Ref, workload: Workload) -> ServiceState | None:
        """What does not let a workload in is as what does not exist: nothing may be learnt about it.

        But for one that is on xDS: what it was written has to be changed, since the look-aside balancer tells new pods
        of it nothing any more. The DNS name that it gets is told by DNS to everybody.
        """
        state = self.state(ref)
        if state is None or self.view.lets_in(ref, workload.ref.namespace):
            return state
        back = returning(workload, ref, state.resolution) if isinstance(state.resolution, Resolution) else {}
        return replace(state, returning=back) if back else None

    def _endangered(self, workload: Workload) -> Iterator[Ref]:
        """Services whose clients a rollout of this workload could hurt, but for those that allow it."""
        for ref in self.view.endangered_by(workload):
            balanced = self.view.balanced.get(ref)
            if balanced is None or not allows_unsafe(balanced):
                yield ref


def tells_of(previous: Mapping[str, Any], balanced: Balanced, resolution: Resolution | Problem) -> bool:
    """Whether the stored status speaks of the values that are wanted now."""
    if isinstance(resolution, Problem) or previous.get("observedGeneration") != balanced.generation:
        return False
    wanted = (resolution.target, resolution.service_config, resolution.authority)
    return (previous.get("target"), previous.get("serviceConfig"), previous.get("authority", "")) == wanted


def remembered(workload: Workload, finding: Finding, previous: Mapping[str, Any]) -> Finding:
    """What only the stored status knows after a restart of the operator; what it tells shall not change for that.

    Until a rollout has been seen to finish, it alone knows that earlier pods carried the values; and until the
    look-aside balancer was asked, why a client waits for it. `previous` is that status, or empty when it speaks of
    other values.
    """
    if finding.reason is Reason.XDS_NOT_ASKED:
        home = finding.service.namespace if finding.service is not None else workload.ref.namespace
        why = why_waiting(previous, home, workload.ref, finding.role)
        return finding if why is None else replace(finding, reason=why[0], message=why[1])
    if finding.reason not in (Reason.ROLLING_OUT, Reason.ROLLOUT_FAILED) or workload.settled is not None:
        return finding
    if finding.service is not None and finding.service.namespace != workload.ref.namespace:
        # Of other namespaces status knows no names, only whether all of its clients were configured.
        clients = previous.get("clients") or {"matched": 0}
        known = clients["matched"] > 0 and clients["matched"] == clients["configured"]
    else:
        known = was_configured(previous, workload.ref.namespace, workload.ref, finding.role)
    return replace(finding, state=CONFIGURED, reason=Reason.CONFIGURED, message="") if known else finding
