"""The `.status` of a GrpcBalancedService, whole: counts, workloads, conditions and when they moved. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from .api import CONFIGURED, MAX_WORKLOADS, PENDING, REFUSED, ConditionType, Reason
from .conditions import Check, Observed, evaluate, is_ready
from .desired import Resolution
from .lookaside.conditions import with_xds, xds_status
from .model import Endpoint, Workload, WorkloadRef
from .plan import Finding

# Lengths that api/status.py allows: the API server refuses a status with anything longer, and all of it.
_MESSAGE_LENGTH: Final = 1024
_WORKLOAD_MESSAGE_LENGTH: Final = 512
_CONTAINERS: Final = 32


def make_status(
    o: Observed, previous: dict[str, Any], generation: int, now: str, restored: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    """The whole `.status`. `previous` is the stored one, for transition times; `now` is RFC 3339 in UTC.

    `restored` are the accounts of variables that somebody takes away (`contest`).
    """
    resolution = o.resolution if isinstance(o.resolution, Resolution) else None
    ready = sum(map(is_ready, o.endpoints))
    # Names of workloads in other namespaces are not for the readers of this one.
    own = (pair for pair in (*o.servers, *o.clients) if pair[0].ref.namespace == o.snapshot.ref.namespace)
    listed = sorted(own, key=_trouble_first)
    status = {
        "observedGeneration": generation,
        "target": resolution and resolution.target,
        "authority": (resolution and resolution.authority) or None,
        "serviceName": o.snapshot.balanced and o.snapshot.balanced.service_name,
        "serviceConfig": resolution and resolution.service_config,
        "port": resolution and resolution.port,
        "summary": {
            # Pods on their way out are no part of it: 3/6 would look like trouble all through a rolling update.
            "endpoints": f"{ready}/{sum(not endpoint.terminating for endpoint in o.endpoints)}",
            "servers": _fraction(o.servers),
            "clients": _fraction(o.clients),
        },
        "endpoints": _counts(o.endpoints),
        "servers": _workload_counts(o.servers),
        "clients": _workload_counts(o.clients),
        "workloads": [_workload(*pair) for pair in listed[:MAX_WORKLOADS]],
        "omittedWorkloads": max(0, len(listed) - MAX_WORKLOADS) or None,
        "xds": xds_status(o, previous),
        "restored": list(restored[:MAX_WORKLOADS]) or None,
        "conditions": _conditions(with_xds(evaluate(o), o, previous), previous, generation, now),
    }
    return {key: value for key, value in status.items() if value is not None}


def lacking(
    status: dict[str, Any], previous: dict[str, Any], missing: str, generation: int, now: str
) -> dict[str, Any]:
    """`status` with Ready false for permissions that the operator lacks. Conditions that are not in it are unknown."""
    told = {c["type"]: c for c in status.get("conditions") or () if c["type"] != ConditionType.READY}
    # Objects on DNS do not have that one.
    kinds = [kind for kind in ConditionType if kind is not ConditionType.XDS_ACCEPTED or kind in told]
    unknown = dict.fromkeys(kinds, Check("Unknown", Reason.MISSING_PERMISSION, missing))
    checks = unknown | {ConditionType.READY: Check("False", Reason.MISSING_PERMISSION, missing)}
    made = _conditions(checks, previous, generation, now)
    return status | {"conditions": [told.get(condition["type"], condition) for condition in made]}


def _conditions(
    checks: dict[ConditionType, Check], previous: dict[str, Any], generation: int, now: str
) -> list[dict[str, Any]]:
    """Conditions for storage. The transition time moves only when the status does (API conventions)."""
    before = {condition["type"]: condition for condition in previous.get("conditions") or ()}
    result = []
    for kind, check in checks.items():
        old = before.get(kind)
        moved = old is None or old["status"] != check.status
        result.append(
            {
                "type": str(kind),
                "status": check.status,
                "observedGeneration": generation,
                "lastTransitionTime": now if old is None or moved else old["lastTransitionTime"],
                "reason": str(check.reason),
                "message": check.message[:_MESSAGE_LENGTH],
            }
        )
    return result


def _counts(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    zones = Counter(endpoint.zone for endpoint in endpoints if endpoint.zone and is_ready(endpoint))
    terminating = sum(endpoint.terminating for endpoint in endpoints)
    ready = sum(map(is_ready, endpoints))
    counts: dict[str, Any] = {
        "ready": ready,
        "notReady": len(endpoints) - ready - terminating,
        "terminating": terminating,
        "total": len(endpoints),
    }
    if zones:
        counts["zones"] = dict(sorted(zones.most_common(64)))
    return counts


def _fraction(pairs: Sequence[tuple[Workload, Finding]]) -> str:
    return f"{sum(finding.state == CONFIGURED for _, finding in pairs)}/{len(pairs)}"


def _workload_counts(pairs: Sequence[tuple[Workload, Finding]]) -> dict[str, int]:
    states = Counter(finding.state for _, finding in pairs)
    return {
        "matched": len(pairs),
        "configured": states[CONFIGURED],
        "pending": states[PENDING],
        "refused": states[REFUSED],
    }


def _trouble_first(pair: tuple[Workload, Finding]) -> tuple[int, WorkloadRef, str]:
    workload, finding = pair
    return (REFUSED, PENDING, CONFIGURED).index(finding.state), workload.ref, str(finding.role)


def _workload(workload: Workload, finding: Finding) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "kind": workload.ref.kind,
        "name": workload.ref.name,
        "role": str(finding.role),
        "containers": list(finding.containers[:_CONTAINERS]),
        "state": finding.state,
        "reason": str(finding.reason),
    }
    if finding.message:
        entry["message"] = finding.message[:_WORKLOAD_MESSAGE_LENGTH]
    return entry
