"""The oracles: what must hold after every fault, judged from objects, history, audit log and the operator's log. Pure.

Each answers with its complaints, one a line; none is well. O4, honest status, is in `honesty`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lab.audit import WRITING_VERBS, AuditRecord
from tests.faults.history import (
    GBS,
    SERVICES,
    SLICES,
    TEMPLATES,
    History,
    Object,
    Seen,
    State,
    annotations_of,
    template,
)

PREFIX: Final = "grpcbalance.dev/"
RECORD: Final = f"{PREFIX}injected"
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_LEVELS: Final = frozenset({"error", "critical"})


# -- O1: convergence -----------------------------------------------------------------------------------------


def canonical(state: State, namespace: str) -> dict[str, Any]:
    """What must be the same however it came about: statuses, Services, slices, env and record of each workload."""
    found = {f"{plural}/{name}": _essence(plural, item) for (plural, name), item in state.items()}
    return {key: value for key, value in sorted(_neutral(found, namespace).items()) if value is not None}


def _essence(plural: str, item: Object) -> Any:
    if plural == GBS:
        status = {key: value for key, value in item.get("status", {}).items() if key != "conditions"}
        conditions = {
            c["type"]: {key: value for key, value in c.items() if key not in ("type", "lastTransitionTime")}
            for c in item.get("status", {}).get("conditions", [])
        }
        return {"spec": item["spec"], "status": status, "conditions": conditions}
    if plural == SERVICES:
        metadata = item["metadata"]
        known = {key: value for key, value in annotations_of(item).items() if key != f"{PREFIX}owner-uid"}
        spec = {key: item["spec"].get(key) for key in ("clusterIP", "selector", "ports", "publishNotReadyAddresses")}
        return {"labels": metadata.get("labels"), "annotations": known, "spec": spec}
    if plural == SLICES:
        # Names of those that a controller made are random; hand-made ones are all that matter here.
        return item.get("endpoints") if "generateName" not in item["metadata"] else None
    if plural in TEMPLATES:
        made = template(plural, item)
        containers = {c["name"]: c.get("env", []) for c in made["spec"]["containers"]}
        known = annotations_of(made)
        # Its hashes are those of values that name the namespace.
        record = {name: sorted(hashes) for name, hashes in json.loads(known.pop(RECORD, "{}")).items()}
        return {"env": containers, "annotations": known, "record": record}
    return None


def _neutral(found: dict[str, Any], namespace: str) -> dict[str, Any]:
    text = _MOMENT.sub("TIME", json.dumps(found)).replace(namespace, "NAMESPACE")
    # Cluster IPs of ordinary Services are drawn by lot.
    neutral: dict[str, Any] = json.loads(re.sub(r'"clusterIP": "[0-9.]+"', '"clusterIP": "IP"', text))
    return neutral


def difference(wanted: Any, found: Any, where: str = "") -> list[str]:
    """Where two canonical states differ, by path."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        lines = []
        for key in sorted({*wanted, *found}):
            lines += difference(wanted.get(key), found.get(key), f"{where}.{key}" if where else str(key))
        return lines
    return [] if wanted == found else [f"{where}: {found!r} instead of {wanted!r}"]


def without(state: Any, masked: Iterable[str]) -> Any:
    """A canonical state without the paths that differ between two runs without a fault."""
    paths = set(masked)

    def cut(value: Any, where: str) -> Any:
        if not isinstance(value, dict):
            return value
        inner = ((key, f"{where}.{key}" if where else key, child) for key, child in value.items())
        return {key: cut(child, path) for key, path, child in inner if path not in paths}

    return cut(state, "")


# -- O2: no collateral ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Deeds:
    """What became of objects: how often each was created, deleted, and, of a workload, its template changed."""

    created: Mapping[str, int]
    deleted: Mapping[str, int]
    rolled: Mapping[str, int]


