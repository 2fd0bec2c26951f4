"""The door for workloads: a raw object of any kind in, a Workload out, cut down to what injection decides by."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Iterator
from sys import intern
from typing import Any, TypeVar

from .kinds import BY_KIND
from .model import Container, ContainerPort, EnvVar, Record, Rollout, Workload, WorkloadRef
from .names import (
    ANNOTATION_INJECTED,
    ANNOTATION_PREFIX,
    FIELD_MANAGER,
    PROOF_PATH,
    PROOF_VOLUME,
    value_hash,
    xds_host,
)
from .observe import Raw, mesh_keys, pairs, ref_of
from .observe_mesh import http_proxy, native_sidecars
from .observe_rollout import replacing
from .values import PROOF, Proof, field_digest, proof_digest

# Bounded as DNS labels are, and begun only where a label may begin: anybody's env is read, of any length, and an
# unbounded pattern would take minutes for some.
_LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"(?<![a-z0-9]){_LABEL}\.{_LABEL}\.svc(?![-a-z0-9])")
_XDS_TARGET = re.compile(rf"xds:///({_LABEL})\.({_LABEL}):")
# Ours are a few hundred characters; a longer one is somebody's idea of a joke.
_LONGEST_RECORD = 65_536
_EMPTY: frozenset[Any] = frozenset()
T = TypeVar("T")
_SLEEP = re.compile(r"(?:^|[\s/])sleep\s+([0-9]+(?:\.[0-9]+)?)\b")


def workload(kind: str, raw: Raw) -> Workload | None:
    """A workload that is annotated, injected, names some Service or is rolling out; None for any other."""
    meta, spec = raw["metadata"], raw["spec"]
    template = BY_KIND[kind].pod_template(raw)
    annotations = _our_annotations(template.get("metadata") or {}) | _our_annotations(meta)
    containers = template["spec"].get("containers") or ()
    hosts = _frozen(hosts_in(containers))
    replaced = replacing(kind, raw)
    # One whose last variable we just removed still fills a rollout slot, hence the third condition.
    if not annotations and not hosts and not replaced.rollout.unfinished:
        return None
    record, malformed = _record((template.get("metadata") or {}).get("annotations") or {})
    return Workload(
        ref=WorkloadRef(kind, *ref_of(raw)),
        uid=meta["uid"],
        resource_version=meta["resourceVersion"],
        annotations=pairs(annotations),
        labels=pairs((template.get("metadata") or {}).get("labels")),
        containers=tuple(_container(c, template["spec"], record) for c in containers),
        record=record,
        record_malformed=malformed,
        settled=record if replaced.rollout is Rollout.COMPLETE else None,
        co_owned=_frozen(_co_owned(kind, meta, record)),
        hosts=hosts,
        mesh=mesh_keys(template.get("metadata") or {}),
        native_sidecars=native_sidecars(template["spec"]),
        host_network=bool(template["spec"].get("hostNetwork")),
        controller=_controller(meta),
        writer=_writer(meta),
        paused=bool(spec.get("paused")),
        min_ready_seconds=spec.get("minReadySeconds", 0),
        proof_mounts=_frozen(_proof_mounts(template["spec"])),
        spare_proof=_spare_proof(template["spec"]),
        **replaced._asdict(),
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


def _writer(meta: Raw) -> tuple[str, str]:
    """When the spec was last given something by anyone but us (RFC 3339, whole seconds), and by which field manager."""
    others = [
        (entry.get("time") or "", entry.get("manager") or "")
        for entry in meta.get("managedFields") or ()
        if entry.get("manager") != FIELD_MANAGER
        and not entry.get("subresource")
        and "f:spec" in entry.get("fieldsV1", {})
    ]
    time, manager = max(others, default=("", ""))
    return time, intern(manager)


def _container(raw: Raw, pod: Raw, record: Record) -> Container:
    return Container(
        name=raw["name"],
        ports=tuple(ContainerPort(p.get("name", ""), p["containerPort"]) for p in raw.get("ports") or ()),
        env=(*(_env_var(entry) for entry in raw.get("env") or ()), *_proofs(raw, pod, record)),
        pre_stop_seconds=min(_pre_stop_seconds(raw), pod.get("terminationGracePeriodSeconds", 30)),
        env_from=bool(raw.get("envFrom")),
        http_proxy=http_proxy(raw),
    )


def _env_var(raw: Raw) -> EnvVar:
    # Only a fingerprint is kept: values may be long, or secret, and are only ever compared. Thousands of workloads
    # have the same few names and values, hence interned: each is in memory once.
    source = raw.get("valueFrom")
    if not source:
        return EnvVar(intern(raw["name"]), intern(value_hash(raw.get("value", ""))))
    field = source.get("fieldRef") or {}
    # v1 is what the API server fills in.
    known = "fieldPath" in field and field.get("apiVersion", "v1") == "v1"
    return EnvVar(intern(raw["name"]), intern(field_digest(field["fieldPath"])) if known else None)


def _proof_mounts(pod: Raw) -> Iterator[str]:
    for container in (*pod["containers"], *(pod.get("initContainers") or ())):
        if any(mount["name"] == PROOF_VOLUME for mount in container.get("volumeMounts") or ()):
            yield container["name"]


def _proof_volume(pod: Raw) -> Raw | None:
    return next((volume for volume in pod.get("volumes") or () if volume["name"] == PROOF_VOLUME), None)


def _spare_proof(pod: Raw) -> str | None:
    """Digest of the volume of our volume's name that no container mounts, as the record has it of one that did."""
    volume = _proof_volume(pod)
    return None if volume is None or any(_proof_mounts(pod)) else proof_digest(Proof().mount(), volume)


