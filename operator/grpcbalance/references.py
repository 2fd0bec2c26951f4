"""What a spec refers to: the selector, its own or that of another Service, and the container port. Pure.

A named port is resolved from the templates of annotated servers, or from a numeric target port: never from endpoints.
"""

from __future__ import annotations

from .api import Reason, Spec
from .listed import listed
from .model import ServiceSnapshot, Workload
from .optin import Problem


def selector(spec: Spec, snapshot: ServiceSnapshot) -> tuple[tuple[str, str], ...] | Problem:
    """The selector: the spec's own, or that of the referenced Service."""
    if spec.service_ref is None:
        return tuple(sorted((spec.selector or {}).items()))
    name, service = spec.service_ref.name, snapshot.referenced
    if service is None:
        return Problem(Reason.SERVICE_NOT_FOUND, f"spec.serviceRef: there is no Service {name!r} in this namespace")
    if service.type == "ExternalName" or not service.selector:
        kind = "is an ExternalName" if service.type == "ExternalName" else "has no selector"
        return Problem(
            Reason.UNSUPPORTED_SERVICE, f"spec.serviceRef: Service {name!r} {kind}; use spec.selector instead"
        )
    return service.selector


def port(spec: Spec, snapshot: ServiceSnapshot) -> tuple[int, bool] | Problem:
    """The container port, and whether a template or a serviceRef vouches for it."""
    wanted = spec.port
    if wanted is None:
        ports = snapshot.referenced.ports if snapshot.referenced else ()
        if len(ports) != 1:
            return Problem(
                Reason.PORT_AMBIGUOUS,
                f"spec.port is needed: the Service that spec.serviceRef names has {len(ports)} ports",
            )
        wanted = ports[0].target_port
        if isinstance(wanted, int):
            return wanted, True
    return _numbered_port(wanted, snapshot) if isinstance(wanted, int) else _named_port(wanted, snapshot)


def _numbered_port(wanted: int, snapshot: ServiceSnapshot) -> tuple[int, bool] | Problem:
    referenced = snapshot.referenced.ports if snapshot.referenced else ()
    if any(port.target_port == wanted for port in referenced):
        return wanted, True
    if any(number == wanted for _, number in _declared(snapshot.servers)):
        return wanted, True
    if snapshot.servers:
        return Problem(
            Reason.PORT_NOT_DECLARED,
            f"spec.port: no container of {_names(snapshot.servers)} declares containerPort {wanted}; "
            "declare it, or set spec.port to the CONTAINER port",
        )
    return wanted, False


def _named_port(wanted: str, snapshot: ServiceSnapshot) -> tuple[int, bool] | Problem:
    numbers = {number for name, number in _declared(snapshot.servers) if name == wanted}
    for port in snapshot.referenced.ports if snapshot.referenced else ():
        if port.name == wanted and isinstance(port.target_port, int):
            numbers.add(port.target_port)
    if len(numbers) == 1:
        return numbers.pop(), True
    if numbers:
        listed = ", ".join(str(number) for number in sorted(numbers))
        return Problem(
            Reason.PORT_AMBIGUOUS,
            f"spec.port: {wanted!r} stands for {listed}; write the number of the one meant",
        )
    where = _names(snapshot.servers) if snapshot.servers else "any annotated server (there is none yet)"
    return Problem(
        Reason.PORT_UNRESOLVED,
        f"spec.port: {wanted!r} is not a container port of {where}; write its number instead",
    )


def _declared(servers: tuple[Workload, ...]) -> set[tuple[str, int]]:
    return {(port.name, port.number) for server in servers for c in server.containers for port in c.ports}


def _names(servers: tuple[Workload, ...]) -> str:
    return listed([f"{server.ref.kind} {server.ref.name}" for server in servers], 3)
