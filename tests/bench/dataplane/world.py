"""What every scenario needs: a namespace of its own, the rows of languages in it, and the records of all clients."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from lab import Cluster
from lab.endpoints import EndpointWatch
from lab.records import Recorder, Rpc, deployment_of, of_deployment, per_pod
from lab.rest import Object, Rest, path
from tests.bench.show import Say
from tests.kit import objects
from tests.kit.programs import SERVER_OF
from tests.kit.shop import Shop

from .figures import by_client

# Starting dozens of programs at once on a small machine takes its time.
START: Final = 300.0


@dataclass(frozen=True, slots=True)
class Row:
    """A client language and the language of the servers it calls."""

    language: str

    @property
    def server(self) -> str:
        """Language of the servers."""
        return SERVER_OF[self.language]


@dataclass(frozen=True, slots=True)
class World:
    """A namespace with recorders: `rpcs` are those of all clients, `endpoints` tells when pods came and went."""

    shop: Shop
    rows: Sequence[Row]
    clients: Recorder
    servers: Recorder
    endpoints: EndpointWatch
    say: Say

    def start(self, made: Iterable[Object], servers_scaled: Callable[[], None] = lambda: None) -> list[str]:
        """Create objects and wait until all runs as it is to be; the names of client Deployments.

        Deployments begin with no pods and get them when the operator has written what it has to: so no pod is
        started only to be replaced at once, and none of the first kind lingers. `servers_scaled` is called when
        servers have been given their pods.
        """
        begun = time.monotonic()
        replicas, balanced, awaited = self._create(made)
        for name in balanced:
            self.shop.wait_condition("ServersConfigured", name=name, within=START)
        servers = [name for name in replicas if not name.endswith("-client")]
        clients = [name for name in replicas if name.endswith("-client")]
        for name in servers:
            self.scale(name, replicas[name])
        servers_scaled()
        for name in balanced:
            if name in awaited:
                self.shop.wait_condition("ClientsConfigured", name=name, within=START)
        self.shop.wait_rolled_out(*servers, within=START)
        for name in clients:
            self.scale(name, replicas[name])
        self.wait_rpcs(clients, 20, time.time(), within=START)
        self.say(f"{len(replicas)} Deployments are ready ({time.monotonic() - begun:.0f} s)")
        return clients

    def _create(self, made: Iterable[Object]) -> tuple[dict[str, int], list[str], set[str]]:
        """Create objects: Deployments with the pods they are to have, balanced services, and those with clients."""
        replicas: dict[str, int] = {}
        balanced: list[str] = []
        awaited: set[str] = set()
        for item in made:
            name = item["metadata"]["name"]
            if item["kind"] == "Deployment":
                replicas[name], item["spec"]["replicas"] = item["spec"]["replicas"], 0
                awaited.add(item["metadata"]["annotations"].get("grpcbalance.dev/client", ""))
            elif item["kind"] == "GrpcBalancedService":
                balanced.append(name)
            self.shop.create(item)
        return replicas, balanced, awaited

    def scale(self, name: str, replicas: int) -> None:
        """Scale a Deployment."""
        self.shop.merge("Deployment", name, {"spec": {"replicas": replicas}})

    def rpcs_of(self, deployment: str, since: float = 0.0, until: float = float("inf")) -> list[Rpc]:
        """RPCs of the pods of one client Deployment."""
        return of_deployment(self.clients.rpcs(since, until), deployment)

    def wait_rpcs(self, deployments: Sequence[str], count: int, since: float, within: float = 60.0) -> None:
        """Wait until each pod of client Deployments has made so many RPCs since a moment."""
        self._wait_each(deployments, lambda made: len(made) >= count, since, within, f"{count} RPCs of each client")

    def wait_answered(self, deployments: Sequence[str], since: float, within: float) -> None:
        """Wait until each pod of client Deployments has made an RPC since a moment that succeeded."""
        self.wait_spread(deployments, 1, since, within)

    def wait_spread(self, deployments: Sequence[str], servers: int, since: float, within: float) -> None:
        """Wait until each pod of client Deployments was answered by so many servers since a moment."""
        what = f"each client answered by {servers} servers"
        self._wait_each(deployments, lambda made: len(per_pod(made)) >= servers, since, within, what)

    def _wait_each(
        self, deployments: Sequence[str], accept: Callable[[list[Rpc]], bool], since: float, within: float, what: str
    ) -> None:
        """Wait until what each pod of client Deployments has made since a moment is accepted."""
        wanted = {name: self.shop.get("Deployment", name)["spec"]["replicas"] for name in deployments}

        def all_accepted(rpcs: list[Rpc]) -> bool:
            accepted = Counter(deployment_of(client) for client, made in by_client(rpcs).items() if accept(made))
            return all(accepted[name] >= replicas for name, replicas in wanted.items())

        if self.clients.wait(all_accepted, since=since, within=within) is None:
            raise AssertionError(f"{', '.join(deployments)}: {what}: not within {within:g} s")

    def settle(self, deployments: Sequence[str], within: float, calm: float = 5.0) -> None:
        """Wait until for some seconds no RPC of client Deployments has failed, but not longer than `within`."""
        begun = time.time()

        def is_calm(rpcs: list[Rpc]) -> bool:
            mine = [rpc for rpc in rpcs if deployment_of(rpc.client) in deployments]
            return time.time() > begun + calm and all(rpc.ok or rpc.start < time.time() - calm for rpc in mine)

        self.clients.wait(is_calm, since=begun - calm, within=within)

    def wait_clients(self, *names: str) -> None:
        """Wait until objects say that their clients carry the values."""
        for name in names:
            self.shop.wait_condition("ClientsConfigured", name=name, within=START)

    def restart(self, names: Sequence[str]) -> None:
        """`kubectl rollout restart`, all at the same moment."""
        annotation = {"kubectl.kubernetes.io/restartedAt": f"{time.time():f}"}
        for name in names:
            self.shop.merge("Deployment", name, {"spec": {"template": {"metadata": {"annotations": annotation}}}})

    def library(self, language: str) -> str:
        """Version of gRPC that clients of a language say they use; empty when none has started."""
        found = (start["grpc"] for pod, start in self.clients.starts.items() if f"-{language}-" in pod)
        return str(next(found, ""))

    def pods(self, name: str) -> list[Object]:
        """Pods of a Deployment, those on their way out too."""
        return self.shop.api.items(self.shop.url("Pod"), f"app={name}")

    def wait_pods(self, name: str, count: int, within: float = START) -> None:
        """Wait until a Deployment has so many pods, those on their way out included."""
        wait_pods(self.shop.api, self.shop.url("Pod"), f"app={name}", count, within)


@contextmanager
def world(cluster: Cluster, api: Rest, name: str, rows: Sequence[Row], say: Say) -> Iterator[World]:
    """A fresh namespace for a scenario; deleted afterwards, and its programs gone, which would disturb others."""
    namespace = path("v1", "namespaces", "", name)
    api.create(path("v1", "namespaces"), {"metadata": {"name": name}})
    shop = Shop(cluster, api, name)
    try:
        with (
            Recorder(cluster, name, "part=client") as clients,
            Recorder(cluster, name, "part=server") as servers,
            EndpointWatch(shop.cluster, shop.namespace) as endpoints,
        ):
            yield World(shop, rows, clients, servers, endpoints, say)
    finally:
        api.delete(namespace)
        pods = path("v1", "pods", name)
        api.request("DELETE", pods, {"gracePeriodSeconds": 1})
        wait_pods(api, pods, "", 0, START)


def wait_pods(api: Rest, url: str, selector: str, count: int, within: float) -> None:
    """Wait until there are so many pods, those on their way out included."""
    deadline = time.monotonic() + within
    while (found := len(api.items(url, selector))) != count:
        assert time.monotonic() < deadline, f"{url} {selector}: {found} pods and not {count} after {within:g} s"
        time.sleep(0.2)


def balanced(name: str, app: str, **spec: Any) -> Object:
    """The object of the servers labelled `app`."""
    return objects.balanced(name, selector={"app": app}, **spec)


def also_balanced(name: str, service: str, **client: Any) -> Object:
    """A second object for the pods of a Service that another object configures: other settings for other clients."""
    made = objects.balanced(name, serviceRef={"name": service}, server={"mode": "Unmanaged"}, client=client)
    del made["spec"]["selector"], made["spec"]["port"]
    return made


def cluster_ip(name: str, app: str) -> Object:
    """The ordinary Service before the servers labelled `app`."""
    made = objects.cluster_ip(name)
    made["spec"]["selector"] = {"app": app}
    return made
