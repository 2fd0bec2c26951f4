"""What is listed and watched: one table, and what of it is left when one namespace is worked in. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

from .kinds import WORKLOADS
from .names import GROUP, LABEL_MANAGED_BY, LABEL_SERVICE, MANAGED_BY, PLURAL, VERSION


class Kind(NamedTuple):
    """A kind as it is listed and watched, in one namespace or ("") everywhere.

    `optional`: its definition may come later, or go. `namespaced`: its objects are in namespaces.
    """

    group: str
    version: str
    plural: str
    label_selector: str = ""
    optional: bool = False
    namespaced: bool = True
    namespace: str = ""

    @property
    def path(self) -> str:
        """Of the LIST."""
        prefix = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        return f"{prefix}/namespaces/{self.namespace}/{self.plural}" if self.namespace else f"{prefix}/{self.plural}"


KINDS: Final = (
    Kind(GROUP, VERSION, PLURAL, optional=True),
    Kind("", "v1", "services"),
    Kind("discovery.k8s.io", "v1", "endpointslices", label_selector=LABEL_SERVICE),
    Kind("", "v1", "namespaces", namespaced=False),
    *(Kind(workload.group, workload.version, workload.plural) for workload in WORKLOADS),
)
# What the look-aside balancer serves from: only our own Services, and no workload.
SERVED_KINDS: Final = (
    Kind(GROUP, VERSION, PLURAL, optional=True),
    Kind("", "v1", "services", label_selector=f"{LABEL_MANAGED_BY}={MANAGED_BY}"),
    Kind("discovery.k8s.io", "v1", "endpointslices", label_selector=LABEL_SERVICE),
    Kind("", "v1", "namespaces", namespaced=False),
)
# Verbs that listing and watching need, per kind; manifests/ is compared with it.
VERBS: Final = frozenset({"list", "watch"})


def kinds_in(namespace: str | None) -> tuple[Kind, ...]:
    """What is listed and watched: everywhere (None), or in one namespace, where the cluster's scope is left alone."""
    return _within(KINDS, namespace)


def served_kinds(namespace: str | None) -> tuple[Kind, ...]:
    """What the look-aside balancer lists and watches, as `kinds_in`."""
    return _within(SERVED_KINDS, namespace)


def _within(kinds: tuple[Kind, ...], namespace: str | None) -> tuple[Kind, ...]:
    if namespace is None:
        return kinds
    return tuple(kind._replace(namespace=namespace) for kind in kinds if kind.namespaced)
