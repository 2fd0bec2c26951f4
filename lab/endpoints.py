"""When pods come into and leave the EndpointSlices of headless Services, as a watcher sees it.

A process that reads very many lines of logs sees an event late, and a late event flatters those who are measured from
it: so there is a watch in a process of its own, `python -m lab.endpoints KUBECONFIG NAMESPACE`.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Self

from .model import Cluster
from .rest import Object, Rest, path

HEADLESS: Final = "service.kubernetes.io/headless"
_URGENT: Final = -10
# Longer than any run, in seconds.
_LONGEST: Final = 3600.0


class EndpointWatch:
    """Moments (seconds since the epoch) at which pods became ready endpoints, and at which they last ceased to be."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster, self._namespace = cluster, namespace
        self.ready_at: dict[str, float] = {}
        self.left_at: dict[str, float] = {}
        self._slices: dict[str, set[str]] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def wait(self, accept: Callable[[Self], bool], within: float, what: str) -> None:
        """Wait until what was seen is accepted. Raises AssertionError when it is not in time."""
        deadline = time.monotonic() + within
        while not accept(self):
            if time.monotonic() > deadline:
                raise AssertionError(f"{what}: not within {within:g} s; ready are {sorted(self.ready)}")
            time.sleep(0.05)

    @property
    def ready(self) -> set[str]:
        """Pods that are ready endpoints now."""
        return set().union(*self._slices.values())

    def _run(self) -> None:
        with Rest(self._cluster.kubeconfig) as api:
            for kind, item in api.follow(_url(self._namespace), HEADLESS, self._stopping):
                self._take(kind, item)

    def _take(self, kind: str, item: Object) -> None:
        self.note(item["metadata"]["name"], ready_pods(item) if kind != "DELETED" else set(), time.time())

    def note(self, name: str, pods: set[str], now: float) -> None:
        """A slice has these ready pods now."""
        before = self.ready
        self._slices[name] = pods
        after = self.ready
        for pod in after - before:
            self.ready_at[pod] = now
        for pod in before - after:
            self.left_at[pod] = now


class ApartWatch(EndpointWatch):
    """An EndpointWatch whose clock is read in a process of its own, which goes before others."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        super().__init__(cluster, namespace)
        command = [sys.executable, "-m", __name__, str(cluster.kubeconfig), namespace]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        super().__exit__()
        self._process.wait()

    def _run(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - it was given a pipe
        with self._process.stdout as lines:
            for line in lines:
                now, name, pods = json.loads(line)
                self.note(name, set(pods), now)


def ready_pods(item: Object) -> set[str]:
    """Pods that are ready endpoints in a slice."""
    endpoints: list[dict[str, Any]] = item.get("endpoints") or []
    return {e["targetRef"]["name"] for e in endpoints if e.get("conditions", {}).get("ready") is not False}


def _url(namespace: str) -> str:
    return path("discovery.k8s.io/v1", "endpointslices", namespace)


def main(kubeconfig: Path, namespace: str) -> None:
    """Write a JSON line for each event of a slice of a headless Service: Unix time, its name, its ready pods."""
    with contextlib.suppress(OSError):  # only root may
        os.nice(_URGENT)
    with Rest(kubeconfig) as api:
        for kind, item in api.watch(_url(namespace), {"labelSelector": HEADLESS}, _LONGEST):
            now = time.time()
            pods = ready_pods(item) if kind != "DELETED" else ()
            sys.stdout.write(json.dumps([now, item["metadata"]["name"], sorted(pods)]) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
