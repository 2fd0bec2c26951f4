"""`--dry-run`: an operator that may write nothing but Events, and does not try to."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from lab import Cluster, Lab
from lab.install import NAMESPACE, install_operator
from lab.rest import Object, Rest, path
from tests.kit import objects, operator
from tests.kit.shop import Shop

from .conftest import FLAGS
from .test_endpoints import by_hand

pytestmark = [pytest.mark.cluster, pytest.mark.needs_lab]

ROLE = path("rbac.authorization.k8s.io/v1", "clusterroles", "", "grpcbalance-operator")


def read_only(rule: Object) -> Object:
    """A rule of the operator's role without what --dry-run does not need."""
    kept = ("create",) if "events" in rule["resources"] else ("get", "list", "watch")
    return rule | {"verbs": [verb for verb in rule["verbs"] if verb in kept]}


@pytest.fixture
def lab(cluster: Cluster, api: Rest) -> Iterator[Lab]:
    """The session's cluster, its operator dry and with the rights of a reader for the time of the test."""
    assert isinstance(cluster, Lab), "this test needs the lab: it reads the audit log"
    # What other tests left would be counted, too.
    operator.wait_nothing_terminates(api)
    install_operator(cluster, (*FLAGS, "--dry-run"))
    rules = [read_only(rule) for rule in api.get(ROLE)["rules"]]
    api.merge(ROLE, {"rules": [rule for rule in rules if rule["verbs"]]})
    operator.restart(cluster, api)
    try:
        yield cluster
    finally:
        install_operator(cluster, FLAGS)


def test_nothing_is_written_and_events_metrics_and_log_tell_what_would_be(lab: Lab, api: Rest, shop: Shop) -> None:
    since = datetime.now(UTC)
    made = [
        objects.idle("orders", ports=(5000,), annotations={"grpcbalance.dev/server": "orders"}),
        objects.idle("checkout", annotations={"grpcbalance.dev/client": "orders"}),
        objects.balanced(),
        by_hand("ready", ["10.210.0.1"], ready=True),
    ]
    shop.create(*made)
    server = shop.wait_event("orders", "WouldWrite")
    client = shop.wait_event("checkout", "WouldWrite", within=60)
    assert client["type"] == "Normal"
    assert client["message"].startswith(
        "--dry-run: would patch container app: +GRPC_ORDERS_TARGET=dns:///orders-headless."
    )
    told = shop.api.request("GET", shop.url("Event"), query={"fieldSelector": "reason=WouldWrite"})["items"]
    messages = [event["message"] for event in (*told, server)]
    assert any("would create Service orders-headless: headless, selector app=orders, port 5000" in m for m in messages)
    assert any("+GRPC_SERVER_MAX_CONNECTION_AGE_MS=300000" in message for message in messages)

    # Each once, and again only when it would be another.
    operator.wait_quiet(lab, api, lambda: True, seconds=3, within=30)
    said = {(event["involvedObject"]["uid"], event["message"]) for event in told}
    assert len(said) == len(told)

    assert [str(record) for record in operator.writes(lab, since)] == []
    refused = [str(r) for r in lab.audit(since) if r.user == operator.ACCOUNT and r.code == 403]
    assert refused == []
    for name in ("orders", "checkout"):
        live = shop.get("Deployment", name)
        assert live["metadata"]["generation"] == 1
        assert [m["manager"] for m in live["metadata"]["managedFields"] if m["manager"] == "grpcbalance"] == []
    assert "status" not in shop.get("GrpcBalancedService", "orders")
    assert shop.api.find(shop.url("Service", "orders-headless")) is None

    pod = operator.pod(api)["metadata"]["name"]
    metrics = lab.kubectl("get", "--raw", f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}:8080/proxy/metrics")
    assert 'grpcbalance_would_write_total{resource="services",verb="create"} 1.0' in metrics
    assert 'grpcbalance_would_write_total{resource="deployments",verb="patch"}' in metrics
    assert "grpcbalance_rollouts_in_flight 0.0" in metrics
    log = lab.kubectl("logs", "-n", NAMESPACE, pod)
    assert f"{shop.namespace}/checkout: --dry-run: would patch container app" in log


def test_the_same_operator_without_the_flag_does_it(shop: Shop) -> None:
    shop.create(
        by_hand("ready", ["10.210.0.1"], ready=True),
        objects.idle("orders", ports=(5000,), annotations={"grpcbalance.dev/server": "orders"}),
        objects.idle("checkout", annotations={"grpcbalance.dev/client": "orders"}),
        objects.balanced(),
    )
    shop.wait_configured()
