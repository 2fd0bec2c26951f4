"""Kubernetes Events: what people see with `kubectl describe`. Builders are pure; the Recorder only paces.

An Event's name is a function of what it says, so the same one is not written twice, not even after a restart
of the operator: the API server answers 409, which is fine. Each write is told, since its occasion is in the name too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from .api import CONFIGURED, ConditionType, Reason
from .kinds import BY_KIND
from .model import Balanced, Ref, Workload
from .moments import to_text
from .names import API_VERSION, FIELD_MANAGER, KIND
from .plan import Finding
from .recent import Recent

# These pass by themselves within moments; what --dry-run keeps back is told by itself.
_TRANSIENT: Final = frozenset(
    {Reason.PENDING, Reason.ROLLING_OUT, Reason.SERVICE_PENDING, Reason.NOT_ACCEPTED, Reason.WOULD_WRITE}
)
# Waits that may concern thousands of workloads at once; they yield to everything else.
_CROWDED: Final = frozenset({Reason.ROLLOUT_LIMIT, Reason.WAITING_FOR_SERVERS})
# Waiting that is as it should be: told of, but no warning.
_ORDERLY: Final = _CROWDED | {
    Reason.TARGET_NOT_SERVING,
    Reason.PAUSED,
    Reason.DEPLOYMENT_PAUSED,
    Reason.STAYS_ON_DNS,
}
# From so many workloads on, a change takes long enough for its progress to be told.
_MANY: Final = 20


class Regarding(NamedTuple):
    """The object that an Event is about."""

    api_version: str
    kind: str
    ref: Ref
    uid: str


def regarding_workload(workload: Workload) -> Regarding:
    """A workload as the object of an Event."""
    ref = workload.ref
    return Regarding(BY_KIND[ref.kind].api_version, ref.kind, Ref(ref.namespace, ref.name), workload.uid)


def regarding_balanced(balanced: Balanced) -> Regarding:
    """A GrpcBalancedService as the object of an Event."""
    return Regarding(API_VERSION, KIND, balanced.ref, balanced.uid)


class Note(NamedTuple):
    """What an Event says. `warning` chooses between the types Warning and Normal.

    `occasion` makes news of the same words: of what was done anew, while what merely goes on has none.
    """

    reason: Reason
    message: str
    warning: bool
    occasion: str = ""


def finding_note(finding: Finding, home: str, *, asked_for_xds: bool = False) -> Note | None:
    """What people of namespace `home` should hear of a finding; None when all is well, or will be within moments.

    That a client stays on DNS is news only to who asked for more; most are there on purpose.
    """
    service = finding.service
    abroad = service is not None and service.namespace != home
    # Why it is not accepted stands in its status, which is not for readers of another namespace.
    passes = finding.reason in _TRANSIENT and not (abroad and finding.reason is Reason.NOT_ACCEPTED)
    well = finding.state == CONFIGURED and not (asked_for_xds and finding.reason is Reason.STAYS_ON_DNS)
    if well or passes:
        return None
    about = f"{service if abroad else service.name}: " if service else ""
    return Note(finding.reason, f"{about}{finding.message}", warning=finding.reason not in _ORDERLY)


def condition_notes(previous: Mapping[str, Any], status: Mapping[str, Any]) -> Iterator[Note]:
    """Notes about conditions that changed: trouble, and Ready becoming true."""
    before = {c["type"]: (c["status"], c["reason"]) for c in previous.get("conditions") or ()}
    for condition in status["conditions"]:
        kind, now = condition["type"], (condition["status"], condition["reason"])
        if before.get(kind) == now:
            continue
        reason = Reason(condition["reason"])
        if now[0] == "True" and kind == ConditionType.READY:
            yield Note(reason, f"{kind}: {condition['message']}", warning=False)
        elif now[0] == "False" and kind != ConditionType.READY and reason not in _TRANSIENT:
            yield Note(reason, f"{kind}: {condition['message']}", warning=reason not in _ORDERLY)


def progress_note(previous: Mapping[str, Any], status: Mapping[str, Any]) -> Note | None:
    """How far a change of many workloads has come, each time another tenth of them is done."""
    for role in ("clients", "servers"):
        before, now = previous.get(role), status.get(role)
        if not before or not now:
            continue
        matched, done = now["matched"], now["configured"]
        if matched < _MANY or done == before["configured"] or before["matched"] != matched:
            continue
        if done * 10 // matched > before["configured"] * 10 // matched:
            left = f"{now['pending']} pending, {now['refused']} refused"
            return Note(Reason.ROLLING_OUT, f"{done} of {matched} {role} are configured, {left}", warning=False)
    return None


def event(about: Regarding, note: Note, now: datetime, turn: int = 0) -> dict[str, Any]:
    """A core/v1 Event. `turn` tells apart the same words said again after something else was said."""
    occasion = (note.occasion,) if note.occasion else ()
    said = "\0".join((about.uid, note.reason, note.message, str(turn), *occasion))
    stamp = to_text(now)
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{about.ref.name[:230].rstrip('-.')}.{hashlib.sha256(said.encode()).hexdigest()[:16]}",
            "namespace": about.ref.namespace,
        },
        "involvedObject": {
            "apiVersion": about.api_version,
            "kind": about.kind,
            "namespace": about.ref.namespace,
            "name": about.ref.name,
            "uid": about.uid,
        },
        "reason": str(note.reason),
        "message": note.message[:1024],
        "type": "Warning" if note.warning else "Normal",
        "source": {"component": FIELD_MANAGER},
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "count": 1,
    }


class Recorder:
    """Posts Events, at most `rate` a second with bursts; what does not fit is dropped and counted, never queued."""

    def __init__(
        self,
        post: Callable[[dict[str, Any]], Awaitable[None]],
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
        dropped: Callable[[], None],
        rate: float = 10.0,
        burst: int = 100,
    ) -> None:
        self._post, self._now, self._monotonic, self._dropped = post, now, monotonic, dropped
        self._rate, self._burst = rate, burst
        self._tokens, self._filled = float(burst), monotonic()
        # (uid, subject) -> (words said last, how often the words changed)
        self._said: Recent[tuple[str, str], tuple[str, int]] = Recent()

    async def say(self, about: Regarding, subject: str, note: Note) -> bool:
        """Post `note`, unless it is what was last said about this subject of the object. True when posted."""
        words = f"{note.reason}\0{note.message}\0{note.occasion}"
        last, turn = self._said.get((about.uid, subject), ("", -1))
        if last == words:
            return False
        if not self._take(note.reason in _CROWDED):
            self._dropped()
            return False
        self._said[about.uid, subject] = (words, turn + 1)
        await self._post(event(about, note, self._now(), turn + 1))
        return True

    def quiet(self, about: Regarding, subject: str) -> None:
        """Nothing is wrong any more: the same words later are news again."""
        last, turn = self._said.get((about.uid, subject), ("", -1))
        if last:
            self._said[about.uid, subject] = ("", turn)

    def _take(self, crowded: bool) -> bool:
        now = self._monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._filled) * self._rate)
        self._filled = now
        if self._tokens < (self._burst / 2 if crowded else 1):
            return False
        self._tokens -= 1
        return True
