"""Made-up histories for the tests of the oracles: one service, orders, in one namespace, shop."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from lab.audit import AuditRecord
from tests.faults.history import Object, Seen

UID = "uid-of-orders"


def seen(version: int, plural: str, item: Object, *, time: float | None = None, deleted: bool = False) -> Seen:
    name = item["metadata"]["name"]
    return Seen(version, float(version if time is None else time), plural, "shop", name, deleted, item)


def balanced(
    observed: int = 1, generation: int = 1, *, ready: bool = True, age: str = "5m", counts: tuple[int, int] = (0, 0)
) -> Object:
    condition = {
        "type": "Ready",
        "status": str(ready),
        "observedGeneration": observed,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    endpoints = {"ready": counts[0], "total": counts[1]}
    return {
        "metadata": {"name": "orders", "uid": UID, "generation": generation},
        "spec": {"server": {"maxConnectionAge": age}},
        "status": {"observedGeneration": observed, "conditions": [condition], "endpoints": endpoints},
    }


def service(uid: str = "s1", owner: str = UID, name: str = "orders-headless") -> Object:
    meta = {
        "name": name,
        "uid": uid,
        "annotations": {"grpcbalance.dev/owner-uid": owner},
        "labels": {"app.kubernetes.io/managed-by": "grpcbalance"},
    }
    return {"metadata": meta, "spec": {"clusterIP": "None", "selector": {"app": "orders"}, "ports": []}}


def server(age: str | None = "300000", name: str = "orders", **annotations: str) -> Object:
    env = [{"name": "GRPC_SERVER_MAX_CONNECTION_AGE_MS", "value": age}] if age else []
    record = (
        {"grpcbalance.dev/injected": json.dumps({"app": {"GRPC_SERVER_MAX_CONNECTION_AGE_MS": "h"}})} if age else {}
    )
    return {
        "metadata": {
            "name": name,
            "uid": f"d-{name}",
            "annotations": annotations or {"grpcbalance.dev/server": "orders"},
        },
        "spec": {
            "template": {"metadata": {"annotations": record}, "spec": {"containers": [{"name": "app", "env": env}]}}
        },
    }


def slice_of(*addresses: str) -> Object:
    labels = {"kubernetes.io/service-name": "orders-headless", "grpcbalance.dev/service": "orders"}
    return {
        "metadata": {"name": "by-hand", "uid": "e", "labels": labels},
        "endpoints": [{"addresses": [a], "conditions": {}} for a in addresses],
    }


def record(verb: str, resource: str, name: str, code: int = 200, sub: str = "") -> AuditRecord:
    return AuditRecord(datetime.now(UTC), "operator", "agent", verb, "", resource, sub, "shop", name, code, "/")
