"""Doing: the status of one GrpcBalancedService."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any, Final

from grpcbalance.api import ConditionType, Reason
from grpcbalance.assess import remembered, tells_of
from grpcbalance.conditions import observed
from grpcbalance.desired import resolve
from grpcbalance.errors import WouldWrite
from grpcbalance.events import Note, condition_notes, progress_note, regarding_balanced
from grpcbalance.kube import Conflict, Gone, Invalid
from grpcbalance.lookaside.pods import Absent
from grpcbalance.model import Balanced, Ref, ServiceSnapshot, StatusKey, Workload
from grpcbalance.moments import to_text
from grpcbalance.names import PLURAL
from grpcbalance.plan import Finding
from grpcbalance.status import lacking, make_status

from .connections import Connections
from .context import CONFLICT_AGAIN, REFUSED_AGAIN, Context
from .workloads import Workloads

logger = logging.getLogger(__name__)

# Of these something follows within moments.
_MOVING: Final = frozenset({Reason.PENDING, Reason.ROLLING_OUT, Reason.WAITING_FOR_SERVERS, Reason.ROLLOUT_LIMIT})
_MOVEMENT: Final = 3.0
# What these say of running traffic is told at once, whatever moves beside it.
_URGENT: Final = (ConditionType.ACCEPTED, ConditionType.SERVICE_READY, ConditionType.ENDPOINTS_READY)
# Workloads are looked at in turn, which takes a while when the operator starts among thousands of new ones.
_UNSEEN: Final = 180.0

_Findings = list[tuple[Workload, Finding]]


class Statuses:
    """Writes status when it differs from what is stored, at most once in `status_interval` per object."""

    def __init__(self, context: Context, workloads: Workloads) -> None:
        self._c, self._workloads = context, workloads
        self._connections = Connections(context)
        self._written: dict[Ref, float] = {}
        self._postponed: dict[Ref, float] = {}
        # The status that was refused, and when it may be sent again.
        self._refused: dict[Ref, tuple[dict[str, Any], float]] = {}
        # With --dry-run: the status that would be stored by now; what follows is compared with it.
        self._kept_back: dict[Ref, dict[str, Any]] = {}

    async def __call__(self, ref: Ref) -> float | None:
        """Bring the status of one GrpcBalancedService up to date."""
        balanced = self._c.view.balanced.get(ref)
        if balanced is None:
            self._written.pop(ref, None)
            self._postponed.pop(ref, None)
            self._refused.pop(ref, None)
            self._kept_back.pop(ref, None)
            self._connections.forget(ref)
            self._c.service_refusals.pop(ref, None)
            self._c.metrics.service(ref, None)
            return None
        wait = self._written.get(ref, float("-inf")) + self._c.settings.status_interval - self._c.clock.monotonic()
        if wait > 0:
            return wait
        absent, again = self._connections.look(ref)
        done = await self._update(absent, self._c.view.balanced.get(ref, balanced))
        return again if done is None else done

    async def _update(self, absent: Absent, balanced: Balanced) -> float | None:
        """Write what is so now, if it is something else and the time has come; seconds until it has, else None."""
        ref = balanced.ref
        previous = self._kept_back.get(ref) or json.loads(balanced.status)
        status, findings = self._status(balanced, previous, absent)
        self._c.metrics.service(ref, _is_ready(status))
        if status == previous:
            self._postponed.pop(ref, None)
            return None
        wait = max(self._patience(balanced, previous, status, findings), self._refused_for(ref, status))
        return wait if wait > 0 else await self._write(balanced, previous, status)

    def _status(self, balanced: Balanced, previous: dict[str, Any], absent: Absent) -> tuple[dict[str, Any], _Findings]:
        """What status should say, and the findings in it."""
        now = to_text(self._c.clock.now())
        missing, ref = self._c.missing(), balanced.ref
        if self._c.blind():
            # What is not known for certain is left as it was told last.
            return (lacking(previous, previous, missing, balanced.generation, now) if missing else previous), []
        snapshot = self._c.view.snapshot(ref, self._c.service_refusals.get(ref))
        resolution = resolve(snapshot, balanced, self._c.settings.cluster_domain)
        told = previous if tells_of(previous, balanced, resolution) else {}
        findings = list(self._findings(snapshot, told))
        restored = self._workloads.contests.listed(ref, (workload for workload, _ in findings))
        seen = observed(snapshot, resolution, findings, absent)
        status = make_status(seen, previous, balanced.generation, now, restored)
        return (lacking(status, previous, missing, balanced.generation, now) if missing else status), findings

    def forgive(self) -> list[StatusKey]:
        """What was refused may be sent again at once, by these keys."""
        keys = [StatusKey(*ref) for ref in self._refused]
        self._refused.clear()
        return keys

    def _patience(
        self,
        balanced: Balanced,
        previous: dict[str, Any],
        status: dict[str, Any],
        findings: _Findings,
    ) -> float:
        """Seconds to hold a status back that is about to be overtaken by what it tells of.

        A new generation is told of at once, but not before its workloads were looked at for the first time.
        """
        unseen = any(workload.ref not in self._workloads.seen for workload, _ in findings)
        moving = any(finding.reason in _MOVING for _, finding in findings)
        news = previous.get("observedGeneration") != balanced.generation or _urgent(previous) != _urgent(status)
        # A restoring waits until it is told of.
        news = news or previous.get("restored") != status.get("restored")
        most = _UNSEEN if unseen else _MOVEMENT if moving and not news else 0.0
        now = self._c.clock.monotonic()
        return self._postponed.setdefault(balanced.ref, now) + most - now

    def _refused_for(self, ref: Ref, status: dict[str, Any]) -> float:
        """Seconds until a status that was refused may be sent again; another one may be at once."""
        refused, due = self._refused.get(ref, ({}, 0.0))
        return due - self._c.clock.monotonic() if refused == status else 0.0

    def _findings(self, snapshot: ServiceSnapshot, told: dict[str, Any]) -> Iterator[tuple[Workload, Finding]]:
        assessor = self._c.assessor()
        for workload in dict.fromkeys((*snapshot.servers, *snapshot.clients)):
            for finding in assessor.decide(workload, self._workloads.waits.standing(workload)).findings:
                if finding.service == snapshot.ref:
                    yield workload, remembered(workload, finding, told)

    async def _write(self, balanced: Balanced, previous: dict[str, Any], status: dict[str, Any]) -> float | None:
        self._written[balanced.ref] = self._c.clock.monotonic()
        self._postponed.pop(balanced.ref, None)
        try:
            raw = await self._c.api.apply_status(balanced.ref, balanced.uid, status)
        except Conflict:
            # Made anew, or written by others faster than the API server could merge ours.
            return CONFLICT_AGAIN
        except Gone:
            # The watch will tell.
            return None
        except WouldWrite:
            self._kept_back[balanced.ref] = status
        except Invalid as refusal:
            return await self._refuse(balanced, status, str(refusal))
        else:
            self._take(balanced, raw)
        for note in condition_notes(previous, status):
            await self._say(balanced, note)
        if (progress := progress_note(previous, status)) is not None:
            await self._say(balanced, progress)
        return None

    def _take(self, balanced: Balanced, raw: dict[str, Any]) -> None:
        self._refused.pop(balanced.ref, None)
        keys = self._c.view.apply(PLURAL, None, raw)
        stored = self._c.view.balanced.get(balanced.ref)
        if stored is None or (stored.generation, stored.spec) != (balanced.generation, balanced.spec):
            # An edit that the watch has not told of yet, and that will be no news when it does.
            self._c.enqueue(keys)
        # Otherwise not: what this write changes is what was just computed.

    async def _refuse(self, balanced: Balanced, status: dict[str, Any], message: str) -> float:
        """What cannot be told in status is told in an Event, in the log and in a metric."""
        self._refused[balanced.ref] = status, self._c.clock.monotonic() + REFUSED_AGAIN
        logger.warning("status of %s: %s", balanced.ref, message)
        await self._say(balanced, Note(Reason.API_REFUSED, f"status: {message}", warning=True))
        return REFUSED_AGAIN

    async def _say(self, balanced: Balanced, note: Note) -> None:
        say = self._c.tell if note.warning else self._c.recorder.say
        await say(regarding_balanced(balanced), note.message.partition(":")[0], note)


def _is_ready(status: dict[str, Any]) -> bool:
    return any(c["type"] == ConditionType.READY and c["status"] == "True" for c in status.get("conditions") or ())


def _urgent(status: dict[str, Any]) -> dict[str, str]:
    """Condition -> "True", "False" or "Unknown"."""
    return {c["type"]: c["status"] for c in status.get("conditions") or () if c["type"] in _URGENT}
