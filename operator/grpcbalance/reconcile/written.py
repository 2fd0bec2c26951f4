"""What people are told of a patch of variables: which were added, changed or removed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from grpcbalance.api import Reason
from grpcbalance.events import Note
from grpcbalance.inject import env_from_note, removes_all
from grpcbalance.kinds import BY_KIND
from grpcbalance.listed import listed
from grpcbalance.model import Container, Workload
from grpcbalance.values import PROOF

# Names of each sort that are told; an Event is one line.
_NAMES: Final = 4
_SORTS: Final = ("added", "changed", "removed")


def written(workload: Workload, patch: Mapping[str, Any], version: str) -> Note:
    """Of a patch of `inject.changes` that was done. `version` is what it made of the workload: each write is news."""
    message = _outline(workload, patch)
    if removes_all(workload, patch):
        return Note(Reason.REMOVED, message, warning=False, occasion=version)
    shadowed = env_from_note(workload)
    if shadowed:
        return Note(Reason.ENV_FROM, f"{message}; {shadowed}", warning=True, occasion=version)
    return Note(Reason.INJECTED, message, warning=False, occasion=version)


def _outline(workload: Workload, patch: Mapping[str, Any]) -> str:
    """Names only: values stand in the template, and may be long."""
    names: dict[str, dict[str, None]] = {sort: {} for sort in _SORTS}
    for change in BY_KIND[workload.ref.kind].pod_template(patch)["spec"]["containers"]:
        for name, sort in _changes(workload.container(change["name"]), change):
            names[sort][name] = None
    told = "; ".join(f"{listed(list(found), _NAMES)} {sort}" for sort, found in names.items() if found)
    # Of a container that is no more nothing is left but the record.
    told = told or "the record of injected variables changed"
    return f"{told}, which rolls the pods" if workload.rolls else f"{told}; no pod is replaced for it"


def _changes(container: Container | None, change: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Names in one container's part of a patch, and what becomes of each."""
    there = {variable.name for variable in container.env} if container else set()
    for entry in (*change.get("env", ()), *change.get("volumeMounts", ())):
        name = PROOF if "mountPath" in entry else entry["name"]
        yield name, "removed" if "$patch" in entry else "changed" if name in there else "added"
