"""What a workload's annotations ask for. Pure: text in, opt-in or findings out."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from .api import Reason
from .model import Ref, Role, Workload
from .names import (
    ANNOTATION_CLIENT,
    ANNOTATION_CONTAINERS,
    ANNOTATION_INJECTED,
    ANNOTATION_ON_REMOVE,
    ANNOTATION_PAUSED,
    ANNOTATION_SERVER,
    ANNOTATION_XDS,
    OPT_IN_ANNOTATIONS,
)

_REF = re.compile(r"(?:([a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)/)?([a-z](?:[-a-z0-9]{0,52}[a-z0-9])?)")
_CONTAINER = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
# Longer values are not read at all: they are hostile or an accident.
_LONGEST = 4096


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something cannot be done: a reason for machines, a message that names the fix for people."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class OptIn:
    """A workload's wishes. With any `problems` nothing of it is acted on, and nothing is taken away.

    `xds`: its programs speak xDS, and connect as the installer says ("ready") or in plain text ("plaintext"); None:
    nothing is known of them.
    """

    server: Ref | None
    clients: tuple[Ref, ...]
    containers: tuple[str, ...]
    paused: bool
    keep: bool
    xds: str | None
    problems: tuple[Problem, ...]

    @property
    def refs(self) -> tuple[Ref, ...]:
        """Every GrpcBalancedService named, once each."""
        return tuple(dict.fromkeys([*([self.server] if self.server else []), *self.clients]))


def read_opt_in(workload: Workload) -> OptIn:
    """The opt-in of a workload, from its annotations (the template's already merged in by `observe`)."""
    known = (*OPT_IN_ANNOTATIONS, ANNOTATION_INJECTED)
    # One is told of at a time, and likening is slow.
    unknown = next((key for key, _ in workload.annotations if key not in known), None)
    problems = [] if unknown is None else [_unknown(unknown)]
    if workload.record_malformed:
        problems.append(
            Problem(
                Reason.INVALID_ANNOTATION,
                f"{ANNOTATION_INJECTED} on the pod template cannot be read; the operator owns it; remove it",
            )
        )
    return OptIn(
        server=_server(workload, problems),
        clients=_refs(workload, ANNOTATION_CLIENT, problems),
        containers=_containers(workload, problems),
        paused=_choice(workload, ANNOTATION_PAUSED, ("true", "false"), problems) == "true",
        keep=_choice(workload, ANNOTATION_ON_REMOVE, ("Keep", "Remove"), problems) == "Keep",
        xds=_choice(workload, ANNOTATION_XDS, ("ready", "plaintext"), problems),
        problems=tuple(problems),
    )


def named_roles(workload: Workload | None) -> dict[Role, set[Ref]]:
    """Services that a workload names, by role; whether those of other namespaces let it in is not asked."""
    if workload is None:
        return {Role.SERVER: set(), Role.CLIENT: set()}
    opt_in = read_opt_in(workload)
    return {Role.SERVER: {opt_in.server} if opt_in.server else set(), Role.CLIENT: set(opt_in.clients)}


def _unknown(key: str) -> Problem:
    near = difflib.get_close_matches(key[:120], OPT_IN_ANNOTATIONS, n=1, cutoff=0.0)
    return Problem(Reason.UNKNOWN_ANNOTATION, f"annotation {key[:120]} is not one of ours; did you mean {near[0]}?")


def _invalid(key: str, why: str) -> Problem:
    return Problem(Reason.INVALID_ANNOTATION, f"annotation {key} {why}")


def _items(workload: Workload, key: str, problems: list[Problem]) -> list[str]:
    value = workload.annotation(key)
    if value is None:
        return []
    if len(value) > _LONGEST:
        problems.append(_invalid(key, f"is {len(value)} characters long; {_LONGEST} are read at most"))
        return []
    items = [item.strip(" ") for item in value.split(",")]
    return [item for item in items if item] or _empty(key, problems)


def _empty(key: str, problems: list[Problem]) -> list[str]:
    problems.append(_invalid(key, "is empty; remove it or name something"))
    return []


def _refs(workload: Workload, key: str, problems: list[Problem]) -> tuple[Ref, ...]:
    refs: dict[Ref, None] = {}
    for item in _items(workload, key, problems):
        match = _REF.fullmatch(item)
        if match is None:
            problems.append(_invalid(key, f"has {item[:80]!r}, which is not the name of a GrpcBalancedService"))
            continue
        refs[Ref(match[1] or workload.ref.namespace, match[2])] = None
    return tuple(refs)


def _server(workload: Workload, problems: list[Problem]) -> Ref | None:
    servers = _refs(workload, ANNOTATION_SERVER, problems)
    if len(servers) > 1:
        problems.append(_invalid(ANNOTATION_SERVER, "names more than one GrpcBalancedService; a workload serves one"))
    abroad = [ref for ref in servers if ref.namespace != workload.ref.namespace]
    if abroad:
        problems.append(_invalid(ANNOTATION_SERVER, f"names {abroad[0]}; servers are in the namespace of their object"))
    return servers[0] if servers and not abroad else None


def _containers(workload: Workload, problems: list[Problem]) -> tuple[str, ...]:
    items = _items(workload, ANNOTATION_CONTAINERS, problems)
    bad = [item for item in items if not _CONTAINER.fullmatch(item)]
    if bad:
        problems.append(_invalid(ANNOTATION_CONTAINERS, f"has {bad[0][:80]!r}, which is not a container name"))
    return tuple(dict.fromkeys(item for item in items if item not in bad))


def _choice(workload: Workload, key: str, choices: tuple[str, str], problems: list[Problem]) -> str | None:
    value = workload.annotation(key)
    if value is not None and value not in choices:
        problems.append(_invalid(key, f'is {value[:80]!r}; write "{choices[0]}" or "{choices[1]}"'))
    return value
