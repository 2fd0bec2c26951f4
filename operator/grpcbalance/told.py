"""What the stored status of a GrpcBalancedService tells of workloads, of those that it leaves out too. Pure.

After a restart of the operator nothing else knows what earlier pods carried.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .api import CONFIGURED, PENDING, Reason
from .model import Role, WorkloadRef


def was_configured(status: Mapping[str, Any], home: str, workload: WorkloadRef, role: Role | None = None) -> bool:
    """Whether a status tells that a workload was configured, in one role or in any. It knows those of `home` only.

    It has room for 50. Those with trouble are listed first: when the last one is well, so are all that are left out,
    and one that came since then cannot be told from them.
    """
    if workload.namespace != home:
        return False
    listed = status.get("workloads") or ()
    about = [w for w in listed if (w["kind"], w["name"]) == (workload.kind, workload.name)]
    states = {w["state"] for w in about if role is None or w["role"] == role}
    if not states and listed and status.get("omittedWorkloads"):
        states = {listed[-1]["state"]}
    return CONFIGURED in states


def why_waiting(
    status: Mapping[str, Any], home: str, workload: WorkloadRef, role: Role | None
) -> tuple[Reason, str] | None:
    """Reason and message of a workload that waits; None if it is not listed so, or by a reason that is unknown here."""
    if workload.namespace != home:
        return None
    for told in status.get("workloads") or ():
        if (told["kind"], told["name"], told["role"], told["state"]) == (workload.kind, workload.name, role, PENDING):
            return (Reason(told["reason"]), told.get("message") or "") if told["reason"] in set(Reason) else None
    return None
