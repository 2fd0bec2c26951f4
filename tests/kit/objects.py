"""Builders of the objects that tests create. Each gives a complete, valid object; tests change what they are about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.install import echo_image_name

Object = dict[str, Any]

PORT = 5000
# What each kind's spec has in common with a Deployment's.
_KEPT = {
    "StatefulSet": ("replicas", "selector", "minReadySeconds", "template"),
    "DaemonSet": ("selector", "minReadySeconds", "template"),
    "CronJob": (),
}
# Variables by which a server knows its own name and address.
IDENTITY = [
    {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
]


def balanced(name: str = "orders", /, **spec: Any) -> Object:
    """A GrpcBalancedService selecting `app: <name>` on the echo server's port."""
    return {
        "apiVersion": "grpcbalance.dev/v1alpha1",
        "kind": "GrpcBalancedService",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "port": PORT, **spec},
    }


def deployment(
    name: str,
    container: Object,
    *,
    replicas: int = 1,
    annotations: Mapping[str, str] | None = None,
    spec: Mapping[str, Any] | None = None,
    pod: Mapping[str, Any] | None = None,
) -> Object:
    """A Deployment of one container, labelled `app: <name>`."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "annotations": dict(annotations or {})},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            **(spec or {}),
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"terminationGracePeriodSeconds": 40, **(pod or {}), "containers": [container]},
            },
        },
    }


def _echo(role: str, env: Mapping[str, str], **more: Any) -> Object:
    return {
        "name": "app",
        "image": echo_image_name(),
        "imagePullPolicy": "IfNotPresent",
        "args": [role],
        "env": [*IDENTITY, *({"name": name, "value": value} for name, value in env.items())],
        **more,
    }


def server(name: str = "orders", *, replicas: int = 2, env: Mapping[str, str] | None = None, **more: Any) -> Object:
    """A Deployment of echo servers that declare port 5000 and are probed by gRPC."""
    container = _echo(
        "server",
        env or {},
        ports=[{"name": "grpc", "containerPort": PORT}],
        readinessProbe={"grpc": {"port": PORT}, "periodSeconds": 1},
    )
    return deployment(name, container, replicas=replicas, **more)


def client(
    name: str = "checkout", service: str = "orders", *, env: Mapping[str, str] | None = None, **more: Any
) -> Object:
    """A Deployment of one echo client of `service`, 50 RPC/s, which falls back on the ClusterIP name."""
    fixed = {"SERVICE": service.upper().replace("-", "_"), "FALLBACK_TARGET": f"{service}:{PORT}", "RATE": "50"}
    return deployment(name, _echo("client", fixed | dict(env or {})), **more)


def idle(
    name: str, *, replicas: int = 0, env: list[Object] | None = None, ports: tuple[int, ...] = (), **more: Any
) -> Object:
    """A Deployment whose pods, if any, only wait: for tests about objects rather than traffic."""
    container = _echo("server", {})
    container["env"] += env or []
    if ports:
        container["ports"] = [{"containerPort": port} for port in ports]
    return deployment(name, container, replicas=replicas, **more)


def as_kind(kind: str, made: Object, **spec: Any) -> Object:
    """The workload that `made`, a Deployment, describes, as another kind; `spec` are fields of that kind."""
    if kind == "Deployment":
        return {**made, "spec": {**made["spec"], **spec}}
    kept = {key: value for key, value in made["spec"].items() if key in _KEPT[kind]}
    metadata, template = made["metadata"], made["spec"]["template"]
    if kind == "CronJob":
        pod = {**template, "spec": {**template["spec"], "restartPolicy": "Never"}}
        # Once a year: the Jobs that tests look at are made by hand.
        kept |= {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": pod}}}
    api_version = "batch/v1" if kind == "CronJob" else "apps/v1"
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": {**kept, **spec}}


def cluster_ip(name: str = "orders", **spec: Any) -> Object:
    """An ordinary ClusterIP Service before the echo servers of that name."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"port": PORT, "targetPort": PORT}], **spec},
    }


def slice_by_hand(name: str, endpoints: list[Object], service: str = "orders-headless") -> Object:
    """An EndpointSlice of a headless Service of `orders` that no controller manages."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/service-name": service,
                "endpointslice.kubernetes.io/managed-by": "tests",
                "grpcbalance.dev/service": "orders",
            },
        },
        "addressType": "IPv4",
        "ports": [{"name": "grpc", "port": PORT, "protocol": "TCP"}],
        "endpoints": endpoints,
    }
