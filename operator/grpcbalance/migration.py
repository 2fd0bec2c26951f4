"""Whom an object with `discovery: XDS` moves to the look-aside balancer, and what has to be there first. Pure.

A program without xDS in it would fail every call, so only workloads that say that theirs have it are moved; all others
stay on DNS under the same object. Nothing is done by halves: a client with a target of xDS and somebody else's
bootstrap would ask somebody else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from . import inject
from .api import Reason
from .balancer import Balancer
from .desired import Resolution
from .inject import Entry
from .lookaside.seen import Seen
from .model import Ref, Workload
from .names import ANNOTATION_XDS, BOOTSTRAP, BOOTSTRAP_FILE, CALL_CREDENTIALS, POD_NAME, ZONE, xds_host
from .optin import OptIn, Problem
from .values import PROOF, Value

# By what a client finds the look-aside balancer and proves who it is; one for all services that a container calls.
SHARED: Final = (BOOTSTRAP, CALL_CREDENTIALS, PROOF)
# All that clients on xDS have beside what those on DNS have.
BESIDE: Final = frozenset({*SHARED, POD_NAME, ZONE})
_PLAINTEXT: Final = "plaintext"
# Said of clients that stay on DNS, and are configured as such.
STAYS: Final = Problem(
    Reason.STAYS_ON_DNS,
    'stays on DNS. Once its program has xDS in it (Go: import _ "google.golang.org/grpc/xds"; Java: dependency '
    "io.grpc:grpc-xds; Node.js: require('@grpc/grpc-js-xds').register(); Python: as it is), annotate it "
    f"{ANNOTATION_XDS}: ready (Go, Python), or {_PLAINTEXT} (Java, Node.js, which cannot prove who they are)",
)
NOT_OPEN: Final = Problem(
    Reason.STAYS_ON_DNS,
    "stays on DNS: in plain text nobody can tell who asks, so only services that let in everybody are served; set "
    "spec.allowedClients.namespaces.from to All, or (Go, Python) let it connect over TLS",
)


@dataclass(frozen=True, slots=True)
class Move:
    """A client that is to be on xDS: what its containers get, and in which way it connects."""

    values: Mapping[str, Value]
    plaintext: bool


def move(workload: Workload, opt_in: OptIn, resolution: Resolution, balancer: Balancer) -> Move | Problem | None:
    """What a client is given to be on xDS; None when all are on DNS, a Problem says why this one is."""
    if resolution.discovery != "XDS":
        return None
    if opt_in.xds is None:
        return STAYS
    plaintext = balancer.plaintext or opt_in.xds == _PLAINTEXT
    if plaintext and not resolution.open_to_all:
        return NOT_OPEN
    target = {resolution.target_variable: resolution.target}
    entries = balancer.entries(workload.ref.namespace, plaintext=plaintext)
    return Move({**resolution.client_variables, **target, **entries}, plaintext)


def returning(workload: Workload, ref: Ref, resolution: Resolution) -> inject.Wanted:
    """What a client on xDS gets whose namespace a service does not let in any more: the target on DNS.

    Nothing else of the service is told it; what it has BESIDE goes. Empty for clients that are on DNS.
    """
    if xds_host(ref.name, ref.namespace) not in workload.hosts:
        return {}
    name = resolution.target_variable
    target = {name: resolution.client_variables[name]}
    return {c.name: target for c in workload.containers if name in inject.still_ours(workload, c)}


def barred(workload: Workload, wanted: inject.Wanted) -> Problem | None:
    """What only people can mend."""
    for container in wanted:
        found = workload.container(container)
        if found is not None and any(variable.name == BOOTSTRAP_FILE for variable in found.env):
            why = f"container {container} has its own {BOOTSTRAP_FILE}, which wins over what would be injected"
            return Problem(Reason.ENV_CONFLICT, f"{why}; remove it to follow by xDS")
    foreign = ", ".join(f"{name} (container {container})" for container, name in _foreign(workload, wanted))
    if foreign:
        why = f"has its own {foreign}; it wins, and nothing is injected beside it. Remove it to follow by xDS"
        return Problem(Reason.ENV_CONFLICT, why)
    return None


def _foreign(workload: Workload, wanted: inject.Wanted) -> Iterator[tuple[str, str]]:
    return (key for key, state in inject.entries(workload, wanted).items() if state is Entry.FOREIGN)


def awaited(seen: Seen | None, *, plaintext: bool, held: bool) -> Problem | None:
    """What a client waits for before it is pointed at the look-aside balancer. `held`: others that were are lost."""
    if seen is None:
        return Problem(Reason.XDS_NOT_ASKED, "the look-aside balancer was not asked yet")
    if seen.problem:
        return Problem(Reason.XDS_NOT_SERVING, seen.problem)
    if held:
        why = "clients that were moved before are not connected to the look-aside balancer; mend those first"
        return Problem(Reason.XDS_NOT_CONNECTED, why)
    return unserved(seen, plaintext=plaintext)


def unserved(seen: Seen | None, *, plaintext: bool) -> Problem | None:
    """Whether the balancer, as far as it answers, does not serve in the way that a client connects.

    Of a client that was moved before it is told: its pods go on with what they know, and new ones know nothing.
    """
    if seen is None or seen.problem or (seen.plaintext if plaintext else seen.tls):
        return None
    otherwise = ", or let the operator's --xds-credentials be plaintext"
    how, fix = ("in plain text", "") if plaintext else ("over TLS", otherwise)
    why = f"not every replica of the look-aside balancer serves {how}: kubectl apply -k manifests/xds/both{fix}"
    return Problem(Reason.XDS_NOT_SERVING, why)
