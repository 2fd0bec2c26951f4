"""The door: raw Kubernetes objects in, small frozen dataclasses out. Nothing raw goes past this module.

Missing fields are read the way the API defines their absence; a value of a wrong type cannot come from an
API server and is not guarded against, except in what people write by hand (annotations).
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from .model import (
    Balanced,
    Endpoint,
    Namespace,
    Ref,
    Service,
    ServicePort,
    Slice,
    Workload,
)
from .names import (
    ANNOTATION_KEPT,
    ANNOTATION_OWNER_UID,
    ANNOTATION_UNREFERENCED,
    LABEL_MANAGED_BY,
    LABEL_SERVICE,
    LABEL_SERVICE_NAME,
    MANAGED_BY,
    MESH_KEYS,
    cluster_host,
    headless_name,
    xds_host,
)

Raw = Mapping[str, Any]


def ref_of(raw: Raw) -> Ref:
    """Namespace and name of a raw object."""
    return Ref(raw["metadata"].get("namespace", ""), raw["metadata"]["name"])


def balanced(raw: Raw) -> Balanced:
    """A GrpcBalancedService. Its spec stays text and is validated where it is used: a bad one is reported."""
    meta, spec = raw["metadata"], raw.get("spec") or {}
    return Balanced(
        ref=ref_of(raw),
        uid=meta["uid"],
        resource_version=meta["resourceVersion"],
        generation=meta.get("generation", 0),
        spec=_canonical(spec),
        status=_canonical(raw.get("status") or {}),
        service_name=spec.get("serviceName") or headless_name(meta["name"]),
        service_ref=(spec.get("serviceRef") or {}).get("name"),
    )


def _canonical(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def service(raw: Raw) -> Service:
    """A Service, ours or not."""
    meta, spec = raw["metadata"], raw.get("spec") or {}
    labels, annotations = meta.get("labels") or {}, meta.get("annotations") or {}
    return Service(
        ref=ref_of(raw),
        uid=meta["uid"],
        resource_version=meta["resourceVersion"],
        type=spec.get("type", "ClusterIP"),
        cluster_ip=spec.get("clusterIP", ""),
        selector=pairs(spec.get("selector")),
        ports=tuple(_service_port(port) for port in spec.get("ports") or ()),
        publish_not_ready=bool(spec.get("publishNotReadyAddresses")),
        ip_family_policy=spec.get("ipFamilyPolicy", ""),
        managed=labels.get(LABEL_MANAGED_BY) == MANAGED_BY,
        balanced=labels.get(LABEL_SERVICE),
        owner_uid=annotations.get(ANNOTATION_OWNER_UID),
        unreferenced_since=annotations.get(ANNOTATION_UNREFERENCED),
        kept=annotations.get(ANNOTATION_KEPT),
    )


def _service_port(raw: Raw) -> ServicePort:
    return ServicePort(
        name=raw.get("name", ""),
        port=raw["port"],
        target_port=raw.get("targetPort", raw["port"]),
        protocol=raw.get("protocol", "TCP"),
        app_protocol=raw.get("appProtocol"),
    )


def namespace(raw: Raw) -> Namespace:
    """A namespace."""
    meta = raw["metadata"]
    return Namespace(meta["name"], pairs(meta.get("labels")), mesh_keys(meta))


def mesh_keys(meta: Raw) -> tuple[tuple[str, str], ...]:
    """The labels and annotations that service meshes read; a label wins over an annotation of its name."""
    both = {**(meta.get("annotations") or {}), **(meta.get("labels") or {})}
    return pairs({key: value for key, value in both.items() if key in MESH_KEYS})


def pairs(raw: Raw | None) -> tuple[tuple[str, str], ...]:
    """A string map as sorted pairs."""
    return tuple(sorted((raw or {}).items()))


def endpoint_slice(raw: Raw) -> Slice | None:
    """An EndpointSlice of one of our Services; None for any other."""
    labels = raw["metadata"].get("labels") or {}
    name = labels.get(LABEL_SERVICE)
    if name is None:
        return None
    return Slice(
        ref=ref_of(raw),
        balanced=name,
        service_name=labels.get(LABEL_SERVICE_NAME, ""),
        ports=tuple(port["port"] for port in raw.get("ports") or () if port.get("port")),
        endpoints=tuple(_endpoint(raw_) for raw_ in raw.get("endpoints") or ()),
    )


def _endpoint(raw: Raw) -> Endpoint:
    conditions = raw.get("conditions") or {}
    ready, terminating = conditions.get("ready"), conditions.get("terminating")
    return Endpoint(
        # One address identifies the endpoint: consumers must use the first only (discovery/v1).
        address=raw["addresses"][0],
        # KEP-752: nil means "unknown", to be read as true for ready and as false for terminating.
        ready=ready is not False,
        terminating=bool(terminating),
        zone=raw.get("zone") or "",
    )


def same(old: Service | Workload, new: Service | Workload) -> bool:
    """Whether nothing we look at has changed: all is equal but the resourceVersion, and who wrote it when."""
    return _lasting(old) == _lasting(new)


def _lasting(item: Service | Workload) -> Service | Workload:
    steady = dataclasses.replace(item, resource_version="")
    return dataclasses.replace(steady, writer=("", "")) if isinstance(steady, Workload) else steady


def owner_of(item: Service | Slice | None) -> set[Ref]:
    """The GrpcBalancedService that a Service or slice of ours belongs to, present or gone; at most one."""
    # Our label alone may have been copied; a Service that we do not manage must never be marked or deleted.
    foreign = isinstance(item, Service) and not item.managed
    return {Ref(item.ref.namespace, item.balanced)} if item and item.balanced and not foreign else set()


def serves(piece: Slice | None) -> tuple[str, tuple[int, ...]] | None:
    """What a slice says of its Service to clients: its name and ports while an endpoint is ready."""
    ready = piece is not None and any(endpoint.ready for endpoint in piece.endpoints)
    return (piece.service_name, piece.ports) if piece is not None and ready else None


def host_of(item: Service) -> str:
    """The name under which templates refer to a Service."""
    return cluster_host(item.ref.name, item.ref.namespace)


def hosts_of(item: Service, *, orphan: bool) -> tuple[str, ...]:
    """All names under which templates need a Service of ours. `orphan`: its object is gone.

    Clients on xDS name the object, and are served from any Service of it: while there is the object, from its newest.
    """
    named = (xds_host(item.balanced, item.ref.namespace),) if orphan and item.balanced else ()
    return (host_of(item), *named)
