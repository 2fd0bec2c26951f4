"""The headless Service: made, repaired, never taken over; and what a port or a serviceRef resolves to."""

from __future__ import annotations

import pytest

from lab.install import condition
from lab.rest import RestError
from tests.kit import objects
from tests.kit.shop import Shop

from .test_lifecycle import MAX_AGE

pytestmark = pytest.mark.cluster

HEADLESS = "orders-headless"


def test_a_service_of_that_name_that_is_not_ours_stays_untouched(shop: Shop) -> None:
    shop.create(objects.cluster_ip(HEADLESS))
    before = shop.get("Service", HEADLESS)
    shop.create(objects.balanced())
    balanced = shop.wait_condition("ServiceReady", "False", "NameConflict")
    assert "spec.serviceName" in condition(balanced, "ServiceReady")["message"]
    shop.wait_event("orders", "NameConflict")
    assert shop.get("Service", HEADLESS) == before
    shop.delete("Service", HEADLESS)
    shop.wait_condition("ServiceReady")


def test_two_objects_that_want_one_name(shop: Shop) -> None:
    shop.create(objects.balanced("first", serviceName="shared"))
    shop.wait_condition("ServiceReady", name="first")
    shop.create(objects.balanced("second", serviceName="shared"))
    balanced = shop.wait_condition("ServiceReady", "False", "NameConflict", name="second")
    assert "GrpcBalancedService first" in condition(balanced, "ServiceReady")["message"]


def test_deleted_service_is_made_anew(shop: Shop) -> None:
    shop.create(objects.balanced())
    shop.wait_condition("ServiceReady")
    old = shop.get("Service", HEADLESS)["metadata"]["uid"]
    shop.delete("Service", HEADLESS)
    shop.api.wait(
        shop.url("Service", HEADLESS), lambda s: s["metadata"]["uid"] != old, within=30, what="Service made anew"
    )


def test_what_is_kept_of_a_spec_goes_when_its_clients_are_to_follow_dns(shop: Shop) -> None:
    """Made by a POST, which owns it: an apply alone takes nothing of that away."""
    shop.create(objects.balanced(discovery="XDS", client={"policy": "LeastRequest"}))
    shop.wait_condition("ServiceReady")
    kept = "grpcbalance.dev/kept-spec"
    assert shop.get("Service", HEADLESS)["metadata"]["annotations"][kept] == '{"client":{"policy":"LeastRequest"}}'
    shop.merge("GrpcBalancedService", "orders", {"spec": {"discovery": "DNS"}})
    shop.wait_object(
        "Service", HEADLESS, lambda s: kept not in s["metadata"]["annotations"], "nothing is kept any more"
    )
    shop.wait_condition("ServiceReady")


@pytest.mark.parametrize(
    "patch",
    [
        {"spec": {"selector": {"app": "elsewhere"}}},
        {"spec": {"publishNotReadyAddresses": True}},
        {"spec": {"ports": [{"name": "other", "port": 1, "targetPort": 1}]}},
        {"metadata": {"labels": {"app.kubernetes.io/managed-by": "me"}}},
        {"metadata": {"labels": {"grpcbalance.dev/service": None, "app.kubernetes.io/managed-by": None}}},
    ],
    ids=["selector", "publishNotReady", "ports", "managed-by", "labels-stripped"],
)
def test_edits_by_hand_are_repaired(shop: Shop, patch: objects.Object) -> None:
    shop.create(objects.balanced())
    shop.wait_condition("ServiceReady")
    wanted = shop.get("Service", HEADLESS)
    shop.merge("Service", HEADLESS, patch)
    repaired = shop.api.wait(
        shop.url("Service", HEADLESS),
        lambda s: s["spec"] == wanted["spec"] and s["metadata"].get("labels") == wanted["metadata"]["labels"],
        within=30,
        what="Service repaired",
    )
    assert repaired["metadata"]["uid"] == wanted["metadata"]["uid"]


def test_a_changed_port_replaces_the_old_one(shop: Shop) -> None:
    shop.create(objects.balanced())
    shop.wait_condition("ServiceReady")
    shop.merge("GrpcBalancedService", "orders", {"spec": {"port": 6000}})
    balanced = shop.wait_condition("ServiceReady")
    assert balanced["status"]["port"] == 6000
    ports = shop.get("Service", HEADLESS)["spec"]["ports"]
    assert [(port["name"], port["port"], port["targetPort"]) for port in ports] == [("grpc", 6000, 6000)]


def test_service_ref_gives_selector_and_port_and_follows_the_service(shop: Shop) -> None:
    shop.create(objects.cluster_ip("orders"))
    spec = {"serviceRef": {"name": "orders"}, "selector": None, "port": None}
    balanced = objects.balanced()
    balanced["spec"] = {key: value for key, value in spec.items() if value is not None}
    shop.create(balanced)
    shop.wait_condition("ServiceReady")
    assert shop.get("Service", HEADLESS)["spec"]["selector"] == {"app": "orders"}
    shop.merge("Service", "orders", {"spec": {"selector": {"app": "moved"}}})
    shop.api.wait(
        shop.url("Service", HEADLESS),
        lambda s: s["spec"]["selector"] == {"app": "moved"},
        within=30,
        what="headless twin follows the selector",
    )


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (
            {"type": "ExternalName", "externalName": "example.invalid", "selector": None, "ports": None},
            "UnsupportedService",
        ),
        ({"selector": None}, "UnsupportedService"),
        (None, "ServiceNotFound"),
    ],
    ids=["external-name", "no-selector", "missing"],
)
def test_service_refs_that_cannot_be_used(shop: Shop, spec: objects.Object | None, reason: str) -> None:
    if spec is not None:
        service = objects.cluster_ip("orders")
        service["spec"] = {k: v for k, v in (service["spec"] | spec).items() if v is not None}
        shop.create(service)
    balanced = objects.balanced()
    balanced["spec"] = {"serviceRef": {"name": "orders"}, "port": 5000}
    shop.create(balanced)
    shop.wait_condition("Accepted", "False", reason)
    with pytest.raises(RestError, match="not found"):
        shop.get("Service", HEADLESS)


def test_a_named_port_is_resolved_from_the_annotated_servers(shop: Shop) -> None:
    shop.create(objects.balanced(port="grpc"))
    shop.wait_condition("Accepted", "False", "PortUnresolved")
    shop.create(objects.server(annotations={"grpcbalance.dev/server": "orders"}))
    balanced = shop.wait_condition("Ready", within=60)
    assert balanced["status"]["port"] == 5000
    assert shop.env("orders")[MAX_AGE] == "300000"


def test_a_changed_service_name_is_made_first_and_the_old_one_removed_last(shop: Shop) -> None:
    shop.create(
        objects.balanced(rollout={"allowUnsafe": True}),
        objects.server(annotations={"grpcbalance.dev/server": "orders"}),
        objects.client(annotations={"grpcbalance.dev/client": "orders"}),
    )
    shop.wait_configured()
    shop.merge("GrpcBalancedService", "orders", {"spec": {"serviceName": "orders-pods"}})
    wanted = f"dns:///orders-pods.{shop.namespace}.svc.cluster.local.:5000"
    shop.wait_env("checkout", "GRPC_ORDERS_TARGET", wanted)
    assert shop.get("Service", HEADLESS)["spec"]["clusterIP"] == "None"
    shop.wait_configured()
    shop.api.wait(shop.url("Service", HEADLESS), lambda _: False, within=60, what="old Service removed", missing=True)
