"""Clients in other namespaces: both sides must agree, each is told its own, and neither learns of the other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from lab import Cluster
from lab.install import condition
from lab.rest import Object, Rest, path
from tests.kit import objects
from tests.kit.shop import ROLLOUT, Shop, record_of

from .conftest import another_shop

pytestmark = pytest.mark.cluster

TARGET = "GRPC_ORDERS_TARGET"
ALL = {"namespaces": {"from": "All"}}
TEAM = {"namespaces": {"from": "Selector", "selector": {"matchExpressions": [{"key": "team", "operator": "Exists"}]}}}
# Names that stand nowhere but in their own namespace.
SERVER, CLIENT, OUTSIDER = "backend-of-shop", "frontend-of-web", "poller-of-lab"


@pytest.fixture
def outside(cluster: Cluster, api: Rest, request: pytest.FixtureRequest) -> Iterator[Shop]:
    """A third namespace, that nobody lets in by label."""
    with another_shop(cluster, api, f"outside-{request.node.name}") as place:
        yield place


def label(place: Shop, **labels: str | None) -> None:
    place.api.merge(path("v1", "namespaces", "", place.namespace), {"metadata": {"labels": labels}})


def promise(shop: Shop, allowed: Object) -> None:
    """`orders`, without a server yet."""
    shop.create(objects.balanced(selector={"app": SERVER}, allowedClients=allowed))


def serve(shop: Shop) -> None:
    """A server of `orders`, running and configured."""
    shop.create(objects.server(SERVER, replicas=1, annotations={"grpcbalance.dev/server": "orders"}))
    shop.wait_condition("Ready", within=ROLLOUT)


def call(place: Shop, shop: Shop, name: str = CLIENT, **more: Any) -> None:
    """A workload without pods that asks to be a client of `orders` elsewhere."""
    place.create(objects.idle(name, annotations={"grpcbalance.dev/client": f"{shop.namespace}/orders"}, **more))


def target(shop: Shop) -> str:
    return f"dns:///orders-headless.{shop.namespace}.svc.cluster.local.:5000"


def clients(shop: Shop, matched: int, configured: int) -> Object:
    def counted(balanced: Object) -> bool:
        counts = balanced.get("status", {}).get("clients", {})
        return (counts.get("matched"), counts.get("configured")) == (matched, configured)

    return shop.wait_balanced(counted, f"{configured} of {matched} clients are configured")


def assert_nothing_leaked(*places: Shop) -> None:
    """Statuses and Events of a namespace have no names of workloads in another one."""
    workloads = {place: [d["metadata"]["name"] for d in place.api.items(place.url("Deployment"))] for place in places}
    for place in places:
        told = place.api.items(place.url("Event")) + [
            balanced["status"] for balanced in place.api.items(place.url("GrpcBalancedService"))
        ]
        text = json.dumps([{k: v for k, v in item.items() if k != "metadata"} for item in told])
        leaked = [name for other in places if other is not place for name in workloads[other] if name in text]
        assert leaked == [], f"{place.namespace} was told of {leaked}"


def test_clients_of_other_namespaces_are_served_when_both_sides_agree(shop: Shop, web: Shop, outside: Shop) -> None:
    promise(shop, TEAM)
    serve(shop)
    call(web, shop)
    call(outside, shop, OUTSIDER)
    refused = [web.wait_event(CLIENT, "NamespaceNotAllowed"), outside.wait_event(OUTSIDER, "NamespaceNotAllowed")]
    assert clients(shop, 0, 0)["status"]["summary"]["clients"] == "0/0"
    # In the same words as of an object that does not exist.
    web.create(objects.idle("astray", annotations={"grpcbalance.dev/client": f"{outside.namespace}/orders"}))
    missing = web.wait_event("astray", "NamespaceNotAllowed")["message"].replace(outside.namespace, shop.namespace)
    assert [event["message"] for event in refused] == [missing] * 2

    # A label that comes later heals.
    label(web, team="web")
    web.wait_env(CLIENT, TARGET, target(shop))
    balanced = clients(shop, 1, 1)
    assert [w["name"] for w in balanced["status"]["workloads"]] == [SERVER]
    assert condition(balanced, "ClientsConfigured")["status"] == "True"
    assert TARGET not in outside.env(OUTSIDER)

    # All lets in the other one, too.
    everybody = {"namespaces": {"from": "All", "selector": None}}
    shop.merge("GrpcBalancedService", "orders", {"spec": {"allowedClients": everybody}})
    outside.wait_env(OUTSIDER, TARGET, target(shop))
    clients(shop, 2, 2)
    assert_nothing_leaked(shop, web, outside)


@pytest.mark.parametrize("how", ["spec", "label"])
def test_who_is_not_let_in_any_more_keeps_what_it_has_and_gets_nothing_new(shop: Shop, web: Shop, how: str) -> None:
    label(web, team="web")
    promise(shop, TEAM)
    serve(shop)
    call(web, shop)
    before = web.wait_env(CLIENT, TARGET, target(shop))
    clients(shop, 1, 1)
    if how == "label":
        label(web, team=None)
    else:
        shop.merge("GrpcBalancedService", "orders", {"spec": {"allowedClients": None}})
    web.wait_event(CLIENT, "NamespaceNotAllowed")
    clients(shop, 0, 0)
    # Neither do new values reach it, while they do reach a client at home.
    shop.create(objects.idle("home", annotations={"grpcbalance.dev/client": "orders"}))
    shop.wait_env("home", TARGET, target(shop))
    shop.merge("GrpcBalancedService", "orders", {"spec": {"client": {"minResolutionInterval": "5s"}}})
    shop.wait_env("home", "GRPC_ORDERS_MIN_RESOLUTION_INTERVAL_MS", "5000")
    shop.wait_condition("ClientsConfigured")
    after = web.get("Deployment", CLIENT)
    assert (after["spec"], record_of(after)) == (before["spec"], record_of(before))
    assert_nothing_leaked(shop, web)


def test_what_waits_or_is_refused_elsewhere_is_a_number_at_home(shop: Shop, web: Shop) -> None:
    promise(shop, ALL)
    call(web, shop)
    web.wait_event(CLIENT, "PortNotConfirmed")
    waiting = condition(shop.wait_condition("ClientsConfigured", "False", "Pending"), "ClientsConfigured")
    assert "of the clients in other namespaces 1 is pending" in waiting["message"]
    call(web, shop, "stubborn-of-web", env=[{"name": TARGET, "value": "mine"}])
    serve(shop)
    web.wait_env(CLIENT, TARGET, target(shop))
    web.wait_event("stubborn-of-web", "EnvConflict")
    refused = condition(shop.wait_condition("ClientsConfigured", "False", "RefusedElsewhere"), "ClientsConfigured")
    assert "of the clients in other namespaces 1 is refused" in refused["message"]
    # What keeps the object from being accepted is told at home only.
    shop.merge("GrpcBalancedService", "orders", {"spec": {"port": 7777}})
    assert f"Deployment {SERVER}" in condition(shop.wait_condition("Accepted", "False"), "Accepted")["message"]
    shop.wait_condition("ClientsConfigured", "False", "Pending")
    assert web.env(CLIENT)[TARGET] == target(shop)
    assert_nothing_leaked(shop, web)


def test_without_its_object_the_service_stays_while_another_namespace_uses_it(shop: Shop, web: Shop) -> None:
    promise(shop, ALL)
    serve(shop)
    call(web, shop)
    web.wait_env(CLIENT, TARGET, target(shop))
    shop.delete("GrpcBalancedService", "orders")
    event = web.wait_event(CLIENT, "StillReferenced")
    assert f"{shop.namespace}/orders is gone" in event["message"]
    web.wait_event(CLIENT, "NamespaceNotAllowed")
    # The same for a Job, of which no template of ours tells, and which has no pod at this moment.
    web.create(suspended_job("report-of-web", target(shop)))
    web.annotate(CLIENT, client=None)
    web.wait_env(CLIENT, TARGET, None)
    marked = "grpcbalance.dev/unreferenced-since"
    stamps: set[str] = set()

    def looked_twice(service: Object) -> bool:
        stamps.update(v for k, v in service["metadata"]["annotations"].items() if k == marked)
        return len(stamps) > 2

    shop.api.wait(shop.url("Service", "orders-headless"), looked_twice, within=30, what="kept twice for a Job")
    web.delete("Job", "report-of-web")
    shop.api.wait(shop.url("Service", "orders-headless"), lambda _: False, within=30, what="deleted", missing=True)
    assert_nothing_leaked(shop, web)


def suspended_job(name: str, value: str) -> Object:
    container = {"name": "app", "image": "none", "env": [{"name": TARGET, "value": value}]}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"suspend": True, "template": template},
    }
