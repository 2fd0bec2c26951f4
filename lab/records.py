"""The example client's own record of its RPCs, followed while it runs.

Each RPC is one JSON line on the client's standard output; all numbers of demo, tests and benchmarks about
traffic come from these lines, none from what ought to be.
"""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Self

import urllib3

from .model import Cluster
from .rest import Rest, RestError, path


@dataclass(frozen=True, slots=True)
class Rpc:
    """One RPC as the client saw it: `start` in seconds since the epoch; `pod` is empty when it failed.

    `mismatch`: the pod that answered is not the one at the other end of the connection.
    """

    start: float
    pod: str
    peer: str
    code: str
    mismatch: bool

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.code == "OK"


def parse(line: str) -> Rpc | None:
    """The RPC of a log line, or None for any other line."""
    if not line.startswith('{"t":'):
        return None
    raw = json.loads(line)
    return Rpc(
        start=datetime.fromisoformat(raw["t"]).timestamp(),
        pod=raw.get("pod", ""),
        peer=raw.get("peer", ""),
        code=raw["code"],
        mismatch=bool(raw.get("mismatch")),
    )


def per_pod(rpcs: Iterable[Rpc]) -> Counter[str]:
    """How many successful RPCs each pod answered."""
    return Counter(rpc.pod for rpc in rpcs if rpc.ok)


def failures(rpcs: Iterable[Rpc]) -> list[Rpc]:
    """RPCs that did not succeed, or were answered by another pod than the connection says."""
    return [rpc for rpc in rpcs if not rpc.ok or rpc.mismatch]


class Recorder:
    """Follows the logs of every pod of one client Deployment, those that come later too.

    Use as a context manager. `rpcs` may be called at any time.
    """

    def __init__(self, cluster: Cluster, namespace: str, app: str) -> None:
        self._cluster, self._namespace, self._app = cluster, namespace, app
        self._rpcs: list[Rpc] = []
        self._stopping = threading.Event()
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._threads = [threading.Thread(target=self._discover, daemon=True)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._threads[0].join()
        for process in self._processes.values():
            process.terminate()
        for thread in self._threads[1:]:
            thread.join()

    def rpcs(self, since: float = 0.0, until: float = float("inf")) -> list[Rpc]:
        """RPCs that started in [since, until), in the order in which they were read."""
        return [rpc for rpc in list(self._rpcs) if since <= rpc.start < until]

    def wait(self, accept: Callable[[list[Rpc]], bool], *, since: float, within: float) -> list[Rpc] | None:
        """Wait until the RPCs since a moment are accepted; None when they are not within that many seconds."""
        deadline = time.monotonic() + within
        while not accept(found := self.rpcs(since)):
            if time.monotonic() > deadline:
                return None
            time.sleep(0.05)
        return found

    def _discover(self) -> None:
        with Rest(self._cluster.kubeconfig) as api:
            while not self._stopping.wait(0.2):
                try:
                    pods = api.items(path("v1", "pods", self._namespace), f"app={self._app}")
                except (RestError, urllib3.exceptions.HTTPError, OSError):
                    continue  # the API server is away: pods are looked for again
                for pod in pods:
                    if any("running" in s.get("state", {}) for s in pod["status"].get("containerStatuses", [])):
                        self._follow(pod["metadata"]["name"])

    def _follow(self, pod: str) -> None:
        if pod in self._processes:
            return
        command = self._cluster.kubectl_command("logs", "--follow", "--namespace", self._namespace, pod)
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self._processes[pod] = process
        thread = threading.Thread(target=self._read, args=(process,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        with process:
            for line in process.stdout or ():
                rpc = parse(line)
                if rpc is not None:
                    self._rpcs.append(rpc)
