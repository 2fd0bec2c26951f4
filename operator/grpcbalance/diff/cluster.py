"""A cluster as the source of what is known: complete listings, read only. Nothing is watched."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from grpcbalance.bucket import TokenBucket
from grpcbalance.credentials import CredentialsError, default_namespace
from grpcbalance.errors import Expired, Gone, Invalid, KubeError
from grpcbalance.kube import UNFINISHED, Kube
from grpcbalance.uncounted import Uncounted
from grpcbalance.watched import Kind, kinds_in

from .known import Raw
from .report import Report
from .run import Wish, diff
from .source import SourceError

Progress = Callable[[str], None]
# A listing that takes longer than the server remembers begins anew; more than this is no accident.
_ATTEMPTS: Final = 3


def usual_namespace(kubeconfig: str | None, context: str | None) -> str:
    """Namespace of manifests that name none. Raises SourceError."""
    if kubeconfig and not any(Path(path).exists() for path in kubeconfig.split(os.pathsep)):
        raise SourceError(f"{kubeconfig}: no such kubeconfig")
    try:
        return default_namespace(kubeconfig, context) if kubeconfig else "default"
    except CredentialsError as error:
        raise SourceError(str(error)) from error


async def ask(
    kubeconfig: str | None, context: str | None, namespace: str | None, wish: Wish, now: datetime, progress: Progress
) -> Report:
    """What the operator would do about a cluster, or a namespace of it. Raises ManifestError and SourceError."""
    try:
        # It never writes, so the bucket is of no account.
        async with Kube(Uncounted(), TokenBucket(1, 1), kubeconfig, context=context) as kube:
            return await diff(Live(kube, namespace, progress), wish, now)
    except CredentialsError as error:
        raise SourceError(str(error)) from error
    except Invalid as error:
        raise SourceError(f"{error} (needed: list of what the operator lists, and of pods)") from error
    except KubeError as error:
        raise SourceError(f"{error} (does kubectl reach the cluster? --no-cluster does without)") from error


class Live:
    """A cluster, or one namespace of it."""

    def __init__(self, kube: Kube, namespace: str | None, progress: Progress) -> None:
        self._kube, self._namespace, self._progress = kube, namespace, progress

    async def objects(self) -> Mapping[str, list[Raw]]:
        """Every kind, listed once."""
        return {kind.plural: await self._objects(kind) for kind in kinds_in(self._namespace)}

    async def pods(self, namespace: str, selector: str) -> list[Raw]:
        """Unfinished pods, by the server's own reading of the selector."""
        self._progress(f"listing pods of {namespace}")
        return await self._list(f"/api/v1/namespaces/{namespace}/pods", selector, UNFINISHED)

    async def _objects(self, kind: Kind) -> list[Raw]:
        self._progress(f"listing {kind.plural}")
        try:
            return await self._list(kind.path, kind.label_selector)
        except Gone:
            if not kind.optional:
                raise
            # Its definition is yet to come.
            return []

    async def _list(self, path: str, label_selector: str, field_selector: str = "") -> list[Raw]:
        attempt = 1
        while True:
            found: list[Raw] = []
            try:
                async for page in self._kube.pages(path, label_selector=label_selector, field_selector=field_selector):
                    found += page["items"]
                return found
            except Expired:
                if attempt == _ATTEMPTS:
                    raise
                attempt += 1
