"""What clients of every language do on xDS, in the manner of gRPC's own interoperability tests: endpoints and channels.

Each story happens once, to clients of all languages at the same time; each test looks at one of them.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping

import pytest

from lab import Cluster
from lab.images import LANGUAGES
from lab.install import NAMESPACE
from lab.records import Recorder, Rpc, per_pod
from lab.rest import Rest, path
from tests.kit import xds
from tests.kit.shop import ROLLOUT, Shop
from tests.kit.stage import AT_ONCE, Stage, Story, balanced, clients, grow, ready_pods, servers

from .conftest import new_namespace

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.xds,
    pytest.mark.usefixtures("examples"),
    pytest.mark.parametrize("language", LANGUAGES),
]


_CLIENTS = "proxy/debug/clients"


@pytest.fixture(scope="module")
def stage(cluster: Cluster, api: Rest, authority: bytes) -> Iterator[Stage]:
    """Three servers of `orders`, and a client in each language that calls them all."""
    assert authority
    shop = Shop(cluster, api, new_namespace(api, "conformance"))
    shop.create(balanced(), servers("orders", 3), balanced("payments"), servers("payments", 1))
    shop.wait_rolled_out("orders", "payments")
    shop.create(*clients(shop))
    with Recorder(cluster, shop.namespace, "part=client") as recorder:
        made = Stage(shop, recorder)
        late = made.late(lambda language: len(per_pod(made.rpcs(language))) == 3, ROLLOUT)
        assert late == set(), "these have not called all servers"
        yield made
    api.delete(path("v1", "namespaces", "", shop.namespace))


@contextlib.contextmanager
def more_clients(shop: Shop, name: str, env: Mapping[str, str]) -> Iterator[Story]:
    """Clients of `payments` too, for a while; their story, which begins when all have called it."""
    target = f"xds:///payments.{shop.namespace}:5000"
    shop.create(*clients(shop, name, {"GRPC_PAYMENTS_TARGET": target, **env}))
    with Recorder(shop.cluster, shop.namespace, "part=client") as recorder:
        stage, pods = Stage(shop, recorder, name), ready_pods(shop, "payments")
        late = stage.late(lambda language: pods <= per_pod(stage.rpcs(language)).keys(), ROLLOUT)
        assert late == set(), "these have not called"
        yield Story(stage)
    for language in LANGUAGES:
        shop.delete("Deployment", f"{name}-{language}")


@pytest.fixture(scope="module")
def spread(stage: Stage) -> Story:
    """Nothing happens, for a hundred RPCs."""
    story = Story(stage)
    story.until_made(100, story.start)
    return story.over()


def test_a_hundred_rpcs_are_spread_evenly(language: str, spread: Story) -> None:
    spread.judge(language)
    shares = per_pod(spread.rpcs(language)[:100])
    assert sorted(shares.values()) == [33, 33, 34]


@pytest.fixture(scope="module")
def scaled(stage: Stage) -> tuple[Story, float]:
    """A pod comes, then two go, which answer for six seconds more; when they were told to go."""
    story = Story(stage)
    new = grow(stage.shop)
    story.until_used(new, AT_ONCE)
    before = ready_pods(stage.shop, "orders")
    stage.shop.kubectl("scale", "deployment/orders", "--replicas=2")
    told = time.time()
    stage.shop.wait_rolled_out("orders")
    stayed = ready_pods(stage.shop, "orders")
    assert len(stayed) == len(before) - 2
    story.until("the last RPC on those that go", lambda rpcs: per_pod(rpcs[-20:]).keys() == stayed, ROLLOUT, told)
    return story.over(), told


def test_new_pods_are_used_at_once_and_those_that_go_are_left_at_once(
    language: str, scaled: tuple[Story, float]
) -> None:
    story, told = scaled
    story.judge(language)
    stayed = per_pod(story.rpcs(language)[-20:]).keys()
    gone = [rpc.start - told for rpc in story.rpcs(language, told) if rpc.pod not in stayed]
    # Their servers go on for six seconds, and would answer.
    assert max(gone, default=0.0) < 3


@pytest.fixture(scope="module")
def deleted(stage: Stage) -> Story:
    """The object is deleted, and made again; a pod comes before and after that."""
    story = Story(stage)
    stage.shop.delete("GrpcBalancedService", "orders")
    deletion = time.time()
    story.until_made(50, deletion)
    story.until_used(grow(stage.shop), AT_ONCE)
    stage.shop.create(balanced())
    stage.shop.wait_condition("EndpointsReady")
    story.until_used(grow(stage.shop), AT_ONCE)
    return story.over()


def test_deletion_of_the_object_takes_nothing_away(language: str, deleted: Story) -> None:
    deleted.judge(language)


@pytest.fixture(scope="module")
def several(stage: Stage) -> Iterator[Story]:
    """Clients with two channels to one service and one to another; a pod comes to the former."""
    shop = stage.shop
    with more_clients(shop, "several", {"SERVICE": "ORDERS,ORDERS,PAYMENTS"}) as story:
        new = grow(shop)

        def used(language: str) -> bool:
            return all(new <= per_pod(rpcs).keys() for rpcs in by_channel(story, language)[:2])

        story.until_seen("use of a new pod by both channels", used, AT_ONCE)
        story.until_made(150, time.time())
        yield story.over()


def by_channel(story: Story, language: str) -> list[list[Rpc]]:
    """RPCs of a client that calls over three channels in turn, from its first one on."""
    rpcs = story.rpcs(language, since=0.0)
    return [rpcs[number::3] for number in range(3)]


def test_every_channel_of_a_process_is_balanced(language: str, several: Story) -> None:
    several.judge(language)
    orders, payments = (ready_pods(several.stage.shop, app) for app in ("orders", "payments"))
    first, second, other = by_channel(several, language)
    for channel in (first, second):
        shares = per_pod(channel[-len(orders) * 8 :])
        assert shares.keys() == orders
        assert max(shares.values()) - min(shares.values()) <= 2
    assert per_pod(other).keys() == payments


class Asking:
    """Which clients ask the look-aside balancer for anything, as time goes on. Use as a context manager."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._seen: defaultdict[str, list[bool]] = defaultdict(list)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Asking:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def of(self, node: str) -> tuple[bool, ...]:
        """Whether a client asked for anything, each time that this was another thing than before."""
        return tuple(self._seen.get(node, ()))

    def _run(self) -> None:
        with Rest(self._cluster.kubeconfig) as api:
            urls = [path("v1", "pods", NAMESPACE, f"{pod['metadata']['name']}:8080", _CLIENTS) for pod in xds.pods(api)]
            while not self._stopping.wait(0.1):
                told = [client for url in urls for client in api.get(url)["clients"]]
                asking = {client["node"] for client in told if any(asked["names"] for asked in client["asked"])}
                for node in asking | self._seen.keys():
                    if self._seen[node][-1:] != [node in asking]:
                        self._seen[node].append(node in asking)


@pytest.fixture(scope="module")
def idle(stage: Stage) -> Iterator[Story]:
    """Clients whose channels are idle between two RPCs; meanwhile the only server is replaced by another one."""
    shop = stage.shop
    # C-core's channels are idle once only, after the first RPC; that has to be seen on a busy machine, too.
    env = {"SERVICE": "PAYMENTS", "INTERVAL_MS": "8000", "IDLE_TIMEOUT_MS": "1000"}
    with Asking(shop.cluster) as asking, more_clients(shop, "idle", env) as story:
        shop.kubectl("rollout", "restart", "deployment/payments")
        shop.wait_rolled_out("payments")
        new = ready_pods(shop, "payments")
        story.until("use of the new server only", lambda rpcs: per_pod(rpcs[-1:]).keys() == new, 40)

        def has_asked_anew(language: str) -> bool:
            return asking.of(story.stage.pod(language))[:3] == (True, False, True)

        story.until_seen("it asks for nothing, and anew", has_asked_anew, 20)
        yield story.over()


def test_a_channel_that_was_idle_asks_anew(language: str, idle: Story) -> None:
    idle.judge(language)
