"""Env injection as a pure function: a workload and the values it should carry give a patch, or conflicts.

The rules (docs/reference/injection.md): the user's own env always wins; a variable is ours only while the
record on the pod template lists it and its value still has the recorded hash; one PATCH carries both.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from .api import Reason
from .kinds import BY_KIND
from .model import Container, Record, Role, Workload
from .names import ANNOTATION_CONTAINERS, ANNOTATION_INJECTED, BOOTSTRAP, POD_NAME, SIDECARS, ZONE, value_hash
from .optin import Problem
from .patch import merge_patch
from .values import Value, digest

# container name -> variable -> value
Wanted = Mapping[str, Mapping[str, Value]]


class Entry(Enum):
    """What stands under a variable's name in a container."""

    ABSENT = auto()
    CURRENT = auto()
    STALE = auto()
    EQUAL = auto()
    FOREIGN = auto()
    DUPLICATE = auto()


@dataclass(frozen=True, slots=True)
class Changes:
    """A patch body (None when nothing differs), whether it takes any variable away, and the user's own that win."""

    patch: dict[str, Any] | None
    removes: bool
    conflicts: tuple[tuple[str, str], ...]


def choose_containers(
    workload: Workload, annotated: tuple[str, ...], role: Role, port: int
) -> tuple[str, ...] | Problem:
    """The containers that the variables of one role go to. Never "the first": a Problem names the candidates.

    The annotation wins; else, for a server, the containers that declare the port; else the only container
    left after known sidecars.
    """
    names = [container.name for container in workload.containers]
    if annotated:
        missing = [name for name in annotated if name not in names]
        if missing:
            return Problem(
                Reason.CONTAINER_NOT_FOUND,
                f"{ANNOTATION_CONTAINERS} names {missing[0]!r}; the containers are {', '.join(names)}",
            )
        return annotated
    candidates = [container for container in workload.containers if container.name not in SIDECARS]
    if role is Role.SERVER:
        declaring = tuple(c.name for c in candidates if any(p.number == port for p in c.ports))
        if declaring:
            return declaring
    if len(candidates) == 1:
        return (candidates[0].name,)
    if not candidates:
        return Problem(
            Reason.CONTAINER_NOT_FOUND,
            f"all containers are known sidecars ({', '.join(names)}); set {ANNOTATION_CONTAINERS}",
        )
    listed = ", ".join(container.name for container in candidates)
    return Problem(
        Reason.AMBIGUOUS_CONTAINER,
        f"could be any of {listed}; set {ANNOTATION_CONTAINERS} to one or more of them",
    )


def recorded(record: Record, container: str) -> dict[str, str]:
    """Variable -> hash that we wrote into a container."""
    return dict(dict(record).get(container, ()))


def entry(container: Container, recorded_hash: str | None, name: str, wanted: str) -> Entry:
    """What stands under `name`; `wanted` is the hash of the wanted value."""
    found = [variable for variable in container.env if variable.name == name]
    if not found:
        return Entry.ABSENT
    if len(found) > 1:
        return Entry.DUPLICATE
    if found[0].digest is not None and found[0].digest == recorded_hash:
        return Entry.CURRENT if found[0].digest == wanted else Entry.STALE
    return Entry.EQUAL if found[0].digest == wanted else Entry.FOREIGN


def entries(workload: Workload, wanted: Wanted) -> dict[tuple[str, str], Entry]:
    """The state of every wanted variable, by (container, variable)."""
    states = {}
    for name, variables in wanted.items():
        container = workload.container(name)
        ours = recorded(workload.record, name)
        for variable, value in variables.items() if container else ():
            state = entry(container, ours.get(variable), variable, digest(value))  # type: ignore[arg-type]  # the loop is empty without a container
            # Somebody may apply our old value as their own by now; theirs wins, as any other would.
            claimed = (name, variable) in workload.co_owned
            if state is Entry.CURRENT and not claimed and variable == BOOTSTRAP and _too_early(container):
                state = Entry.STALE
            states[name, variable] = Entry.FOREIGN if claimed and state is Entry.STALE else state
    return states


def _too_early(container: Container | None) -> bool:
    """Whether the bootstrap stands before what it refers to: the kubelet expands `$(NAME)` of earlier entries only."""
    names = [variable.name for variable in container.env] if container else []
    return any(name in names[names.index(BOOTSTRAP) :] for name in (POD_NAME, ZONE))


def carries(workload: Workload, wanted: Wanted) -> bool:
    """Whether the template carries every wanted value, ours or the user's own equal one."""
    return all(state in (Entry.CURRENT, Entry.EQUAL) for state in entries(workload, wanted).values())


