"""From an object and annotations to configured workloads, and back."""

from __future__ import annotations

import pytest

from lab.install import condition
from tests.kit import objects
from tests.kit.shop import Shop, record_of

pytestmark = pytest.mark.cluster

TARGET = "GRPC_ORDERS_TARGET"
MAX_AGE = "GRPC_SERVER_MAX_CONNECTION_AGE_MS"


def target(shop: Shop, name: str = "orders") -> str:
    return f"dns:///{name}-headless.{shop.namespace}.svc.cluster.local.:5000"


def opted_in(shop: Shop) -> None:
    """A running server and client, annotated, and the object."""
    shop.create(
        objects.balanced(),
        objects.server(annotations={"grpcbalance.dev/server": "orders"}),
        objects.client(annotations={"grpcbalance.dev/client": "orders"}),
    )
    shop.wait_configured()


def test_object_and_annotations_give_a_ready_service(shop: Shop) -> None:
    opted_in(shop)
    balanced = shop.wait_condition("Ready")
    status = balanced["status"]
    assert status["target"] == target(shop)
    assert status["port"] == 5000
    assert status["summary"] == {"endpoints": "2/2", "servers": "1/1", "clients": "1/1"}
    assert shop.env("checkout")[TARGET] == target(shop)
    assert shop.env("checkout")["GRPC_ORDERS_SERVICE_CONFIG"] == '{"loadBalancingConfig":[{"round_robin":{}}]}'
    assert shop.env("orders")[MAX_AGE] == "300000"
    assert {c["type"] for c in status["conditions"]} == {
        "Ready", "Accepted", "ServiceReady", "EndpointsReady", "ServersConfigured", "ClientsConfigured", "RolloutSafe",
        "HeadlessEffective",
    }  # fmt: skip
    assert all(c["observedGeneration"] == balanced["metadata"]["generation"] for c in status["conditions"])


def test_headless_service_is_as_promised(shop: Shop) -> None:
    shop.create(objects.balanced())
    uid = shop.wait_condition("ServiceReady")["metadata"]["uid"]
    service = shop.get("Service", "orders-headless")
    assert service["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "grpcbalance",
        "grpcbalance.dev/service": "orders",
    }
    assert service["metadata"]["annotations"]["grpcbalance.dev/owner-uid"] == uid
    assert "ownerReferences" not in service["metadata"]
    spec = service["spec"]
    assert (spec["clusterIP"], spec["ipFamilyPolicy"]) == ("None", "SingleStack")
    assert not spec.get("publishNotReadyAddresses")
    assert spec["ports"] == [
        {"name": "grpc", "port": 5000, "targetPort": 5000, "protocol": "TCP", "appProtocol": "grpc"}
    ]


def test_printer_columns_and_kubectl_wait(shop: Shop) -> None:
    opted_in(shop)
    shop.kubectl("wait", "--for=condition=ClientsConfigured", "--timeout=30s", "gbs/orders")
    header, line = shop.kubectl("get", "gbs").splitlines()
    assert header.split() == ["NAME", "READY", "ENDPOINTS", "SERVERS", "CLIENTS", "TARGET", "AGE"]
    assert line.split()[:6] == ["orders", "True", "2/2", "1/1", "1/1", target(shop)]


def test_annotations_may_come_before_the_object(shop: Shop) -> None:
    shop.create(objects.server(), objects.client())
    shop.annotate("orders", server="orders")
    shop.annotate("checkout", client="orders")
    event = shop.wait_event("checkout", "ServiceMissing")
    assert "no GrpcBalancedService 'orders'" in event["message"]
    assert TARGET not in shop.env("checkout")
    shop.create(objects.balanced())
    shop.wait_configured()
    assert shop.env("checkout")[TARGET] == target(shop)


def test_template_annotations_opt_in_and_the_workloads_own_win(shop: Shop) -> None:
    server = objects.idle("orders", ports=(5000,), replicas=1)
    template = server["spec"]["template"]["metadata"]
    template["annotations"] = {"grpcbalance.dev/server": "elsewhere", "grpcbalance.dev/containers": "app"}
    server["metadata"]["annotations"] = {"grpcbalance.dev/server": "orders"}
    shop.create(server, objects.balanced())
    shop.wait_condition("ServersConfigured", within=60)
    assert shop.env("orders")[MAX_AGE] == "300000"


