"""Rollouts of ours that failed: a reason to begin no other one for the same object. Pure."""

from __future__ import annotations

import json

from .model import Rollout, ServiceSnapshot, Workload, WorkloadRef


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
    listed = status.get("workloads") or ()
    states = {WorkloadRef(w["kind"], home, w["name"]): w["state"] for w in listed}
    # Those with trouble are listed first: when one is listed with which all is well, so it is with all left out.
    left_out = listed[-1]["state"] if listed and status.get("omittedWorkloads") else ""
    return tuple(
        workload.ref
        for workload in failed
        if workload.settled is not None or states.get(workload.ref, left_out) != "Configured"
    )
