"""What happened in the cluster, object by object, in the order in which the API server did it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

Object = dict[str, Any]

GBS: Final = "grpcbalancedservices"
SERVICES: Final = "services"
SLICES: Final = "endpointslices"
REPLICASETS: Final = "replicasets"
# Kinds that carry a pod template, by where it is.
TEMPLATES: Final = {
    "deployments": ("spec", "template"),
    "statefulsets": ("spec", "template"),
    "daemonsets": ("spec", "template"),
    "cronjobs": ("spec", "jobTemplate", "spec", "template"),
}


@dataclass(frozen=True, slots=True)
class Seen:
    """One state of one object. `version`: its resourceVersion; `time`: when it was seen, in seconds since the epoch.

    `object` is the last state when it was deleted.
    """

    version: int
    time: float
    plural: str
    namespace: str
    name: str
    deleted: bool
    object: Object

    @property
    def key(self) -> tuple[str, str]:
        """Plural and name, unique in a namespace."""
        return self.plural, self.name

    @property
    def uid(self) -> str:
        """Which object of that name it was."""
        return str(self.object["metadata"]["uid"])


State = dict[tuple[str, str], Object]


class History:
    """All that was seen of some namespaces.

    The order is that of resource versions: one etcd counts them over all kinds, so that a cause stands before what
    it caused, whichever watch was quicker.
    """

    def __init__(self, seen: Iterable[Seen]) -> None:
        unique = {(s.plural, s.namespace, s.name, s.version, s.deleted): s for s in seen}
        self.seen = sorted(unique.values(), key=lambda s: (s.version, s.deleted))

    def of(self, namespace: str) -> History:
        """The part of one namespace."""
        return History(s for s in self.seen if s.namespace == namespace)

    def steps(self) -> Iterator[tuple[Seen, State]]:
        """Each change with the state after it. The state is one dict that changes: copy what is to be kept."""
        state: State = {}
        for seen in self.seen:
            if seen.deleted:
                state.pop(seen.key, None)
            else:
                state[seen.key] = seen.object
            yield seen, state

    def end(self) -> State:
        """The last state."""
        last: State = {}
        for _, state in self.steps():
            last = state
        return dict(last)


def template(plural: str, item: Object) -> Object:
    """Pod template of a workload."""
    found: Any = item
    for part in TEMPLATES[plural]:
        found = found[part]
    return dict(found)


def annotations_of(item: Object) -> dict[str, str]:
    """Annotations of an object or a template."""
    return dict(item.get("metadata", {}).get("annotations") or {})
