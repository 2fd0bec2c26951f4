"""Reads the pods that have an xDS target, live: nothing of pods is watched or kept beyond what is asked here."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from grpcbalance.kube import Kube

from .pods import Pod, observe

# Pages of 500 pods; of a namespace with more running ones the rest is not judged.
_PAGES: Final = 10


async def pods_on_xds(kube: Kube, namespace: str) -> tuple[Pod, ...]:
    """The ready pods of a namespace that have an xDS target. Raises kube.KubeError."""
    found: list[Pod] = []
    left = _PAGES
    async for page in kube.pages(
        f"/api/v1/namespaces/{quote(namespace, safe='')}/pods", field_selector="status.phase=Running"
    ):
        found += filter(None, map(observe, page["items"]))
        left -= 1
        if not left:
            break
    return tuple(found)
