"""Every metric of the look-aside balancer. Labels are bounded: kinds, codes, reasons; never the name of an object."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from grpcbalance.process_metrics import ProcessMetrics

from .kinds import Kind
from .session import Rejection, Response

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics(ProcessMetrics):
    """All of them on one registry; `kube.Counts` and `server.Listener` at the same time."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self._streams = Gauge("grpcbalance_xds_streams", "Connected clients.", registry=registry)
        self._age = Gauge(
            "grpcbalance_xds_state_age_seconds",
            "For how long the cluster may have changed unseen; 0 while all watches stand.",
            registry=registry,
        )
        self._make_clients(registry)

    def _make_clients(self, registry: CollectorRegistry) -> None:
        self._responses = Counter(
            "grpcbalance_xds_responses", "Responses that were sent, by kind.", ["kind"], registry=registry
        )
        self._rejections = Counter(
            "grpcbalance_xds_rejections", "Responses that clients refused (NACK), by kind.", ["kind"], registry=registry
        )
        self._refusals = Counter(
            "grpcbalance_xds_refusals",
            "Streams that were refused or ended: identity, unavailable, streams, names, malformed.",
            ["reason"],
            registry=registry,
        )
        self._slowed = Counter(
            "grpcbalance_xds_slowed_requests",
            "Requests that had to wait, as their client sent more than --requests-per-second.",
            registry=registry,
        )
        self._told = Histogram(
            "grpcbalance_xds_push_duration_seconds",
            "From a change that was noticed until it was written to one client.",
            buckets=_SECONDS,
            registry=registry,
        )

    def watch(self, streams: Callable[[], int], age: Callable[[], float]) -> None:
        """Read these whenever somebody asks."""
        self._streams.set_function(streams)
        self._age.set_function(age)

    # -- the API server (kube.Counts) --------------------------------------------------------------------

    def wrote(self, resource: str, verb: str) -> None:
        """Nothing is ever written."""

    def event_dropped(self) -> None:
        """No Event is ever posted."""

    # -- clients (server.Listener) -----------------------------------------------------------------------

    def sent(self, response: Response) -> None:
        """A response was written."""
        self._responses.labels(_label(response.kind)).inc()

    def told(self, seconds: float) -> None:
        """A change of a service has reached a client, so long after it was noticed."""
        self._told.observe(seconds)

    def rejected(self, rejection: Rejection) -> None:
        """A client refused what it was sent."""
        self._rejections.labels(_label(rejection.kind)).inc()

    def refused(self, reason: str) -> None:
        """A stream was refused or ended."""
        self._refusals.labels(reason).inc()

    def slowed(self) -> None:
        """A request had to wait, since its client sends so many."""
        self._slowed.inc()


def _label(kind: Kind) -> str:
    return kind.name.lower()
