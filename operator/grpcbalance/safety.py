"""Whether a rolling update of servers can outrun their clients. Pure.

No gRPC library resolves a name more often than every 30 s unless its program lowers that floor, so a rollout
that replaces all pods faster can leave a client with addresses of gone pods only (facts measured on
grpc-go, C-core and grpc-js; the same mechanism as grpc-go#6990 and grpc-java#11351).
"""

from __future__ import annotations

from .model import Ref, Workload
from .names import SIDECARS

# 30 s floor of the resolvers plus the 5 s that cluster DNS may answer from its cache.
SAFE_SECONDS = 35


def is_safe(workload: Workload) -> bool:
    """Whether old pods outlive the resolvers' floor: by minReadySeconds, or each app's preStop.

    minReadySeconds does not help where maxUnavailable lets all old pods go before any new one is ready.
    """
    if workload.recreates:
        return False
    if workload.min_ready_seconds >= SAFE_SECONDS and not workload.takes_all:
        return True
    apps = [container for container in workload.containers if container.name not in SIDECARS]
    return bool(apps) and all(container.pre_stop_seconds >= SAFE_SECONDS for container in apps)


def remedy(workload: Workload) -> str:
    """What to change in a workload that is not safe."""
    if workload.recreates:
        if workload.ref.kind != "Deployment":
            return f"give {workload.ref.kind} {workload.ref.name} more than one pod, as each goes before its successor"
        return f"use strategy RollingUpdate with spec.minReadySeconds: {SAFE_SECONDS} in place of Recreate"
    if workload.takes_all and workload.min_ready_seconds >= SAFE_SECONDS:
        return f"lower maxUnavailable, which lets a rollout take all {workload.replicas} pods at once"
    return (
        f"set spec.minReadySeconds: {SAFE_SECONDS}, or lifecycle.preStop.sleep.seconds: {SAFE_SECONDS} with a longer "
        "terminationGracePeriodSeconds"
    )


def unsafe_message(workload: Workload, service: Ref) -> str:
    """What to change so that a rollout of `workload` is safe for the clients of `service`."""
    harm = "without any server" if workload.recreates or workload.takes_all else "without servers for up to 30s"
    return (
        f"a rollout now could leave clients of {service.name} {harm}; {remedy(workload)}, or set "
        f"rollout.allowUnsafe on {service.name}"
    )
