"""What example programs record of their RPCs, followed while they run.

Each RPC is one JSON line on the client's standard output; servers write how many reached them. All numbers of demo,
tests and benchmarks about traffic come from these lines, none from what ought to be.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

import urllib3

from .model import Cluster
from .rest import Object, Rest, RestError, path


@dataclass(frozen=True, slots=True)
class Rpc:
    """One RPC as the client saw it: `start` in seconds since the epoch; `pod` is empty when it failed.

    `mismatch`: the pod that answered is not the one at the other end of the connection.
    `client`: name of the pod that made it.
    """

    start: float
    pod: str
    peer: str
    code: str
    mismatch: bool
    client: str = ""
    message: str = ""

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.code == "OK"


@dataclass(frozen=True, slots=True)
class Served:
    """How many RPCs had reached a server since its start, and how many of them were repetitions."""

    attempts: int
    retries: int


def parse(line: str, client: str = "") -> Rpc | None:
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
        client=client,
        message=raw.get("err", ""),
    )


def per_pod(rpcs: Iterable[Rpc]) -> Counter[str]:
    """How many successful RPCs each pod answered."""
    return Counter(rpc.pod for rpc in rpcs if rpc.ok)


def failures(rpcs: Iterable[Rpc]) -> list[Rpc]:
    """RPCs that did not succeed, or were answered by another pod than the connection says."""
    return [rpc for rpc in rpcs if not rpc.ok or rpc.mismatch]


def deployment_of(pod: str) -> str:
    """Name of the Deployment that a pod is of, by the pod's name."""
    return pod.rsplit("-", 2)[0]


def of_deployment(rpcs: Iterable[Rpc], name: str) -> list[Rpc]:
    """RPCs of the pods of one Deployment."""
    return [rpc for rpc in rpcs if deployment_of(rpc.client) == name]


class Recorder:
    """Follows the logs of all pods of a namespace that a label selector takes, those that come later too.

    Use as a context manager. `rpcs`, `starts` and `served` may be asked at any time; `starts` holds what each client
    said of itself in its first line, by pod.
    """

    def __init__(self, cluster: Cluster, namespace: str, selector: str) -> None:
        self._cluster, self._namespace, self._selector = cluster, namespace, selector
        self._rpcs: list[Rpc] = []
        self.starts: dict[str, dict[str, Any]] = {}
        self.served: dict[str, Served] = {}
        self._stopping = threading.Event()
        self._streams: dict[str, urllib3.HTTPResponse] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._discoverer = threading.Thread(target=self._discover, daemon=True)

    def __enter__(self) -> Self:
        self._discoverer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._discoverer.join()
        for stream in list(self._streams.values()):
            with contextlib.suppress(ValueError):  # it has ended by itself
                stream.shutdown()
        for thread in self._threads.values():
            thread.join()

    def rpcs(self, since: float = 0.0, until: float = float("inf")) -> list[Rpc]:
        """RPCs that started in [since, until), in the order in which they were read."""
        return [rpc for rpc in list(self._rpcs) if since <= rpc.start < until]

    def wait(self, accept: Callable[[list[Rpc]], bool], *, since: float, within: float) -> list[Rpc] | None:
        """Wait until the RPCs since a moment are accepted; None when they are not within that many seconds."""
        begun = asked = time.monotonic()
        while not accept(found := self.rpcs(since)):
            now = time.monotonic()
            if now > begun + within:
                return None
            # A long record takes its time to look through, on a machine that is needed for other things too.
            time.sleep(max(0.05, 5 * (now - asked)))
            asked = time.monotonic()
        return found

    def _discover(self) -> None:
        with Rest(self._cluster.kubeconfig) as api:
            for kind, pod in api.follow(path("v1", "pods", self._namespace), self._selector, self._stopping):
                if kind != "DELETED":
                    self._follow(api, pod)

    def _follow(self, api: Rest, pod: Object) -> None:
        for status in pod["status"].get("containerStatuses", []):
            container = status.get("containerID", "")  # another one after a restart
            if "running" in status.get("state", {}) and container not in self._threads:
                thread = threading.Thread(target=self._read, args=(api, pod["metadata"]["name"]), daemon=True)
                self._threads[container] = thread
                thread.start()

    def _read(self, api: Rest, pod: str) -> None:
        """Read a container's log to its end; when the stream breaks, once more without the known lines."""
        known = 0
        while not self._stopping.is_set():
            try:
                with api.log(self._namespace, pod) as stream:
                    self._streams[threading.current_thread().name] = stream
                    if self._stopping.is_set():
                        return
                    for number, line in enumerate(lines_of(stream)):
                        if number >= known:
                            self._take(pod, line)
                            known = number + 1
                return
            except RestError as error:
                if error.code in (400, 404):
                    return  # the pod has gone
            except (urllib3.exceptions.HTTPError, OSError):
                pass
            self._stopping.wait(0.2)

    def _take(self, pod: str, line: str) -> None:
        rpc = parse(line, pod)
        if rpc is not None:
            self._rpcs.append(rpc)
        elif line.startswith('{"served":'):
            raw = json.loads(line)["served"]
            self.served[pod] = Served(raw["attempts"], raw["retries"])
        elif line.startswith('{"start":'):
            self.starts[pod] = json.loads(line)["start"]


def lines_of(stream: urllib3.HTTPResponse) -> Iterator[str]:
    """The lines of a log, as they come."""
    rest = b""
    for chunk in stream.stream(65536):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line.decode() for line in lines)
