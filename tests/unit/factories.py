"""Builders of raw objects, as the API server would send them. Each is complete; tests change what they are about."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from grpcbalance import names, observe, observe_workload
from grpcbalance.balancer import Balancer
from grpcbalance.model import Balanced, Service, Slice, Workload

Raw = dict[str, Any]

NAMESPACE = "shop"
DOMAIN = "cluster.local"


def metadata(name: str, *, uid: str | None, rv: int, namespace: str = NAMESPACE, **more: Any) -> Raw:
    """metadata of any object; the uid defaults to one made of the name."""
    return {
        "name": name,
        "namespace": namespace,
        "uid": uid or f"uid-{namespace}-{name}",
        "resourceVersion": str(rv),
        "generation": 1,
        **more,
    }


def gbs(
    name: str = "orders",
    *,
    namespace: str = NAMESPACE,
    uid: str | None = None,
    rv: int = 1,
    generation: int = 1,
    status: Mapping[str, Any] | None = None,
    **spec: Any,
) -> Raw:
    """A GrpcBalancedService of `app: <name>` on port 5000. A spec field of None is left out."""
    full = {"selector": {"app": name}, "port": 5000, **spec}
    raw: Raw = {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": metadata(name, uid=uid, rv=rv, namespace=namespace) | {"generation": generation},
        "spec": {key: value for key, value in full.items() if value is not None},
    }
    return raw | ({"status": dict(status)} if status else {})


def namespace(name: str, labels: Mapping[str, str] | None = None, *, rv: int = 1) -> Raw:
    """A Namespace with labels."""
    meta = {"name": name, "uid": f"uid-{name}", "resourceVersion": str(rv)}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": meta | {"labels": dict(labels or {})}}


def env(**variables: str) -> list[Raw]:
    """Entries with plain values."""
    return [{"name": name, "value": value} for name, value in variables.items()]


def container(
    name: str = "app", *, ports: Sequence[int | tuple[str, int]] = (), env: Sequence[Raw] = (), **more: Any
) -> Raw:
    """A container; ports are numbers or (name, number)."""
    listed = [{"containerPort": p} if isinstance(p, int) else {"name": p[0], "containerPort": p[1]} for p in ports]
    raw: Raw = {"name": name, "image": "app:1", **more}
    if listed:
        raw["ports"] = listed
    if env:
        raw["env"] = [dict(entry) for entry in env]
    return raw


def deployment(
    name: str = "checkout",
    *,
    server: str | None = None,
    client: str | None = None,
    annotations: Mapping[str, str] | None = None,
    template_annotations: Mapping[str, str] | None = None,
    containers: Sequence[Raw] | None = None,
    namespace: str = NAMESPACE,
    uid: str | None = None,
    rv: int = 1,
    replicas: int | None = 1,
    rolled: bool = True,
    labels: Mapping[str, str] | None = None,
    meta: Mapping[str, Any] | None = None,
    pod: Mapping[str, Any] | None = None,
    **spec: Any,
) -> Raw:
    """A Deployment labelled `app: <name>`. `server` and `client` are our annotations; `rolled`: all pods are up."""
    ours = {} if server is None else {names.ANNOTATION_SERVER: server}
    ours |= {} if client is None else {names.ANNOTATION_CLIENT: client}
    template_meta: Raw = {"labels": dict(labels or {"app": name})}
    if template_annotations:
        template_meta["annotations"] = dict(template_annotations)
    raw: Raw = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(name, uid=uid, rv=rv, namespace=namespace)
        | {"annotations": {**ours, **(annotations or {})}}
        | dict(meta or {}),
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            **spec,
            "template": {
                "metadata": template_meta,
                "spec": {**(pod or {}), "containers": copy.deepcopy(list(containers or [container()]))},
            },
        },
        "status": {"observedGeneration": 1, "replicas": 1},
    }
    if replicas is not None:
        raw["spec"]["replicas"] = replicas
    return roll(raw) if rolled else raw


def roll(raw: Raw) -> Raw:
    """Let the Deployment's rollout be finished."""
    count = raw["spec"].get("replicas", 1)
    raw["status"] = {
        "observedGeneration": raw["metadata"]["generation"],
        "replicas": count,
        "updatedReplicas": count,
        "availableReplicas": count,
    }
    return raw


def stateful_set(name: str = "checkout", *, status: Mapping[str, Any] | None = None, **more: Any) -> Raw:
    """A StatefulSet, rolled out unless a status is given; `more` is what `deployment` takes."""
    raw = deployment(name, **more, rolled=False) | {"kind": "StatefulSet"}
    count = raw["spec"].get("replicas", 1)
    counts = ("replicas", "readyReplicas", "availableReplicas", "currentReplicas", "updatedReplicas")
    complete = {"currentRevision": "a", "updateRevision": "a", **dict.fromkeys(counts, count)}
    return raw | {"status": _seen(raw) | (complete if status is None else dict(status))}


def daemon_set(name: str = "checkout", *, nodes: int = 1, status: Mapping[str, Any] | None = None, **more: Any) -> Raw:
    """A DaemonSet, rolled out on some nodes; `status` is laid over that."""
    raw = deployment(name, **more, replicas=None, rolled=False) | {"kind": "DaemonSet"}
    counts = ("desiredNumberScheduled", "currentNumberScheduled", "updatedNumberScheduled", "numberAvailable")
    return raw | {"status": _seen(raw) | dict.fromkeys(counts, nodes) | dict(status or {})}


