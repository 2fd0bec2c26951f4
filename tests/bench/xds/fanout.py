"""How soon do so many clients know of a change of one slice? And what does that cost?"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from lab import Lab
from lab.install import NAMESPACE, XDS_DEPLOYMENT, wait_rolled_out
from lab.rest import Object, Rest, path
from tests.bench.process import Process, machine_cpu, read
from tests.bench.show import Say
from tests.kit import objects, xds
from tests.kit.shop import ROLLOUT, Shop

from .figures import Cell, Change, fan_out
from .generator import Generator

CELLS: Final = (
    Cell(100, 100, 2),
    Cell(300, 100, 2),
    Cell(1000, 100, 2),
    Cell(3000, 100, 2),
    Cell(300, 1000, 2),
    Cell(100, 100, 1),
    Cell(300, 100, 1),
    Cell(1000, 100, 1),
    Cell(3000, 100, 1),
    Cell(300, 1000, 1),
)
_NAMESPACE: Final = "bench-fanout"
# As Kubernetes fills slices.
_PER_SLICE: Final = 100
_FIRST_ADDRESS: Final = int(ipaddress.ip_address("10.128.0.1"))
# The first endpoint's address tells the number of a change (see streams/main.go).
_MARK: Final = int(ipaddress.ip_address("10.250.0.0"))
# Seconds between two changes: longer than what the look-aside balancer takes for one burst.
_PAUSE: Final = 0.4
_LOST: Final = 15.0


class FanOut:
    """One service without pods, whose endpoints are written by hand."""

    def __init__(self, lab: Lab, api: Rest, say: Say) -> None:
        self._lab, self._api, self._say = lab, api, say
        self._shop = Shop(lab, api, _NAMESPACE)
        self._slices = 0

    def prepare(self) -> None:
        """Create the service, and wait until clients can ask for it."""
        self._api.create(path("v1", "namespaces"), {"metadata": {"name": _NAMESPACE}})
        self._shop.create(objects.balanced(**xds.OPEN))
        self._shop.wait_object("Service", "orders-headless", bool, "headless Service")

    def measure(self, cell: Cell, changes: int) -> dict[str, Any]:
        """Figures of a case, on fresh replicas."""
        self._write_slices(cell.endpoints)
        self._restart(cell.replicas)
        service = f"orders.{_NAMESPACE}:{objects.PORT}"
        with Generator(self._api, _NAMESPACE, service, cell.streams, changes) as generator:
            generator.wait_connected()
            time.sleep(1)
            before, machine = self._processes(), machine_cpu()
            made = [self._change(number, generator) for number in range(1, changes + 1)]
            after, (used, had) = self._processes(), machine_cpu()
            generator.wait_end()
        cpu = sum(each.cpu_s for each in after) - sum(each.cpu_s for each in before)
        found = {
            **asdict(cell),
            **fan_out(made, generator.streams),
            "cpu_ms": round(cpu * 1000 / changes, 1),
            "machine_busy": round((used - machine[0]) / (had - machine[1]), 2),
            "rss_mb": round(max(each.rss_mb for each in after), 1),
            "peak_rss_mb": round(max(each.peak_rss_mb for each in after), 1),
            "clients_cpu_ms": round(generator.cpu_s * 1000 / changes, 1),
            "connect_s": round(generator.seconds, 2),
        }
        self._say(f"  {cell}: receipt {found['receipt_ms']}, last {found['last_ms']}, RSS {found['rss_mb']} MiB")
        return found

    def _write_slices(self, endpoints: int) -> None:
        """Let the service have so many endpoints, none of them changed yet."""
        wanted = -(-endpoints // _PER_SLICE)
        for number in range(wanted, self._slices):
            self._shop.delete("EndpointSlice", _name(number))
        for number in range(self._slices, wanted):
            self._shop.create(_slice(number))
        self._slices = wanted
        self._mark(0)

    def _mark(self, number: int) -> None:
        patch = [
            {"op": "replace", "path": "/endpoints/0/addresses/0", "value": str(ipaddress.ip_address(_MARK + number))}
        ]
        url = self._shop.url("EndpointSlice", _name(0))
        self._api.request("PATCH", url, patch, content_type="application/json-patch+json")

    def _change(self, number: int, generator: Generator) -> Change:
        begun = time.time()
        self._mark(number)
        change = Change(number, begun, time.time())
        if not generator.wait_complete(number, _LOST):
            self._say(f"  change {number} did not get to all streams within {_LOST:g} s")
        time.sleep(_PAUSE)
        return change

    def _restart(self, replicas: int) -> None:
        """Replace all replicas, and wait until there are so many and no others."""
        template = {"metadata": {"annotations": {"bench": f"{time.time():f}"}}}
        url = path("apps/v1", "deployments", NAMESPACE, XDS_DEPLOYMENT)
        self._api.merge(url, {"spec": {"replicas": replicas, "template": template}})
        wait_rolled_out(self._api, NAMESPACE, XDS_DEPLOYMENT, ROLLOUT)
        deadline = time.monotonic() + ROLLOUT
        while (found := len(self._api.items(path("v1", "pods", NAMESPACE), xds.SELECTOR))) != replicas:
            assert time.monotonic() < deadline, f"{found} pods of the look-aside balancer, not {replicas}"
            time.sleep(0.2)

    def _processes(self) -> Sequence[Process]:
        names = [pod["metadata"]["name"] for pod in xds.pods(self._api)]
        pids = [pid for name in names for pid in self._lab.pod_pids(NAMESPACE, name, "xds")]
        found = [read(Path("/proc") / str(pid)) for pid in pids]
        return [process for process in found if process is not None]


def _name(number: int) -> str:
    return f"orders-hand-{number}"


def _slice(number: int) -> Object:
    first = _FIRST_ADDRESS + number * _PER_SLICE
    endpoints = [
        {
            "addresses": [str(ipaddress.ip_address(first + offset))],
            "conditions": {"ready": True, "serving": True, "terminating": False},
            "zone": "abc"[offset % 3],
        }
        for offset in range(_PER_SLICE)
    ]
    return objects.slice_by_hand(_name(number), endpoints)
