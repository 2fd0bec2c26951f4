"""What to do about the headless Services of one GrpcBalancedService, present or gone. Pure.

A Service is made first and removed last: while its object exists under another serviceName, or is gone, the
old Service stays until no template names its host, 60 s longer, and until no running pod names it (that last
look is live, and so the reconciler's). The time since when is kept on the Service: a restart forgets nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from .desired import Resolution, drifted, headless_service, is_ours, marked, wanted_port
from .model import Service, ServiceSnapshot, WorkloadRef
from .moments import from_text, to_text


@dataclass(frozen=True, slots=True)
class Create:
    """POST the manifest; a 409 means that the name is somebody else's."""

    manifest: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Apply:
    """Server-side apply the manifest; its uid makes it fail rather than create a second Service."""

    manifest: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ReplacePorts:
    """Make our port the only one.

    A server-side apply keeps every entry that another manager put into the list, and the POST that made the
    Service counts as another: two entries of one name would then be refused.
    """

    service: Service
    ports: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete, if no running pod names the Service's host; else mark it anew with `again`."""

    service: Service
    again: dict[str, Any]


Action = Create | Apply | ReplacePorts | Delete


@dataclass(frozen=True, slots=True)
class ServicePlan:
    """Actions to take now, seconds until the next look, and workloads that still use what has no object."""

    actions: tuple[Action, ...]
    again: float | None = None
    stranded: tuple[WorkloadRef, ...] = ()


def plan_services(
    snapshot: ServiceSnapshot, resolution: Resolution | None, now: datetime, retire_after: float
) -> ServicePlan:
    """Decide about every Service of `snapshot`; `resolution` is None while the spec is not accepted."""
    actions: list[Action] = []
    if snapshot.balanced is not None and resolution is not None:
        actions += _wanted(snapshot, resolution)
    # What another Service keeps of the spec is out of date as soon as the wanted one is as it should be.
    outdated = resolution is not None and not actions and snapshot.wanted in snapshot.owned
    kept = snapshot.balanced.service_name if snapshot.balanced else None
    due: list[float] = []
    stranded: list[WorkloadRef] = []
    for service in snapshot.owned:
        if service.ref.name == kept:
            continue
        users = dict(snapshot.referrers).get(service.ref.name, ())
        stranded += users if kept is None else ()
        if outdated and service.kept is not None:
            actions.append(Apply(_with_uid(marked(service, service.unreferenced_since, outdated=True), service)))
            continue
        action, wait = _retire(service, bool(users), now, retire_after)
        actions += [action] if action else []
        due += [wait] if wait is not None else []
    return ServicePlan(tuple(actions), min(due, default=None), tuple(stranded))


def _wanted(snapshot: ServiceSnapshot, resolution: Resolution) -> list[Action]:
    balanced, live = snapshot.balanced, snapshot.wanted
    if balanced is None:
        return []
    manifest = headless_service(balanced, resolution, live)
    if live is None:
        return [Create(manifest)]
    if not is_ours(live, balanced) or live.cluster_ip != "None" or not drifted(live, balanced, resolution):
        return []
    apply = Apply(_with_uid(manifest, live))
    ports = manifest["spec"]["ports"]
    if all((port.port, port.protocol) == (ports[0]["port"], ports[0]["protocol"]) for port in live.ports):
        return [apply]
    replaced = replace(live, ports=(wanted_port(resolution),))
    return [ReplacePorts(live, ports), *([apply] if drifted(replaced, balanced, resolution) else [])]


def _retire(
    service: Service, referenced: bool, now: datetime, retire_after: float
) -> tuple[Action | None, float | None]:
    since = from_text(service.unreferenced_since)
    if referenced:
        # Somebody came back to it: the clock starts anew when they leave.
        return (Apply(_with_uid(marked(service, None), service)), None) if since else (None, None)
    stamp = _with_uid(marked(service, to_text(now)), service)
    if since is None:
        return Apply(stamp), retire_after
    remaining = (since + timedelta(seconds=retire_after) - now).total_seconds()
    # A mark in the future is a clock that jumped; it must not keep the Service for ever.
    if 0 < remaining <= retire_after:
        return None, remaining
    return Delete(service, stamp), retire_after


def _with_uid(manifest: dict[str, Any], service: Service) -> dict[str, Any]:
    return manifest | {"metadata": manifest["metadata"] | {"uid": service.uid}}
