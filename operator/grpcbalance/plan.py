"""The decision about one workload: what to write now, and what to tell its people. Pure.

`decide` is called by the reconciler, which executes `Decision.patch`, and by the status of every named
service, which shows `Decision.findings`; so both always tell the same story.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from . import inject
from .api import CONFIGURED, PENDING, REFUSED, Reason
from .failures import has_failed
from .inject import Entry
from .migration import BESIDE
from .model import Ref, Role, Rollout, Workload, WorkloadRef
from .names import ANNOTATION_PAUSED
from .optin import OptIn, Problem, read_opt_in
from .roles import read_roles
from .safety import is_safe, unsafe_message
from .situation import RoleState, ServiceState, Situation
from .trust import lasting
from .values import PROOF, Value, digest

# For Situation.carried: nothing is remembered, but status says that it was configured with these values.
ANYTHING = "*"
_ON_DELETE = (
    "the values are in the template, and pods get them when they are replaced, which this workload leaves to people: "
    "its updateStrategy is OnDelete, or a partition holds pods back"
)
# Reasons that only a person can mend; everything else resolves by waiting.
_REFUSALS = frozenset(
    {
        Reason.ENV_CONFLICT,
        Reason.DUPLICATE_ENV,
        Reason.AMBIGUOUS_CONTAINER,
        Reason.CONTAINER_NOT_FOUND,
        Reason.CONTROLLED,
        Reason.INVALID_ANNOTATION,
        Reason.UNKNOWN_ANNOTATION,
        Reason.VARIABLE_CLASH,
        Reason.NAMESPACE_NOT_ALLOWED,
        Reason.API_REFUSED,
        Reason.CONTESTED,
        Reason.XDS_NO_AUTHORITY,
        Reason.XDS_NOT_TRUSTED,
    }
)


@dataclass(frozen=True, slots=True)
class Finding:
    """Where one workload stands with one service in one role; neither, for what is wrong with it as a whole."""

    service: Ref | None
    role: Role | None
    containers: tuple[str, ...]
    state: str
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Decision:
    """A patch body to send now, or None, and the findings that explain it.

    `fingerprint` stands for all that is wanted, `carried` says that the template has it, `restores` that it had it
    before: what is due now only puts back what somebody took away. `kept_back` is a patch that is due and has to wait.
    """

    patch: dict[str, Any] | None
    findings: tuple[Finding, ...]
    fingerprint: str
    carried: bool
    restores: bool
    kept_back: dict[str, Any] | None = None


def decide(
    workload: Workload,
    states: Mapping[Ref, ServiceState | None],
    endangered: Callable[[], Iterable[Ref]],
    situation: Situation,
) -> Decision:
    """Decide about a workload.

    `states` has every service its annotations name (None: there is no such object); `endangered` tells the services
    whose clients a rollout of it could hurt. It is asked only when a rollout is due, since it costs a look at every
    service of the namespace.
    """
    opt_in = read_opt_in(workload)
    parts = read_roles(workload, opt_in, states, situation)
    if any(part.problem and part.problem.reason is Reason.WAITING_FOR_SERVERS for part in parts) and (
        _hurt(workload, endangered) is not None
    ):
        # It is held whatever becomes of its servers. How long it has waited would be forgotten by a restart.
        parts = read_roles(workload, opt_in, states, replace(situation, waited=situation.server_wait))
    wanted = _merge(part for part in parts if part.problem is None)
    # While anything is unresolved nothing is taken away: the old values still work.
    clear = not opt_in.problems and all(part.problem is None for part in parts)
    resolved = clear and not any(part.partial for part in parts)
    kept = workload.controller is not None or (opt_in.keep and not opt_in.refs)
    changes = inject.changes(workload, wanted, remove=clear and not kept, only=None if resolved else BESIDE)
    fingerprint = inject.fingerprint(wanted)
    restores = changes.patch is not None and (
        situation.carried == fingerprint or (situation.carried == ANYTHING and not changes.removes)
    )
    gate = None
    if changes.patch is not None:
        gate = _held(opt_in, workload, states.values(), situation.taken if restores else None)
        gate = gate or _restart(workload, endangered, situation)
    findings = _findings(parts, workload, opt_in, gate, situation)
    if changes.patch is not None:
        findings += _untold(findings, gate, situation)
    carried = changes.patch is None and resolved
    sent, kept_back = (None, changes.patch) if gate else (changes.patch, None)
    return Decision(sent, findings, fingerprint, carried, restores, kept_back)


def _findings(
    parts: Iterable[RoleState], workload: Workload, opt_in: OptIn, gate: Problem | None, situation: Situation
) -> tuple[Finding, ...]:
    """One for each role; what is wrong with the annotations is told also when they name no role."""
    found = tuple(_finding(part, workload, gate, situation) for part in parts)
    return found or tuple(_whole(problem) for problem in opt_in.problems[:1])


def _untold(findings: tuple[Finding, ...], gate: Problem | None, situation: Situation) -> tuple[Finding, ...]:
    """What keeps a patch back although no role tells of it: a removal concerns a role that is no more."""
    problem = gate or situation.refusal
    if problem is None or any(finding.reason is problem.reason for finding in findings):
        return ()
    return (_whole(problem),)


def _whole(problem: Problem) -> Finding:
    """A finding about the workload as a whole."""
    return Finding(None, None, (), _state(problem.reason), problem.reason, problem.message)


def _state(reason: Reason) -> str:
    if reason in (Reason.CONFIGURED, Reason.UNMANAGED, Reason.STAYS_ON_DNS):
        return CONFIGURED
    return REFUSED if reason in _REFUSALS else PENDING


def _merge(parts: Iterable[RoleState]) -> dict[str, dict[str, Value]]:
    merged: dict[str, dict[str, Value]] = {}
    for part in parts:
        for container, variables in part.wanted.items():
            merged.setdefault(container, {}).update(variables)
    return merged


def _held(
    opt_in: OptIn, workload: Workload, states: Iterable[ServiceState | None], taken: Problem | None
) -> Problem | None:
    """Why a patch that is due is not sent now, whatever it would restart. Each ends by what its message says."""
    if opt_in.paused:
        return Problem(Reason.PAUSED, f"a change is due; remove annotation {ANNOTATION_PAUSED} to let it happen")
    if workload.paused:
        return Problem(Reason.DEPLOYMENT_PAUSED, "its rollout is paused; the change waits for kubectl rollout resume")
    if taken is not None:
        return taken
    # One that failed itself is mended by what is due: several that failed together must not hold each other.
    for state in () if has_failed(workload) else filter(None, states):
        # One in another namespace stops only its own: no tenant can block the others.
        near = (workload.ref.namespace, state.ref.namespace)
        failed = next((ref for ref in state.failed if ref != workload.ref and ref.namespace in near), None)
        if failed is not None:
            return Problem(Reason.ROLLOUT_STOPPED, _stopped(workload, failed))
    return None


def _stopped(workload: Workload, failed: WorkloadRef) -> str:
    who = f"{failed.kind} {failed.name}" if failed.namespace == workload.ref.namespace else "another workload"
    return f"the rollout of {who} failed; this one is not begun until that is mended"


def _hurt(workload: Workload, endangered: Callable[[], Iterable[Ref]]) -> Ref | None:
    """A service whose clients a rollout of this workload could leave without addresses."""
    if not workload.rolls or workload.replicas == 0 or is_safe(workload):
        return None
    return next(iter(endangered()), None)


def _restart(workload: Workload, endangered: Callable[[], Iterable[Ref]], situation: Situation) -> Problem | None:
    """Why pods are not replaced now, which a patch of the template would do."""
    if not workload.rolls:
        return None
    hurt = _hurt(workload, endangered)
    if hurt is not None:
        return Problem(Reason.UNSAFE_ROLLOUT, unsafe_message(workload, hurt))
    if workload.rollout is not Rollout.PROGRESSING and situation.rollouts >= situation.max_rollouts:
        return Problem(
            Reason.ROLLOUT_LIMIT,
            f"{situation.max_rollouts} rollouts are in flight, as many as are allowed; it waits for one to end",
        )
    return None


def _finding(part: RoleState, workload: Workload, gate: Problem | None, situation: Situation) -> Finding:
    problem = part.problem or _standing(part, workload, gate, situation)
    return Finding(part.ref, part.role, part.containers, _state(problem.reason), problem.reason, problem.message)


def _standing(part: RoleState, workload: Workload, gate: Problem | None, situation: Situation) -> Problem:
    """Where an unblocked role stands."""
    if part.role is Role.SERVER and not part.containers:
        return Problem(Reason.UNMANAGED, "spec.server.mode is Unmanaged: nothing is injected")
    states = inject.entries(workload, part.wanted)
    if any(state in (Entry.ABSENT, Entry.STALE) for state in states.values()):
        if situation.refusal and gate is None:
            return situation.refusal
        return gate or Problem(Reason.PENDING, "the values are about to be written")
    foreign = [key for key, state in states.items() if state is Entry.FOREIGN]
    if foreign:
        listed = ", ".join(f"{variable} (container {container})" for container, variable in foreign)
        return Problem(Reason.ENV_CONFLICT, f"has its own {listed}; it wins. Remove it to use the injected value")
    if situation.untrusted and PROOF in (part.variables or {}):
        return lasting(situation.untrusted)
    return _carried(part, workload)


def _carried(part: RoleState, workload: Workload) -> Problem:
    """Where a role stands whose values the template carries."""
    if workload.rollout is Rollout.COMPLETE or _settled(part, workload):
        return part.configured or Problem(Reason.CONFIGURED, inject.env_from_note(workload, part.containers))
    if workload.rollout is Rollout.WAITING:
        return Problem(Reason.ON_DELETE, _ON_DELETE)
    failure = f": {workload.failure}" if workload.failure else ""
    if workload.rollout is Rollout.FAILED:
        return Problem(Reason.ROLLOUT_FAILED, f"the rollout that brings the values got no further{failure}")
    return Problem(Reason.ROLLING_OUT, f"the values are being rolled out{failure}")


def _settled(part: RoleState, workload: Workload) -> bool:
    """Whether pods before the running rollout carried the same values: then it is the user's own rollout."""
    if workload.settled is None:
        return False
    return all(
        inject.recorded(workload.settled, container).get(variable) == digest(value)
        for container, variables in part.wanted.items()
        for variable, value in variables.items()
        if variable in inject.recorded(workload.record, container)
    )
