"""A client of any language that is sent what it refuses goes on with what it had, and takes the next good thing.

The look-aside balancer never sends such a thing; one of the tests' own does (tests/kit/bad_ads.py), in a pod.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import Cluster
from lab.images import LANGUAGES
from lab.install import condition, operator_image_name
from lab.records import Recorder, per_pod
from lab.rest import Object, Rest, path
from tests.kit import bad_ads, objects
from tests.kit.shop import ROLLOUT, Shop
from tests.kit.stage import AT_ONCE, Stage, Story, clients, grow, servers

from .conftest import new_namespace

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.xds,
    pytest.mark.usefixtures("examples"),
    pytest.mark.parametrize("language", LANGUAGES),
]

_NAME = "ads"


class Ads:
    """The pod, as tests speak to it."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        script = Path(bad_ads.__file__).read_text()
        data = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": _NAME}, "data": {"ads.py": script}}
        shop.api.create(path("v1", "configmaps", shop.namespace), data)
        service = objects.cluster_ip(_NAME, ports=[{"port": 18000, "targetPort": 18000}])
        shop.create(service, _pod())
        ready = condition
        shop.wait_object("Pod", _NAME, lambda pod: ready(pod, "Ready").get("status") == "True", "ads ready", ROLLOUT)

    @property
    def address(self) -> str:
        """Where clients find it."""
        return f"dns:///{_NAME}.{self._shop.namespace}.svc.cluster.local.:18000"

    def _url(self, what: str) -> str:
        return path("v1", "pods", self._shop.namespace, f"{_NAME}:8080", f"proxy/{what}")

    def say(self, *, bad: bool) -> None:
        """The pods of today, in a cluster that clients refuse, or in one that they take."""
        pods = self._shop.api.items(self._shop.url("Pod"), "app=orders")
        addresses = [pod["status"]["podIP"] for pod in pods]
        self._shop.api.request("POST", self._url("state"), {"addresses": addresses, "bad": bad})

    def refused_by(self, pod: str) -> list[str]:
        """What a client said of what it refused."""
        told = self._shop.api.get(self._url("refused"))["refused"]
        return [message for node, message in told if node == pod]


def _pod() -> Object:
    container = {
        "name": "app",
        "image": operator_image_name(),
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "/ads/ads.py"],
        "readinessProbe": {"httpGet": {"path": "/refused", "port": 8080}, "periodSeconds": 1},
        "volumeMounts": [{"name": "ads", "mountPath": "/ads"}],
    }
    volumes = [{"name": "ads", "configMap": {"name": _NAME}}]
    spec = {"terminationGracePeriodSeconds": 1, "containers": [container], "volumes": volumes}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": _NAME, "labels": {"app": _NAME}}, "spec": spec}


@pytest.fixture(scope="module")
def refusing(cluster: Cluster, api: Rest) -> Iterator[tuple[Story, dict[str, list[str]]]]:
    """All clients have a good cluster, are sent a bad one, and then a good one with one endpoint more.

    Answers with what each of them said of the bad one.
    """
    shop = Shop(cluster, api, new_namespace(api, "conformance-refusal"))
    shop.create(servers("orders", 2))
    shop.wait_rolled_out("orders")
    ads = Ads(shop)
    ads.say(bad=False)
    shop.create(*clients(shop, address=ads.address))
    with Recorder(cluster, shop.namespace, "part=client") as recorder:
        stage = Stage(shop, recorder)
        late = stage.late(lambda language: len(per_pod(stage.rpcs(language))) == 2, ROLLOUT)
        assert late == set(), "these have not called all servers"
        story = Story(stage)
        ads.say(bad=True)
        story.until_seen("a refusal", lambda language: bool(ads.refused_by(story.stage.pod(language))), 20)
        said = {language: ads.refused_by(story.stage.pod(language)) for language in LANGUAGES}
        story.until_made(50, time.time())
        new = grow(shop)
        ads.say(bad=False)
        story.until_used(new, AT_ONCE)
        yield story.over(), said
    api.delete(path("v1", "namespaces", "", shop.namespace))


def test_what_is_refused_changes_nothing_and_what_is_good_is_taken_again(
    language: str, refusing: tuple[Story, dict[str, list[str]]]
) -> None:
    story, said = refusing
    story.judge(language)
    assert said[language]
