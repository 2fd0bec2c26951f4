"""A cluster as the source of hosts: list, then watch; after a failure a new connection and a new listing."""

from __future__ import annotations

import asyncio
from typing import Final

from grpcbalance.bucket import TokenBucket
from grpcbalance.credentials import CredentialsError
from grpcbalance.errors import Expired, Invalid, KubeError
from grpcbalance.kube_watch import WatchingKube
from grpcbalance.uncounted import Uncounted

from .hosts import Hosts, SourceError
from .services import SERVICES, SLICES, Mirror
from .source import Publish, Trouble

_ROOTS: Final = {SERVICES: "/api/v1", SLICES: "/apis/discovery.k8s.io/v1"}
# Seconds. Changes of one moment, such as a rollout's, are published at once.
_SETTLE: Final = 0.1
# Seconds between two attempts to reach a server that is away.
_PAUSE: Final = 2.0


class Cluster:
    """Services and EndpointSlices of a cluster, or of one of its namespaces."""

    def __init__(self, kubeconfig: str | None, namespace: str | None, mirror: Mirror) -> None:
        """`kubeconfig`: None for the service account of the pod that this runs in."""
        self._kubeconfig, self._mirror = kubeconfig, mirror
        self._scope = f"namespaces/{namespace}/" if namespace else ""
        self._kube = self._connection()
        self._versions: dict[str, str] = {}
        self._changed = asyncio.Event()

    async def read(self) -> Hosts:
        """Hosts as a complete listing tells them, over a new connection: credentials are read anew, too."""
        await self.close()
        self._kube = self._connection()
        try:
            await self._kube.__aenter__()
            for kind in _ROOTS:
                await self._list(kind)
        except (CredentialsError, KubeError) as error:
            raise SourceError(f"{error}{_hint(error)}") from error
        return self._mirror.hosts()

    async def run(self, publish: Publish, trouble: Trouble) -> None:
        """Watch; after a failure list until that works, and publish what it says."""
        while True:
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._publish(publish))
                    for kind in _ROOTS:
                        group.create_task(self._watch(kind))
            except* Expired:
                pass
            except* KubeError as failed:
                trouble(f"{failed.exceptions[0]} (trying again)")
            await self._read_at_last(publish, trouble)

    async def close(self) -> None:
        """Close the connection."""
        await self._kube.__aexit__(None, None, None)

    def _connection(self) -> WatchingKube:
        return WatchingKube(Uncounted(), TokenBucket(1, 1), self._kubeconfig)

    def _path(self, kind: str) -> str:
        return f"{_ROOTS[kind]}/{self._scope}{kind}"

    async def _list(self, kind: str) -> None:
        found = []
        async for page in self._kube.pages(self._path(kind)):
            found += page["items"]
            # That of the whole listing: its later pages repeat it.
            self._versions[kind] = page["metadata"]["resourceVersion"]
        self._mirror.replace(kind, found)

    async def _watch(self, kind: str) -> None:
        while True:
            async for event in self._kube.events(self._path(kind), self._versions[kind]):
                self._versions[kind] = event.object["metadata"]["resourceVersion"]
                if event.type != "BOOKMARK":
                    self._mirror.take(kind, event.type, event.object)
                    self._changed.set()

    async def _publish(self, publish: Publish) -> None:
        while True:
            await self._changed.wait()
            await asyncio.sleep(_SETTLE)
            self._changed.clear()
            publish(self._mirror.hosts())

    async def _read_at_last(self, publish: Publish, trouble: Trouble) -> None:
        said = ""
        while True:
            await asyncio.sleep(_PAUSE)
            try:
                publish(await self.read())
            except SourceError as error:
                if said != str(error):
                    said = str(error)
                    trouble(said)
            else:
                return


def _hint(error: Exception) -> str:
    if isinstance(error, CredentialsError):
        return ""
    if isinstance(error, Invalid):
        return " (needed: list and watch of services and endpointslices, in all namespaces or in that of --namespace)"
    return " (does kubectl reach the cluster?)"
