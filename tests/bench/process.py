"""The operator's process as the kernel and its own metrics see it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from lab import Cluster
from lab.install import NAMESPACE
from lab.rest import Rest
from tests.kit import operator

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Process:
    """Memory in MiB and CPU seconds of one process since it started."""

    pid: int
    rss_mb: float
    peak_rss_mb: float
    cpu_s: float


def operator_process() -> Process | None:
    """The running operator, found by its command line; None while it does not run."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _is_operator(entry):
            return read(entry)
    return None


def _is_operator(entry: Path) -> bool:
    try:
        words = (entry / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"grpcbalance" in words and b"operator" in words


def read(entry: Path) -> Process | None:
    """A process by its folder in /proc; None when it has ended."""
    try:
        status = dict(line.split(":", 1) for line in (entry / "status").read_text().splitlines() if ":" in line)
        fields = (entry / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    if "VmRSS" not in status:
        return None
    return Process(
        pid=int(entry.name),
        rss_mb=int(status["VmRSS"].split()[0]) / 1024,
        peak_rss_mb=int(status["VmHWM"].split()[0]) / 1024,
        cpu_s=(int(fields[11]) + int(fields[12])) / _TICKS,
    )


def machine_cpu() -> tuple[float, float]:
    """CPU seconds that the whole machine has used since it started, and those that it had, over all of its CPUs.

    What others did meanwhile is in it: times that were measured beside much of that say little.
    """
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    idle = fields[3] + fields[4]
    return (sum(fields) - idle) / _TICKS, sum(fields) / _TICKS


class Metrics:
    """Reads the operator's /metrics through the API server's proxy."""

    def __init__(self, cluster: Cluster, api: Rest) -> None:
        self._cluster, self._api = cluster, api

    def total(self, family: str, **labels: str) -> float:
        """Sum of a metric over all label sets that contain `labels`."""
        return sum(
            sample.value
            for sample in self._samples()
            if sample.name == family and labels.items() <= sample.labels.items()
        )

    def _samples(self) -> Iterator[Sample]:
        pod = operator.pod(self._api)["metadata"]["name"]
        text = self._cluster.kubectl("get", "--raw", f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}:8080/proxy/metrics")
        for metric in text_string_to_metric_families(text):
            yield from metric.samples

    def wait(self, family: str, value: float, within: float) -> None:
        """Wait until the sum of a metric over all label sets has a value."""
        deadline = time.monotonic() + within
        while (found := self.total(family)) != value:
            if time.monotonic() > deadline:
                raise AssertionError(f"{family} is {found:g}, not {value:g}, after {within:g} s")
            time.sleep(0.2)

    def wait_drained(self, within: float) -> None:
        """Wait until nothing is queued or worked on."""
        deadline = time.monotonic() + within
        while self.total("workqueue_depth") + self.total("workqueue_unfinished_work_seconds") > 0:
            if time.monotonic() > deadline:
                raise AssertionError(f"the operator's queue is not empty after {within:g} s")
            time.sleep(0.5)
