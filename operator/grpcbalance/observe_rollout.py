"""The door for rollouts: where a workload's pods stand against its template, and how a change would replace them.

Each kind has its own words for it. `kubectl rollout status` is the measure, but for one thing: pods that fail or are
added after a rollout was complete are no rollout, since all of them have the template already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from .errors import one_line
from .model import Rollout
from .observe import Raw

# Beyond an hour a deadline is none: 2147483647 is Kubernetes' own way of saying so, and nobody may hold a place in the
# line of rollouts for days.
_LONGEST_DEADLINE: Final = 3_600


class Replacing(NamedTuple):
    """How a workload replaces its pods, and where it stands. The fields mean what they mean in model.Workload."""

    rollout: Rollout
    rolls: bool
    progress: tuple[int, ...] | None
    replicas: int
    recreates: bool
    takes_all: bool
    failure: str = ""


def replacing(kind: str, raw: Raw) -> Replacing:
    """How a workload of a kind replaces its pods, and where it stands."""
    return _KINDS[kind](raw)


def _deployment(raw: Raw) -> Replacing:
    spec = raw["spec"]
    rolling = (spec.get("strategy") or {}).get("rollingUpdate") or {}
    replicas = _replicas(spec)
    endless = spec.get("progressDeadlineSeconds", 600) > _LONGEST_DEADLINE
    return Replacing(
        rollout=deployment_rollout(raw),
        rolls=True,
        progress=_counts(raw, "updatedReplicas", "availableReplicas", "replicas") if endless else None,
        replicas=replicas,
        recreates=(spec.get("strategy") or {}).get("type") == "Recreate",
        takes_all=_takes_all(rolling, replicas, {"maxSurge": "25%", "maxUnavailable": "25%"}),
        failure=_failure(raw),
    )


def _failure(raw: Raw) -> str:
    """What keeps a Deployment from making pods, in the API server's words: a quota, a limit, a policy."""
    conditions = (raw.get("status") or {}).get("conditions") or ()
    found = (
        c.get("message", "") for c in conditions if c.get("type") == "ReplicaFailure" and c.get("status") == "True"
    )
    return one_line(next(found, ""))


def deployment_rollout(raw: Raw) -> Rollout:
    """Where a Deployment's rollout stands, as `kubectl rollout status` judges it."""
    status = raw.get("status") or {}
    wanted, updated = _replicas(raw["spec"]), status.get("updatedReplicas", 0)
    if _unobserved(raw):
        return Rollout.UNSEEN
    reasons = {c.get("reason") for c in status.get("conditions") or () if c.get("type") == "Progressing"}
    if "ProgressDeadlineExceeded" in reasons:
        return Rollout.FAILED
    if status.get("replicas", 0) > updated:
        return Rollout.PROGRESSING
    # Once it was complete, pods that fail or are added later are no rollout: all have the template already, and
    # Kubernetes measures no progress of them, so there would be no end to wait for.
    completed_before = "NewReplicaSetAvailable" in reasons and (updated > 0 or wanted == 0)
    done = updated >= wanted and status.get("availableReplicas", 0) >= updated
    return Rollout.COMPLETE if done or completed_before else Rollout.PROGRESSING


def _stateful_set(raw: Raw) -> Replacing:
    spec = raw["spec"]
    strategy = spec.get("updateStrategy") or {}
    rolling = strategy.get("rollingUpdate") or {}
    replicas = _replicas(spec)
    by_hand = strategy.get("type") == "OnDelete"
    held_back = replicas if by_hand else min(rolling.get("partition") or 0, replicas)
    return Replacing(
        rollout=_stateful_rollout(raw, replicas, held_back, by_hand=by_hand),
        rolls=not by_hand and held_back < max(replicas, 1),
        progress=_counts(raw, "updatedReplicas", "readyReplicas", "currentReplicas"),
        replicas=replicas,
        # Each pod is gone before its successor is made: the only one leaves nobody. Strategy Recreate is of 1.37.
        recreates=replicas == 1 or strategy.get("type") == "Recreate",
        takes_all=_takes_all(rolling, replicas, {"maxSurge": 0, "maxUnavailable": 1}),
    )


