"""Doing: looks whether namespaces have the certificate that their clients on xDS know the look-aside balancer by.

No watch tells of it: of config maps the operator may read this one, by its name. Without it no client is moved, and
new pods of those that were do not start.
"""

from __future__ import annotations

from typing import Final

from grpcbalance.errors import KubeError, NoAuthority
from grpcbalance.migration import NO_AUTHORITY
from grpcbalance.model import WorkloadKey, WorkloadRef

from .context import Context

# Seconds between two looks at a namespace; and while it has none, since somebody is about to create it.
LOOK_EVERY: Final = 60.0
LOOK_SOON: Final = 10.0


class Authorities:
    """One look serves all workloads of a namespace. Where nobody answers, what is known stands."""

    def __init__(self, context: Context) -> None:
        self._c = context
        # Whether it is there, and when to look again, by namespace.
        self._found: dict[str, bool] = {}
        self._due: dict[str, float] = {}

    def lacks(self, namespace: str) -> bool:
        """Whether a namespace had none when it was looked at last."""
        return not self._found.get(namespace, True)

    async def demand(self, namespace: str) -> None:
        """NoAuthority, with the fix, when a namespace has none at this moment."""
        await self._look(namespace)
        if self.lacks(namespace):
            raise NoAuthority(NO_AUTHORITY)

    async def look(self, ref: WorkloadRef) -> float | None:
        """Look for what pods of a workload mount, if they do; answers in how many seconds to come again."""
        workload = self._c.view.workloads.get(ref)
        if workload is None or not workload.proof_mounts:
            return None
        now, namespace = self._c.clock.monotonic(), ref.namespace
        if now >= self._due.get(namespace, now):
            # Taken before the request: others need not ask the same.
            self._due[namespace] = now + LOOK_EVERY
            try:
                await self._look(namespace)
            except KubeError:
                self._due[namespace] = now + LOOK_SOON
        return max(1.0, self._due[namespace] - now)

    async def _look(self, namespace: str) -> None:
        found = await self._c.api.has_authority(namespace)
        self._due[namespace] = self._c.clock.monotonic() + (LOOK_EVERY if found else LOOK_SOON)
        before, self._found[namespace] = self._found.get(namespace, True), found
        if found != before:
            mounting = (w.ref for w in self._c.view.workloads.values() if w.proof_mounts)
            self._c.enqueue([WorkloadKey(*ref) for ref in mounting if ref.namespace == namespace])
