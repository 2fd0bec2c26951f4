"""What makes each condition true: a chain of small checks, one for each type. Pure.

`evaluate` runs them all on every visit, so that every condition is always set; `status` stores the outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from .api import ConditionType, Reason
from .desired import Resolution, drifted, is_ours
from .model import Endpoint, Role, ServiceSnapshot, Workload
from .optin import Problem
from .plan import CONFIGURED, REFUSED, Finding
from .safety import is_safe, remedy


@dataclass(frozen=True, slots=True)
class Check:
    """Outcome of a check: "True", "False" or "Unknown", with a reason and a sentence."""

    status: str
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Observed:
    """All that the checks look at: the snapshot, what it resolves to, endpoints, and findings by role."""

    snapshot: ServiceSnapshot
    resolution: Resolution | Problem
    endpoints: tuple[Endpoint, ...]
    servers: tuple[tuple[Workload, Finding], ...]
    clients: tuple[tuple[Workload, Finding], ...]


def observed(
    snapshot: ServiceSnapshot, resolution: Resolution | Problem, findings: Iterable[tuple[Workload, Finding]]
) -> Observed:
    """Gather what the checks need; `findings` are those about this service only."""
    found = tuple(findings)
    return Observed(
        snapshot=snapshot,
        resolution=resolution,
        endpoints=unique_endpoints(snapshot),
        servers=tuple(pair for pair in found if pair[1].role is Role.SERVER),
        clients=tuple(pair for pair in found if pair[1].role is Role.CLIENT),
    )


def unique_endpoints(snapshot: ServiceSnapshot) -> tuple[Endpoint, ...]:
    """Endpoints of the wanted headless Service, each address once.

    While the controller moves an endpoint between slices it stands in two; the better state counts.
    """
    name = snapshot.balanced.service_name if snapshot.balanced else None
    best: dict[str, Endpoint] = {}
    for piece in snapshot.slices:
        for endpoint in piece.endpoints if piece.service_name == name else ():
            known = best.get(endpoint.address)
            if known is None or (endpoint.ready, not endpoint.terminating) > (
                known.ready,
                not known.terminating,
            ):
                best[endpoint.address] = endpoint
    return tuple(best.values())


def is_ready(endpoint: Endpoint) -> bool:
    """Ready, and not on its way out."""
    return endpoint.ready and not endpoint.terminating


def accepted(o: Observed) -> Check:
    """The spec means something."""
    if isinstance(o.resolution, Problem):
        return Check("False", o.resolution.reason, o.resolution.message)
    return Check("True", Reason.ACCEPTED, "the spec is accepted")


def service_ready(o: Observed) -> Check:
    """The headless Service exists as wanted."""
    balanced, live = o.snapshot.balanced, o.snapshot.wanted
    if balanced is None or isinstance(o.resolution, Problem):
        return Check("Unknown", Reason.NOT_ACCEPTED, "waits for Accepted")
    name = balanced.service_name
    if live is not None and not is_ours(live, balanced):
        return Check(
            "False",
            Reason.NAME_CONFLICT,
            f"{_conflict(name, live.balanced)}; set spec.serviceName, or remove it",
        )
    if o.snapshot.refusal:
        return Check("False", Reason.API_REFUSED, f"Service {name}: {o.snapshot.refusal}")
    if live is None:
        return Check("False", Reason.SERVICE_PENDING, f"Service {name} is about to be created")
    if live.cluster_ip != "None":
        return Check("False", Reason.NOT_HEADLESS, f"Service {name} has a cluster IP; delete it and it is made anew")
    if drifted(live, balanced, o.resolution):
        return Check("False", Reason.SERVICE_PENDING, f"Service {name} is being brought back to what it should be")
    return Check("True", Reason.AS_WANTED, f"Service {name} is as wanted")


def _conflict(name: str, other: str | None) -> str:
    owner = f"belongs to GrpcBalancedService {other}" if other else "is not ours"
    return f"a Service {name} exists and {owner}"


def endpoints_ready(o: Observed) -> Check:
    """Clients find at least one endpoint."""
    balanced, live = o.snapshot.balanced, o.snapshot.wanted
    if balanced is None or live is None or not is_ours(live, balanced):
        return Check("Unknown", Reason.SERVICE_PENDING, "waits for ServiceReady")
    if not any(piece.service_name == live.ref.name for piece in o.snapshot.slices):
        # The controller makes one even for a selector that matches nothing.
        return Check("Unknown", Reason.SERVICE_PENDING, f"Service {live.ref.name} has no EndpointSlice yet")
    ready = sum(map(is_ready, o.endpoints))
    if ready:
        return Check("True", Reason.ENDPOINTS_READY, f"{ready} of {len(o.endpoints)} endpoints are ready")
    sees = "clients see NXDOMAIN and fail until one is"
    if not o.endpoints:
        return Check("False", Reason.NO_ENDPOINTS, f"no pod matches the selector; {sees}")
    return Check("False", Reason.NONE_READY, f"none of {len(o.endpoints)} endpoints is ready; {sees}")


def servers_configured(o: Observed) -> Check:
    """Every annotated server carries the values, rolled out."""
    if isinstance(o.resolution, Resolution) and o.resolution.unmanaged:
        return Check("True", Reason.UNMANAGED, "spec.server.mode is Unmanaged: set a maximum connection age yourself")
    name = o.snapshot.ref.name
    missing = f"clients will not notice new pods: no workload carries the annotation grpcbalance.dev/server: {name}"
    return _configured(o.servers, missing)


def clients_configured(o: Observed) -> Check:
    """Every annotated client carries the values, rolled out."""
    name = o.snapshot.ref.name
    return _configured(o.clients, f"no workload carries the annotation grpcbalance.dev/client: {name}")


def _configured(pairs: Sequence[tuple[Workload, Finding]], none_annotated: str) -> Check:
    if not pairs:
        return Check("False", Reason.NONE_ANNOTATED, none_annotated)
    done = sum(finding.state == CONFIGURED for _, finding in pairs)
    if done == len(pairs):
        return Check("True", Reason.CONFIGURED, f"{done} of {done} workloads are configured")
    workload, worst = min(
        (pair for pair in pairs if pair[1].state != CONFIGURED),
        key=lambda pair: (pair[1].state != REFUSED, pair[0].ref),
    )
    where = f"{workload.ref.kind} {workload.ref.name}"
    text = f"{done} of {len(pairs)} workloads are configured; {where}: {worst.message}"
    return Check("False", worst.reason, text)


def rollout_safe(o: Observed) -> Check:
    """Advisory: a rolling update of the servers cannot outrun their clients."""
    if not o.servers:
        return Check("Unknown", Reason.NONE_ANNOTATED, "no annotated server to judge")
    unsafe = [workload for workload, _ in o.servers if not is_safe(workload)]
    if not unsafe:
        return Check("True", Reason.SAFE, "old pods outlive the time that clients take to resolve anew")
    first = unsafe[0].ref
    text = f"rolling {first.kind} {first.name} can leave clients without servers for up to 30s; {remedy(unsafe[0])}"
    return Check("False", Reason.UNSAFE_ROLLOUT, text)


# The conditions that Ready sums up, in the order in which a person would mend them.
_READY_CHAIN: Final[tuple[tuple[ConditionType, Callable[[Observed], Check]], ...]] = (
    (ConditionType.ACCEPTED, accepted),
    (ConditionType.SERVICE_READY, service_ready),
    (ConditionType.ENDPOINTS_READY, endpoints_ready),
    (ConditionType.SERVERS_CONFIGURED, servers_configured),
)
_OTHERS: Final[tuple[tuple[ConditionType, Callable[[Observed], Check]], ...]] = (
    (ConditionType.CLIENTS_CONFIGURED, clients_configured),
    (ConditionType.ROLLOUT_SAFE, rollout_safe),
)


def evaluate(o: Observed) -> dict[ConditionType, Check]:
    """Every condition, Ready first."""
    chain = {kind: check(o) for kind, check in _READY_CHAIN}
    failing = next(((kind, c) for kind, c in chain.items() if c.status != "True"), None)
    ready = (
        Check("True", Reason.READY, "accepted, and servers are found and configured")
        if failing is None
        else Check("False", failing[1].reason, f"{failing[0]}: {failing[1].message}")
    )
    return {ConditionType.READY: ready, **chain, **{kind: check(o) for kind, check in _OTHERS}}
