"""A rollout of ours that fails stops the others; a change of two hundred workloads is a queue that people can see."""

from __future__ import annotations

import pytest

from lab import Cluster, Lab
from lab.install import condition
from lab.rest import Rest
from tests.bench.process import Metrics
from tests.kit import objects
from tests.kit.shop import ROLLOUT, Shop

from .test_endpoints import by_hand

pytestmark = pytest.mark.cluster

# The example programs refuse to start when a variable is malformed.
MALFORMED = {"env": {"minResolutionInterval": {"name": "GRPC_ORDERS_MIN_RESOLUTION_INTERVAL_MS", "unit": "GoDuration"}}}


SERVER = {"grpcbalance.dev/server": "orders"}
CLIENT = {"grpcbalance.dev/client": "orders"}


def client(name: str) -> objects.Object:
    # A pod that ends at once is ready for a moment, which must not be taken for a success.
    return objects.client(name, annotations=CLIENT, spec={"minReadySeconds": 3, "progressDeadlineSeconds": 8})


def test_a_failed_rollout_stops_further_ones_until_it_is_mended(shop: Shop) -> None:
    shop.create(objects.balanced(client=MALFORMED), objects.server(annotations=SERVER), client("first"))
    balanced = shop.wait_condition("ClientsConfigured", "False", "RolloutFailed", within=ROLLOUT)
    assert "Deployment first" in condition(balanced, "ClientsConfigured")["message"]
    shop.create(client("second"))
    stopped = shop.wait_workload("second", "RolloutStopped")
    assert "Deployment first" in stopped["message"]
    shop.wait_event("second", "RolloutStopped")
    assert "GRPC_ORDERS_TARGET" not in shop.env("second")
    # The old pod of the first one serves on.
    assert shop.get("Deployment", "first")["status"]["availableReplicas"] == 1
    shop.merge("GrpcBalancedService", "orders", {"spec": {"client": {"env": None}}})
    shop.wait_configured()
    assert "GRPC_ORDERS_TARGET" in shop.env("second")


@pytest.mark.needs_lab
@pytest.mark.full
def test_two_hundred_changes_drain_as_a_visible_queue(cluster: Cluster, api: Rest, shop: Shop) -> None:
    assert isinstance(cluster, Lab)
    shop.create(
        by_hand("ready", ["10.210.0.1"], ready=True),
        objects.idle("orders", ports=(5000,), annotations=SERVER),
        objects.balanced(),
    )
    names = [f"c{number:03}" for number in range(200)]
    shop.create(*map(objects.idle, names))
    shop.wait_condition("ServersConfigured")
    shop.wait_rolled_out(*names)
    metrics, manager = Metrics(cluster, api), cluster.component("kube-controller-manager")
    # Those of a namespace that is just being deleted would keep their slots while nobody deletes it.
    metrics.wait("grpcbalance_rollouts_in_flight", 0, within=60)
    # While nobody finishes a rollout, the queue stands still and can be looked at.
    manager.pause()
    try:
        for name in names:
            shop.annotate(name, client="orders")
        balanced = shop.wait_balanced(
            lambda b: b["status"]["clients"] == {"matched": 200, "configured": 0, "pending": 200, "refused": 0},
            "200 clients are pending",
            within=60,
        )
        assert {w["reason"] for w in balanced["status"]["workloads"][:49]} <= {"RolloutLimit", "RollingOut"}
        metrics.wait("grpcbalance_rollouts_waiting", 190, within=30)
        metrics.wait("grpcbalance_rollouts_in_flight", 10, within=30)
    finally:
        manager.resume()
    shop.wait_balanced(lambda b: b["status"]["clients"]["configured"] == 200, "all are configured", within=ROLLOUT)
    shop.wait_condition("ClientsConfigured")
    assert "of 200 clients are configured" in shop.wait_event("orders", "RollingOut")["message"]
    metrics.wait("grpcbalance_rollouts_waiting", 0, within=30)
