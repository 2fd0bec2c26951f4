"""The API server and etcd fail under the operator; it recovers alone. Each test breaks a lab of its own."""

from __future__ import annotations

import time

import pytest

from lab import Lab
from lab.install import NAMESPACE
from lab.rest import Object, Rest
from tests.kit import operator
from tests.kit.shop import Shop

from .conftest import new_namespace
from .test_restart import opt_in

pytestmark = [pytest.mark.cluster, pytest.mark.needs_lab, pytest.mark.faults, pytest.mark.timeout(420)]

AFTER = 60.0


def restarts(pod: Object) -> int:
    return sum(int(status["restartCount"]) for status in pod["status"].get("containerStatuses", []))


def works(lab: Lab, api: Rest, label: str) -> None:
    """A new service is set up from nothing, and an edit of it acted on."""
    shop = Shop(lab, api, new_namespace(api, label))
    opt_in(shop)
    shop.wait_configured(within=AFTER)
    shop.merge("GrpcBalancedService", "orders", {"spec": {"server": {"maxConnectionAge": "2m"}}})
    shop.wait_env("orders", "GRPC_SERVER_MAX_CONNECTION_AGE_MS", "120000", within=AFTER)


LONG = [pytest.param(fault, marks=pytest.mark.full) for fault in ("etcd-paused-20s", "apiserver-away-90s")]


@pytest.mark.parametrize("fault", ["apiserver-killed", *LONG])
def test_operator_recovers_alone(own_lab: Lab, fault: str) -> None:
    with Rest(own_lab.kubeconfig) as api:
        works(own_lab, api, "before")
        before = operator.pod(api)
        shop = Shop(own_lab, api, new_namespace(api, "during"))
        opt_in(shop)
        shop.wait_configured(within=AFTER)
        _break(own_lab, fault)
        own_lab.wait_ready(timeout=120)
        # Missed while it was away, and seen only if the operator listens again.
        shop.merge("GrpcBalancedService", "orders", {"spec": {"server": {"maxConnectionAge": "3m"}}})
        shop.wait_env("orders", "GRPC_SERVER_MAX_CONNECTION_AGE_MS", "180000", within=AFTER)
        works(own_lab, api, "after")
        after = operator.pod(api)
        assert after["metadata"]["uid"] == before["metadata"]["uid"]
        assert restarts(after) == restarts(before), own_lab.kubectl(
            "logs", "-n", NAMESPACE, after["metadata"]["name"], "--previous", check=False
        )


def _break(lab: Lab, fault: str) -> None:
    """Break something and make it whole again. The sleeps are the faults themselves: that long it is away."""
    apiserver, etcd = lab.component("kube-apiserver"), lab.component("etcd")
    if fault == "apiserver-killed":
        apiserver.restart()
    elif fault == "etcd-paused-20s":
        etcd.pause()
        time.sleep(20)
        etcd.resume()
    else:
        apiserver.kill()
        time.sleep(90)
        apiserver.start()