def _stateful_rollout(raw: Raw, replicas: int, held_back: int, *, by_hand: bool) -> Rollout:
    """`held_back`: pods with lower ordinals that only a person replaces, by deleting them or lowering the partition."""
    status = raw.get("status") or {}
    updated = status.get("updatedReplicas", 0)
    if _unobserved(raw):
        return Rollout.UNSEEN
    if by_hand:
        # Before Kubernetes 1.37 currentRevision never moves for OnDelete, so it may stand for pods that are long gone.
        return Rollout.WAITING if status.get("replicas", 0) > updated else Rollout.COMPLETE
    # The controller moves currentRevision when the last pod is replaced. Undone halfway, the template is the current
    # revision's again while there are pods of the other one.
    if status.get("currentRevision") == status.get("updateRevision") and status.get("replicas", 0) <= updated:
        return Rollout.COMPLETE
    return Rollout.WAITING if held_back and updated >= replicas - held_back else Rollout.PROGRESSING


def _daemon_set(raw: Raw) -> Replacing:
    spec, status = raw["spec"], raw.get("status") or {}
    strategy = spec.get("updateStrategy") or {}
    rolling = strategy.get("rollingUpdate") or {}
    nodes = status.get("desiredNumberScheduled", 0)
    by_hand = strategy.get("type") == "OnDelete"
    surges = _share(rolling.get("maxSurge", 0), nodes, up=True) > 0
    return Replacing(
        rollout=_daemon_rollout(raw, nodes, rolling, by_hand=by_hand),
        rolls=not by_hand,
        progress=_counts(raw, "updatedNumberScheduled", "numberAvailable", "currentNumberScheduled"),
        replicas=nodes,
        recreates=nodes == 1 and not surges,
        takes_all=_takes_all(rolling, nodes, {"maxSurge": 0, "maxUnavailable": 1}, up=True),
    )


def _daemon_rollout(raw: Raw, nodes: int, rolling: Raw, *, by_hand: bool) -> Rollout:
    status = raw.get("status") or {}
    if _unobserved(raw):
        return Rollout.UNSEEN
    updated = status.get("updatedNumberScheduled", 0)
    if by_hand:
        # A node that has no pod yet gets one of the newest template.
        return Rollout.WAITING if status.get("currentNumberScheduled", 0) > updated else Rollout.COMPLETE
    # As many may be away for good: nodes that are down are no rollout.
    spare = min(_share(rolling.get("maxUnavailable", 1), nodes, up=True), max(nodes - 1, 0))
    done = updated >= nodes and status.get("numberAvailable", 0) + spare >= nodes
    return Rollout.COMPLETE if done else Rollout.PROGRESSING


def _cron_job(_: Raw) -> Replacing:
    # A change waits for the next Job; the pods of those that run are never replaced.
    return Replacing(Rollout.COMPLETE, rolls=False, progress=None, replicas=0, recreates=False, takes_all=False)


_KINDS: Final[Mapping[str, Callable[[Raw], Replacing]]] = {
    "Deployment": _deployment,
    "StatefulSet": _stateful_set,
    "DaemonSet": _daemon_set,
    "CronJob": _cron_job,
}


def _unobserved(raw: Raw) -> bool:
    """Whether the controller has not seen the newest spec yet, so that its counts speak of an older one."""
    return bool((raw.get("status") or {}).get("observedGeneration", 0) < raw["metadata"].get("generation", 0))


def _counts(raw: Raw, *names: str) -> tuple[int, ...]:
    status = raw.get("status") or {}
    return (raw["metadata"].get("generation", 0), *(status.get(name, 0) for name in names))


def _replicas(spec: Raw) -> int:
    replicas = spec.get("replicas")
    return 1 if replicas is None else int(replicas)


def _takes_all(rolling: Raw, pods: int, default: Mapping[str, Any], *, up: bool = False) -> bool:
    """Whether a rolling update may take every old pod at once: maxUnavailable, resolved as the API defines it."""
    surge = _share(rolling.get("maxSurge", default["maxSurge"]), pods, up=True)
    unavailable = _share(rolling.get("maxUnavailable", default["maxUnavailable"]), pods, up=up)
    return (unavailable or (0 if surge else 1)) >= pods > 0


def _share(value: int | str, of: int, *, up: bool) -> int:
    """A number, or a percentage of `of`, rounded up or down."""
    if isinstance(value, int):
        return value
    percent = int(value.removesuffix("%"))
    return -(-percent * of // 100) if up else percent * of // 100
