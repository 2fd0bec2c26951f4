"""Doing: the variables of one workload."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final, NamedTuple

from grpcbalance.api import CONFIGURED, Reason
from grpcbalance.errors import Conflict, Gone, Invalid, WouldWrite
from grpcbalance.events import finding_note, regarding_workload
from grpcbalance.kinds import BY_KIND
from grpcbalance.model import Rollout, StatusKey, Workload, WorkloadKey, WorkloadRef
from grpcbalance.names import ANNOTATION_XDS
from grpcbalance.optin import Problem
from grpcbalance.patch import mounts_proof
from grpcbalance.plan import Decision

from .authorities import LOOK_SOON, Authorities
from .contests import Contests
from .context import CONFLICT_AGAIN, REFUSED_AGAIN, Context
from .progress import Progress
from .waits import Waits
from .written import written

# What an API server answers with that accepts a change and leaves everything as it was.
_UNDONE: Final = "patch: the API server accepted it and changed nothing: does a webhook or policy undo it?"


class _Refused(NamedTuple):
    """A write that was refused: of what state of which workload, why, and when it may be sent again."""

    workload: Workload
    body: dict[str, Any]
    problem: Problem
    due: float

    def is_same(self, workload: Workload, patch: dict[str, Any] | None) -> bool:
        """Whether the same would be written to the same; how its rollout goes and its version make no difference."""
        return patch is not None and (self.workload, self.body) == (_without_progress(workload), _body(patch))


class Workloads:
    """Patches workloads as `plan.decide` says, and keeps count of who waits for what."""

    def __init__(self, context: Context) -> None:
        self._c = context
        self.contests = Contests(context)
        self._authorities = Authorities(context)
        self.waits = Waits(context, self.contests, self._authorities)
        self._progress = Progress(context)
        # What was refused last, by workload; another write may be sent at once.
        self._refused: dict[WorkloadRef, _Refused] = {}
        # Decided about at least once; until then status has nothing lasting to tell of them.
        self.seen: dict[WorkloadRef, tuple[Reason, ...]] = {}

    async def __call__(self, ref: WorkloadRef) -> float | None:
        """Bring the variables of one workload to what they should be."""
        look = await self._authorities.look(ref)
        workload = self._c.view.workloads.get(ref)
        if workload is None:
            self._forget(ref)
            return None
        decision = self._decide(workload)
        again = _sooner(look, self.waits.note(workload, decision), self._progress.look(workload))
        if decision.patch is not None:
            try:
                again = await self._write(workload, decision, decision.patch)
            finally:
                # Also when it fails: status must not wait for a workload that cannot be written.
                self._note_seen(ref, decision)
            if ref in self._c.workload_refusals:
                # To be told now, not at the next look.
                decision = self._assessed(workload)
        elif decision.carried:
            again = _sooner(again, self.contests.note_carried(workload, decision.fingerprint))
        self._c.metrics.workload(ref, [(str(f.role), f.state, str(f.reason)) for f in decision.findings if f.role])
        await self._tell(workload, decision)
        self._note_seen(ref, decision)
        self._wake()
        return again

    def forgive(self) -> list[WorkloadKey]:
        """What was refused may be sent again at once, by these keys."""
        keys = [WorkloadKey(*ref) for ref in self._refused]
        self._refused.clear()
        return keys

    def _decide(self, workload: Workload) -> Decision:
        decision, refused = self._assessed(workload), self._refused.get(workload.ref)
        if workload.ref in self._c.workload_refusals and not (refused and refused.is_same(workload, decision.patch)):
            # What was refused is not what is due now, so nothing is to be told of it.
            del self._c.workload_refusals[workload.ref]
            decision = self._assessed(workload)
        if decision.patch is not None and self.contests.recall(workload):
            return self._assessed(workload)
        return decision

    def _assessed(self, workload: Workload) -> Decision:
        return self._c.assessor().decide(workload, self.waits.situation(workload))

    def _note_seen(self, ref: WorkloadRef, decision: Decision) -> None:
        reasons = tuple(finding.reason for finding in decision.findings)
        if self.seen.get(ref) != reasons:
            # Time alone may have brought it, of which no watch tells.
            self.seen[ref] = reasons
            self._c.enqueue(_status_keys(decision))

    def _wake(self) -> None:
        """Have as many of those looked at that wait for a rollout slot as there are free ones."""
        free = self._c.settings.max_concurrent_rollouts - len(self._c.view.slots.in_flight)
        self._c.enqueue([WorkloadKey(*following) for following in self._c.view.slots.following(max(0, free))])

    def _forget(self, ref: WorkloadRef) -> None:
        self.seen.pop(ref, None)
        self._forget_refusal(ref)
        for memory in (self.waits, self.contests, self._progress):
            memory.forget(ref)
        self._c.metrics.workload(ref, [])

    async def _write(self, workload: Workload, decision: Decision, patch: dict[str, Any]) -> float | None:
        wait = self.contests.before_restoring(workload) if decision.restores else None
        return await self._patch(workload, decision, patch) if wait is None else wait

    async def _patch(self, workload: Workload, decision: Decision, patch: dict[str, Any]) -> float | None:
        ref, refused = workload.ref, self._refused.get(workload.ref)
        if refused and refused.is_same(workload, patch) and refused.due > self._c.clock.monotonic():
            # Nothing that happened meanwhile changes what would be sent: events must not hurry it.
            self._c.workload_refusals[ref] = refused.problem
            return refused.due - self._c.clock.monotonic()
        # Taken before the request, so that two workers cannot both take the last slot.
        self._c.view.slots.in_flight.add(ref)
        try:
            answer = await self._send(workload, patch)
        except BaseException as error:
            self._give_back(workload)
            if isinstance(error, (Conflict, Gone)):
                # It changed, or went, under us; the watch is about to tell, then it is decided anew.
                return CONFLICT_AGAIN
            raise
        if isinstance(answer, Problem):
            self._give_back(workload)
            return self._refuse(workload, patch, decision, answer)
        self._forget_refusal(ref)
        self.contests.done(workload)
        self._c.take(BY_KIND[ref.kind].plural, answer)
        note = written(workload, patch, answer["metadata"]["resourceVersion"])
        await self._c.recorder.say(regarding_workload(workload), "write", note)
        return None

    async def _send(self, workload: Workload, patch: dict[str, Any]) -> dict[str, Any] | Problem:
        """What a patch made of the workload, or why it made nothing of it."""
        ref = workload.ref
        try:
            if mounts_proof(ref.kind, patch) and (wrong := await self._authorities.demand(ref.namespace)) is not None:
                return wrong
            raw = await self._c.api.patch_workload(ref, patch)
        except Invalid as error:
            return Problem(Reason.WOULD_WRITE if isinstance(error, WouldWrite) else Reason.API_REFUSED, str(error))
        done = raw["metadata"]["resourceVersion"] != workload.resource_version
        return raw if done else Problem(Reason.API_REFUSED, _UNDONE)

    def _give_back(self, workload: Workload) -> None:
        """The slot of a patch that changed nothing."""
        # As it is by now: the user may have begun one meanwhile.
        current = self._c.view.workloads.get(workload.ref)
        if current is None or current.rollout is not Rollout.PROGRESSING:
            self._c.view.slots.in_flight.discard(workload.ref)
            # Who came meanwhile found the slot taken, and no rollout will end to tell of it.
            self._wake()

    def _refuse(self, workload: Workload, patch: dict[str, Any], decision: Decision, problem: Problem) -> float:
        self._c.workload_refusals[workload.ref] = problem
        again = REFUSED_AGAIN if problem.reason in (Reason.API_REFUSED, Reason.WOULD_WRITE) else LOOK_SOON
        due = self._c.clock.monotonic() + again
        self._refused[workload.ref] = _Refused(_without_progress(workload), _body(patch), problem, due)
        self._c.enqueue(_status_keys(decision))
        return again

    def _forget_refusal(self, ref: WorkloadRef) -> None:
        self._refused.pop(ref, None)
        self._c.workload_refusals.pop(ref, None)

    async def _tell(self, workload: Workload, decision: Decision) -> None:
        about, asked = regarding_workload(workload), workload.annotation(ANNOTATION_XDS) is not None
        for finding in decision.findings:
            subject = f"{finding.role} {finding.service}"
            note = finding_note(finding, workload.ref.namespace, asked_for_xds=asked)
            well = finding.state == CONFIGURED
            if note is None or well:
                self._c.recorder.quiet(about, subject)
            if note is not None:
                # What is told of one that is well is a subject of its own: told once, whatever happens in between.
                await self._c.tell(about, f"{subject} {CONFIGURED}" if well else subject, note)


def _sooner(*waits: float | None) -> float | None:
    return min((wait for wait in waits if wait is not None), default=None)


def _status_keys(decision: Decision) -> list[StatusKey]:
    return [StatusKey(*finding.service) for finding in decision.findings if finding.service is not None]


def _body(patch: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in patch.items() if key != "metadata"}


def _without_progress(workload: Workload) -> Workload:
    """What would be written to, apart from how its rollout goes and who wrote to it when."""
    steady = replace(workload, rollout=Rollout.COMPLETE, settled=None, progress=None, failure="")
    return replace(steady, resource_version="", writer=("", ""))
