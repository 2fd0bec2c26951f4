"""How the pods of the look-aside balancer stand, as far as their own status tells. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from grpcbalance.errors import one_line

Raw = Mapping[str, Any]


def asked(pods: Sequence[Raw]) -> list[str]:
    """Names of those that can be asked something, though they may not be ready."""
    return sorted(pod["metadata"]["name"] for pod in pods if _phase(pod) == "Running" and not next(_waiting(pod), ""))


def trouble(pods: Sequence[Raw], namespace: str) -> Iterator[str]:
    """What keeps replicas from serving, in one note."""
    if not pods:
        yield f"the look-aside balancer has no pods in {namespace}: kubectl apply -k manifests/xds installs it"
    unready = {pod["metadata"]["name"]: pod for pod in pods if not _is_ready(pod)}
    if unready:
        name = min(unready)
        more = f", nor are {len(unready) - 1} more" if len(unready) > 1 else ""
        look = f"kubectl -n {namespace} describe pod {name} tells why"
        reason = _why(unready[name])
        # Volumes are waited for under this name, and the pod's status says no more.
        hint = "; is there a Secret grpcbalance-xds-tls?" if reason == "ContainerCreating" else ""
        yield f"replica {name} of the look-aside balancer is not ready ({reason}){more}: {look}{hint}"


def _phase(pod: Raw) -> str:
    return (pod.get("status") or {}).get("phase") or "Unknown"


def _is_ready(pod: Raw) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any((one["type"], one["status"]) == ("Ready", "True") for one in conditions)


def _waiting(pod: Raw) -> Iterator[str]:
    """Why containers do not run."""
    for container in (pod.get("status") or {}).get("containerStatuses") or ():
        waiting = (container.get("state") or {}).get("waiting")
        if waiting is not None:
            yield waiting.get("reason") or "waits"


def _why(pod: Raw) -> str:
    """In one word: of a container, or of the pod, which may have no node yet."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    false = (one.get("reason") or "" for one in conditions if one["status"] == "False")
    words = (*_waiting(pod), *false, _phase(pod))
    return one_line(next(word for word in words if word))
