"""The load generator: many ADS streams from one pod. `python -m tests.bench.xds.generator` builds its image.

That is done before the private network is entered, in which no Go module can be had.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

from lab.images import go_image
from lab.install import NAMESPACE
from lab.records import lines_of
from lab.rest import Object, Rest, path

from .figures import Receipt

IMAGE: Final = "docker.io/grpcbalance/bench-streams:dev"
_POD: Final = "streams"
# How long a whole case may take, in seconds.
_LONGEST: Final = 300


def image() -> Path:
    """Archive of the image, built if need be."""
    return go_image(Path(__file__).parent / "streams", IMAGE)


class Generator:
    """So many streams that ask for one service, for so many changes of it. Use as a context manager.

    `seconds` is how long it took until all were connected and had endpoints; `cpu_s` is what it used after that.
    """

    def __init__(
        self, api: Rest, namespace: str, service: str, streams: int, changes: int, *, reconnect: bool = False
    ) -> None:
        """`service`: as in xds:///<service>; `reconnect`: streams that break begin anew, instead of ending it all."""
        self._api, self._namespace = api, namespace
        host = api.get(path("v1", "services", NAMESPACE, "grpcbalance-xds"))["spec"]["clusterIP"]
        flags = {"target": f"passthrough:///{host}:18000", "name": service, "streams": streams, "changes": changes}
        more = [f"-timeout={_LONGEST}s", f"-reconnect={str(reconnect).lower()}"]
        self._pod = _pod([f"-{flag}={value}" for flag, value in flags.items()] + more)
        self._count = streams
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._news = threading.Condition()
        self._other = ""
        self._ended = False
        self.complete, self.seconds, self.cpu_s = -1, 0.0, 0.0
        self.streams: list[list[Receipt]] = []

    def __enter__(self) -> Self:
        self._api.create(path("v1", "pods", self._namespace), self._pod)
        url = path("v1", "pods", self._namespace, _POD)
        accept = ("Running", "Succeeded", "Failed")
        self._api.wait(url, lambda pod: pod["status"].get("phase") in accept, within=60, what="load generator runs")
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        url = path("v1", "pods", self._namespace, _POD)
        self._api.request("DELETE", url, {"gracePeriodSeconds": 0})
        self._api.wait(url, lambda _: False, within=60, what="load generator gone", missing=True)

    def wait_connected(self) -> None:
        """Wait until every stream has endpoints."""
        self._wait(lambda: self.complete >= 0, _LONGEST)
        assert self.complete >= 0, f"not all of {self._count} streams got endpoints: {self._other}"

    def wait_complete(self, change: int, within: float) -> bool:
        """Wait until every stream has a change. Answers whether that came to be."""
        self._wait(lambda: self.complete >= change, within)
        return self.complete >= change

    def wait_end(self) -> None:
        """Wait until it has told everything."""
        self._wait(lambda: False, _LONGEST)
        assert self._ended, f"the load generator did not end: {self._other}"

    def _wait(self, accept: Callable[[], bool], within: float) -> None:
        deadline = time.monotonic() + within
        with self._news:
            while not accept() and not self._ended and (left := deadline - time.monotonic()) > 0:
                self._news.wait(left)

    def _read(self) -> None:
        try:
            with self._api.log(self._namespace, _POD) as log:
                for line in lines_of(log):
                    self._take(line)
        finally:
            with self._news:
                self._ended = True
                self._news.notify_all()

    def _take(self, line: str) -> None:
        if not line.startswith("{"):
            self._other = line
            return
        told = json.loads(line)
        with self._news:
            if "ready" in told:
                self.complete, self.seconds = 0, told["seconds"]
            elif "complete" in told:
                self.complete = told["complete"]
            elif "stream" in told:
                self.streams.append([(receipt["n"], receipt["t"]) for receipt in told["seen"]])
            else:
                self.cpu_s, self._other = told["end"]["cpu"], told["end"]["error"] or self._other
            self._news.notify_all()


def _pod(args: list[str]) -> Object:
    container = {"name": "app", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "args": args}
    spec = {"restartPolicy": "Never", "enableServiceLinks": False, "containers": [container]}
    return {"metadata": {"name": _POD}, "spec": spec}


if __name__ == "__main__":
    image()
