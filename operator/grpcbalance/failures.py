"""Rollouts of ours that failed: a reason to begin no other one for the same object. Pure."""

from __future__ import annotations

import json

from .model import Rollout, ServiceSnapshot, Workload, WorkloadRef
from .told import was_configured


def has_failed(workload: Workload | None) -> bool:
    """Whether a rollout that brought our values failed. Where earlier pods carried the same ones it is the user's."""
    if workload is None or workload.rollout is not Rollout.FAILED:
        return False
    return workload.record not in ((), workload.settled)


def failed_rollouts(snapshot: ServiceSnapshot) -> tuple[WorkloadRef, ...]:
    """Workloads of a service of which our rollout failed."""
    failed = [workload for workload in (*snapshot.servers, *snapshot.clients) if has_failed(workload)]
    if not failed or snapshot.balanced is None:
        return ()
    # After a restart only status knows of a rollout that was finished before the one that failed.
    status, home = json.loads(snapshot.balanced.status), snapshot.ref.namespace
    return tuple(
        workload.ref
        for workload in failed
        if workload.settled is not None or not was_configured(status, home, workload.ref)
    )
