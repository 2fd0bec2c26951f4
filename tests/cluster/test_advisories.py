"""Advisory conditions: what a mesh's labels on a namespace do to them, and how a workload gets out of it."""

from __future__ import annotations

import pytest

from lab.install import condition
from lab.rest import path
from tests.kit import objects
from tests.kit.shop import Shop

pytestmark = pytest.mark.cluster

INJECT = "linkerd.io/inject"


def on_namespace(shop: Shop, **meta: dict[str, str | None]) -> None:
    """Set labels or annotations of the test's namespace; None removes one."""
    shop.api.merge(path("v1", "namespaces", "", shop.namespace), {"metadata": meta})


def on_template(shop: Shop, workload: str, **meta: dict[str, str | None]) -> None:
    """Set labels or annotations of a Deployment's pod template."""
    shop.merge("Deployment", workload, {"spec": {"template": {"metadata": meta}}})


def opted_in(shop: Shop) -> None:
    """A service with a server and a client of no pods, which are in no mesh."""
    shop.create(
        objects.balanced(),
        objects.idle("orders", ports=(objects.PORT,), annotations={"grpcbalance.dev/server": "orders"}),
        objects.idle("checkout", annotations={"grpcbalance.dev/client": "orders"}),
    )
    shop.wait_condition("HeadlessEffective", "True", "Unobstructed")


def message(shop: Shop, kind: str = "HeadlessEffective") -> str:
    return str(condition(shop.get("GrpcBalancedService", "orders"), kind)["message"])


def test_a_mesh_on_the_namespace_is_told_and_opting_out_heals(shop: Shop) -> None:
    opted_in(shop)
    on_namespace(shop, annotations={INJECT: "enabled"})
    shop.wait_condition("HeadlessEffective", "False", "MeshSidecar")
    event = shop.wait_event("orders", "MeshSidecar")
    assert event["type"] == "Warning"
    assert f"{INJECT}: enabled on its namespace" in event["message"]
    assert f"{INJECT}: disabled" in event["message"]
    assert INJECT in shop.kubectl("describe", "gbs", "orders")
    on_template(shop, "checkout", annotations={INJECT: "disabled"})
    on_template(shop, "orders", annotations={INJECT: "disabled"})
    shop.wait_condition("HeadlessEffective", "True", "Unobstructed")
    # The pod's word counts, whatever comes to the namespace.
    on_template(shop, "checkout", annotations={INJECT: None})
    shop.wait_condition("HeadlessEffective", "False", "MeshSidecar")
    assert "Deployment checkout" in message(shop)
    on_namespace(shop, annotations={INJECT: None})
    shop.wait_condition("HeadlessEffective", "True", "Unobstructed")


def test_istio_sidecar_and_ambient(shop: Shop) -> None:
    opted_in(shop)
    on_namespace(shop, labels={"istio-injection": "enabled"})
    shop.wait_condition("HeadlessEffective", "False", "MeshSidecar")
    on_namespace(shop, labels={"istio-injection": None, "istio.io/dataplane-mode": "ambient"})
    shop.wait_condition("HeadlessEffective", "Unknown", "MeshAmbient")
    on_namespace(shop, labels={"istio.io/use-waypoint": "waypoint"})
    shop.wait_condition("HeadlessEffective", "False", "MeshAmbient")
    on_namespace(shop, labels={"istio.io/use-waypoint": "none"})
    shop.wait_condition("HeadlessEffective", "True", "Unobstructed")


def test_a_proxy_in_the_clients_env_is_told(shop: Shop) -> None:
    opted_in(shop)
    shop.kubectl(
        "set", "env", "deployment/checkout", "https_proxy=http://proxy.example:3128", "no_proxy=.cluster.local"
    )
    shop.wait_condition("HeadlessEffective", "False", "HttpProxy")
    assert "https_proxy of container app" in message(shop)
    assert "proxy.example" not in message(shop)
    shop.kubectl("set", "env", "deployment/checkout", "no_proxy=.cluster.local,.cluster.local.", "https_proxy=")
    shop.wait_condition("HeadlessEffective", "True", "Unobstructed")


def test_what_to_mind_stands_in_true_conditions(shop: Shop) -> None:
    shop.create(
        objects.cluster_ip(publishNotReadyAddresses=True),
        objects.balanced(selector=None, port=None, serviceRef={"name": "orders"}, server={"maxConnectionAge": "5s"}),
        objects.idle(
            "orders",
            ports=(objects.PORT,),
            annotations={"grpcbalance.dev/server": "orders"},
            spec={"minReadySeconds": 35},
        ),
    )
    shop.wait_condition("Accepted")
    shop.wait_condition("RolloutSafe")
    shown = shop.kubectl("describe", "gbs", "orders")
    for told in ("publishNotReadyAddresses", "maxConnectionAge of 5s is below the 10s", "preStop.sleep.seconds: 41"):
        assert told in shown
