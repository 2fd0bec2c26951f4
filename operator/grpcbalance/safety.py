"""Whether a rolling update of servers can outrun their clients. Pure.

No gRPC library resolves a name more often than every 30 s unless its program lowers that floor, so a rollout
that replaces all pods faster can leave a client with addresses of gone pods only (facts measured on
grpc-go, C-core and grpc-js; the same mechanism as grpc-go#6990 and grpc-java#11351).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from .model import Ref, Workload
from .names import SIDECARS

# 30 s floor of the resolvers plus the 5 s that cluster DNS may answer from its cache.
SAFE_SECONDS = 35
# What Kubernetes gives a pod to stop by default, and so what is left after preStop.
_GRACE_SECONDS = 30


def is_safe(workload: Workload) -> bool:
    """Whether old pods outlive the resolvers' floor: by minReadySeconds, or each app's preStop.

    minReadySeconds does not help where maxUnavailable lets all old pods go before any new one is ready.
    """
    if not workload.rolls and workload.replicas == 0:
        # A CronJob: the pods of a Job are never replaced.
        return True
    if workload.recreates:
        return False
    if workload.min_ready_seconds >= SAFE_SECONDS and not workload.takes_all:
        return True
    return pre_stop(workload) >= SAFE_SECONDS


def pre_stop(workload: Workload) -> float:
    """Seconds that every app's preStop of a workload sleeps at least."""
    return min((c.pre_stop_seconds for c in workload.containers if c.name not in SIDECARS), default=0.0)


def cautions(workloads: Iterable[Workload], max_age_ms: int | None) -> Iterator[str]:
    """What to mind about servers whose rolling updates are safe. `max_age_ms` is None where none is set by us."""
    servers = list(workloads)
    by_hand = next((w.ref for w in servers if not w.rolls and w.replicas > 0), None)
    if by_hand is not None:
        yield (
            f"the pods of {by_hand.kind} {by_hand.name} are replaced by hand: once the new one is ready, wait "
            f"{SAFE_SECONDS}s before the next"
        )
    if max_age_ms is None:
        return
    # gRPC A9: each connection lives up to a tenth longer than the maximum age.
    seconds = math.ceil(max_age_ms * 11 / 10_000) + SAFE_SECONDS
    if any(pre_stop(w) < seconds for w in servers if w.rolls):
        yield (
            "servers on C-core (Python, C++, Ruby, PHP) cancel calls that arrive while they stop: for these also set "
            f"lifecycle.preStop.sleep.seconds: {seconds} with terminationGracePeriodSeconds: "
            f"{seconds + _GRACE_SECONDS}, by when all clients have left; a shorter maxConnectionAge needs less"
        )


def remedy(workload: Workload) -> str:
    """What to change in a workload that is not safe."""
    if workload.recreates:
        if workload.ref.kind == "DaemonSet":
            return (
                "set updateStrategy.rollingUpdate.maxSurge: 1 and maxUnavailable: 0, as on a single node the pod goes "
                f"before its successor, with spec.minReadySeconds: {SAFE_SECONDS}"
            )
        if workload.ref.kind != "Deployment":
            return f"give {workload.ref.kind} {workload.ref.name} more than one pod, as each goes before its successor"
        return f"use strategy RollingUpdate with spec.minReadySeconds: {SAFE_SECONDS} in place of Recreate"
    if workload.takes_all and workload.min_ready_seconds >= SAFE_SECONDS:
        return f"lower maxUnavailable, which lets a rollout take all {workload.replicas} pods at once"
    return (
        f"set spec.minReadySeconds: {SAFE_SECONDS}, or lifecycle.preStop.sleep.seconds: {SAFE_SECONDS} with "
        f"terminationGracePeriodSeconds: {SAFE_SECONDS + _GRACE_SECONDS}"
    )


def unsafe_message(workload: Workload, service: Ref) -> str:
    """What to change so that a rollout of `workload` is safe for the clients of `service`."""
    harm = "without any server" if workload.recreates or workload.takes_all else "without servers for up to 30s"
    return (
        f"a rollout now could leave clients of {service.name} {harm}; {remedy(workload)}, or set "
        f"rollout.allowUnsafe on {service.name}"
    )
