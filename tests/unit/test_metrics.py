"""What is counted, and the page that lists it."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from grpcbalance.metrics import CONTROLLERS, Metrics, controller_of
from grpcbalance.model import Key, Ref, ServiceKey, StatusKey, WorkloadKey, WorkloadRef
from grpcbalance.queue import LANES
from grpcbalance.view import KINDS
from grpcbalance.xds.kinds import Kind
from grpcbalance.xds.metrics import Metrics as XdsMetrics
from grpcbalance.xds.session import Rejection, Response

PAGE = Path(__file__).parents[2] / "docs/reference/metrics.md"
XDS = "## Of the look-aside balancer"
# Not about us: how the process and its interpreter do.
STANDARD = ("process_", "python_")


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry(), clock=lambda: 100.0)


def value(metrics: Metrics, metric: str, /, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(metric, labels)


def used(metrics: Metrics) -> Metrics:
    """Every event once, so that every label shows."""
    metrics.watch_queue(LANES, len, lambda: [1.0, 2.5])
    metrics.watch_rollouts(lambda: 3, lambda: 190)
    for kind in KINDS:
        metrics.watch_kind(kind, lambda: 7)
        metrics.watched(kind, "ADDED")
        metrics.resynced(kind, 0.2, 1)
        metrics.resync_failed(kind)
    for key in (ServiceKey("a", "b"), WorkloadKey("Deployment", "a", "b"), StatusKey("a", "b")):
        metrics.added("fresh")
        metrics.started(key, 0.1)
        metrics.finished(key, 0.2, "error")
    metrics.requested("GET", 200)
    metrics.wrote("services", "create")
    metrics.would_write("services", "create")
    metrics.workload("w", [("Client", "Configured", "Configured")])
    metrics.service("s", True)
    metrics.refused("EnvConflict")
    metrics.event_dropped()
    metrics.synced(True)
    metrics.permissions_missing([("pods", "list")])
    metrics.watch_restarted()
    metrics.looked_aside(complete=True)
    metrics.clients_reject(2)
    metrics.loop_lagged(0.5)
    return metrics


def used_xds() -> XdsMetrics:
    """The same for those of the look-aside balancer."""
    metrics = XdsMetrics(CollectorRegistry())
    metrics.watch(lambda: 3, lambda: 1.5)
    metrics.requested("GET", 200)
    metrics.wrote("services", "create")
    metrics.event_dropped()
    for kind in Kind:
        metrics.sent(Response(kind, "1", "n", ()))
        metrics.rejected(Rejection(kind, ("a",), "no"))
    metrics.told(0.002)
    metrics.refused("names")
    metrics.loop_lagged(0.5)
    return metrics


def names_and_labels(metrics: Metrics | XdsMetrics) -> dict[str, set[str]]:
    """Metric, as it is queried -> its labels. A histogram counts once, under its own name."""
    found: dict[str, set[str]] = {}
    for family in metrics.registry.collect():
        if not family.name.startswith(STANDARD):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            found[name] = {label for sample in family.samples for label in sample.labels} - {"le"}
    return found


def page(text: str) -> dict[str, set[str]]:
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| `")]
    return {row[0].strip(" `"): {label.strip(" `") for label in row[1].split(",")} - {"", "none"} for row in rows}


def test_the_page_lists_exactly_the_metrics_and_labels(metrics: Metrics) -> None:
    assert page(PAGE.read_text().partition(XDS)[0]) == names_and_labels(used(metrics))


def test_the_page_lists_exactly_those_of_the_look_aside_balancer() -> None:
    text = PAGE.read_text().partition(XDS)[2]
    found = used_xds()
    assert page(text) == names_and_labels(found)
    for family in found.registry.collect():
        if not family.name.startswith(STANDARD):
            assert family.documentation in text


def test_clients_are_counted_by_kind_and_read_when_asked() -> None:
    found = used_xds().registry.get_sample_value
    kinds = ["listener", "route", "cluster", "endpoints"]
    for metric in ("grpcbalance_xds_responses_total", "grpcbalance_xds_rejections_total"):
        assert [found(metric, {"kind": kind}) for kind in kinds] == [1, 1, 1, 1]
    assert found("grpcbalance_xds_streams") == 3
    assert found("grpcbalance_xds_state_age_seconds") == 1.5
    assert found("grpcbalance_xds_push_duration_seconds_bucket", {"le": "0.002"}) == 1
    assert found("process_resident_memory_bytes")


def test_process_metrics_are_there(metrics: Metrics) -> None:
    assert value(metrics, "process_resident_memory_bytes")
    assert value(metrics, "grpcbalance_build_info", version="0.1.0") == 1


def test_workloads_are_counted_by_what_is_so_now(metrics: Metrics) -> None:
    first, second = WorkloadRef("Deployment", "a", "x"), WorkloadRef("Deployment", "a", "y")
    metrics.workload(first, [("Client", "Pending", "Pending"), ("Client", "Pending", "RolloutLimit")])
    metrics.workload(second, [("Client", "Pending", "Pending"), ("Server", "Configured", "Configured")])
    assert value(metrics, "grpcbalance_workloads", role="Client", state="Pending") == 3
    metrics.workload(first, [("Client", "Configured", "Configured"), ("Client", "Pending", "Pending")])
    assert value(metrics, "grpcbalance_workloads", role="Client", state="Pending") == 2
    assert value(metrics, "grpcbalance_workloads", role="Client", state="Configured") == 1
    metrics.workload(first, [])
    metrics.workload(first, [])
    metrics.workload(second, [])
    assert value(metrics, "grpcbalance_workloads", role="Client", state="Pending") == 0
    assert value(metrics, "grpcbalance_workloads", role="Server", state="Configured") == 0


def test_services_are_counted_by_readiness(metrics: Metrics) -> None:
    orders, payments = Ref("a", "orders"), Ref("a", "payments")
    metrics.service(orders, False)
    metrics.service(payments, True)
    metrics.service(orders, True)
    assert value(metrics, "grpcbalance_services", ready="true") == 2
    assert value(metrics, "grpcbalance_services", ready="false") == 0
    metrics.service(orders, None)
    metrics.service(orders, None)
    assert value(metrics, "grpcbalance_services", ready="true") == 1


def test_the_queue_is_read_when_asked(metrics: Metrics) -> None:
    used(metrics)
    assert value(metrics, "workqueue_depth", name="grpcbalance", priority="fresh") == 5
    assert value(metrics, "workqueue_depth", name="grpcbalance", priority="backlog") == 7
    assert value(metrics, "workqueue_unfinished_work_seconds", name="grpcbalance") == 3.5
    assert value(metrics, "workqueue_longest_running_processor_seconds", name="grpcbalance") == 2.5
    assert value(metrics, "controller_runtime_reconcile_total", controller="status", result="error") == 1
    assert value(metrics, "controller_runtime_reconcile_errors_total", controller="status") == 1
    assert value(metrics, "workqueue_retries_total", name="grpcbalance", controller="workload") == 1


def test_the_age_of_the_last_event() -> None:
    now = 100.0
    metrics = Metrics(CollectorRegistry(), clock=lambda: now)
    metrics.watch_kind("services", lambda: 7)
    now = 130.0
    assert value(metrics, "grpcbalance_last_event_age_seconds", kind="services") == 30
    metrics.watched("services", None)
    now = 131.0
    assert value(metrics, "grpcbalance_last_event_age_seconds", kind="services") == 1
    assert value(metrics, "grpcbalance_watch_events_total", kind="services", type="LISTED") == 1
    assert value(metrics, "grpcbalance_objects", kind="services") == 7


@pytest.mark.parametrize("key", [ServiceKey("a", "b"), WorkloadKey("Deployment", "a", "b"), StatusKey("a", "b")])
def test_the_controller_label_is_bounded(key: Key) -> None:
    assert controller_of(key) in CONTROLLERS
