"""What a decision about a workload depends on, and where each of its roles stands: data only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from . import inject
from .balancer import Balancer
from .desired import Resolution
from .lookaside.seen import Seen
from .model import Ref, Role, WorkloadRef
from .optin import Problem
from .values import Value


@dataclass(frozen=True, slots=True)
class ServiceState:
    """What a workload must know of a service it names. `failed` are workloads of which our rollout failed."""

    ref: Ref
    resolution: Resolution | Problem
    serving: bool
    servers_settled: bool
    failed: tuple[WorkloadRef, ...] = ()
    seen: Seen | None = None
    # Its status tells of clients that were moved to xDS and are not connected.
    unconnected: bool = False
    # Of a workload on xDS that it does not let in any more: what takes that back to DNS (`migration.returning`).
    returning: inject.Wanted = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Situation:
    """What a decision depends on beside the objects: rollouts in flight, and how long this workload waited.

    `refusal` is why the last write to this workload was refused, by the API server or, with --dry-run, in its place.
    `carried` is the fingerprint of all values at the time when the template was last as wanted, if known; `taken` is
    why these are not put back now when somebody took them away. `balancer` is where clients on xDS are pointed.
    """

    rollouts: int = 0
    max_rollouts: int = 10
    waited: float = 0.0
    server_wait: float = 300.0
    refusal: Problem | None = None
    carried: str | None = None
    taken: Problem | None = None
    # The operator sees no other namespace than the workload's.
    one_namespace: bool = False
    balancer: Balancer = field(default_factory=Balancer)
    # Why clients of this namespace would not know the look-aside balancer over TLS.
    untrusted: Problem | None = None


@dataclass(frozen=True, slots=True)
class RoleState:
    """One role towards one service: its containers and values, or the problem that blocks it.

    `configured` is what is told of it when all is done. `partial`: it wants no more, and what else the workload has
    stays, but for what only clients on xDS have.
    """

    ref: Ref
    role: Role
    containers: tuple[str, ...] = ()
    variables: Mapping[str, Value] | None = None
    problem: Problem | None = None
    configured: Problem | None = None
    partial: bool = False

    @property
    def wanted(self) -> inject.Wanted:
        """Container -> variable -> value."""
        return {container: self.variables or {} for container in self.containers}
