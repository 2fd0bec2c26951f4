"""A strategic merge of what we send to a Deployment: small, and faithful to the API server where it matters.

New entries of a list come first, `$patch: delete` takes every entry of its key, `$setElementOrder` puts the entries that
it lists into its order, null removes a field, and metadata.resourceVersion is a precondition (the fake API's business).
Measured on Kubernetes 1.37.
"""

from __future__ import annotations

import copy
from typing import Any

Raw = dict[str, Any]

# Lists that are merged by a key; every other list is replaced.
_MERGE_KEYS = {"containers": "name", "env": "name", "volumes": "name", "volumeMounts": "mountPath"}
_ORDER = "$setElementOrder/"


def merge(live: Raw, patch: Raw) -> Raw:
    """`live` with `patch` merged in; neither is changed."""
    result = copy.deepcopy(live)
    for key, value in patch.items():
        if key.startswith(_ORDER):
            continue
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            below = result.get(key)
            result[key] = merge(below if isinstance(below, dict) else {}, value)
        elif key in _MERGE_KEYS:
            wanted = [item[_MERGE_KEYS[key]] for item in patch.get(_ORDER + key, [])]
            written = [item[_MERGE_KEYS[key]] for item in value if "$patch" not in item]
            if wanted and written != [name for name in wanted if name in written]:
                raise ValueError(f"The order in patch list: {written} doesn't match {_ORDER}{key} list: {wanted}")
            merged = _merge_list(result.get(key) or [], value, _MERGE_KEYS[key])
            result[key] = _ordered(merged, patch.get(_ORDER + key, []), _MERGE_KEYS[key])
        else:
            result[key] = copy.deepcopy(value)
    return result


def _merge_list(live: list[Raw], patch: list[Raw], key: str) -> list[Raw]:
    result, new = copy.deepcopy(live), []
    for item in patch:
        if item.get("$patch") == "delete":
            result = [entry for entry in result if entry[key] != item[key]]
            continue
        at = next((i for i, entry in enumerate(result) if entry[key] == item[key]), None)
        if at is None:
            new.append(copy.deepcopy(item))
        else:
            result[at] = merge(result[at], item)
    return new + result


def _ordered(entries: list[Raw], order: list[Raw], key: str) -> list[Raw]:
    """Entries that `order` names stand in its order, in the places that they have among the others."""
    names = [item[key] for item in order]
    places = [at for at, entry in enumerate(entries) if entry[key] in names]
    sorted_ = sorted((entries[at] for at in places), key=lambda entry: names.index(entry[key]))
    result = list(entries)
    for at, entry in zip(places, sorted_, strict=True):
        result[at] = entry
    return result


def tidy(raw: Any) -> Any:
    """The same without empty maps and lists: the API server treats them as absent."""
    if isinstance(raw, dict):
        cleaned = {key: tidy(value) for key, value in raw.items()}
        return {key: value for key, value in cleaned.items() if value not in ({}, [], None)}
    return [tidy(item) for item in raw] if isinstance(raw, list) else raw
