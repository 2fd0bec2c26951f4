"""Doing: looks which pods on xDS are not connected to the look-aside balancer, and remembers since when.

Clients may need half a minute to come back when the balancer was away, so nobody is told of before a whole minute.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import Final

from grpcbalance.errors import KubeError
from grpcbalance.lookaside.changes import wants_xds
from grpcbalance.lookaside.pods import NOBODY, Absent, Pod, moved, unconnected
from grpcbalance.lookaside.seen import Node
from grpcbalance.model import Ref, ServiceSnapshot
from grpcbalance.moments import to_text
from grpcbalance.names import xds_host

from .context import Context

logger = logging.getLogger(__name__)

# Seconds between two looks at the pods of a namespace.
LOOK_EVERY: Final = 30.0
# Seconds that a pod is ready, and is seen not to be connected, until that is told.
PATIENCE: Final = 60.0


class Connections:
    """Lists pods only while an object has clients on xDS; one list serves all objects of a namespace's clients."""

    def __init__(self, context: Context) -> None:
        self._c = context
        # Pods by namespace, and when they were listed.
        self._pods: dict[str, tuple[Pod, ...]] = {}
        self._listed: dict[str, float] = {}
        self._listing = asyncio.Lock()
        # Since when pods are seen to be absent, by object.
        self._since: dict[Ref, dict[Node, float]] = {}

    async def look(self, ref: Ref) -> tuple[Absent, float | None]:
        """Who is absent of an object's clients, and in how many seconds to look again."""
        balanced, host = self._c.view.balanced.get(ref), xds_host(ref.name, ref.namespace)
        if balanced is None or not wants_xds(balanced):
            self.forget(ref)
            return NOBODY, None
        snapshot = self._c.view.snapshot(ref)
        clients = moved(snapshot.clients, host)
        if not clients:
            self.forget(ref)
            return NOBODY, None
        if snapshot.seen is None or snapshot.seen.problem:
            # Who cannot be seen may well be connected; and whoever comes back has to begin anew.
            self._since.pop(ref, None)
            return Absent(unsure=True), LOOK_EVERY
        pods = [pod for home in sorted({w.ref.namespace for w in clients}) for pod in await self._of(home)]
        # What is connected may have changed while they were listed.
        return self._judge(self._c.view.snapshot(ref), pods, host), LOOK_EVERY

    def forget(self, ref: Ref) -> None:
        """Nobody of an object's clients is on xDS."""
        self._since.pop(ref, None)
        if not self._since:
            self._pods.clear()
            self._listed.clear()

    def _judge(self, snapshot: ServiceSnapshot, pods: list[Pod], host: str) -> Absent:
        if snapshot.seen is None or snapshot.seen.problem:
            return Absent(unsure=True)
        now, before = self._c.clock.monotonic(), self._since.get(snapshot.ref, {})
        missed = list(unconnected(snapshot.clients, pods, host, snapshot.seen.connected))
        since = self._since[snapshot.ref] = {pod.node: before.get(pod.node, now) for pod in missed}
        # RFC 3339 in UTC and whole seconds compares as text.
        young = to_text(self._c.clock.now() - timedelta(seconds=PATIENCE))
        sure = sorted(p.node for p in missed if now - since[p.node] >= PATIENCE and p.ready_since <= young)
        return Absent(tuple(sure), unsure=len(sure) < len(missed))

    async def _of(self, namespace: str) -> tuple[Pod, ...]:
        """Pods of a namespace as they were listed last, half a minute ago at most; earlier, if that fails."""
        async with self._listing:
            now = self._c.clock.monotonic()
            if now - self._listed.get(namespace, float("-inf")) >= LOOK_EVERY:
                self._listed[namespace] = now
                try:
                    self._pods[namespace] = await self._c.pods_on_xds(namespace)
                except KubeError as error:
                    logger.warning("pods of %s cannot be listed: %s", namespace, error)
            return self._pods.get(namespace, ())
