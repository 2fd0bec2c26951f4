"""Clients on xDS, pointed at the look-aside balancer by hand: they follow pods at once, and need it only for news."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from lab import Lab
from lab.install import NAMESPACE, XDS_DEPLOYMENT, wait_rolled_out
from lab.records import Recorder, failures, per_pod
from lab.rest import Rest, path
from tests.kit import programs, xds
from tests.kit.shop import ROLLOUT, Shop

# What every change has to keep is in test_xds_migration.
pytestmark = [pytest.mark.cluster, pytest.mark.xds]

LANGUAGES = ("go", "python")


def call(shop: Shop, name: str, language: str) -> None:
    """A client that calls `orders` by xDS, in plain text."""
    client = programs.client(language, name, "orders", opted_in=False, rate=50)
    shop.create(xds.on_xds(client, shop.namespace))


@pytest.fixture(params=LANGUAGES)
def recorder(shop: Shop, authority: bytes, request: pytest.FixtureRequest) -> Iterator[Recorder]:
    """Two servers, and a client in each language that calls them by xDS."""
    assert authority
    xds.serve(shop, discovery="XDS", **xds.OPEN)
    call(shop, "checkout", request.param)
    with Recorder(shop.cluster, shop.namespace, "app=checkout") as made:
        assert made.wait(lambda found: len(per_pod(found)) == 2, since=0, within=60) is not None
        yield made


def test_new_pods_are_used_at_once_and_no_rpc_fails(shop: Shop, recorder: Recorder) -> None:
    start = time.time()
    shop.kubectl("scale", "deployment/orders", "--replicas=4")
    shop.wait_rolled_out("orders")
    assert recorder.wait(lambda found: len(per_pod(found)) == 4, since=start, within=5) is not None
    found = recorder.wait(lambda rpcs: len(rpcs) >= 100, since=time.time(), within=30)
    assert found is not None
    shares = per_pod(found[:100])
    assert max(shares.values()) - min(shares.values()) <= 2
    shop.kubectl("scale", "deployment/orders", "--replicas=1")
    scaled = time.time()
    shop.wait_rolled_out("orders")
    # Pods that go still answer for some seconds; they are asked no more as soon as their end is known.
    last = recorder.wait(lambda found: len(per_pod(found[-20:])) == 1, since=scaled + 1, within=20)
    assert last is not None
    assert failures(recorder.rpcs(start)) == []


@pytest.mark.needs_lab
def test_both_replicas_killed_at_once_stop_no_call_and_news_come_afterwards(
    shop: Shop, recorder: Recorder, api: Rest
) -> None:
    start = time.time()
    assert isinstance(shop.cluster, Lab)
    xds.kill(shop.cluster, api)
    xds.wait_away(api)
    xds.wait_ready(api)
    shop.kubectl("scale", "deployment/orders", "--replicas=3")
    # Clients try again after a while that grows (gRFC A57): some do after half a minute only.
    assert recorder.wait(lambda found: len(per_pod(found)) == 3, since=start, within=60) is not None
    assert failures(recorder.rpcs(start)) == []


@pytest.mark.needs_lab
def test_without_the_object_a_balancer_that_starts_anew_lets_in_whom_it_let_in(
    shop: Shop, recorder: Recorder, api: Rest
) -> None:
    start = time.time()
    shop.delete("GrpcBalancedService", "orders")
    shop.api.wait(shop.url("GrpcBalancedService", "orders"), lambda _: False, within=30, what="gone", missing=True)
    assert isinstance(shop.cluster, Lab)
    xds.kill(shop.cluster, api)
    xds.wait_away(api)
    xds.wait_ready(api)
    shop.kubectl("scale", "deployment/orders", "--replicas=3")
    assert recorder.wait(lambda found: len(per_pod(found)) == 3, since=start, within=60) is not None
    # Who starts anew knows nothing of what was.
    call(shop, "late", "go")
    with Recorder(shop.cluster, shop.namespace, "app=late") as late:
        assert late.wait(lambda found: len(per_pod(found)) == 3, since=0, within=60) is not None
        assert failures(late.rpcs(0)) == []
    assert failures(recorder.rpcs(start)) == []


def test_replicas_that_are_replaced_one_by_one_are_left_in_time(shop: Shop, recorder: Recorder, api: Rest) -> None:
    start = time.time()
    shop.cluster.kubectl("rollout", "restart", f"deployment/{XDS_DEPLOYMENT}", "--namespace", NAMESPACE)
    wait_rolled_out(api, NAMESPACE, XDS_DEPLOYMENT, within=ROLLOUT)
    shop.kubectl("scale", "deployment/orders", "--replicas=3")
    assert recorder.wait(lambda found: len(per_pod(found)) == 3, since=start, within=60) is not None
    assert failures(recorder.rpcs(start)) == []


def test_who_is_connected_is_told(shop: Shop, recorder: Recorder, api: Rest) -> None:
    assert recorder.wait(lambda found: len(found) > 10, since=time.time(), within=30) is not None
    (pod,) = shop.api.items(shop.url("Pod"), "app=checkout")
    (told,) = [one for one in xds.clients(shop.cluster, api) if one["node"] == pod["metadata"]["name"]]
    assert told["peer"].startswith(f"ipv4:{pod['status']['podIP']}:")
    assert {one["kind"] for one in told["asked"]} == {"listener", "cluster", "endpoints"}
    for asked in told["asked"]:
        assert asked["names"] == [f"orders.{shop.namespace}:5000"]
        assert asked["acknowledged"] == asked["sent"]
        assert asked["rejection"] is None


@pytest.mark.parametrize("language", LANGUAGES)
def test_over_tls_a_token_shows_what_is_for_its_namespace(
    language: str, shop: Shop, authority: bytes, api: Rest
) -> None:
    # For its own namespace only, which in plain text nobody can prove.
    xds.serve(shop)
    data = {"ca.crt": authority.decode()}
    made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "xds-ca"}, "data": data}
    shop.api.create(path("v1", "configmaps", shop.namespace), made)
    for name, secure in (("checkout", True), ("stranger", False)):
        client = programs.client(language, name, "orders", opted_in=False, rate=20)
        client = xds.on_xds(client, shop.namespace)
        shop.create(xds.with_proof(client) if secure else client)
    with Recorder(shop.cluster, shop.namespace, "app=checkout") as known:
        found = known.wait(lambda rpcs: len(per_pod(rpcs[-50:])) == 2, since=0, within=60)
        assert found is not None
    (pod,) = shop.api.items(shop.url("Pod"), "app=checkout")
    (told,) = [one for one in xds.clients(shop.cluster, api) if one["node"] == pod["metadata"]["name"]]
    assert (told["namespace"], told["pod"]) == (shop.namespace, pod["metadata"]["name"])
    with Recorder(shop.cluster, shop.namespace, "app=stranger") as unknown:
        rpcs = unknown.wait(lambda seen: len(failures(seen)) >= 1, since=0, within=60)
        assert rpcs is not None
        assert per_pod(rpcs).keys() <= {""}
