"""Endpoint counts are those of the EndpointSlices: unique, over all slices, ready and terminating told apart."""

from __future__ import annotations

import pytest

from lab.install import condition
from tests.kit import objects
from tests.kit.shop import ROLLOUT, Shop

pytestmark = pytest.mark.cluster


def counts(balanced: objects.Object) -> tuple[int, int, int, int]:
    found = balanced.get("status", {}).get("endpoints", {})
    return found.get("ready", -1), found.get("notReady", -1), found.get("terminating", -1), found.get("total", -1)


def by_hand(name: str, addresses: list[str], **conditions: bool) -> objects.Object:
    """A slice of the headless Service of `orders` that no controller manages."""
    endpoints = [
        {"addresses": [address], "conditions": conditions, "zone": "abc"[position % 3]}
        for position, address in enumerate(addresses)
    ]
    return objects.slice_by_hand(name, endpoints)


def test_no_pod_matches(shop: Shop) -> None:
    shop.create(objects.balanced())
    balanced = shop.wait_condition("EndpointsReady", "False", "NoEndpoints")
    assert counts(balanced) == (0, 0, 0, 0)
    assert "NXDOMAIN" in condition(balanced, "EndpointsReady")["message"]


def test_pods_that_are_not_ready(shop: Shop) -> None:
    server = objects.server(replicas=2)
    server["spec"]["template"]["spec"]["containers"][0]["readinessProbe"] = {"grpc": {"port": 1}, "periodSeconds": 1}
    shop.create(objects.balanced(), server)
    shop.wait_balanced(lambda b: counts(b) == (0, 2, 0, 2), "two endpoints, none ready", within=ROLLOUT)
    shop.wait_condition("EndpointsReady", "False", "NoneReady")


def test_terminating_pods_are_counted_apart(shop: Shop) -> None:
    server = objects.server(replicas=3)
    server["spec"]["template"]["spec"]["containers"][0]["lifecycle"] = {"preStop": {"sleep": {"seconds": 10}}}
    shop.create(objects.balanced(), server)
    shop.wait_balanced(lambda b: counts(b) == (3, 0, 0, 3), "three ready", within=ROLLOUT)
    shop.kubectl("scale", "deployment/orders", "--replicas=1")
    shop.wait_balanced(lambda b: counts(b) == (1, 0, 2, 3), "one ready, two terminating")
    shop.wait_balanced(lambda b: counts(b) == (1, 0, 0, 1), "only one left", within=60)


def test_several_slices_are_merged_and_duplicates_counted_once(shop: Shop) -> None:
    addresses = [f"10.200.{number // 250}.{number % 250 + 1}" for number in range(240)]
    shop.create(objects.balanced())
    shop.create(by_hand("first", addresses[:100]), by_hand("second", addresses[90:190], ready=True))
    shop.create(by_hand("third", addresses[190:], ready=False))
    balanced = shop.wait_balanced(lambda b: counts(b) == (190, 50, 0, 240), "240 unique endpoints, 190 of them ready")
    assert balanced["status"]["summary"]["endpoints"] == "190/240"
    assert sum(balanced["status"]["endpoints"]["zones"].values()) == 190
    shop.delete("EndpointSlice", "second")
    shop.wait_balanced(lambda b: counts(b) == (100, 50, 0, 150), "second slice gone")
