"""Doing: looks which pods on xDS were never connected to the look-aside balancer, and remembers since when.

A channel that is idle closes its connection, so who was connected once may be well without; only of pods that became
ready under our eyes we know that they never were. Clients may need half a minute to come back when the balancer was
away, so nobody is told of before a whole minute.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import timedelta
from functools import partial
from typing import Final

from grpcbalance.errors import KubeError
from grpcbalance.lookaside.changes import wants_xds
from grpcbalance.lookaside.pods import NOBODY, Absent, Pod, moved, unconnected
from grpcbalance.lookaside.seen import Node
from grpcbalance.model import Ref, ServiceSnapshot, StatusKey
from grpcbalance.moments import to_text
from grpcbalance.names import xds_host

from .context import Context

logger = logging.getLogger(__name__)

# Seconds between two looks at the pods of a namespace.
LOOK_EVERY: Final = 30.0
# Seconds that it is remembered that a pod was connected which is in no list: lists are as old as a look at most.
_REMEMBERED: Final = 3 * LOOK_EVERY
# Seconds that a pod is ready, and is seen not to be connected, until that is told.
PATIENCE: Final = 60.0


class Connections:
    """Lists pods only while an object has clients on xDS; one list serves all objects of a namespace's clients.

    Nobody waits for a list: what it tells is due when it is there.
    """

    def __init__(self, context: Context) -> None:
        self._c = context
        # Pods by namespace, and when they were listed.
        self._pods: dict[str, tuple[Pod, ...]] = {}
        self._listed: dict[str, float] = {}
        # Who asked for a list that is not there yet.
        self._asked: dict[str, set[Ref]] = {}
        # Since when pods are seen to be absent, and when they were connected last (RFC 3339), by object.
        self._since: dict[Ref, dict[Node, float]] = {}
        self._met: dict[Ref, dict[Node, str]] = {}
        # What was connected before nobody knows any more.
        self._began = to_text(context.clock.now())

    def look(self, ref: Ref) -> tuple[Absent, float | None]:
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
        homes = sorted({w.ref.namespace for w in clients})
        if snapshot.seen is None or snapshot.seen.problem:
            # Who cannot be seen may well be connected; and whoever comes back has to begin anew.
            self._since.pop(ref, None)
            if snapshot.seen is not None:
                self._meet(ref, snapshot.seen.connected, [pod for home in homes for pod in self._pods.get(home, ())])
            return Absent(unsure=True), LOOK_EVERY
        listed = [self._of(home, ref) for home in homes]
        pods = [pod for some in listed for pod in some or ()]
        return self._judge(snapshot, pods, host, whole=None not in listed), LOOK_EVERY

    def forget(self, ref: Ref) -> None:
        """Nobody of an object's clients is on xDS."""
        self._since.pop(ref, None)
        self._met.pop(ref, None)
        if not self._met:
            self._pods.clear()
            self._listed.clear()

    def _judge(self, snapshot: ServiceSnapshot, pods: list[Pod], host: str, *, whole: bool) -> Absent:
        """Who is absent; `whole` says that all that should be listed was."""
        connected = snapshot.seen.connected if snapshot.seen is not None else frozenset()
        now, before = self._c.clock.monotonic(), self._since.get(snapshot.ref, {})
        met = self._meet(snapshot.ref, connected, pods)
        absent = unconnected(snapshot.clients, pods, host, connected)
        missed = [pod for pod in absent if max(met.get(one, "") for one in _names(pod.node)) < pod.ready_since]
        since = self._since[snapshot.ref] = {pod.node: before.get(pod.node, now) for pod in missed}
        # RFC 3339 in UTC and whole seconds compares as text.
        sure = sorted(
            pod.node
            for pod in missed
            if now - since[pod.node] >= PATIENCE and self._began <= pod.ready_since <= self._ago(PATIENCE)
        )
        return Absent(tuple(sure), unsure=len(sure) < len(missed) or not whole)

    def _meet(self, ref: Ref, connected: Iterable[Node], pods: Iterable[Pod]) -> dict[Node, str]:
        """When clients were connected last: those that are now, that are listed, and of the last moments."""
        listed, recent = {name for pod in pods for name in _names(pod.node)}, self._ago(_REMEMBERED)
        before = self._met.get(ref, {})
        kept = {node: when for node, when in before.items() if node in listed or when >= recent}
        self._met[ref] = kept | dict.fromkeys(connected, self._ago(0.0))
        return self._met[ref]

    def _ago(self, seconds: float) -> str:
        return to_text(self._c.clock.now() - timedelta(seconds=seconds))

    def _of(self, namespace: str, ref: Ref) -> tuple[Pod, ...] | None:
        """Pods of a namespace as they were listed last, None before that; a list that is due is asked for."""
        now = self._c.clock.monotonic()
        if namespace in self._asked:
            self._asked[namespace].add(ref)
        elif now - self._listed.get(namespace, float("-inf")) >= LOOK_EVERY:
            self._listed[namespace] = now
            self._asked[namespace] = {ref}
            self._c.beside(partial(self._list, namespace))
        return self._pods.get(namespace)

    async def _list(self, namespace: str) -> None:
        try:
            self._pods[namespace] = await self._c.pods_on_xds(namespace)
        except KubeError as error:
            logger.warning("pods of %s cannot be listed: %s", namespace, error)
        except Exception:
            logger.exception("pods of %s cannot be read", namespace)
        finally:
            self._c.enqueue([StatusKey(*ref) for ref in sorted(self._asked.pop(namespace))])


def _names(node: Node) -> tuple[Node, Node]:
    """What a pod may call itself: a client that does not tell its namespace is known by its pod's name alone."""
    return node, Node("", node.pod)