def changes(workload: Workload, wanted: Wanted, *, remove: bool, only: Collection[str] | None = None) -> Changes:
    """What to write so that the template carries `wanted`.

    With `remove`, entries that are still ours and no longer wanted go, or of them those that `only` has; otherwise they
    stay as they are.
    """
    states = entries(workload, wanted)
    upserts: dict[str, dict[str, Value]] = {}
    for (container, variable), state in states.items():
        if state in (Entry.ABSENT, Entry.STALE):
            upserts.setdefault(container, {})[variable] = wanted[container][variable]
    deletes = _removable(workload, wanted, only) if remove else {}
    conflicts = tuple(key for key, state in states.items() if state is Entry.FOREIGN)
    # A container that was renamed left its part of the record behind.
    left = remove and not states and any(workload.container(name) is None for name, _ in workload.record)
    if not upserts and not deletes and not left:
        return Changes(None, False, conflicts)
    record = _next_record(workload, states, wanted, deletes)
    return Changes(merge_patch(workload, upserts, deletes, record), bool(deletes) or left, conflicts)


def fingerprint(wanted: Wanted) -> str:
    """Short digest of values and where they belong: equal means that nothing else is wanted."""
    listed = sorted((c, sorted((n, digest(v)) for n, v in entries.items())) for c, entries in wanted.items() if entries)
    return value_hash(json.dumps(listed))


def duplicates(workload: Workload, wanted: Wanted) -> tuple[tuple[str, str], ...]:
    """(container, name) of names that stand twice where that cannot be written without harm.

    A wanted one, since a merge cannot tell the entries apart; and another one with something between its entries, since
    a merge moves them next to each other: what is between may use `$(NAME)`, and nothing could put them back.
    """
    states = entries(workload, wanted)
    written = {name for (name, _), state in states.items() if state in (Entry.ABSENT, Entry.STALE)}
    doubled = [key for key, state in states.items() if state is Entry.DUPLICATE]
    for container in workload.containers:
        names = [variable.name for variable in container.env] if container.name in written else []
        groups = Counter(name for name, _ in itertools.groupby(names))
        doubled += [(container.name, name) for name, count in groups.items() if count > 1]
    return tuple(dict.fromkeys(doubled))


def removes_all(workload: Workload, patch: Mapping[str, Any]) -> bool:
    """Whether nothing of ours is left after a patch of `changes`."""
    template = BY_KIND[workload.ref.kind].pod_template(patch)
    return template["metadata"]["annotations"][ANNOTATION_INJECTED] is None


def env_from_note(workload: Workload, containers: Iterable[str] = ()) -> str:
    """What people should know whose containers (all, if none are named) have variables that cannot be seen here."""
    named = tuple(containers) or [container.name for container in workload.containers]
    hidden = [c.name for c in workload.containers if c.env_from and c.name in named]
    if not hidden:
        return ""
    return (
        f"container {', '.join(hidden)} has envFrom: where it sets a variable of the same name, the injected one wins"
    )


def still_ours(workload: Workload, container: Container) -> dict[str, str]:
    """Variable -> hash of what we wrote into a container and nobody changed, doubled or claimed since."""
    ours = recorded(workload.record, container.name)
    names = Counter(variable.name for variable in container.env)
    return {
        variable.name: variable.digest
        for variable in container.env
        if variable.digest is not None
        and ours.get(variable.name) == variable.digest
        # `$patch: delete` takes every entry of the name, the user's too.
        and names[variable.name] == 1
    }


def _removable(workload: Workload, wanted: Wanted, only: Collection[str] | None) -> dict[str, list[str]]:
    deletes: dict[str, list[str]] = {}
    for container in workload.containers:
        for variable in still_ours(workload, container):
            claimed = (container.name, variable) in workload.co_owned
            going = only is None or variable in only
            if going and variable not in wanted.get(container.name, {}) and not claimed:
                deletes.setdefault(container.name, []).append(variable)
    return deletes


def _next_record(
    workload: Workload,
    states: Mapping[tuple[str, str], Entry],
    wanted: Wanted,
    deletes: Mapping[str, list[str]],
) -> dict[str, dict[str, str]]:
    record: dict[str, dict[str, str]] = {}
    for container in workload.containers:
        gone = deletes.get(container.name, ())
        kept = {name: digest for name, digest in still_ours(workload, container).items() if name not in gone}
        for variable, value in wanted.get(container.name, {}).items():
            if states[container.name, variable] in (Entry.ABSENT, Entry.STALE, Entry.CURRENT):
                kept[variable] = digest(value)
        if kept:
            record[container.name] = dict(sorted(kept.items()))
    return record
