"""Doing: tries whether clients of namespaces will know the look-aside balancer over TLS, by what their pods mount.

No watch tells of it: of config maps the operator may read this one, by its name. Until it is as it should be no client
is moved; and of those that were, new pods would not start, or have calls that fail.
"""

from __future__ import annotations

from typing import Final

from grpcbalance import trust
from grpcbalance.errors import KubeError
from grpcbalance.model import WorkloadKey, WorkloadRef
from grpcbalance.names import TLS_PORT
from grpcbalance.optin import Problem

from .context import Context

# Seconds between two looks at a namespace; and while something is wrong, since somebody is about to mend it.
LOOK_EVERY: Final = 60.0
LOOK_SOON: Final = 10.0


class Authorities:
    """One look serves all workloads of a namespace. Where nobody answers, what is known stands."""

    def __init__(self, context: Context) -> None:
        self._c = context
        self._host = context.settings.balancer.host
        # What was wrong, if anything, and when to look again, by namespace.
        self._wrong: dict[str, Problem | None] = {}
        self._due: dict[str, float] = {}

    def wrong(self, namespace: str) -> Problem | None:
        """Why clients of a namespace would not know the balancer, as it was seen last."""
        return self._wrong.get(namespace)

    async def demand(self, namespace: str) -> Problem | None:
        """The same as of this moment, for a client that is about to be moved."""
        try:
            await self._look(namespace)
        except OSError as error:
            return trust.unreachable(self._host, TLS_PORT, type(error).__name__)
        return self.wrong(namespace)

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
            except (KubeError, OSError):
                self._due[namespace] = now + LOOK_SOON
        return max(1.0, self._due[namespace] - now)

    async def _look(self, namespace: str) -> None:
        found = await self._judge(namespace)
        self._due[namespace] = self._c.clock.monotonic() + (LOOK_SOON if found else LOOK_EVERY)
        before, self._wrong[namespace] = self._wrong.get(namespace), found
        if found != before:
            mounting = (w.ref for w in self._c.view.workloads.values() if w.proof_mounts)
            self._c.enqueue([WorkloadKey(*ref) for ref in mounting if ref.namespace == namespace])

    async def _judge(self, namespace: str) -> Problem | None:
        authorities = await self._c.api.authority(namespace)
        if not authorities:
            return trust.no_authority(namespace) if authorities is None else trust.no_key(namespace)
        why = await self._c.refused(authorities, self._host)
        return trust.distrusted(namespace, self._host, why) if why else None
