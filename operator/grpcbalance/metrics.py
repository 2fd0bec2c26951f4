"""Every metric of the operator. Names follow controller-runtime's, so that existing dashboards fit.

Labels are bounded: kinds, verbs, reasons, states; never the name of an object. docs/reference/metrics.md lists
them all and a test compares it with this module.
"""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Callable, Hashable, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from .process_metrics import ProcessMetrics

CONTROLLERS: Final = ("service", "workload", "status")
_QUEUE: Final = "grpcbalance"
_SECONDS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


def controller_of(key: object) -> str:
    """The label `controller` of a key: its class, `ServiceKey` is `service`."""
    return type(key).__name__.removesuffix("Key").lower()


class Metrics(ProcessMetrics):
    """All of them on one registry. Methods are the events that count; gauges that are read are given functions."""

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(registry)
        self._clock = clock
        self._make_queue(registry)
        self._make_cluster(registry)
        self._make_own(registry)
        # Each object's share of the gauges, so that a change takes back what it said before.
        self._workload_shares: dict[Hashable, Tally[tuple[str, str]]] = {}
        self._service_shares: dict[Hashable, str] = {}
        self._last_event: dict[str, float] = {}

    def _make_queue(self, registry: CollectorRegistry) -> None:
        name = ["name", "controller"]
        self._depth = Gauge("workqueue_depth", "Keys that wait for a worker.", ["name", "priority"], registry=registry)
        self._adds = Counter("workqueue_adds", "Keys that came in.", ["name", "priority"], registry=registry)
        self._retries = Counter("workqueue_retries", "Keys tried again after a failure.", name, registry=registry)
        self._queue_time = Histogram(
            "workqueue_queue_duration_seconds",
            "How long a key waited for a worker.",
            name,
            buckets=_SECONDS,
            registry=registry,
        )
        self._work_time = Histogram(
            "workqueue_work_duration_seconds", "How long work on a key took.", name, buckets=_SECONDS, registry=registry
        )
        self._unfinished = Gauge(
            "workqueue_unfinished_work_seconds", "Sum of the ages of work in progress.", ["name"], registry=registry
        )
        self._longest = Gauge(
            "workqueue_longest_running_processor_seconds", "Age of the oldest work.", ["name"], registry=registry
        )
        self._reconciles = Counter(
            "controller_runtime_reconcile",
            "Reconciliations by result: success, requeue_after, error.",
            ["controller", "result"],
            registry=registry,
        )
        self._reconcile_errors = Counter(
            "controller_runtime_reconcile_errors", "Reconciliations that failed.", ["controller"], registry=registry
        )
        self._reconcile_time = Histogram(
            "controller_runtime_reconcile_time_seconds",
            "How long reconciliations took.",
            ["controller"],
            buckets=_SECONDS,
            registry=registry,
        )

    def _make_cluster(self, registry: CollectorRegistry) -> None:
        self._events = Counter("grpcbalance_watch_events", "Watch events.", ["kind", "type"], registry=registry)
        self._event_age = Gauge(
            "grpcbalance_last_event_age_seconds", "Since the last watch event of a kind.", ["kind"], registry=registry
        )
        self._watch_restarts = Counter(
            "grpcbalance_watch_restarts", "Times that watching had to begin anew.", registry=registry
        )
        self._resyncs = Histogram(
            "grpcbalance_resync_duration_seconds",
            "How long complete listings took.",
            ["kind"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._resync_failures = Counter(
            "grpcbalance_resync_failures", "Complete listings that failed.", ["kind"], registry=registry
        )
        self._pruned = Counter(
            "grpcbalance_pruned", "Objects found gone by a listing only.", ["kind"], registry=registry
        )
        self._objects = Gauge("grpcbalance_objects", "Objects in memory.", ["kind"], registry=registry)
        self._synced = Gauge("grpcbalance_synced", "1 while every kind is known.", registry=registry)
        self._missing = Gauge(
            "grpcbalance_missing_permissions",
            "1 for each permission that the operator needs and does not have.",
            ["resource", "verb"],
            registry=registry,
        )

    def _make_own(self, registry: CollectorRegistry) -> None:
        self._writes = Counter(
            "grpcbalance_writes", "Writes that the API server accepted.", ["resource", "verb"], registry=registry
        )
        self._would_write = Counter(
            "grpcbalance_would_write",
            "Writes that --dry-run kept back, each once while it stays the same.",
            ["resource", "verb"],
            registry=registry,
        )
        self._workloads = Gauge(
            "grpcbalance_workloads",
            "Annotated workloads by role and state, once per service.",
            ["role", "state"],
            registry=registry,
        )
        self._refusals = Counter(
            "grpcbalance_refusals", "Refusals, conflicts and waits that were told.", ["reason"], registry=registry
        )
        self._services = Gauge(
            "grpcbalance_services", "GrpcBalancedServices by condition Ready.", ["ready"], registry=registry
        )
        self._in_flight = Gauge("grpcbalance_rollouts_in_flight", "Unfinished rollouts.", registry=registry)
        self._waiting = Gauge(
            "grpcbalance_rollouts_waiting", "Workloads that wait for a rollout to end.", registry=registry
        )
        self._rejected = Gauge(
            "grpcbalance_xds_rejected_clients",
            "Clients that refuse what the look-aside balancer sends them (NACK).",
            registry=registry,
        )
        self._looks = Counter(
            "grpcbalance_xds_looks",
            "Times that the look-aside balancer was asked what it knows: complete, incomplete.",
            ["result"],
            registry=registry,
        )
        self._dropped = Counter(
            "grpcbalance_dropped_events", "Kubernetes Events that were not posted.", registry=registry
        )

    # -- the queue (queue.Hooks) -------------------------------------------------------------------------

    def added(self, lane: str) -> None:
        """A key came in."""
        self._adds.labels(_QUEUE, lane).inc()

    def started(self, key: object, waited: float) -> None:
        """Work on a key begins after it waited so many seconds."""
        self._queue_time.labels(_QUEUE, controller_of(key)).observe(waited)

    def finished(self, key: object, took: float, result: str) -> None:
        """Work on a key ended."""
        controller = controller_of(key)
        self._work_time.labels(_QUEUE, controller).observe(took)
        self._reconcile_time.labels(controller).observe(took)
        self._reconciles.labels(controller, result).inc()
        if result == "error":
            self._reconcile_errors.labels(controller).inc()
            self._retries.labels(_QUEUE, controller).inc()

    def watch_queue(self, lanes: Sequence[str], depth: Callable[[str], int], ages: Callable[[], list[float]]) -> None:
        """Read depth and unfinished work from the queue whenever somebody asks."""
        for lane in lanes:
            self._depth.labels(_QUEUE, lane).set_function(lambda lane=lane: depth(lane))  # type: ignore[misc]  # default binds the loop's value
        self._unfinished.labels(_QUEUE).set_function(lambda: sum(ages()))
        self._longest.labels(_QUEUE).set_function(lambda: max(ages(), default=0.0))

    # -- the API server (kube.Counts, sync) --------------------------------------------------------------

    def wrote(self, resource: str, verb: str) -> None:
        """A write was accepted."""
        self._writes.labels(resource, verb).inc()

    def would_write(self, resource: str, verb: str) -> None:
        """A write was kept back by --dry-run."""
        self._would_write.labels(resource, verb).inc()

    def watched(self, kind: str, event: str | None) -> None:
        """A watch told of an object; None is the listing that precedes a watch."""
        self._events.labels(kind, event or "LISTED").inc()
        self._last_event[kind] = self._clock()

    def watch_kind(self, kind: str, size: Callable[[], int]) -> None:
        """Read the number of objects, and the time since the last event, of a kind."""
        self._last_event[kind] = self._clock()
        self._objects.labels(kind).set_function(size)
        self._event_age.labels(kind).set_function(lambda: self._clock() - self._last_event[kind])

    def watch_restarted(self) -> None:
        """Watching ended and began anew."""
        self._watch_restarts.inc()

    def resynced(self, kind: str, seconds: float, pruned: int) -> None:
        """A complete listing is done."""
        self._resyncs.labels(kind).observe(seconds)
        self._pruned.labels(kind).inc(pruned)

    def resync_failed(self, kind: str) -> None:
        """A complete listing failed and will be tried again."""
        self._resync_failures.labels(kind).inc()

    def synced(self, everything: bool) -> None:
        """Whether every kind is known."""
        self._synced.set(everything)

    def permissions_missing(self, missing: Sequence[tuple[str, str]]) -> None:
        """These (resource, verb), and no others, are missing."""
        self._missing.clear()
        for resource, verb in missing:
            self._missing.labels(resource, verb).set(1)

    # -- what the reconcilers tell -----------------------------------------------------------------------

    def workload(self, ref: Hashable, findings: Sequence[tuple[str, str, str]]) -> None:
        """What is so of a workload now: (role, state, reason) for each service it takes part in."""
        new = Tally((role, state) for role, state, _ in findings)
        old = self._workload_shares.pop(ref, Tally())
        if new:
            self._workload_shares[ref] = new
        for share in new.keys() | old.keys():
            if change := new[share] - old[share]:
                self._workloads.labels(*share).inc(change)

    def service(self, ref: Hashable, ready: bool | None) -> None:
        """Whether a GrpcBalancedService is Ready; None when it is gone."""
        old = self._service_shares.pop(ref, None)
        if old is not None:
            self._services.labels(old).dec()
        if ready is not None:
            self._service_shares[ref] = str(ready).lower()
            self._services.labels(str(ready).lower()).inc()

    def refused(self, reason: str) -> None:
        """A refusal, conflict or wait was told."""
        self._refusals.labels(reason).inc()

    def event_dropped(self) -> None:
        """A Kubernetes Event was not posted."""
        self._dropped.inc()

    def looked_aside(self, complete: bool) -> None:
        """The look-aside balancer was asked: whether all of it has answered, and serves."""
        self._looks.labels("complete" if complete else "incomplete").inc()

    def clients_reject(self, count: int) -> None:
        """So many clients refuse what the look-aside balancer sends them."""
        self._rejected.set(count)

    def watch_rollouts(self, in_flight: Callable[[], int], waiting: Callable[[], int]) -> None:
        """Read the number of unfinished rollouts, and of workloads that wait for one to end, whenever somebody asks."""
        self._in_flight.set_function(in_flight)
        self._waiting.set_function(waiting)
