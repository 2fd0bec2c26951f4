"""From objects, and what replicas of the look-aside balancer tell of their clients, to the report. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from grpcbalance.api import CONFIGURED, ConditionType, Reason
from grpcbalance.errors import one_line
from grpcbalance.lookaside.connected import Asked, Page, Told

from .report import Balanced, Condition, Downgrade, OnDns, Report, Workload, Xds, XdsClient

Raw = Mapping[str, Any]
# What a client asks for once it was told of a service.
_FOLLOWING: Final = ("cluster", "endpoints")


# Pages by the pod of the replica, None where nobody could be asked.
Pages = Mapping[str, Page]


def build(objects: Sequence[Raw], pages: Pages | None, notes: Sequence[str]) -> Report:
    """The report about raw GrpcBalancedServices, in the order of their names."""
    made = sorted((_balanced(raw, pages) for raw in objects), key=lambda one: (one.namespace, one.name))
    return Report(notes=tuple(notes), services=tuple(made))


def on_xds(raw: Raw) -> bool:
    """Whether clients of the object, or some of them, are on xDS."""
    return bool((raw.get("spec") or {}).get("discovery") == "XDS")


def _balanced(raw: Raw, pages: Pages | None) -> Balanced:
    meta, status = raw["metadata"], raw.get("status") or {}
    summary = status.get("summary") or {}
    conditions = [_condition(one) for one in status.get("conditions") or ()]
    return Balanced(
        namespace=meta["namespace"],
        name=meta["name"],
        ready=_ready(raw, conditions),
        target=status.get("target") or "",
        endpoints=summary.get("endpoints") or "",
        servers=summary.get("servers") or "",
        clients=summary.get("clients") or "",
        troubles=tuple(one for one in conditions if one.type != ConditionType.READY and one.status != "True"),
        workloads=tuple(
            Workload(**{key: one.get(key) or "" for key in Workload.model_fields})
            for one in status.get("workloads") or ()
            if one["state"] != CONFIGURED
        ),
        omitted_workloads=status.get("omittedWorkloads") or 0,
        xds=_xds(raw, pages) if on_xds(raw) else None,
    )


def _condition(raw: Raw) -> Condition:
    return Condition(type=raw["type"], status=raw["status"], reason=raw["reason"], message=raw["message"])


def _ready(raw: Raw, conditions: Sequence[Condition]) -> Condition:
    found = next((one for one in conditions if one.type == ConditionType.READY), None)
    if found is None:
        text = "the operator has not looked at it yet: does it run, and in this namespace?"
        return Condition(type=str(ConditionType.READY), status="Unknown", reason="NoStatus", message=text)
    if (raw.get("status") or {}).get("observedGeneration") != raw["metadata"].get("generation"):
        text = f"of an earlier spec, the operator has not looked at this one yet; then: {found.message}"
        return found.model_copy(update={"status": "Unknown", "reason": "StaleStatus", "message": text})
    return found


def _xds(raw: Raw, pages: Pages | None) -> Xds:
    told = (raw.get("status") or {}).get("xds") or {}
    workloads = told.get("workloads") or {}
    name = f"{raw['metadata']['name']}.{raw['metadata']['namespace']}:"
    return Xds(
        moved=workloads.get("moved", 0),
        on_dns=workloads.get("onDns", 0),
        stays_on_dns=tuple(_staying((raw.get("status") or {}).get("workloads") or ())),
        downgrades=tuple(Downgrade(**one) for one in told.get("downgrades") or ()),
        clients=None if pages is None else tuple(_clients(name, pages)),
    )


def _staying(workloads: Sequence[Raw]) -> Iterator[OnDns]:
    for one in workloads:
        if one["reason"] == Reason.STAYS_ON_DNS:
            yield OnDns(kind=one["kind"], name=one["name"], message=one.get("message") or "")


def _clients(name: str, pages: Pages) -> Iterator[XdsClient]:
    found = []
    for replica, page in pages.items():
        for one in page.clients:
            about = [asked for asked in one.asked if any(text.startswith(name) for text in asked.names)]
            if about:
                found.append(_client(replica, one, about, name))
    yield from sorted(found, key=lambda one: (one.namespace, one.pod, one.replica, one.since))


def _client(replica: str, one: Told, about: Sequence[Asked], name: str) -> XdsClient:
    refused = (a for a in about if a.rejection is not None and any(text.startswith(name) for text in a.refused))
    return XdsClient(
        replica=replica,
        namespace=one_line(one.namespace or one.cluster),
        pod=one_line(one.pod or one.node),
        agent=one_line(one.agent),
        version=one_line(one.version),
        zone=one_line(one.zone),
        since=one_line(one.since),
        told=any(asked.kind in _FOLLOWING for asked in about),
        refuses="; ".join(f"{a.kind}: {one_line(a.rejection.message)}" for a in refused if a.rejection is not None),
    )