def test_unannotating_restores_the_template(shop: Shop) -> None:
    client = objects.client()
    shop.create(objects.balanced(), objects.server(annotations={"grpcbalance.dev/server": "orders"}), client)
    before = shop.get("Deployment", "checkout")["spec"]["template"]
    shop.annotate("checkout", client="orders")
    shop.wait_configured()
    shop.annotate("checkout", client=None)
    after = shop.wait_env("checkout", TARGET, None)
    assert after["spec"]["template"] == before
    shop.wait_event("checkout", "Removed")
    shop.wait_condition("ClientsConfigured", "False", "NoneAnnotated")


def test_two_services_in_one_client_are_one_rollout(shop: Shop) -> None:
    for name in ("orders", "payments"):
        shop.create(objects.balanced(name), objects.server(name, annotations={"grpcbalance.dev/server": name}))
        shop.wait_condition("Ready", name=name, within=60)
    shop.create(objects.client())
    shop.wait_rolled_out("checkout")
    shop.annotate("checkout", client="orders, payments")
    shop.wait_configured("orders")
    shop.wait_configured("payments")
    env = shop.env("checkout")
    assert env["GRPC_ORDERS_TARGET"] == target(shop, "orders")
    assert env["GRPC_PAYMENTS_TARGET"] == target(shop, "payments")
    assert shop.revision("checkout") == 2


@pytest.mark.parametrize(
    "entry",
    [
        {"name": MAX_AGE, "value": "77"},
        {"name": MAX_AGE, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    ],
    ids=["value", "valueFrom"],
)
def test_users_own_env_wins_and_is_reported(shop: Shop, entry: objects.Object) -> None:
    server = objects.idle("orders", ports=(5000,), env=[entry], annotations={"grpcbalance.dev/server": "orders"})
    shop.create(objects.balanced(), server)
    listed = shop.wait_workload("orders", "EnvConflict")
    assert MAX_AGE in listed["message"]
    assert listed["state"] == "Refused"
    shop.wait_event("orders", "EnvConflict")
    deployment = shop.get("Deployment", "orders")
    entries = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    assert [e for e in entries if e["name"] == MAX_AGE] == [
        {**entry, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}}
        if "valueFrom" in entry
        else entry
    ]
    assert MAX_AGE not in record_of(deployment)["app"]


def test_an_equal_value_is_the_users_and_stays(shop: Shop) -> None:
    own = {"name": MAX_AGE, "value": "300000"}
    server = objects.idle("orders", ports=(5000,), env=[own], annotations={"grpcbalance.dev/server": "orders"})
    shop.create(objects.balanced(), server)
    shop.wait_condition("ServersConfigured")
    shop.annotate("orders", server=None)
    shop.wait_env("orders", "GRPC_SERVER_MAX_CONNECTION_AGE_GRACE_MS", None)
    assert shop.env("orders")[MAX_AGE] == "300000"


def test_duplicate_names_are_refused_and_untouched(shop: Shop) -> None:
    twice = [{"name": MAX_AGE, "value": "1"}, {"name": MAX_AGE, "value": "2"}]
    server = objects.idle("orders", ports=(5000,), env=twice, annotations={"grpcbalance.dev/server": "orders"})
    shop.create(server)
    before = shop.get("Deployment", "orders")["spec"]
    shop.create(objects.balanced())
    shop.wait_workload("orders", "DuplicateEnv")
    assert shop.get("Deployment", "orders")["spec"] == before


def test_misspelt_annotation_is_reported_and_removes_nothing(shop: Shop) -> None:
    opted_in(shop)
    shop.merge(
        "Deployment",
        "checkout",
        {"metadata": {"annotations": {"grpcbalance.dev/client": None, "grpcbalance.dev/clinet": "orders"}}},
    )
    event = shop.wait_event("checkout", "UnknownAnnotation")
    assert "grpcbalance.dev/client" in event["message"]
    assert shop.env("checkout")[TARGET] == target(shop)


def test_moving_a_client_acts_only_when_the_new_service_answers(shop: Shop) -> None:
    opted_in(shop)
    shop.annotate("checkout", client="payments")
    shop.wait_event("checkout", "ServiceMissing")
    assert shop.env("checkout")[TARGET] == target(shop)
    shop.create(
        objects.balanced("payments"), objects.server("payments", annotations={"grpcbalance.dev/server": "payments"})
    )
    shop.wait_configured("payments")
    assert TARGET not in shop.env("checkout")
    assert condition(shop.get("GrpcBalancedService", "orders"), "Ready")["status"] == "True"
