"""From patches and plans to differences: old and new values of what is ours. Pure.

Only what a patch of ours names is ever looked up: the values of other variables are nobody's business.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from grpcbalance.kinds import BY_KIND
from grpcbalance.names import ANNOTATION_OWNER_UID, ANNOTATION_PREFIX

from .report import ContainerChange, FieldChange, VariableChange


def container_changes(kind: str, raw: Mapping[str, Any], patch: Mapping[str, Any]) -> tuple[ContainerChange, ...]:
    """What a patch of `inject.changes` does to the containers of a workload."""
    template = BY_KIND[kind].pod_template
    live = {container["name"]: container for container in template(raw)["spec"]["containers"]}
    return tuple(
        ContainerChange(name=c["name"], variables=tuple(_variables(live[c["name"]], c)))
        for c in template(patch)["spec"]["containers"]
    )


def _variables(container: Mapping[str, Any], patch: Mapping[str, Any]) -> Iterator[VariableChange]:
    # An upsert is of what is absent or ours, a deletion of what is ours: the old value is one that we wrote.
    for key, list_, text in (("name", "env", _text), ("mountPath", "volumeMounts", _mounted)):
        for entry in patch.get(list_, ()):
            old = next((text(found) for found in container.get(list_) or () if found[key] == entry[key]), None)
            removed = "$patch" in entry
            change: Literal["Add", "Change", "Remove"]
            change = "Remove" if removed else "Add" if old is None else "Change"
            yield VariableChange(name=entry[key], change=change, old=old, new=None if removed else text(entry))


def _text(entry: Mapping[str, Any]) -> str:
    field = (entry.get("valueFrom") or {}).get("fieldRef")
    return f"<{field['fieldPath']}>" if field else str(entry.get("value", ""))


def _mounted(entry: Mapping[str, Any]) -> str:
    return f"<volume {entry.get('name')}>"


def patched(kind: str, raw: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """The workload after a patch of `inject.changes`: entries of its lists by name, its annotations by key."""
    made = copy.deepcopy(dict(raw))
    template, change = BY_KIND[kind].pod_template(made), BY_KIND[kind].pod_template(patch)
    meta = template.get("metadata") or {}
    annotations = (meta.get("annotations") or {}) | change["metadata"]["annotations"]
    template["metadata"] = {**meta, "annotations": {key: v for key, v in annotations.items() if v is not None}}
    changes = {container["name"]: container for container in change["spec"]["containers"]}
    for container in template["spec"]["containers"]:
        for key, list_ in (("name", "env"), ("mountPath", "volumeMounts")):
            _merge(container, changes.get(container["name"], {}), list_, key)
    _merge(template["spec"], change["spec"], "volumes", "name")
    return made


def _merge(there: dict[str, Any], patch: Mapping[str, Any], list_: str, key: str) -> None:
    """Entries of a list by their key, new ones first."""
    named = {entry[key]: entry for entry in patch.get(list_, ())}
    kept = [entry for entry in there.get(list_) or () if entry[key] not in named]
    if named:
        there[list_] = [*(entry for entry in named.values() if "$patch" not in entry), *kept]


def service_changes(live: Mapping[str, Any] | None, manifest: Mapping[str, Any]) -> tuple[FieldChange, ...]:
    """Fields of a Service that a manifest of ours changes, or, of a new one, what its spec will be."""
    if live is None:
        return tuple(FieldChange(path=f"spec.{key}", old=None, new=value) for key, value in manifest["spec"].items())
    # False and absent are the same to the API.
    return tuple(change for change in _fields(live, manifest) if (change.old or None) != (change.new or None))


def _fields(live: Mapping[str, Any], manifest: Mapping[str, Any]) -> Iterator[FieldChange]:
    for key, new in manifest["spec"].items():
        yield FieldChange(path=f"spec.{key}", old=live["spec"].get(key), new=new)
    for part in ("labels", "annotations"):
        before, after = live["metadata"].get(part) or {}, manifest["metadata"].get(part) or {}
        for key in sorted({*after, *(key for key in before if key.startswith(ANNOTATION_PREFIX))}):
            if key != ANNOTATION_OWNER_UID or before.get(key) is not None:
                yield FieldChange(path=f"metadata.{part}[{key}]", old=before.get(key), new=after.get(key))
