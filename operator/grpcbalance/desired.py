"""What a GrpcBalancedService means here and now: its port, target, variables, and its headless Service.

Pure. `resolve` turns a snapshot into a Resolution or a Problem; `headless_service` into a manifest;
`drifted` says whether the live Service still is that.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from . import references
from .api import Reason, Spec, parse_spec
from .kept import kept_text, next_text
from .model import Balanced, Ref, Service, ServicePort, ServiceSnapshot
from .names import (
    ANNOTATION_KEPT,
    ANNOTATION_OWNER_UID,
    ANNOTATION_UNREFERENCED,
    LABEL_MANAGED_BY,
    LABEL_SERVICE,
    MANAGED_BY,
    cluster_host,
    xds_target,
)
from .optin import Problem
from .service_config import ServiceConfigError, service_config
from .variables import Target, VariableClashError, client_variables, server_variables, target_variable

PORT_NAME = "grpc"
APP_PROTOCOL = "grpc"


@dataclass(frozen=True, slots=True)
class Resolution:
    """A spec with every reference resolved.

    `port_confirmed`: an annotated server declares the port, or a serviceRef names it. Without that nothing
    vouches for anybody listening there, so no client is pointed at it.
    `target` is what clients are given by `discovery`; `client_variables` are those of clients on DNS, which an object
    with discovery XDS has, too. `open_to_all`: allowedClients let in every namespace.
    """

    service_name: str
    host: str
    port: int
    port_confirmed: bool
    selector: tuple[tuple[str, str], ...]
    target: str
    target_variable: str
    authority: str
    service_config: str
    client_variables: Mapping[str, str]
    server_variables: Mapping[str, str]
    unmanaged: bool
    discovery: str
    open_to_all: bool


@functools.lru_cache(maxsize=1024)
def read_spec(text: str) -> Spec | Problem:
    """The spec of a Balanced, or why this version cannot read it."""
    try:
        return parse_spec(json.loads(text))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        return Problem(Reason.INVALID_SPEC, f"spec.{place}: {first['msg']}; apply the object again")


def resolve(snapshot: ServiceSnapshot, balanced: Balanced, cluster_domain: str) -> Resolution | Problem:
    """Resolve the references of `balanced`. A Problem says which one does not resolve, and how to mend it."""
    spec = read_spec(balanced.spec)
    if isinstance(spec, Problem):
        return spec
    labels = references.selector(spec, snapshot)
    if isinstance(labels, Problem):
        return labels
    port = references.port(spec, snapshot)
    if isinstance(port, Problem):
        return port
    return _assemble(balanced, spec, labels, port, cluster_domain)


def allows_unsafe(balanced: Balanced) -> bool:
    """Whether its people accept unsafe rollouts; the spec need not be accepted otherwise."""
    spec = read_spec(balanced.spec)
    return isinstance(spec, Spec) and spec.rollout.allow_unsafe


def _assemble(
    balanced: Balanced,
    spec: Spec,
    selector: tuple[tuple[str, str], ...],
    port: tuple[int, bool],
    cluster_domain: str,
) -> Resolution | Problem:
    host = cluster_host(balanced.service_name, balanced.ref.namespace)
    # The trailing dot spares a search list of DNS queries; TLS must not see it in the name.
    target = Target(f"{host}.{cluster_domain}" + ("" if spec.client.tls else "."), port[0])
    authority = spec.client.authority
    if spec.client.tls and not authority and spec.service_ref is not None:
        authority = cluster_host(spec.service_ref.name, balanced.ref.namespace)
    on_xds = spec.discovery == "XDS"
    try:
        client = client_variables(balanced.ref.name, spec.client, target, authority)
        server = server_variables(spec.server)
    except ServiceConfigError as error:
        return Problem(Reason.INVALID_SERVICE_CONFIG, f"spec.client.serviceConfig: {error}")
    except VariableClashError as error:
        return Problem(Reason.VARIABLE_CLASH, str(error))
    return Resolution(
        service_name=balanced.service_name,
        host=host,
        port=port[0],
        port_confirmed=port[1],
        selector=selector,
        target=xds_target(balanced.ref.name, balanced.ref.namespace, port[0]) if on_xds else target.uri(),
        target_variable=target_variable(balanced.ref.name, spec.client),
        authority=authority,
        service_config=service_config(spec.client),
        client_variables=client,
        server_variables=server,
        unmanaged=spec.server.mode == "Unmanaged",
        discovery=spec.discovery,
        open_to_all=spec.allowed_clients.namespaces.from_ == "All",
    )


def headless_service(balanced: Balanced, resolution: Resolution, live: Service | None = None) -> dict[str, Any]:
    """Manifest of the headless Service: what a POST creates and a server-side apply keeps so.

    `live` is the Service as it is now, if there is one.
    """
    ref = Ref(balanced.ref.namespace, resolution.service_name)
    manifest = _manifest(ref, balanced.ref.name, balanced.uid, resolution.selector, resolution.port)
    return _annotated(manifest, ANNOTATION_KEPT, next_text(live.kept if live else None, kept_text(balanced.spec)))


def marked(service: Service, unreferenced_since: str | None, *, outdated: bool = False) -> dict[str, Any]:
    """The manifest of one of our Services as it is, with or without the mark that nothing refers to it.

    `outdated`: another one serves in its place, and what it keeps of the spec is to go.
    """
    port = service.ports[0].port if service.ports else 0
    manifest = _manifest(service.ref, service.balanced or "", service.owner_uid or "", service.selector, port)
    kept = next_text(service.kept, None) if outdated else service.kept
    return _annotated(_annotated(manifest, ANNOTATION_UNREFERENCED, unreferenced_since), ANNOTATION_KEPT, kept)


def _annotated(manifest: dict[str, Any], key: str, value: str | None) -> dict[str, Any]:
    if value is not None:
        manifest["metadata"]["annotations"][key] = value
    return manifest


def _manifest(
    ref: Ref, balanced: str, owner_uid: str, selector: tuple[tuple[str, str], ...], port: int
) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": ref.name,
            "namespace": ref.namespace,
            "labels": {LABEL_MANAGED_BY: MANAGED_BY, LABEL_SERVICE: balanced},
            # No ownerReference: deleting the object or its CRD must not take the name from running clients.
            "annotations": {ANNOTATION_OWNER_UID: owner_uid},
        },
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "None",
            # Under plain DNS a dual-stack name would count each pod twice, once per family.
            "ipFamilyPolicy": "SingleStack",
            # True would keep terminating and unready pods in DNS.
            "publishNotReadyAddresses": False,
            "selector": dict(selector),
            "ports": [
                {
                    "name": PORT_NAME,
                    "port": port,
                    "targetPort": port,
                    "protocol": "TCP",
                    "appProtocol": APP_PROTOCOL,
                }
            ],
        },
    }


def is_ours(service: Service, balanced: Balanced) -> bool:
    """Whether a Service is the headless one of `balanced`: by labels, or by uid if those were stripped."""
    labelled = service.managed and service.balanced == balanced.ref.name
    return labelled or service.owner_uid == balanced.uid


def wanted_port(resolution: Resolution) -> ServicePort:
    """The only port of the headless Service."""
    return ServicePort(PORT_NAME, resolution.port, resolution.port, "TCP", APP_PROTOCOL)


def drifted(service: Service, balanced: Balanced, resolution: Resolution) -> bool:
    """Whether the live Service differs in anything that we set. Its cluster IP is not among it: immutable."""
    return service.kept != kept_text(balanced.spec) or not is_as_wanted(service, balanced, resolution)


def is_as_wanted(service: Service, balanced: Balanced, resolution: Resolution) -> bool:
    """Whether the live Service does what it is there for. What it keeps of the spec is for bad times only."""
    return (
        service.managed
        and service.balanced == balanced.ref.name
        and service.owner_uid == balanced.uid
        and service.unreferenced_since is None
        and service.type == "ClusterIP"
        and service.selector == resolution.selector
        and service.ports == (wanted_port(resolution),)
        and not service.publish_not_ready
        and service.ip_family_policy == "SingleStack"
    )


def serving(snapshot: ServiceSnapshot, resolution: Resolution) -> bool:
    """Whether the target has a ready endpoint on its port, as CoreDNS and so clients would see it."""
    return any(
        piece.service_name == resolution.service_name
        and resolution.port in piece.ports
        and any(endpoint.ready for endpoint in piece.endpoints)
        for piece in snapshot.slices
    )