def _proofs(raw: Raw, pod: Raw, record: Record) -> Iterator[EnvVar]:
    """The volume of our volume's name, as one more thing that a container has under a name."""
    volume = _proof_volume(pod)
    mounts = [m for m in raw.get("volumeMounts") or () if m["name"] == PROOF_VOLUME or m["mountPath"] == PROOF_PATH]
    for mount in mounts:
        yield EnvVar(PROOF, intern(proof_digest(mount, volume or {})))
    ours = any(PROOF in dict(variables) for _, variables in record)
    if volume is not None and not mounts and not ours:
        # Somebody else's: to mount it here would mean to change it.
        yield EnvVar(PROOF, intern(proof_digest(None, volume)))


def _pre_stop_seconds(raw: Raw) -> float:
    hook = (raw.get("lifecycle") or {}).get("preStop") or {}
    if "sleep" in hook:
        return float(hook["sleep"].get("seconds", 0))
    match = _SLEEP.search(" ".join((hook.get("exec") or {}).get("command") or ()))
    return float(match[1]) if match else 0.0


def hosts_in(containers: Iterable[Raw]) -> Iterator[str]:
    """The `<service>.<namespace>.svc` names in env values of raw containers, and those of xDS targets."""
    for container in containers:
        for entry in container.get("env") or ():
            value = entry.get("value") or ""
            if ".svc" in value:
                yield from _HOST.findall(value)
            if value.startswith("xds:///") and (found := _XDS_TARGET.match(value)):
                yield xds_host(found[1], found[2])


def _record(annotations: Raw) -> tuple[Record, bool]:
    """Our record on the template, and whether it is there but not to be understood."""
    text = annotations.get(ANNOTATION_INJECTED)
    if text is None:
        return (), False
    if len(text) > _LONGEST_RECORD:
        return (), True
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


def _co_owned(kind: str, meta: Raw, record: Record) -> Iterator[tuple[str, str]]:
    """Recorded variables that somebody else applies too; they are not ours to remove."""
    if not record:
        return
    others = [
        entry.get("fieldsV1") or {}
        for entry in meta.get("managedFields") or ()
        # Only Apply is a standing claim; an Update by another manager is what `rollout undo` leaves behind.
        if entry.get("operation") == "Apply" and entry.get("manager") != FIELD_MANAGER
    ]
    applied = _last_applied(kind, meta)
    template = tuple(f"f:{step}" for step in BY_KIND[kind].template)
    for container, variables in record:
        for name, _ in variables:
            path = (*template, "f:spec", "f:containers", _key(container), *_field(name))
            if (container, name) in applied or any(_has(fields, path) for fields in others):
                yield container, name


def _field(name: str) -> tuple[str, str]:
    """Where managedFields tell of what a record lists."""
    return ("f:volumeMounts", _key(PROOF_PATH, "mountPath")) if name == PROOF else ("f:env", _key(name))


def _key(name: str, key: str = "name") -> str:
    return f'k:{{"{key}":{json.dumps(name)}}}'


def _has(fields: Any, path: tuple[str, ...]) -> bool:
    for step in path:
        if step not in fields:
            return False
        fields = fields[step]
    return True


def _last_applied(kind: str, meta: Raw) -> set[tuple[str, str]]:
    """(container, variable) pairs of the manifest that client-side `kubectl apply` keeps on the object."""
    text = (meta.get("annotations") or {}).get("kubectl.kubernetes.io/last-applied-configuration")
    try:
        containers = BY_KIND[kind].pod_template(json.loads(text))["spec"].get("containers") if text else None
        return {(c["name"], name) for c in containers or () for name in _applied_names(c)}
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
        return set()


def _applied_names(container: Raw) -> Iterator[str]:
    yield from (entry["name"] for entry in container.get("env") or ())
    yield from (PROOF for mount in container.get("volumeMounts") or () if mount["mountPath"] == PROOF_PATH)


def failed(workload: Workload) -> Workload:
    """The workload with its rollout taken for failed."""
    return dataclasses.replace(workload, rollout=Rollout.FAILED)


def _common(one: Record, other: Record) -> Record:
    there = {name: set(entries) for name, entries in other}
    kept = ((name, tuple(entry for entry in entries if entry in there.get(name, ()))) for name, entries in one)
    return tuple((name, entries) for name, entries in kept if entries)


def carried_over(old: Workload, new: Workload) -> Workload:
    """The new state of a workload, with what only the old one can tell.

    That is the record of its last finished rollout, and that a rollout has been stuck since.
    """
    if new.settled is None and old.settled is not None:
        # A template that lacks a value makes pods without it, even if the value is back before they all are made.
        new = dataclasses.replace(new, settled=_common(old.settled, new.record))
    unmoved = new.progress is not None and new.progress == old.progress
    if unmoved and old.rollout is Rollout.FAILED and new.rollout.unfinished:
        return failed(new)
    return new
