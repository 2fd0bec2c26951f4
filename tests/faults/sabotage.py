"""Deliberate faults of the operator, each of which one oracle has to notice: its interpreter runs this file first.

It is put on PYTHONPATH of the operator's pod under the name `sitecustomize`; nothing here is imported by a test. A
fault strikes only in a namespace whose name contains the oracle's, so that one operator serves all of them.
"""

from __future__ import annotations

import json
from typing import Any

from grpcbalance.kube import Invalid, Kube
from grpcbalance.model import Key, Ref, ServiceKey, StatusKey
from grpcbalance.names import PLURAL
from grpcbalance.reconcile import Reconciler
from grpcbalance.reconcile.workloads import Workloads

_reconcile, _create_service, _workload = Reconciler.__call__, Kube.create_service, Workloads.__call__
_done: set[str] = set()
_claimed: set[str] = set()


async def _reconciled(self: Reconciler, key: Key) -> float | None:
    where, context = key.ref.namespace, self._statuses._c
    first = isinstance(key, ServiceKey) and where not in _done
    if first:
        _done.add(where)
    if "breaks-o4" in where and where not in _claimed and key.ref in context.view.balanced:
        _claimed.add(where)
        await _claim_ready(context, key.ref)
    if "breaks-o5" in where and first:
        raise RuntimeError("sabotage")
    if "breaks-o6" in where and first:
        await _look_at_secrets(context.api, where)
    again = await _reconcile(self, key)
    if "breaks-o3" in where and isinstance(key, StatusKey):
        return await _write_again(context, key.ref)
    return again


async def _claim_ready(context: Any, ref: Any) -> None:
    """Status says Ready before anything was done."""
    balanced = context.view.balanced.get(ref)
    if balanced is not None:
        moment = context.clock.now().isoformat(timespec="seconds").replace("+00:00", "Z")
        ready = {"type": "Ready", "status": "True", "reason": "Ready", "message": "", "lastTransitionTime": moment}
        conditions = [ready | {"observedGeneration": balanced.generation}]
        status = {"observedGeneration": balanced.generation, "conditions": conditions}
        await context.api.apply_status(ref, balanced.uid, status)


async def _look_at_secrets(api: Any, namespace: str) -> None:
    """Ask for what no rule permits."""
    try:
        async for _ in api.pages(f"/api/v1/namespaces/{namespace}/secrets"):
            return
    except Invalid:
        return


async def _write_again(context: Any, ref: Any) -> float | None:
    """Write a status that is as it should be, for ever."""
    balanced = context.view.balanced.get(ref)
    if balanced is None:
        return None
    status = json.loads(balanced.status)
    if status:
        context.view.apply(PLURAL, None, await context.api.apply_status(ref, balanced.uid, status))
    return 0.5


async def _created_twice(self: Kube, manifest: dict[str, Any]) -> dict[str, Any]:
    """Make a Service, delete it, and make it again."""
    made = await _create_service(self, manifest)
    meta = made["metadata"]
    if "breaks-o2" not in meta["namespace"]:
        return made
    await self.delete_service(Ref(meta["namespace"], meta["name"]), meta["uid"], meta["resourceVersion"])
    return await _create_service(self, manifest)


async def _skipped(self: Workloads, ref: Any) -> float | None:
    """Leave one workload out."""
    if "breaks-o1" in ref.namespace and ref.name == "checkout":
        return None
    return await _workload(self, ref)


Reconciler.__call__ = _reconciled  # type: ignore[method-assign]  # sabotage
Kube.create_service = _created_twice  # type: ignore[method-assign]  # sabotage
Workloads.__call__ = _skipped  # type: ignore[method-assign]  # sabotage