def deeds(history: History) -> Deeds:
    """Count what happened in a namespace to what the operator writes."""
    created: dict[str, set[str]] = {}
    deleted: dict[str, set[str]] = {}
    rolled: Counter[str] = Counter()
    last: dict[str, str] = {}
    for seen in history.seen:
        if seen.plural != SERVICES and seen.plural not in TEMPLATES:
            continue
        name = f"{seen.plural}/{seen.name}"
        created.setdefault(name, set()).add(seen.uid)
        if seen.deleted:
            deleted.setdefault(name, set()).add(seen.uid)
        elif seen.plural in TEMPLATES:
            now = json.dumps(template(seen.plural, seen.object), sort_keys=True)
            rolled[name] += name in last and last[name] != now
            last[name] = now
    counted = [{key: len(uids) for key, uids in found.items()} for found in (created, deleted)]
    return Deeds(counted[0], counted[1], dict(rolled))


def collateral(reference: Deeds, found: Deeds, extra_rollouts: int = 0) -> list[str]:
    """More creations, deletions or rollouts of an object than without the fault."""
    lines = []
    for what, allowed in (("created", 0), ("deleted", 0), ("rolled", extra_rollouts)):
        wanted, counted = getattr(reference, what), getattr(found, what)
        for name, number in sorted(counted.items()):
            if number > wanted.get(name, 0) + allowed:
                lines.append(f"{name} was {what} {number} times instead of {wanted.get(name, 0)}")
    return lines


def strangers(records: Iterable[AuditRecord], history: History) -> list[str]:
    """Writes of the operator to objects that never had anything to do with it."""
    ours = {("services", s.name) for s in history.seen if s.plural == SERVICES and _managed(s.object)}
    ours |= {(s.plural, s.name) for s in history.seen if s.plural in TEMPLATES and _opted_in(s)}
    ours |= {(GBS, s.name) for s in history.seen if s.plural == GBS}
    return [
        f"wrote to {record.full_resource} {record.name}, which is not its own"
        for record in records
        if record.wrote
        and record.resource not in ("events", "leases")
        and (record.resource, record.name) not in ours
        # A creation names no object in the audit log; what it made carries our label, or is missed by O1.
        and not (record.verb == "create" and record.resource == "services")
    ]


def _managed(service: Object) -> bool:
    return (service["metadata"].get("labels") or {}).get("app.kubernetes.io/managed-by") == "grpcbalance"


def _opted_in(seen: Seen) -> bool:
    both = annotations_of(seen.object) | annotations_of(template(seen.plural, seen.object))
    return any(key.startswith(PREFIX) for key in both)


# -- O3: quiet, O6: least privilege --------------------------------------------------------------------------


def noise(records: Iterable[AuditRecord]) -> list[str]:
    """Attempts to write, refused ones too, in a time in which nothing was to be done."""
    counted = Counter(
        f"{r.verb} {r.full_resource} {r.namespace}/{r.name}: {r.code}" for r in records if r.verb in WRITING_VERBS
    )
    return [f"{number} x {what}" for what, number in sorted(counted.items()) if "leases" not in what]


def forbidden(records: Iterable[AuditRecord]) -> list[str]:
    """What the operator asked for and may not have."""
    counted = Counter(f"{r.verb} {r.full_resource} {r.namespace}".strip() for r in records if r.code == 403)
    return [f"{number} x {what} was forbidden" for what, number in sorted(counted.items())]


# -- O5: no crash --------------------------------------------------------------------------------------------


def crashes(log: str, allowed: str = "", others: Iterable[str] = ()) -> list[str]:
    """Errors and tracebacks in the operator's log, but for those that match `allowed` or tell of `others`."""
    lines = []
    for line in log.splitlines():
        if any(other in line for other in others) or (allowed and re.search(allowed, line)):
            continue
        if "Traceback (most recent call last)" in line or _level(line) in _LEVELS:
            lines.append(line[:600])
    return lines


def _level(line: str) -> str:
    try:
        return str(json.loads(line).get("level", ""))
    except (ValueError, AttributeError):
        return ""
