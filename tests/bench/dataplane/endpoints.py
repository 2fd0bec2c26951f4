"""When pods come into and leave the EndpointSlices of headless Services, as a watcher sees it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final, Self

from lab.rest import Object, Rest, path
from tests.kit.shop import Shop

HEADLESS: Final = "service.kubernetes.io/headless"


class EndpointWatch:
    """Moments (seconds since the epoch) at which pods became ready endpoints, and at which they last ceased to be."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
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
            assert time.monotonic() < deadline, f"{what}: not within {within:g} s; ready are {sorted(self.ready)}"
            time.sleep(0.05)

    @property
    def ready(self) -> set[str]:
        """Pods that are ready endpoints now."""
        return set().union(*self._slices.values())

    def _run(self) -> None:
        url = path("discovery.k8s.io/v1", "endpointslices", self._shop.namespace)
        with Rest(self._shop.cluster.kubeconfig) as api:
            for kind, item in api.follow(url, HEADLESS, self._stopping):
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


def ready_pods(item: Object) -> set[str]:
    """Pods that are ready endpoints in a slice."""
    endpoints: list[dict[str, Any]] = item.get("endpoints") or []
    return {e["targetRef"]["name"] for e in endpoints if e.get("conditions", {}).get("ready") is not False}