def cron_job(name: str = "checkout", **more: Any) -> Raw:
    """A CronJob; `more` is what `deployment` takes."""
    raw = deployment(name, **more, replicas=None, rolled=False)
    spec = {"schedule": "0 0 * * *", "jobTemplate": {"spec": {"template": raw["spec"]["template"]}}}
    return raw | {"apiVersion": "batch/v1", "kind": "CronJob", "spec": spec}


def _seen(raw: Raw) -> Raw:
    return {"observedGeneration": raw["metadata"]["generation"]}


def server(name: str = "orders", **more: Any) -> Raw:
    """A Deployment annotated as server of the service of its name, which declares port 5000."""
    return deployment(name, **{"server": name, "containers": [container(ports=[5000])], **more})


def service(
    name: str = "orders",
    *,
    namespace: str = NAMESPACE,
    uid: str | None = None,
    rv: int = 1,
    selector: Mapping[str, str] | None = None,
    ports: Sequence[Mapping[str, Any]] = ({"port": 80, "targetPort": 5000},),
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    **spec: Any,
) -> Raw:
    """A ClusterIP Service of `app: <name>`. An empty selector means none."""
    chosen = {"app": name} if selector is None else dict(selector)
    raw: Raw = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(name, uid=uid, rv=rv, namespace=namespace)
        | {"labels": dict(labels or {}), "annotations": dict(annotations or {})},
        "spec": {"type": "ClusterIP", "clusterIP": "10.0.0.1", "ports": [dict(port) for port in ports], **spec},
    }
    if chosen:
        raw["spec"]["selector"] = chosen
    return raw


def headless(
    name: str = "orders",
    *,
    owner_uid: str | None = None,
    unreferenced: str | None = None,
    kept: str | None = None,
    **more: Any,
) -> Raw:
    """Our headless Service of a GrpcBalancedService, as the operator makes it; `kept` of its spec."""
    annotations = {names.ANNOTATION_OWNER_UID: owner_uid or f"uid-{NAMESPACE}-{name}"}
    if unreferenced is not None:
        annotations[names.ANNOTATION_UNREFERENCED] = unreferenced
    if kept is not None:
        annotations[names.ANNOTATION_KEPT] = kept
    port = {"name": "grpc", "port": 5000, "targetPort": 5000, "protocol": "TCP", "appProtocol": "grpc"}
    return service(
        more.pop("service_name", f"{name}-headless"),
        **{
            "selector": {"app": name},
            "ports": [port],
            "labels": {names.LABEL_MANAGED_BY: names.MANAGED_BY, names.LABEL_SERVICE: name},
            "annotations": annotations,
            "clusterIP": "None",
            "ipFamilyPolicy": "SingleStack",
            **more,
        },
    )


def endpoint(address: str, *, zone: str | None = None, **conditions: bool) -> Raw:
    """An endpoint; conditions that are not given are absent, as the API allows."""
    raw: Raw = {"addresses": [address], "conditions": conditions}
    return raw | ({"zone": zone} if zone else {})


def endpoint_slice(
    name: str = "orders-headless-abc",
    *,
    balanced: str = "orders",
    service_name: str | None = None,
    ports: Sequence[int] = (5000,),
    endpoints: Sequence[Raw] = (),
    namespace: str = NAMESPACE,
    rv: int = 1,
    uid: str | None = None,
) -> Raw:
    """An EndpointSlice of our headless Service."""
    labels = {
        names.LABEL_SERVICE: balanced,
        names.LABEL_SERVICE_NAME: service_name or names.headless_name(balanced),
    }
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata(name, uid=uid, rv=rv, namespace=namespace) | {"labels": labels},
        "ports": [{"name": "grpc", "port": port, "protocol": "TCP"} for port in ports],
        "endpoints": [dict(item) for item in endpoints],
    }


def serving(balanced: str = "orders", *addresses: str, **more: Any) -> Raw:
    """A slice with ready endpoints, one unless addresses are given."""
    ready = [endpoint(address, ready=True) for address in addresses or ("10.1.0.1",)]
    return endpoint_slice(f"{balanced}-headless-abc", balanced=balanced, endpoints=ready, **more)


# -- the same, observed ----------------------------------------------------------------------------------


def workload(raw: Raw) -> Workload:
    """The observed form of a workload that concerns us."""
    found = observe_workload.workload(raw["kind"], raw)
    assert found is not None
    return found


def balanced(raw: Raw) -> Balanced:
    """The observed form of a GrpcBalancedService."""
    return observe.balanced(raw)


def observed_service(raw: Raw) -> Service:
    """The observed form of a Service."""
    return observe.service(raw)


def piece(raw: Raw) -> Slice:
    """The observed form of an EndpointSlice of ours."""
    found = observe.endpoint_slice(raw)
    assert found is not None
    return found


def balancer(**fields: Any) -> Balancer:
    """Where the look-aside balancer is."""
    return Balancer(**fields)
