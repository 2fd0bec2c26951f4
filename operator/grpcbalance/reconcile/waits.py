"""Doing: what workloads wait for, since when, and when to look at each of them again."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from grpcbalance.api import Reason
from grpcbalance.model import Workload, WorkloadRef
from grpcbalance.plan import Decision
from grpcbalance.situation import Situation

from .authorities import Authorities
from .contests import Contests
from .context import Context

# A workload that waits for a rollout slot is woken when one is free; this only heals a lost wake-up.
_LIMITED_AGAIN: Final = 300.0
# What holds a workload may be a service that its annotations do not name, of which no change wakes it.
_HELD_AGAIN: Final = 60.0


class Waits:
    """Turns memory and settings into the Situation that a decision is made in."""

    def __init__(self, context: Context, contests: Contests, authorities: Authorities) -> None:
        self._c, self._contests, self._authorities = context, contests, authorities
        self._since: dict[WorkloadRef, float] = {}

    def situation(self, workload: Workload) -> Situation:
        """What the decision about a workload depends on beside the objects."""
        ref, now, slots = workload.ref, self._c.clock.monotonic(), self._c.view.slots
        dry = self._c.settings.dry_run
        return Situation(
            # With --dry-run no slot is taken for long, and no server is ever configured.
            rollouts=0 if dry else len(slots.in_flight) - (ref in slots.in_flight),
            max_rollouts=self._c.settings.max_concurrent_rollouts,
            # Servers that stand in line for a slot are about to be configured: no client goes before them.
            waited=0.0 if self._c.view.servers_in_line(ref) else now - self._since.get(ref, now),
            server_wait=0.0 if dry else self._c.settings.server_wait,
            refusal=self._c.workload_refusals.get(ref),
            carried=self._contests.carried(workload),
            taken=self._contests.verdict(workload).problem,
            one_namespace=self._c.settings.namespace is not None,
            balancer=self._c.settings.balancer,
            untrusted=self._authorities.wrong(ref.namespace),
        )

    def standing(self, workload: Workload) -> Situation:
        """The same for status: who waits in line is limited, though a slot may be free at this very moment."""
        situation = self.situation(workload)
        limited = workload.ref in self._c.view.slots.waiting
        return replace(situation, rollouts=situation.max_rollouts) if limited else situation

    def note(self, workload: Workload, decision: Decision) -> float | None:
        """Remember who waits for what; answers when to look again."""
        ref, reasons = workload.ref, {finding.reason for finding in decision.findings}
        if Reason.ROLLOUT_LIMIT in reasons:
            self._c.view.wait_for_slot(ref)
            return _LIMITED_AGAIN
        self._c.view.slots.waiting.pop(ref, None)
        if Reason.WAITING_FOR_SERVERS in reasons:
            return self._for_servers(ref)
        if decision.kept_back is None:
            # Otherwise it has waited long enough for its servers, and would have to begin anew.
            self._since.pop(ref, None)
        if Reason.CONTESTED in reasons:
            self._contests.note_contested(workload)
        if reasons & {Reason.CONTESTED, Reason.RESTORING}:
            return self._contests.verdict(workload).wait
        return _HELD_AGAIN if reasons & {Reason.UNSAFE_ROLLOUT, Reason.XDS_NOT_CONNECTED} else None

    def _for_servers(self, ref: WorkloadRef) -> float:
        now = self._c.clock.monotonic()
        if self._c.view.servers_in_line(ref):
            self._since[ref] = now
        since = self._since.setdefault(ref, now)
        return max(1.0, self._c.settings.server_wait - (now - since))

    def forget(self, ref: WorkloadRef) -> None:
        """It is gone."""
        self._since.pop(ref, None)
        self._c.view.slots.waiting.pop(ref, None)
