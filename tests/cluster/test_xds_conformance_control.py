"""What clients of every language do while the look-aside balancer is killed, frozen, or replaced: they go on.

Each story happens once, to clients of all languages at the same time; each test looks at one of them.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest

from lab import Cluster, Lab
from lab.images import LANGUAGES
from lab.install import NAMESPACE
from lab.records import Recorder, per_pod
from lab.rest import Rest, path
from tests.bench.xds import generator
from tests.bench.xds.generator import Generator
from tests.kit import objects, xds
from tests.kit.shop import ROLLOUT, Shop
from tests.kit.stage import RETURN, Stage, Story, balanced, clients, grow, servers

from .conftest import new_namespace

pytestmark = [pytest.mark.cluster, pytest.mark.xds, pytest.mark.usefixtures("examples")]

each_language = pytest.mark.parametrize("language", LANGUAGES)
_CROWD = 1000


@pytest.fixture(scope="module")
def stage(cluster: Cluster, api: Rest, authority: bytes) -> Iterator[Stage]:
    """Two servers of `orders`, and a client in each language that calls them both."""
    assert authority
    shop = Shop(cluster, api, new_namespace(api, "conformance-control"))
    shop.create(balanced(), servers("orders", 2))
    shop.wait_rolled_out("orders")
    shop.create(*clients(shop))
    with Recorder(cluster, shop.namespace, "part=client") as recorder:
        made = Stage(shop, recorder)
        late = made.late(lambda language: len(per_pod(made.rpcs(language))) == 2, ROLLOUT)
        assert late == set(), "these have not called all servers"
        yield made
    api.delete(path("v1", "namespaces", "", shop.namespace))


class Crowd:
    """Very many streams for a service whose one endpoint is written by hand; it tells the number of a change."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        shop.create(balanced(), objects.slice_by_hand("crowd", _endpoints(0)))
        shop.wait_object("Service", "orders-headless", bool, "headless Service")

    def streams(self) -> Generator:
        """The streams, to be used as a context manager."""
        service = f"orders.{self._shop.namespace}:{objects.PORT}"
        return Generator(self._shop.api, self._shop.namespace, service, _CROWD, 2, reconnect=True)

    def change(self, number: int) -> None:
        """A change, 1 or 2, that all streams are to get. They end once they have the second."""
        self._shop.merge("EndpointSlice", "crowd", {"endpoints": _endpoints(number)})


def _endpoints(number: int) -> list[objects.Object]:
    """As tests/bench/xds/streams reads them."""
    return [{"addresses": [f"10.250.0.{number}"], "conditions": {"ready": True}}]


@pytest.fixture(scope="module")
def killed(stage: Stage, cluster: Cluster, api: Rest) -> Iterator[tuple[Story, Generator, int]]:
    """Both replicas are killed at once, beside four clients with a thousand streams; then there are news for all.

    Answers with the streams, and with how many of them are connected again.
    """
    assert isinstance(cluster, Lab)
    cluster.import_image(generator.image())
    crowd = Crowd(Shop(cluster, api, new_namespace(api, "conformance-crowd")))
    with crowd.streams() as streams:
        streams.wait_connected()
        story = Story(stage)
        xds.kill(cluster, api)
        xds.wait_away(api)
        crowd.change(1)
        xds.wait_ready(api)
        story.until_used(grow(stage.shop), RETURN)
        streams.wait_complete(1, RETURN)
        back = [told for told in xds.clients(cluster, api) if told["node"].startswith("bench-")]
        crowd.change(2)
        streams.wait_end()
        yield story.over(), streams, len(back)


@pytest.mark.needs_lab
@each_language
def test_both_replicas_killed_stop_no_call_and_news_come_afterwards(
    language: str, killed: tuple[Story, Generator, int]
) -> None:
    killed[0].judge(language)


@pytest.mark.needs_lab
def test_a_thousand_streams_are_back_together_and_have_the_newest(killed: tuple[Story, Generator, int]) -> None:
    _, streams, back = killed
    assert streams.complete == 2
    assert back == _CROWD == len(streams.streams)
    # Each change once; the first one came while all were away.
    assert [seen for seen in streams.streams if [number for number, _ in seen] != [0, 1, 2]] == []


@pytest.fixture(scope="module")
def frozen(stage: Stage, cluster: Cluster, api: Rest) -> tuple[Story, set[str], float]:
    """Both replicas stand still, connections and all, while a pod comes; they go on at last.

    Answers with that pod, and with when they went on.
    """
    assert isinstance(cluster, Lab)
    story = Story(stage)
    xds.signal_all(cluster, api, signal.SIGSTOP)
    try:
        new = grow(stage.shop)
        story.until_made(50, time.time())
    finally:
        thawed = time.time()
        xds.signal_all(cluster, api, signal.SIGCONT)
    story.until_used(new, RETURN)
    xds.wait_ready(api)
    return story.over(), new, thawed


@pytest.mark.needs_lab
@each_language
def test_frozen_replicas_stop_no_call_and_news_come_afterwards(
    language: str, frozen: tuple[Story, set[str], float]
) -> None:
    story, new, thawed = frozen
    story.judge(language)
    # Else they were not frozen.
    assert [rpc for rpc in story.rpcs(language, until=thawed) if rpc.pod in new] == []


@pytest.fixture(scope="module")
def replaced(stage: Stage, api: Rest) -> Story:
    """All pods of the look-aside balancer are deleted; others come, which know nothing at first."""
    story = Story(stage)
    before = {pod["metadata"]["uid"] for pod in xds.pods(api)}
    stage.shop.cluster.kubectl(
        "delete", "pods", f"--namespace={NAMESPACE}", f"--selector={xds.SELECTOR}", "--wait=false"
    )
    xds.wait_ready(api)
    assert before.isdisjoint(pod["metadata"]["uid"] for pod in xds.pods(api))
    story.until_used(grow(stage.shop), RETURN)
    return story.over()


@each_language
def test_replicas_that_begin_with_nothing_take_nothing_away(language: str, replaced: Story) -> None:
    replaced.judge(language)
