"""The proxy does what its rules say, seen by a client that is not the operator."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3
import yaml

from lab.rest import Object, Rest, RestError, path
from tests.faults.rules import (
    EVENT,
    READS,
    WATCH,
    WRITES,
    Answer,
    Cut,
    Delay,
    Drop,
    Duplicate,
    Hold,
    Rule,
    StreamError,
    Truncate,
)
from tests.faults.world import World, poll

pytestmark = [pytest.mark.cluster, pytest.mark.needs_lab]

AGENT = "proxied"


@pytest.fixture
def url(world: World) -> Iterator[str]:
    """The ConfigMaps of a namespace."""
    shop = world.shop("proxy")
    url = path("v1", "configmaps", shop.namespace)
    # Each namespace gets one with the cluster's certificate; what comes later is the test's own.
    world.api.wait(f"{url}/kube-root-ca.crt", lambda _: True, within=30, what="certificate there")
    yield url
    world.remove(shop)


@pytest.fixture(scope="module")
def proxied(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rest]:
    """A client behind the proxy, with a token: what a client certificate says would not pass it."""
    world.lab.kubectl("create", "serviceaccount", AGENT, "--namespace=default")
    world.lab.kubectl("create", "clusterrolebinding", AGENT, "--clusterrole=admin", f"--serviceaccount=default:{AGENT}")
    token = world.lab.kubectl("create", "token", AGENT, "--namespace=default").strip()
    with Rest(_kubeconfig(world, token, tmp_path_factory.mktemp("proxied"))) as rest:
        yield rest


def _kubeconfig(world: World, token: str, folder: Path) -> Path:
    layout = world.lab.layout
    authority = base64.b64encode((layout.pki / "ca.crt").read_bytes()).decode()
    server = f"https://{layout.link.lab}:{world.proxy.port}"
    content = {
        "clusters": [{"name": "lab", "cluster": {"server": server, "certificate-authority-data": authority}}],
        "users": [{"name": AGENT, "user": {"token": token}}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": AGENT}}],
        "current-context": "lab",
    }
    file = folder / "kubeconfig"
    file.write_text(yaml.safe_dump(content))
    return file


def config_map(name: str) -> Object:
    return {"metadata": {"name": name}, "data": {"some": "text " * 100}}


def names(rest: Rest, url: str) -> set[str]:
    return {item["metadata"]["name"] for item in rest.items(url)} - {"kube-root-ca.crt"}


def test_passes_everything_on_and_logs_it(world: World, proxied: Rest, url: str) -> None:
    began = time.time()
    proxied.create(url, config_map("one"))
    assert names(proxied, url) == {"one"}
    logged = [(e.verb, e.outcome) for e in world.proxy.since(began, READS | WRITES, url)]
    assert logged == [("POST", "201"), ("GET", "200")]


def test_answers_itself_as_often_as_it_should(world: World, proxied: Rest, url: str) -> None:
    answer = Answer(429, b'{"message": "later", "reason": "TooManyRequests"}', (("Retry-After", "5"),))
    with world.proxy.fault(Rule(answer, WRITES, path=url, skip=1, times=1)):
        proxied.create(url, config_map("one"))
        with pytest.raises(RestError, match="later"):
            proxied.create(url, config_map("two"))
        proxied.create(url, config_map("three"))
    assert names(world.api, url) == {"one", "three"}


@pytest.mark.parametrize("forwarded", [True, False])
def test_cuts_before_or_after_the_write_was_done(world: World, proxied: Rest, url: str, forwarded: bool) -> None:
    with (
        world.proxy.fault(Rule(Cut(forwarded), WRITES, path=url, times=1)),
        pytest.raises(urllib3.exceptions.HTTPError),
    ):
        proxied.create(url, config_map("one"))
    assert names(world.api, url) == ({"one"} if forwarded else set())


@pytest.mark.parametrize("forwarded", [True, False])
def test_holds_until_the_rule_ends(world: World, proxied: Rest, url: str, forwarded: bool) -> None:
    failures: list[Exception] = []

    def write() -> None:
        try:
            proxied.create(url, config_map("one"))
        except urllib3.exceptions.HTTPError as error:
            failures.append(error)

    writer = threading.Thread(target=write)
    with world.proxy.fault(rule := Rule(Hold(forwarded), WRITES, path=url, times=1)):
        writer.start()
        assert rule.held.wait(10)
        assert failures == []
        assert names(world.api, url) == ({"one"} if forwarded else set())
    writer.join(10)
    assert len(failures) == 1
    assert names(world.api, url) == ({"one"} if forwarded else set())


def test_delays(world: World, proxied: Rest, url: str) -> None:
    began = time.monotonic()
    with world.proxy.fault(Rule(Delay(0.5), frozenset({"GET"}), path=url)):
        names(proxied, url)
    assert time.monotonic() - began >= 0.5


def test_truncates(world: World, proxied: Rest, url: str) -> None:
    proxied.create(url, config_map("one"))
    truncated = Rule(Truncate(), frozenset({"GET"}), path=url)
    with world.proxy.fault(truncated), pytest.raises(urllib3.exceptions.HTTPError):
        proxied.get(f"{url}/one")
    assert truncated.hits >= 1


def test_says_error_in_a_watch(world: World, proxied: Rest, url: str) -> None:
    with world.proxy.fault(Rule(StreamError(410), WATCH, path=url, times=1)):
        ((kind, status),) = proxied.watch(url, {}, 5)
    assert (kind, status["code"]) == ("ERROR", 410)


def test_drops_duplicates_and_delays_events(world: World, proxied: Rest, url: str) -> None:
    version = proxied.request("GET", url)["metadata"]["resourceVersion"]
    for name in ("one", "two", "three"):
        proxied.create(url, config_map(name))
    rules = [
        Rule(Drop(), EVENT, path=url, content='"name":"one"'),
        Rule(Duplicate(), EVENT, path=url, content='"name":"two"'),
        Rule(Delay(0.5), EVENT, path=url, content='"name":"three"'),
    ]
    began = time.monotonic()
    with world.proxy.fault(*rules):
        found = [item["metadata"]["name"] for _, item in proxied.watch(url, {"resourceVersion": version}, 1)]
    assert found == ["two", "two", "three"]
    assert time.monotonic() - began >= 0.5


def test_a_frozen_watch_says_nothing_while_new_ones_do(world: World, proxied: Rest, url: str) -> None:
    version, heard = proxied.request("GET", url)["metadata"]["resourceVersion"], list[str]()
    began = time.time()

    def listen() -> None:
        try:
            for _, item in proxied.watch(url, {"resourceVersion": version}, 30):
                heard.append(item["metadata"]["name"])
        except urllib3.exceptions.HTTPError:
            heard.append("cut")

    listener = threading.Thread(target=listen)
    listener.start()
    proxied.create(url, config_map("one"))
    assert poll(lambda: heard == ["one"], 10)
    with world.proxy.frozen() as streams:
        assert streams >= 1
        proxied.create(url, config_map("two"))
        fresh = [item["metadata"]["name"] for _, item in proxied.watch(url, {"resourceVersion": version}, 2)]
        assert fresh == ["one", "two"]
        assert heard == ["one"]
    listener.join(10)
    assert heard == ["one", "cut"]
    assert len(world.proxy.since(began, WATCH, url)) == 2
