"""Objects with a status, and pages of replicas, as `grpcbalance status` finds them."""

from __future__ import annotations

from typing import Any

from tests.unit import factories as make

Raw = dict[str, Any]


def condition(kind: str, status: str = "True", reason: str = "Ready", message: str = "all is well") -> Raw:
    return {"type": kind, "status": status, "reason": reason, "message": message, "observedGeneration": 1}


def standing(*conditions: Raw, **more: Any) -> Raw:
    """A status; without conditions all is well."""
    return {
        "observedGeneration": 1,
        "target": "dns:///orders-headless.shop.svc.cluster.local.:5000",
        "summary": {"endpoints": "3/3", "servers": "1/1", "clients": "1/2"},
        "conditions": list(conditions) or [condition("Ready"), condition("Accepted")],
        **more,
    }


def orders(status: Raw | None = None, **more: Any) -> Raw:
    return make.gbs(status=standing() if status is None else status, **more)


def on_xds(**more: Any) -> Raw:
    """One with two clients, of which one is on xDS."""
    downgrade = {"client": "gRPC Go 1.85.0", "feature": "client.waitForReady", "what": "calls fail"}
    told = {"workloads": {"moved": 1, "onDns": 1}, "downgrades": [downgrade]}
    return orders(standing(xds=told), discovery="XDS", **more)


def client(node: str = "checkout-1", *asked: Raw, **more: Any) -> Raw:
    """A client of /debug/clients that follows `orders`, unless other things are given that it asks for."""
    return {
        "peer": "ipv4:10.0.0.9:1",
        "since": "2026-01-01T00:00:00Z",
        "namespace": None,
        "pod": None,
        "node": node,
        "cluster": "shop",
        "agent": "gRPC Go",
        "version": "1.85.0",
        "zone": "a",
        "tolerated": [],
        "downgraded": [],
        "asked": list(asked) or [asks("listener"), asks("cluster"), asks("endpoints")],
        **more,
    }


def asks(kind: str, name: str = "orders.shop:5000", refuses: str | None = None) -> Raw:
    rejection = {"names": [name], "message": refuses} if refuses else None
    return {
        "kind": kind,
        "names": [name],
        "sent": "1",
        "acknowledged": "1",
        "inFlight": False,
        "rejection": rejection,
        "refused": [name] if refuses else [],
    }


def page(*clients: Raw) -> Raw:
    return {"version": "v1", "clients": list(clients)}


def replica(name: str, *, phase: str = "Running", ready: bool = True, waits: str = "") -> Raw:
    """A pod of the look-aside balancer; its container waits for something, if that is given."""
    state: Raw = {"waiting": {"reason": waits}} if waits else {"running": {}}
    well = {"status": "True"} if ready and not waits else {"status": "False", "reason": "ContainersNotReady"}
    status = {"phase": phase, "conditions": [{"type": "Ready", **well}], "containerStatuses": [{"state": state}]}
    return {"metadata": {"name": name}, "status": status}
