"""What clients of every language do by the words of `spec.client` on xDS: zones, retries, outlier detection.

Each story happens once, to clients of all languages at the same time; each test looks at one of them.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator

import pytest

from lab import Cluster
from lab.images import LANGUAGES
from lab.records import Recorder, Rpc, failures, per_pod
from lab.rest import Rest, path
from tests.kit import objects, xds
from tests.kit.shop import ROLLOUT, Shop
from tests.kit.stage import AT_ONCE, Stage, Story, balanced, clients, ready_pods, servers

from .conftest import new_namespace

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.xds,
    pytest.mark.usefixtures("examples"),
    pytest.mark.parametrize("language", LANGUAGES),
]

# How long an endpoint is left out for the first time, in seconds.
_LEFT_OUT = 3.0


class Place:
    """A stage whose endpoints are real pods in slices that are written by hand: a lab of one node has one zone."""

    def __init__(self, shop: Shop, stage: Stage) -> None:
        self.shop, self.stage = shop, stage

    def endpoints(self, **zones: tuple[str, ...]) -> None:
        """These Deployments' pods are the endpoints, by zone."""
        found = []
        for zone, apps in zones.items():
            for pod in self.shop.api.items(self.shop.url("Pod"), f"app in ({','.join(apps)})" if apps else "app=none"):
                ready = {"ready": True, "serving": True, "terminating": False}
                found.append({"addresses": [pod["status"]["podIP"]], "conditions": ready, "zone": zone})
        self.shop.api.apply(self.shop.url("EndpointSlice", "by-hand"), objects.slice_by_hand("by-hand", found))

    def say(self, **client: object) -> None:
        """Let `spec.client` say this, and nothing of before."""
        nothing = dict.fromkeys(("zonePreference", "retry", "outlierDetection"))
        self.shop.merge("GrpcBalancedService", "orders", {"spec": {"client": {**nothing, **client}}})

    def pods(self, *apps: str) -> set[str]:
        """Names of the pods of Deployments."""
        return set().union(*(ready_pods(self.shop, app) for app in apps))


@pytest.fixture(scope="module")
def place(cluster: Cluster, api: Rest, authority: bytes) -> Iterator[Place]:
    """Two servers in each of two zones, and a client in each language, in the first zone, that calls all four.

    Of two more servers, which are no endpoints yet, one fails each third RPC, which with four clients that take turns
    is not always that of the same one, and one fails its first RPCs.
    """
    assert authority
    shop = Shop(cluster, api, new_namespace(api, "conformance-policies"))
    shop.create(balanced("orders", selector={"app": "none"}))
    shop.create(servers("near", 2), servers("far", 2), servers("flaky", 1, {"FAIL_EVERY": "3"}))
    shop.create(servers("sick", 1, {"FAIL_FIRST": "80"}))
    shop.wait_rolled_out("near", "far", "flaky", "sick")
    with Recorder(cluster, shop.namespace, "part=client") as recorder:
        made = Place(shop, Stage(shop, recorder))
        made.endpoints(a=("near",), b=("far",))
        shop.create(*clients(shop, zone="a"))
        late = made.stage.late(lambda language: len(per_pod(made.stage.rpcs(language))) == 4, ROLLOUT)
        assert late == set(), "these have not called all servers"
        yield made
    api.delete(path("v1", "namespaces", "", shop.namespace))


def only(pods: set[str]) -> Callable[[list[Rpc]], bool]:
    """Whether the last RPCs went to exactly these pods."""
    return lambda rpcs: len(rpcs) >= 20 and per_pod(rpcs[-20:]).keys() == pods


@pytest.fixture(scope="module")
def retried(place: Place) -> tuple[Story, Story]:
    """A server that fails now and then: first without retries, then with them."""
    without = Story(place.stage)
    place.say()
    place.endpoints(a=("near", "flaky"))
    without.until("a failed RPC", lambda rpcs: len(failures(rpcs)) > 0, ROLLOUT)
    without.over()
    settling = Story(place.stage)
    place.say(retry={"mode": "Unavailable", "maxAttempts": 4, "initialBackoff": "10ms"})
    settling.until("no failed RPC any more", lambda rpcs: len(rpcs) > 60 and not failures(rpcs[-60:]), 30)
    story = Story(place.stage)
    story.until_made(100, story.start)
    return without, story.over()


def test_what_a_server_cannot_do_is_tried_again_elsewhere(language: str, retried: tuple[Story, Story]) -> None:
    without, with_retries = retried
    assert {rpc.code for rpc in failures(without.rpcs(language))} == {"UNAVAILABLE"}
    with_retries.judge(language)


@pytest.fixture(scope="module")
def ejected(place: Place) -> Story:
    """A server comes that fails its first RPCs, beside two good ones."""
    place.endpoints(a=("near",))
    place.say(
        outlierDetection={
            "interval": "1s",
            "baseEjectionTime": f"{_LEFT_OUT:g}s",
            "failurePercentage": {"threshold": 30, "minimumHosts": 2, "requestVolume": 3},
        }
    )
    story = Story(place.stage)
    story.until("calls to the good ones only", only(place.pods("near")), ROLLOUT)
    place.endpoints(a=("near", "sick"))
    story.until("a failed RPC", lambda rpcs: len(failures(rpcs)) > 0, AT_ONCE)
    story.until_used(place.pods("sick"), ROLLOUT)
    return story.over()


def test_a_server_that_fails_is_left_out_and_comes_back(language: str, place: Place, ejected: Story, api: Rest) -> None:
    if language == "java":
        # With outlier detection an RPC of grpc-java may never end: it is not told of it.
        told = [one for one in xds.clients(place.shop.cluster, api) if f"-{language}-" in one["node"]]
        assert [[d["feature"] for d in one["downgraded"]] for one in told] == [["client.outlierDetection"]]
        return
    rpcs = ejected.rpcs(language)
    (sick,) = place.pods("sick")
    touched = [rpc.start for rpc in rpcs if rpc.pod == sick or failures([rpc])]
    assert rpcs[-1].start >= touched[-1]
    assert {rpc.code for rpc in failures(rpcs)} == {"UNAVAILABLE"}
    assert any(rpc.pod == sick for rpc in rpcs), "it has not come back"
    # In such a gap thirty calls go to the others.
    assert max(after - before for before, after in itertools.pairwise(touched)) > _LEFT_OUT - 1


@pytest.fixture(scope="module")
def zones(place: Place) -> tuple[Story, dict[str, tuple[float, float]]]:
    """The client's zone is preferred; it is lost, and comes back. Answers with when calls had to go near, or far."""
    story, spans = Story(place.stage), {}
    steps = {"near": (("near",), ("far",)), "far": ((), ("far",)), "near again": (("near",), ("far",))}
    place.say(zonePreference="Prefer")
    for step, (near, far) in steps.items():
        changed = time.time()
        place.endpoints(a=near, b=far)
        wanted = only(place.pods("far" if step == "far" else "near"))
        settled = story.until(f"calls go to {step}", wanted, AT_ONCE, changed)
        spans[step] = settled, story.until_made(30, settled)
    return story.over(), spans


def test_the_own_zone_is_preferred_and_the_others_take_over_when_it_is_lost(
    language: str, place: Place, zones: tuple[Story, dict[str, tuple[float, float]]]
) -> None:
    story, spans = zones
    story.judge(language)
    used = {step: per_pod(story.rpcs(language, *span)).keys() for step, span in spans.items()}
    near, far = place.pods("near"), place.pods("far")
    assert used == {"near": near, "far": far, "near again": near}
