"""A manifest laid over the live object of its name, as `kubectl apply` would merge them. Pure.

What the applier wrote earlier and the manifest no longer has goes; what others wrote stays, our variables among it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from grpcbalance.names import FIELD_MANAGER

_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
# Lists that merge by a key of their items; every other list is replaced.
_KEYS: Final[Mapping[str, str]] = {"containers": "name", "initContainers": "name", "env": "name", "volumes": "name"}
_OURS_ALONE: Final = ("uid", "resourceVersion", "generation", "managedFields", "creationTimestamp")


def lay_over(live: Mapping[str, Any], manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The object as it would be stored after the manifest was applied. Status and identity stay the live ones."""
    # kubectl itself adds an annotation, so there always are some.
    named = {**manifest, "metadata": {"annotations": {}, **manifest["metadata"]}}
    before, by_field = _applied_before(live)
    merged = _Apply(by_field).merge(live, named, before)
    merged["metadata"] |= {key: live["metadata"][key] for key in _OURS_ALONE if key in live["metadata"]}
    if "status" in live:
        merged["status"] = live["status"]
    return merged


class _Apply(NamedTuple):
    """One way of applying. `by_field`: of a field that is left out goes what the applier owned, else all of it."""

    by_field: bool

    def merge(self, live: Mapping[str, Any], new: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
        merged = dict(live)
        for key in before.keys() - new.keys():
            gone = merged.pop(key, None)
            left = _without(gone, before[key]) if self.by_field else None
            merged |= {} if left is None else {key: left}
        for key, value in new.items():
            # An explicit null is how a manifest asks for the default.
            merged.pop(key, None)
            merged |= {} if value is None else {key: self._value(key, live.get(key), value, before.get(key))}
        return merged

    def _value(self, key: str, live: Any, new: Any, before: Any) -> Any:
        if isinstance(new, dict) and isinstance(live, dict):
            return self.merge(live, new, before if isinstance(before, dict) else {})
        if key in _KEYS and isinstance(new, list) and isinstance(live, list):
            return self._list(_KEYS[key], live, new, before if isinstance(before, list) else [])
        return new

    def _list(self, key: str, live: list[Any], new: list[Any], before: list[Any]) -> list[Any]:
        old, earlier = {item[key]: item for item in live}, {item[key]: item for item in before}
        named = {item[key] for item in new}
        merged = [self._entry(old.get(item[key]), item, earlier.get(item[key])) for item in new]
        return merged + [item for item in live if item[key] not in named and item[key] not in earlier]

    def _entry(self, live: dict[str, Any] | None, new: dict[str, Any], before: dict[str, Any] | None) -> dict[str, Any]:
        if live is None:
            return new
        merged = self.merge(live, new, before or {})
        # A union in everything but name: who sets one of them means that one.
        if "valueFrom" in new and "value" not in new:
            merged.pop("value", None)
        if "value" in new and "valueFrom" not in new:
            merged.pop("valueFrom", None)
        return merged


def _without(live: Any, owned: Any) -> Any:
    """What is left of a value when all that was owned of it goes; None when nothing is."""
    if isinstance(live, dict) and isinstance(owned, dict):
        left = {key: _without(value, owned[key]) if key in owned else value for key, value in live.items()}
        return {key: value for key, value in left.items() if value is not None} or None
    if isinstance(live, list) and isinstance(owned, list):
        # By the keys that the items are told apart by, and that both have.
        return [item for item in live if not any(_is_same(item, entry) for entry in owned)] or None
    return None


def _is_same(item: Any, owned: Mapping[str, Any]) -> bool:
    keys = {key: value for key, value in owned.items() if not isinstance(value, (dict, list)) and value is not None}
    return isinstance(item, dict) and keys.items() <= item.items()


def _applied_before(live: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """What the same applier wrote before: kubectl's own copy, or (True) the fields that the only other applier owns."""
    meta = live["metadata"]
    text = (meta.get("annotations") or {}).get(_LAST_APPLIED)
    if text is not None:
        try:
            found = json.loads(text)
        except ValueError:
            return {}, False
        return (found if isinstance(found, dict) else {}), False
    appliers = [
        entry
        for entry in meta.get("managedFields") or ()
        if entry.get("operation") == "Apply" and not entry.get("subresource") and entry.get("manager") != FIELD_MANAGER
    ]
    return dict(_skeleton(appliers[0].get("fieldsV1") or {}) or {}) if len(appliers) == 1 else {}, True


def _skeleton(fields: Mapping[str, Any]) -> Any:
    """Owned fields as an object whose values do not matter: a mapping, a list of keyed items, or None for a leaf."""
    items = [{**json.loads(key[2:]), **(_skeleton(value) or {})} for key, value in fields.items() if key[:2] == "k:"]
    if items:
        return items
    return {key[2:]: _skeleton(value) for key, value in fields.items() if key[:2] == "f:"} or None
