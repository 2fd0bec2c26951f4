"""The phases of the scale benchmark: each does something to the world and measures what the operator did."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from lab import Lab
from lab.install import GBS, NAMESPACE, install_operator, wait_operator
from lab.rest import Object, Rest, path
from tests.kit import operator

from .process import Metrics, operator_process
from .world import Size, in_parallel, name, namespace

_QUIET: Final = 30.0
# Services whose endpoints flap in turn.
_HOT: Final = 200


@dataclass(frozen=True, slots=True)
class Bench:
    """A lab with the world in it, and what is measured with."""

    lab: Lab
    api: Rest
    size: Size
    say: Callable[[str], None]

    def writes(self, since: datetime) -> Counter[str]:
        """The operator's own writes since a moment, by resource; Events and Leases do not count."""
        return Counter(
            record.full_resource for record in operator.writes(self.lab, since) if record.resource != "leases"
        )

    def cold(self) -> dict[str, Any]:
        """Start with everything new: until every object tells of a configured server and client."""
        since, begun = datetime.now(UTC), time.monotonic()
        install_operator(self.lab, flags=["--writes-per-second=1000", "--write-burst=1000"], within=300)
        self._until_configured(within=1200)
        seconds = time.monotonic() - begun
        process = operator_process()
        return {
            "seconds": round(seconds, 1),
            "writes": dict(self.writes(since)),
            "peak_rss_mb": round(process.peak_rss_mb, 1) if process else None,
        }

    def _until_configured(self, within: float) -> None:
        deadline = time.monotonic() + within
        while (left := self._unconfigured()) > 0:
            if time.monotonic() > deadline:
                raise AssertionError(f"{left} of {self.size.services} services are not configured after {within:g} s")
            self.say(f"  {self.size.services - left} of {self.size.services} services configured")
            time.sleep(5)

    def _unconfigured(self) -> int:
        items = self.api.items(path(*GBS))
        done = ("1/1", "1/1")
        return sum(
            (summary.get("servers"), summary.get("clients")) != done
            for summary in (item.get("status", {}).get("summary", {}) for item in items)
        )

    def restart(self) -> dict[str, Any]:
        """Start with nothing to do: until all is checked. Then how much memory a quiet operator holds."""
        old = operator_process()
        since, begun = datetime.now(UTC), time.monotonic()
        self.lab.kubectl("delete", "pod", "--namespace", NAMESPACE, "--all", "--wait=true", timeout=60)
        started = self._new_process(old.pid if old else 0)
        wait_operator(self.lab, within=120)
        metrics = Metrics(self.lab, self.api)
        metrics.wait_drained(within=120)
        seconds = time.monotonic() - max(begun, started)
        time.sleep(_QUIET)
        process = operator_process()
        if process is None:
            raise AssertionError("the operator does not run")
        return {
            "seconds": round(seconds, 1),
            "writes": sum(self.writes(since).values()),
            "peak_rss_mb": round(process.peak_rss_mb, 1),
            "idle_rss_mb": round(process.rss_mb, 1),
        }

    def _new_process(self, old: int) -> float:
        deadline = time.monotonic() + 60
        while (process := operator_process()) is None or process.pid == old:
            if time.monotonic() > deadline:
                raise AssertionError("no new operator process after 60 s")
            time.sleep(0.05)
        return time.monotonic()

    def changes(self, rate: int, seconds: int) -> tuple[dict[str, Any], float]:
        """Spec changes at a steady rate: time from the API's answer until status tells of that generation.

        Also answers with the CPU seconds that 1,000 reconciles took.
        """
        latency = Latency(self.api)
        metrics = Metrics(self.lab, self.api)
        before, reconciles = operator_process(), metrics.total("controller_runtime_reconcile_total")
        with latency:
            _at_rate(rate, seconds, lambda turn: latency.change(turn % self.size.services, turn))
            latency.settle(within=30)
        after = operator_process()
        done = metrics.total("controller_runtime_reconcile_total") - reconciles
        cpu = (after.cpu_s - before.cpu_s) / done * 1000 if before and after and done else float("nan")
        return latency.summary(), round(cpu, 3)

    def churn(self, rate: int, seconds: int) -> dict[str, Any]:
        """Endpoints of a few services flap: events, and the status writes that they cause."""
        since, hot = datetime.now(UTC), min(_HOT, self.size.services)

        def flap(turn: int) -> None:
            index = turn % hot
            ready = (turn // hot) % 2 == 1
            url = path("discovery.k8s.io/v1", "endpointslices", namespace(index), f"{name(index)}-bench")
            patch = [{"op": "replace", "path": "/endpoints/0/conditions/ready", "value": ready}]
            self.api.request("PATCH", url, patch, content_type="application/json-patch+json")

        _at_rate(rate, seconds, flap)
        Metrics(self.lab, self.api).wait_drained(within=30)
        writes = self.writes(since)
        return {"events": rate * seconds, "status_writes": writes.get(f"{GBS[1]}/status", 0), "writes": dict(writes)}


def _at_rate(rate: int, seconds: int, act: Callable[[int], object]) -> None:
    """Call `act(turn)` `rate` times a second; late turns are made up for, so the number is exact."""
    begun = time.monotonic()

    def paced(turn: int) -> None:
        time.sleep(max(0.0, begun + turn / rate - time.monotonic()))
        act(turn)

    in_parallel(paced, range(rate * seconds))


@dataclass(slots=True)
class Latency:
    """Watches status and remembers when each changed generation was told of."""

    api: Rest
    _sent: dict[tuple[str, int], float] = field(default_factory=dict)
    _seen: dict[tuple[str, int], float] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Latency:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()

    def change(self, index: int, turn: int) -> None:
        """Change a spec so that a client's value changes with it."""
        url = path(*GBS, namespace(index), name(index))
        answer = self.api.merge(url, {"spec": {"client": {"minResolutionInterval": f"{11 + turn % 40}s"}}})
        self._sent[name(index), answer["metadata"]["generation"]] = time.monotonic()

    def _watch(self) -> None:
        while not self._stop.is_set():
            for _, item in self.api.watch(path(*GBS), {}, 60):
                self._note(item)
                if self._stop.is_set():
                    return

    def _note(self, item: Object) -> None:
        observed = item.get("status", {}).get("observedGeneration")
        if observed is not None:
            self._seen.setdefault((item["metadata"]["name"], observed), time.monotonic())

    def settle(self, within: float) -> None:
        """Wait until every change was told of. A generation that a newer one overtook counts as told by it."""
        deadline = time.monotonic() + within
        while self._sent.keys() - self._seen.keys() and time.monotonic() < deadline:
            time.sleep(0.1)

    def summary(self) -> dict[str, Any]:
        """Percentiles in seconds, and how many changes were never told of."""
        waits = sorted(max(0.0, self._seen[key] - sent) for key, sent in self._sent.items() if key in self._seen)
        if not waits:
            raise AssertionError("no change was told of in status")
        return {
            "p50_s": round(waits[len(waits) // 2], 3),
            "p99_s": round(waits[int(len(waits) * 0.99)], 3),
            "changes": len(self._sent),
            "missed": len(self._sent) - len(waits),
        }
