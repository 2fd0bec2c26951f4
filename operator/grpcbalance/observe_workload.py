"""The door for workloads: a raw Deployment in, a Workload out, cut down to what injection decides by."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Iterator
from sys import intern
from typing import Any, TypeVar

from .model import Container, ContainerPort, EnvVar, Record, Rollout, Workload, WorkloadRef
from .names import ANNOTATION_INJECTED, ANNOTATION_PREFIX, FIELD_MANAGER, value_hash
from .observe import Raw, pairs, ref_of

# Bounded as DNS labels are, and begun only where a label may begin: anybody's env is read, of any length, and an
# unbounded pattern would take minutes for some.
_LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"(?<![a-z0-9]){_LABEL}\.{_LABEL}\.svc(?![-a-z0-9])")
_EMPTY: frozenset[Any] = frozenset()
T = TypeVar("T")
_SLEEP = re.compile(r"(?:^|[\s/])sleep\s+([0-9]+(?:\.[0-9]+)?)\b")


def workload(kind: str, raw: Raw) -> Workload | None:
    """A workload that is annotated, injected, names some Service or is rolling out; None for any other."""
    meta, spec = raw["metadata"], raw["spec"]
    template = spec["template"]
    annotations = _our_annotations(template.get("metadata") or {}) | _our_annotations(meta)
    containers = template["spec"].get("containers") or ()
    hosts = _frozen(_hosts(containers))
    rollout = deployment_rollout(raw)
    # One whose last variable we just removed still fills a rollout slot, hence the third condition.
    if not annotations and not hosts and rollout is not Rollout.PROGRESSING:
        return None
    record, malformed = _record((template.get("metadata") or {}).get("annotations") or {})
    return Workload(
        ref=WorkloadRef(kind, *ref_of(raw)),
        uid=meta["uid"],
        resource_version=meta["resourceVersion"],
        annotations=pairs(annotations),
        labels=pairs((template.get("metadata") or {}).get("labels")),
        containers=tuple(_container(c, template["spec"]) for c in containers),
        record=record,
        record_malformed=malformed,
        settled=record if rollout is Rollout.COMPLETE else None,
        co_owned=_frozen(_co_owned(meta, record)),
        hosts=hosts,
        controller=_controller(meta),
        paused=bool(spec.get("paused")),
        rollout=rollout,
        replicas=_replicas(spec),
        min_ready_seconds=spec.get("minReadySeconds", 0),
        recreates=(spec.get("strategy") or {}).get("type") == "Recreate",
        takes_all=_takes_all(spec),
    )


def _frozen(items: Iterable[T]) -> frozenset[T]:
    """A frozen set; the empty ones are one object."""
    return frozenset(items) or _EMPTY


def _our_annotations(meta: Raw) -> dict[str, str]:
    annotations = meta.get("annotations") or {}
    return {key: value for key, value in annotations.items() if key.startswith(ANNOTATION_PREFIX)}


def _controller(meta: Raw) -> str | None:
    for owner in meta.get("ownerReferences") or ():
        if owner.get("controller"):
            return f"{owner['kind']} {owner['name']}"
    return None


def _replicas(spec: Raw) -> int:
    replicas = spec.get("replicas")
    return 1 if replicas is None else int(replicas)


def _container(raw: Raw, pod: Raw) -> Container:
    return Container(
        name=raw["name"],
        ports=tuple(ContainerPort(p.get("name", ""), p["containerPort"]) for p in raw.get("ports") or ()),
        env=tuple(_env_var(entry) for entry in raw.get("env") or ()),
        pre_stop_seconds=min(_pre_stop_seconds(raw), pod.get("terminationGracePeriodSeconds", 30)),
        env_from=bool(raw.get("envFrom")),
    )


def _env_var(raw: Raw) -> EnvVar:
    # Only a fingerprint is kept: values may be long, or secret, and are only ever compared. Thousands of workloads
    # have the same few names and values, hence interned: each is in memory once.
    return EnvVar(intern(raw["name"]), None if raw.get("valueFrom") else intern(value_hash(raw.get("value", ""))))


def _pre_stop_seconds(raw: Raw) -> float:
    hook = (raw.get("lifecycle") or {}).get("preStop") or {}
    if "sleep" in hook:
        return float(hook["sleep"].get("seconds", 0))
    match = _SLEEP.search(" ".join((hook.get("exec") or {}).get("command") or ()))
    return float(match[1]) if match else 0.0


def _hosts(containers: Any) -> Iterator[str]:
    for container in containers:
        for entry in container.get("env") or ():
            value = entry.get("value") or ""
            if ".svc" in value:
                yield from _HOST.findall(value)


def _record(annotations: Raw) -> tuple[Record, bool]:
    """Our record on the template, and whether it is there but not to be understood."""
    text = annotations.get(ANNOTATION_INJECTED)
    if text is None:
        return (), False
    try:
        raw = json.loads(text)
        record = tuple(
            sorted(
                (str(c), tuple(sorted((intern(str(v)), intern(str(h))) for v, h in vs.items())))
                for c, vs in raw.items()
            )
        )
    except (ValueError, AttributeError, RecursionError):
        return (), True
    return record, False


def _co_owned(meta: Raw, record: Record) -> Iterator[tuple[str, str]]:
    """Recorded variables that somebody else applies too; they are not ours to remove."""
    if not record:
        return
    others = [
        entry.get("fieldsV1") or {}
        for entry in meta.get("managedFields") or ()
        # Only Apply is a standing claim; an Update by another manager is what `rollout undo` leaves behind.
        if entry.get("operation") == "Apply" and entry.get("manager") != FIELD_MANAGER
    ]
    applied = _last_applied(meta)
    for container, variables in record:
        for name, _ in variables:
            path = ("f:spec", "f:template", "f:spec", "f:containers", _key(container), "f:env", _key(name))
            if (container, name) in applied or any(_has(fields, path) for fields in others):
                yield container, name


def _key(name: str) -> str:
    return f'k:{{"name":{json.dumps(name)}}}'


def _has(fields: Any, path: tuple[str, ...]) -> bool:
    for step in path:
        if step not in fields:
            return False
        fields = fields[step]
    return True


def _last_applied(meta: Raw) -> set[tuple[str, str]]:
    """(container, variable) pairs of the manifest that client-side `kubectl apply` keeps on the object."""
    text = (meta.get("annotations") or {}).get("kubectl.kubernetes.io/last-applied-configuration")
    try:
        containers = (
            json.loads(text or "{}").get("spec", {}).get("template", {}).get("spec", {}).get("containers") or ()
        )
        return {(c["name"], e["name"]) for c in containers for e in c.get("env") or ()}
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
        return set()


def deployment_rollout(raw: Raw) -> Rollout:
    """Where a Deployment's rollout stands, as `kubectl rollout status` judges it."""
    status = raw.get("status") or {}
    wanted, updated = _replicas(raw["spec"]), status.get("updatedReplicas", 0)
    if status.get("observedGeneration", 0) < raw["metadata"].get("generation", 0):
        return Rollout.PROGRESSING
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


def _takes_all(spec: Raw) -> bool:
    """Whether a rolling update may take every old pod at once: maxUnavailable, resolved as the API defines it."""
    replicas = _replicas(spec)
    rolling = (spec.get("strategy") or {}).get("rollingUpdate") or {}
    surge = _share(rolling.get("maxSurge", "25%"), replicas, up=True)
    unavailable = _share(rolling.get("maxUnavailable", "25%"), replicas, up=False)
    return (unavailable or (0 if surge else 1)) >= replicas > 0


def _share(value: int | str, of: int, *, up: bool) -> int:
    """A number, or a percentage of `of`, rounded up or down."""
    if isinstance(value, int):
        return value
    percent = int(value.removesuffix("%"))
    return -(-percent * of // 100) if up else percent * of // 100


def with_settled(workload: Workload, settled: Record | None) -> Workload:
    """The workload, with the record of its last finished rollout carried over from what was known before."""
    return dataclasses.replace(workload, settled=settled)
