"""The installed operator as a process: find it, kill it, start it anew, and read what it wrote."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from lab import Lab, LabError
from lab.audit import AuditRecord
from lab.install import DEPLOYMENT, NAMESPACE, wait_operator
from lab.rest import Object, Rest, path

ACCOUNT: Final = f"system:serviceaccount:{NAMESPACE}:grpcbalance-operator"


def writes(lab: Lab, since: datetime) -> list[AuditRecord]:
    """The operator's accepted writes since a moment, but for Events."""
    return [record for record in lab.writes(ACCOUNT, since=since) if record.resource != "events"]


def pod(api: Rest, within: float = 30.0) -> Object:
    """The operator's pod, the next one while the last one ends."""
    deadline = time.monotonic() + within
    while True:
        pods = api.items(path("v1", "pods", NAMESPACE), "app.kubernetes.io/component=operator")
        found = next((p for p in pods if "deletionTimestamp" not in p["metadata"]), None)
        if found is not None:
            return found
        assert time.monotonic() < deadline, f"no pod of the operator within {within:g} s"
        time.sleep(0.1)


def kill(lab: Lab, api: Rest) -> None:
    """SIGKILL the operator, and let a new pod start at once instead of after the kubelet's back-off."""
    name, processes = _running(lab, api)
    for process in processes:
        os.kill(process, signal.SIGKILL)
    options = {"gracePeriodSeconds": 0, "propagationPolicy": "Background"}
    api.request("DELETE", path("v1", "pods", NAMESPACE, name), options)


def _running(lab: Lab, api: Rest, within: float = 30.0) -> tuple[str, list[int]]:
    """The operator's pod and its processes, once there are any: the last one may be gone, the next not yet begun."""
    deadline = time.monotonic() + within
    while True:
        name = pod(api)["metadata"]["name"]
        try:
            return name, lab.pod_pids(NAMESPACE, name)
        except LabError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def restart(lab: Lab, api: Rest) -> None:
    """Replace the operator's pod in an orderly way, and wait until the new one is ready."""
    old = pod(api)["metadata"]["name"]
    api.delete(path("v1", "pods", NAMESPACE, old))
    api.wait(path("v1", "pods", NAMESPACE, old), lambda _: False, within=30, what="old operator gone", missing=True)
    wait_operator(lab)


@contextmanager
def away(api: Rest) -> Iterator[None]:
    """No operator runs within the block; whatever happens in it, there is one again afterwards."""
    deployment, old = path("apps/v1", "deployments", NAMESPACE, DEPLOYMENT), pod(api)["metadata"]["name"]
    api.merge(deployment, {"spec": {"replicas": 0}})
    try:
        api.wait(path("v1", "pods", NAMESPACE, old), lambda _: False, within=30, what="operator gone", missing=True)
        yield
    finally:
        api.merge(deployment, {"spec": {"replicas": 1}})


def wait_nothing_terminates(api: Rest, within: float = 120.0) -> None:
    """Wait until no namespace is being deleted: what goes in one is a change, and the operator tells of changes."""
    deadline = time.monotonic() + within
    while going := [n for n in api.items(path("v1", "namespaces")) if "deletionTimestamp" in n["metadata"]]:
        names = ", ".join(namespace["metadata"]["name"] for namespace in going)
        assert time.monotonic() < deadline, f"still being deleted after {within:g} s: {names}"
        time.sleep(0.25)


def wait_quiet(lab: Lab, api: Rest, settled: Callable[[], bool], seconds: float, within: float) -> None:
    """Wait until `settled` holds and the operator has written nothing for some seconds."""
    deadline, quiet_since, count = time.monotonic() + within, time.monotonic(), -1
    while time.monotonic() < deadline:
        now = sum(1 for _ in lab.writes(ACCOUNT))
        if now != count or not settled():
            count, quiet_since = now, time.monotonic()
        if time.monotonic() - quiet_since >= seconds:
            return
        time.sleep(0.25)
    raise AssertionError(
        f"the operator did not become quiet for {seconds:g} s within {within:g} s; pod {pod(api)['status']}"
    )
