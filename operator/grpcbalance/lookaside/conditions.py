"""What the status of an object on xDS tells beside the rest: a condition, who is not connected, counts. Pure.

The status of an object on DNS has nothing of it. While the look-aside balancer has not been asked, as after a restart
of the operator, what was told earlier stays.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from grpcbalance.api import ConditionType, Reason
from grpcbalance.conditions import Check, Observed
from grpcbalance.listed import listed
from grpcbalance.model import Workload
from grpcbalance.names import ANNOTATION_PREFIX, xds_host

from .changes import wants_xds
from .pods import moved
from .seen import Node

_NAMED: Final = 3
# A DNS-1123 subdomain, as names of pods are.
_LABEL: Final = "[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_POD: Final = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_FIX: Final = (
    'is xDS built into the program (Go: import _ "google.golang.org/grpc/xds"), can it reach the balancer, and has it '
    f"called anything yet? Its log tells. Without the annotation {ANNOTATION_PREFIX}xds it stays on DNS"
)


def with_xds(
    checks: Mapping[ConditionType, Check], o: Observed, previous: Mapping[str, Any]
) -> dict[ConditionType, Check]:
    """The conditions, and what xDS makes of them. `previous` is the stored status."""
    if not _on_xds(o):
        return dict(checks)
    before = {condition["type"]: condition for condition in previous.get("conditions") or ()}
    clients = _connected(checks[ConditionType.CLIENTS_CONFIGURED], o, before.get(ConditionType.CLIENTS_CONFIGURED))
    accepted = xds_accepted(o)
    if accepted.reason is Reason.XDS_NOT_ASKED:
        accepted = _told(before.get(ConditionType.XDS_ACCEPTED)) or accepted
    return {**checks, ConditionType.CLIENTS_CONFIGURED: clients, ConditionType.XDS_ACCEPTED: accepted}


def xds_status(o: Observed, previous: Mapping[str, Any]) -> dict[str, Any] | None:
    """`.status.xds`, None for an object on DNS."""
    if not _on_xds(o):
        return None
    on_xds = len(moved(_clients(o), xds_host(o.snapshot.ref.name, o.snapshot.ref.namespace)))
    seen = o.snapshot.seen
    if seen is None:
        downgrades = (previous.get("xds") or {}).get("downgrades")
    else:
        downgrades = [one._asdict() for one in seen.downgrades]
    status: dict[str, Any] = {"workloads": {"moved": on_xds, "onDns": len(o.clients) - on_xds}}
    return status | ({"downgrades": downgrades} if downgrades else {})


def xds_accepted(o: Observed) -> Check:
    """No connected client refuses what it is sent."""
    seen, home = o.snapshot.seen, o.snapshot.ref.namespace
    if seen is None:
        return Check("Unknown", Reason.XDS_NOT_ASKED, "the look-aside balancer was not asked yet")
    if seen.problem:
        return Check("Unknown", Reason.XDS_NOT_SERVING, seen.problem)
    if not seen.rejections:
        return Check("True", Reason.ALL_ACCEPTED, "no connected client refuses what it is sent")
    # In plain text a client is whoever it says it is, and may say anything.
    own = [one for one in seen.rejections if one.client.namespace == home and _POD.fullmatch(one.client.pod)]
    pods = sorted({one.client for one in own})
    names = listed([node.pod for node in pods], _NAMED)
    away = len({one.client for one in seen.rejections} - set(pods))
    others = f"{away} of clients in other namespaces, or that name no pod" if away else ""
    who = " and ".join(part for part in (names, others) if part)
    text = f"refused by {who}, which keep what they had"
    said = f"; {own[0].client.pod} says of {own[0].kind}: {own[0].message}" if own else ""
    return Check("False", Reason.NACKED, text + said)


def _on_xds(o: Observed) -> bool:
    return o.snapshot.balanced is not None and wants_xds(o.snapshot.balanced)


def _clients(o: Observed) -> tuple[Workload, ...]:
    return tuple(workload for workload, _ in o.clients)


def _connected(check: Check, o: Observed, before: Mapping[str, Any] | None) -> Check:
    """ClientsConfigured, false for pods that follow nothing although their target says xDS."""
    seen = o.snapshot.seen
    blind = seen is None or bool(seen.problem)
    if o.absent.pods and not blind:
        text = f"{_names(o.absent.pods, o.snapshot.ref.namespace)}: {_FIX}"
        if check.status == "True":
            return Check("False", Reason.XDS_NOT_CONNECTED, text)
        return replace(check, message=f"{check.message}; {text}")
    told = _told(before)
    keeps = check.status == "True" and (blind or o.absent.unsure)
    return told if keeps and told is not None and told.reason is Reason.XDS_NOT_CONNECTED else check


def _names(pods: Sequence[Node], home: str) -> str:
    own = sorted(node.pod for node in pods if node.namespace == home)
    who = " and ".join(part for part in (listed(own, _NAMED), _abroad(len(pods) - len(own))) if part)
    return f"not connected to the look-aside balancer, though the target says xDS: {who}"


def _abroad(count: int) -> str:
    """Pods of other namespaces: of those a namespace may learn no more."""
    return f"{count} of clients in other namespaces" if count else ""


def _told(condition: Mapping[str, Any] | None) -> Check | None:
    """A condition as it was stored, if this version knows its reason."""
    if condition is None or condition["reason"] not in set(Reason):
        return None
    return Check(condition["status"], Reason(condition["reason"]), condition["message"])
