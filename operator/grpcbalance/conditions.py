"""What makes each condition true: a chain of small checks, one for each type. Pure.

`evaluate` runs them all on every visit, so that every condition is always set; `status` stores the outcome.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from .advice import advice, max_age
from .api import CONFIGURED, PENDING, REFUSED, ConditionType, Reason
from .desired import Resolution, is_as_wanted, is_ours
from .lookaside.pods import NOBODY, Absent
from .mesh import dialled, obstacle
from .model import Endpoint, Role, ServiceSnapshot, Workload
from .optin import Problem
from .plan import Finding
from .safety import cautions, is_safe, remedy


@dataclass(frozen=True, slots=True)
class Check:
    """Outcome of a check: "True", "False" or "Unknown", with a reason and a sentence."""

    status: str
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Observed:
    """All that the checks look at: the snapshot, what it resolves to, endpoints, and findings by role.

    `absent` are pods on xDS that are not connected.
    """

    snapshot: ServiceSnapshot
    resolution: Resolution | Problem
    endpoints: tuple[Endpoint, ...]
    servers: tuple[tuple[Workload, Finding], ...]
    clients: tuple[tuple[Workload, Finding], ...]
    absent: Absent


def observed(
    snapshot: ServiceSnapshot,
    resolution: Resolution | Problem,
    findings: Iterable[tuple[Workload, Finding]],
    absent: Absent = NOBODY,
) -> Observed:
    """Gather what the checks need; `findings` are those about this service only."""
    found = tuple(findings)
    return Observed(
        snapshot=snapshot,
        resolution=resolution,
        endpoints=unique_endpoints(snapshot),
        servers=tuple(pair for pair in found if pair[1].role is Role.SERVER),
        clients=tuple(pair for pair in found if pair[1].role is Role.CLIENT),
        absent=absent,
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
    return Check("True", Reason.ACCEPTED, "; ".join(("the spec is accepted", *advice(o.snapshot))))


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
    if not is_as_wanted(live, balanced, o.resolution):
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
    sees = "clients see NXDOMAIN and fail until one is, and, as they back off, for up to two minutes more"
    if not o.endpoints:
        scaled_in = o.servers and all(workload.replicas == 0 for workload, _ in o.servers)
        why = "the annotated servers have no replicas" if scaled_in else "no pod matches the selector"
        return Check("False", Reason.NO_ENDPOINTS, f"{why}; {sees}")
    return Check("False", Reason.NONE_READY, f"none of {len(o.endpoints)} endpoints is ready; {sees}")


def servers_configured(o: Observed) -> Check:
    """Every annotated server carries the values, rolled out."""
    if isinstance(o.resolution, Resolution) and o.resolution.unmanaged:
        return Check("True", Reason.UNMANAGED, "spec.server.mode is Unmanaged: set a maximum connection age yourself")
    name = o.snapshot.ref.name
    missing = f"clients will not notice new pods: no workload carries the annotation grpcbalance.dev/server: {name}"
    return _configured(o.servers, o.snapshot.ref.namespace, missing)


def clients_configured(o: Observed) -> Check:
    """Every annotated client carries the values, rolled out."""
    name = o.snapshot.ref.name
    missing = f"no workload carries the annotation grpcbalance.dev/client: {name}"
    return _configured(o.clients, o.snapshot.ref.namespace, missing)


def _configured(pairs: Sequence[tuple[Workload, Finding]], home: str, none_annotated: str) -> Check:
    if not pairs:
        return Check("False", Reason.NONE_ANNOTATED, none_annotated)
    done = sum(finding.state == CONFIGURED for _, finding in pairs)
    if done == len(pairs):
        return Check("True", Reason.CONFIGURED, f"{done} of {done} workloads are configured")
    text = f"{done} of {len(pairs)} workloads are configured"
    undone = [pair for pair in pairs if pair[1].state != CONFIGURED]
    own = [pair for pair in undone if pair[0].ref.namespace == home]
    elsewhere = Counter(finding.state for workload, finding in undone if workload.ref.namespace != home)
    if not own:
        reason = Reason.REFUSED_ELSEWHERE if elsewhere[REFUSED] else Reason.PENDING
        return Check("False", reason, text + _elsewhere(elsewhere))
    workload, worst = min(own, key=lambda pair: (_gravity(pair[1]), pair[0].ref))
    where = f"{workload.ref.kind} {workload.ref.name}"
    return Check("False", worst.reason, f"{text}; {where}: {worst.message}{_elsewhere(elsewhere)}")


def _gravity(finding: Finding) -> int:
    """What is told first: a failed rollout stops all others, so it comes before what is refused or waits."""
    if finding.reason in (Reason.ROLLOUT_FAILED, Reason.CONTESTED):
        return (Reason.ROLLOUT_FAILED, Reason.CONTESTED).index(finding.reason)
    if finding.state == REFUSED:
        return 2
    return 4 if finding.reason is Reason.ROLLOUT_STOPPED else 3


def _elsewhere(states: Counter[str]) -> str:
    """How many workloads of other namespaces are not configured: of those a namespace may learn no more."""
    counts = ((states[state], state.lower()) for state in (REFUSED, PENDING) if states[state])
    told = " and ".join(f"{count} {'is' if count == 1 else 'are'} {state}" for count, state in counts)
    return f"; of the clients in other namespaces {told}; their owners are told why" if told else ""


def rollout_safe(o: Observed) -> Check:
    """Advisory: a rolling update of the servers cannot outrun their clients."""
    if not o.servers:
        return Check("Unknown", Reason.NONE_ANNOTATED, "no annotated server to judge")
    unsafe = [workload for workload, _ in o.servers if not is_safe(workload)]
    if not unsafe:
        safe = "old pods outlive the time that clients take to resolve anew"
        more = cautions((workload for workload, _ in o.servers), max_age(o.snapshot.balanced))
        return Check("True", Reason.SAFE, "; ".join((safe, *more)))
    first = unsafe[0].ref
    text = f"rolling {first.kind} {first.name} can leave clients without servers for up to 30s; {remedy(unsafe[0])}"
    return Check("False", Reason.UNSAFE_ROLLOUT, text)


def headless_effective(o: Observed) -> Check:
    """Advisory: nothing that is seen on servers or clients would balance in the clients' stead."""
    if not o.servers and not o.clients:
        return Check("Unknown", Reason.NONE_ANNOTATED, "no annotated workload to judge")
    known, target, home = {n.name: n for n in o.snapshot.namespaces}, dialled(o.resolution), o.snapshot.ref.namespace
    met = [(w, obstacle(w, f, known.get(w.ref.namespace), target)) for w, f in (*o.servers, *o.clients)]
    found = sorted(((w, it) for w, it in met if it), key=lambda pair: (not pair[1].certain, pair[0].ref))
    if not found:
        blind = "" if home in known else "; namespaces, on which a mesh may be switched on, cannot be read"
        return Check("True", Reason.UNOBSTRUCTED, f"no mesh or HTTP proxy is seen on servers and clients{blind}")
    status = "False" if found[0][1].certain else "Unknown"
    own = [(w, it) for w, it in found if w.ref.namespace == home]
    away = len(found) - len(own)
    elsewhere = f"{away} of the clients in other namespaces are, or may be, in a mesh or behind an HTTP proxy"
    if not own:
        return Check(status, Reason.OBSTRUCTED_ELSEWHERE, elsewhere)
    workload, first = own[0]
    others = f"; and {len(own) - 1} more" if len(own) > 1 else ""
    text = f"{workload.ref.kind} {workload.ref.name}: {first.seen}; {first.remedy}{others}"
    return Check(status, first.reason, f"{text}; {elsewhere}" if away else text)


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
    (ConditionType.HEADLESS_EFFECTIVE, headless_effective),
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
