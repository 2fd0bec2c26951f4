"""What stands between a client and its servers and would balance in their stead: meshes and HTTP proxies. Pure.

A sidecar ends the client's connection and makes its own: the age that servers set never reaches the client, which so
never looks for new pods, and Linkerd does not balance by headless names at all (linkerd/linkerd2#3792, #4262,
istio/istio#18758). A proxy resolves the name itself, once for each connection. Seen is what objects show: pods that a
webhook changes on its own authority look like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, NamedTuple

from . import names
from .api import Reason
from .desired import Resolution
from .model import Container, HttpProxy, Namespace, Role, Workload
from .optin import Problem
from .plan import Finding

_ON: Final = frozenset({"enabled", "true", "ingress"})


class Obstacle(NamedTuple):
    """What defeats balancing, or may (not `certain`), how it was seen, and what would change that."""

    reason: Reason
    certain: bool
    seen: str
    remedy: str


class Marks(NamedTuple):
    """Labels and annotations that meshes read: of a pod template, and of its namespace."""

    pod: Mapping[str, str]
    namespace: Mapping[str, str]


class Sidecar(NamedTuple):
    """A mesh of sidecars: its container, how it is told to inject, and which ports it may be told to leave alone."""

    name: str
    container: str
    injects: Callable[[Marks], str | None]
    leave: str
    inbound: str
    outbound: str


def _mark(marks: Marks, key: str, on: frozenset[str] = _ON) -> str | None:
    """How a switch is seen to be on: the pod's own word counts before its namespace's."""
    if key in marks.pod:
        return f"{key}: {marks.pod[key]} on its pod template" if marks.pod[key] in on else None
    return f"{key}: {marks.namespace[key]} on its namespace" if marks.namespace.get(key) in on else None


def _istio(marks: Marks) -> str | None:
    pod, namespace = marks
    switch = namespace.get(names.ISTIO_NAMESPACE)
    templates = pod.get(names.ISTIO_TEMPLATES, "sidecar")
    # Either side may say no. The template grpc-agent has no Envoy: gRPC itself balances.
    if switch == "disabled" or pod.get(names.ISTIO_INJECT) == "false" or "sidecar" not in templates:
        return None
    if switch == "enabled":
        return f"{names.ISTIO_NAMESPACE}: {switch} on its namespace"
    if names.ISTIO_INJECT in pod:
        return _mark(marks, names.ISTIO_INJECT)
    # A revision also says which control plane an ambient namespace belongs to.
    if _ambient_mode(marks) == "ambient":
        return None
    for where, mapping in (("pod template", pod), ("namespace", namespace)):
        if mapping.get(names.ISTIO_REVISION):
            return f"{names.ISTIO_REVISION}: {mapping[names.ISTIO_REVISION]} on its {where}"
    return None


SIDECARS: Final = (
    Sidecar(
        "Linkerd",
        "linkerd-proxy",
        partial(_mark, key=names.LINKERD_INJECT),
        f"annotation {names.LINKERD_INJECT}: disabled",
        names.LINKERD_SKIP_INBOUND,
        names.LINKERD_SKIP_OUTBOUND,
    ),
    Sidecar(
        "Istio",
        "istio-proxy",
        _istio,
        f'label {names.ISTIO_INJECT}: "false"',
        names.ISTIO_SKIP_INBOUND,
        names.ISTIO_SKIP_OUTBOUND,
    ),
    Sidecar(
        "Kuma",
        "kuma-sidecar",
        partial(_mark, key=names.KUMA_INJECT),
        f"label {names.KUMA_INJECT}: disabled",
        names.KUMA_SKIP_INBOUND,
        names.KUMA_SKIP_OUTBOUND,
    ),
    Sidecar(
        "Consul",
        "consul-dataplane",
        partial(_mark, key=names.CONSUL_INJECT),
        f'annotation {names.CONSUL_INJECT}: "false"',
        names.CONSUL_SKIP_INBOUND,
        names.CONSUL_SKIP_OUTBOUND,
    ),
)


def obstacle(
    workload: Workload,
    finding: Finding,
    namespace: Namespace | None,
    target: tuple[str, int] | None,
) -> Obstacle | None:
    """What makes client-side balancing void for a workload in the role of a finding about it; the worst first.

    `target` are host and port that clients are given, None while they are not known. `namespace` is None where
    namespaces cannot be read.
    """
    marks = Marks(dict(workload.mesh), dict(namespace.mesh) if namespace else {})
    found = _sidecar(workload, finding.role, marks, target[1] if target else None)
    if found is None and finding.role is Role.CLIENT and target is not None:
        found = _http_proxy(workload, finding.containers, target[0])
    return found or _ambient(workload, marks)


def dialled(resolution: Resolution | Problem) -> tuple[str, int] | None:
    """Host and port that clients are given, as they dial them; None while they are not known."""
    if isinstance(resolution, Problem):
        return None
    return resolution.target.removeprefix("dns:///").rpartition(":")[0], resolution.port


def _sidecar(workload: Workload, role: Role | None, marks: Marks, port: int | None) -> Obstacle | None:
    running = {*(container.name for container in workload.containers), *workload.native_sidecars}
    for mesh in SIDECARS:
        # Injectors pass over pods in their node's network.
        injected = None if workload.host_network else mesh.injects(marks)
        seen = f"container {mesh.container}" if mesh.container in running else injected
        skips = mesh.inbound if role is Role.SERVER else mesh.outbound
        ports = marks.pod.get(skips, marks.namespace.get(skips, ""))
        if seen is None or (port is not None and _listed(port, ports)):
            continue
        listed = f", or add the port to annotation {skips}" + (f': "{port}"' if port and not ports else "")
        return Obstacle(
            Reason.MESH_SIDECAR,
            certain=True,
            seen=f"a sidecar of {mesh.name} ({seen}) ends its connections",
            remedy=f"set {mesh.leave} on its pod template{listed} there, or let the mesh balance and do without "
            "grpcbalance",
        )
    return None


def _listed(port: int, ports: str) -> bool:
    """Whether a list such as "4222,6000-6010" has a port."""
    for item in ports.split(","):
        first, _, last = item.strip().partition("-")
        if first.isdecimal() and (last or first).isdecimal() and int(first) <= port <= int(last or first):
            return True
    return False


def _ambient_mode(marks: Marks) -> str | None:
    return marks.pod.get(names.ISTIO_DATAPLANE, marks.namespace.get(names.ISTIO_DATAPLANE))


def _ambient(workload: Workload, marks: Marks) -> Obstacle | None:
    """Ztunnel hands connections on as they are, to the pod that was dialled; a waypoint ends them as a sidecar does."""
    waypoint = marks.pod.get(names.ISTIO_WAYPOINT, marks.namespace.get(names.ISTIO_WAYPOINT))
    if workload.host_network or _ambient_mode(marks) != "ambient" or waypoint == "none":
        return None
    through = f"and waypoint {waypoint} may end" if waypoint else "where a waypoint for workloads would end"
    return Obstacle(
        Reason.MESH_AMBIENT,
        certain=waypoint is not None,
        seen=f"it is in Istio's ambient mesh ({_mark(marks, names.ISTIO_DATAPLANE, frozenset({'ambient'}))}), "
        f"{through} its connections",
        remedy=f"set label {names.ISTIO_WAYPOINT}: none on its pod template, or {names.ISTIO_DATAPLANE}: none "
        "to leave the mesh",
    )


def _http_proxy(workload: Workload, chosen: tuple[str, ...], host: str) -> Obstacle | None:
    """`chosen` are the containers that the values go to; none while that is not decided."""
    for container in workload.containers:
        used = _proxy_used(container, host) if container.name in chosen or not chosen else None
        if used is not None:
            variable, exempt = used
            return Obstacle(
                Reason.HTTP_PROXY,
                certain=True,
                seen=f"variable {variable} of container {container.name} sends its calls through a proxy, which picks "
                "one pod for all",
                # Libraries compare the end of the name as it is dialled, with its last dot.
                remedy=f"add {_domain(host)} to {exempt} there, just so"
                + (": with the last dot, without a blank or *" if host.endswith(".") else ", without a blank or *"),
            )
    return None


def _domain(host: str) -> str:
    return "." + host.split(".", 2)[2]


def _proxy_used(container: Container, host: str) -> tuple[str, str] | None:
    """The variable by which some library would go through a proxy to `host`, and the list that should except it."""
    proxy = container.http_proxy
    if proxy is None or container.name in names.SIDECARS:
        return None
    for variables, lists, covers in _LIBRARIES:
        variable = next((name for name in variables if name in proxy.variables), None)
        exempt = _first(proxy, lists)
        if variable is not None and exempt is not None and not any(covers(entry, host) for entry in exempt[1]):
            return variable, exempt[0]
    return None


def _first(proxy: HttpProxy, lists: tuple[str, ...]) -> tuple[str, tuple[str, ...]] | None:
    """The list that counts, and what is in it. None when its content cannot be seen; empty when there is none."""
    known = dict(proxy.exempt)
    name = next((name for name in lists if name in known), None)
    if name is None:
        return lists[-1], ()
    hosts = known[name]
    return None if hosts is None else (name, hosts)


def _ends_so(entry: str, host: str) -> bool:
    return host.endswith(entry)


def _go_covers(entry: str, host: str) -> bool:
    domain = entry.strip().lower().removeprefix("*.").removeprefix(".")
    return domain in ("*", host) or host.endswith(f".{domain}")


_LIBRARIES: Final = (
    # C-core and Node.js, then Go.
    (("grpc_proxy", "https_proxy", "http_proxy"), ("no_grpc_proxy", "no_proxy"), _ends_so),
    (("HTTPS_PROXY", "https_proxy"), ("NO_PROXY", "no_proxy"), _go_covers),
)
