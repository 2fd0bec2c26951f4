"""How soon do real clients use a new pod, and let go of one that ends? On xDS, beside the same programs on DNS."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lab import Lab
from lab.endpoints import ApartWatch
from lab.records import deployment_of
from lab.rest import Object, Rest, path
from tests.bench.dataplane.rollout import AGE
from tests.bench.dataplane.world import START, wait_pods
from tests.bench.show import Say
from tests.kit import objects, programs, xds
from tests.kit.shop import Shop

from .apart import Tally
from .figures import Calls, Kind, of_kind, pickup

# Those of Go are fast enough not to dominate what is measured; one of Python would need a core for that. A group runs
# at the same time: all of them together would need more cores than two.
GROUPS: Final = (
    (Kind("go", True, 1000), Kind("go", False, 50), Kind("python", True, 200), Kind("python", False, 50)),
    (Kind("node", True, 200), Kind("node", False, 50), Kind("java", True, 200), Kind("java", False, 50)),
)
_NAMESPACE: Final = "bench-pickup"
_SERVICE: Final = "orders"
# Seconds within which clients on xDS, and those on DNS, use a new pod, or something is wrong.
_SOON: Final = 10.0
_LATER: Final = 60.0
# Seconds between two events, and after pods were taken away.
_PAUSE: Final = 0.8
_CALM: Final = 3.0


@dataclass(frozen=True, slots=True)
class Size:
    """Pods at first; how many come, one by one, before as many go at once; how often. In the first `dns_rounds`
    it is waited until clients on DNS use the new pods, too.
    """

    rounds: int = 8
    dns_rounds: int = 3
    each: int = 4
    first: int = 2
    rolled: int = 3

    @property
    def pods(self) -> list[int]:
        """How many pods there are when one has come, each time of a round."""
        return [self.first + number for number in range(1, self.each + 1)]


class Pickup:
    """One service with real pods, and its clients."""

    def __init__(
        self, shop: Shop, kinds: Sequence[Kind], calls: Tally, endpoints: ApartWatch, size: Size, say: Say
    ) -> None:
        self._shop, self._kinds, self._calls, self._endpoints = shop, kinds, calls, endpoints
        self._size, self._say = size, say

    def start(self) -> None:
        """Create servers and clients, and wait until each client has made calls in the way it is to."""
        self._shop.create(
            objects.balanced(_SERVICE, **xds.OPEN, server={"maxConnectionAge": f"{AGE}s"}),
            programs.server("go", _SERVICE, _SERVICE, replicas=self._size.first),
            *(_client(kind) for kind in self._kinds if not kind.xds),
        )
        self._shop.wait_configured(_SERVICE, within=START)
        self._shop.create(*(xds.on_xds(_client(kind), self._shop.namespace) for kind in self._kinds if kind.xds))
        self._shop.wait_rolled_out(_SERVICE, *(kind.name for kind in self._kinds), within=START)
        self._await_ready(self._size.first)
        pods = set(self._endpoints.ready)
        self._wait(lambda: all(self._use(kind, pods) for kind in self._kinds), START, "every client calls every server")

    def scale(self) -> dict[str, dict[str, Any]]:
        """All rounds of pods that come and go; figures by client."""
        start, made = time.time(), dict(self._calls.made)
        dns: dict[str, float] = {}
        for number in range(self._size.rounds):
            came = self._scale_out()
            if number < self._size.dns_rounds:
                dns |= came
                self._await_used(came, _LATER, xds_only=False)
            self._say(f"  round {number + 1} of {self._size.rounds}: {len(came)} pods came and are used")
            self._scale(self._size.first)
            time.sleep(_CALM)
        wait_pods(self._shop.api, self._shop.url("Pod"), f"app={_SERVICE}", self._size.first, START)
        all_ = {pod: at for pod, at in self._endpoints.ready_at.items() if at >= start}
        left = {pod: at for pod, at in self._endpoints.left_at.items() if at >= start}
        return {
            kind.name: pickup(kind, self._of(kind, made, start), all_ if kind.xds else dns, left, self._size.pods)
            for kind in self._kinds
        }

    def _scale_out(self) -> dict[str, float]:
        """Add pods one by one; when each became a ready endpoint."""
        old = set(self._endpoints.ready)
        for replicas in self._size.pods:
            before = set(self._endpoints.ready)
            self._scale(replicas)
            self._await_used(self._endpoints.ready - before, _SOON, xds_only=True)
            time.sleep(_PAUSE)
        return {pod: self._endpoints.ready_at[pod] for pod in self._endpoints.ready - old}

    def roll(self) -> dict[str, dict[str, Any]]:
        """A rolling update of the servers; what failed, by client."""
        self._scale(self._size.rolled)
        self._await_used(set(self._endpoints.ready), _LATER, xds_only=False)
        start, made = time.time(), dict(self._calls.made)
        self._shop.kubectl("rollout", "restart", f"deployment/{_SERVICE}")
        self._shop.wait_rolled_out(_SERVICE, within=START)
        self._say(f"  rolled out after {time.time() - start:.0f} s; old pods end")
        wait_pods(self._shop.api, self._shop.url("Pod"), f"app={_SERVICE}", self._size.rolled, START)
        time.sleep(_CALM)
        found = {kind.name: self._of(kind, made, start) for kind in self._kinds}
        return {
            name: {
                "rpcs": calls.made,
                "failed": len(calls.failed),
                "first_error": min((rpc.message for rpc in calls.failed), key=len, default="")[:200],
            }
            for name, calls in found.items()
        }

    def _scale(self, replicas: int) -> None:
        self._shop.merge("Deployment", _SERVICE, {"spec": {"replicas": replicas}})
        self._await_ready(replicas)

    def _await_ready(self, count: int) -> None:
        self._endpoints.wait(lambda seen: len(seen.ready) == count, START, f"{count} ready endpoints")

    def _await_used(self, pods: Mapping[str, float] | set[str], within: float, *, xds_only: bool) -> None:
        """Wait until clients use pods. What does not come in time is missing in the figures."""
        kinds = [kind for kind in self._kinds if kind.xds or not xds_only]
        try:
            self._wait(lambda: all(self._use(kind, set(pods)) for kind in kinds), within, "clients use new pods")
        except AssertionError as error:
            self._say(f"  {error}")

    def _use(self, kind: Kind, pods: set[str]) -> bool:
        used = {pod for client, pod in list(self._calls.first) if deployment_of(client) == kind.name}
        return pods <= used

    @staticmethod
    def _wait(accept: Callable[[], bool], within: float, what: str) -> None:
        deadline = time.monotonic() + within
        while not accept():
            assert time.monotonic() < deadline, f"{what}: not within {within:g} s"
            time.sleep(0.05)

    def _of(self, kind: Kind, made_before: Mapping[str, int], since: float) -> Calls:
        made = {pod: count - made_before.get(pod, 0) for pod, count in list(self._calls.made.items())}
        return Calls(
            first=of_kind(list(self._calls.first.values()), kind, since),
            last=of_kind(list(self._calls.last.values()), kind, 0.0),
            failed=of_kind(list(self._calls.failed), kind, since),
            made=sum(count for pod, count in made.items() if deployment_of(pod) == kind.name),
            seconds=time.time() - since,
        )


def _client(kind: Kind) -> Object:
    return programs.client(kind.language, kind.name, _SERVICE, rate=kind.rate, opted_in=not kind.xds)


def measure(lab: Lab, api: Rest, size: Size, say: Say) -> dict[str, Any]:
    """Figures of all clients, and what was done."""
    kinds = {name: found for group in GROUPS for name, found in _measure(lab, api, group, size, say).items()}
    return {"kinds": kinds}


def _measure(lab: Lab, api: Rest, kinds: Sequence[Kind], size: Size, say: Say) -> dict[str, Any]:
    namespace = f"{_NAMESPACE}-{kinds[0].language}"
    api.create(path("v1", "namespaces"), {"metadata": {"name": namespace}})
    shop = Shop(lab, api, namespace)
    with Tally(lab, namespace, [kind.name for kind in kinds]) as calls, ApartWatch(lab, namespace) as endpoints:
        run = Pickup(shop, kinds, calls, endpoints, size, say)
        run.start()
        say(f"{', '.join(kind.name for kind in kinds)} run; pods come and go, {size.rounds} times {size.each}")
        found = run.scale()
        say(f"a rolling update of {size.rolled} pods")
        rolled = run.roll()
    url = path("v1", "namespaces", "", namespace)
    api.delete(url)
    # What ends must not take part in what comes next.
    api.wait(url, lambda _: False, within=START, what=f"{namespace} gone", missing=True)
    return {name: figures | {"rollout": rolled[name]} for name, figures in found.items()}
