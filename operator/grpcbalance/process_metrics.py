"""What every process of ours counts: itself, its event loop, and what it asks of the API server."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from . import __version__


class ProcessMetrics:
    """These on a registry; subclasses add their own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._requests = Counter(
            "rest_client_requests",
            "Requests to the API server, watches apart; code 0: no answer.",
            ["code", "method"],
            registry=registry,
        )
        self._loop_lag = Gauge(
            "grpcbalance_event_loop_lag_seconds", "How late the event loop ran its last heartbeat.", registry=registry
        )
        info = Gauge("grpcbalance_build_info", "Always 1; the label tells the version.", ["version"], registry=registry)
        info.labels(__version__).set(1)
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=registry)

    def requested(self, method: str, code: int) -> None:
        """A request was answered with `code`, or not at all (0)."""
        self._requests.labels(str(code), method).inc()

    def loop_lagged(self, seconds: float) -> None:
        """The event loop ran its heartbeat so late."""
        self._loop_lag.set(seconds)
