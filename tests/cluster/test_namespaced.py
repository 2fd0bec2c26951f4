"""The operator of one namespace: installed by who administers that, with Roles only, and blind to everything else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab import Lab
from lab.install import condition, install_in_namespace, provide_images
from lab.rest import Rest, path
from tests.kit import objects
from tests.kit.failures import folder_of
from tests.kit.shop import Shop

pytestmark = [pytest.mark.cluster, pytest.mark.needs_lab]

NAMESPACE = "shop"
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:grpcbalance-operator"
CRD = path("apiextensions.k8s.io/v1", "customresourcedefinitions", "", "grpcbalancedservices.grpcbalance.dev")


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab(keep=folder_of("namespaced")) as lab:
        provide_images(lab)
        lab.kubectl("apply", "-k", "crds")
        for name in (NAMESPACE, "other"):
            lab.kubectl("create", "namespace", name)
        lab.kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
        lab.kubectl("create", "rolebinding", "jane", "--clusterrole=admin", "--user=jane", "-n", NAMESPACE)
        install_in_namespace(lab, NAMESPACE, "jane", ["--retire-after=3"])
        yield lab


@pytest.fixture
def api(lab: Lab) -> Iterator[Rest]:
    with Rest(lab.kubeconfig) as rest:
        yield rest


@pytest.fixture
def shop(lab: Lab, api: Rest) -> Shop:
    """The operator's namespace; each test has its own names in it."""
    return Shop(lab, api, NAMESPACE)


def created(shop: Shop, suffix: str = "") -> None:
    shop.create(
        objects.balanced(f"orders{suffix}"),
        objects.idle(f"orders{suffix}", ports=(5000,), annotations={"grpcbalance.dev/server": f"orders{suffix}"}),
    )


def test_it_works_in_its_namespace_and_leaves_every_other_alone(shop: Shop) -> None:
    other = Shop(shop.cluster, shop.api, "other")
    created(other)
    created(shop)
    shop.wait_env("orders", "GRPC_SERVER_MAX_CONNECTION_AGE_MS", "300000")
    shop.wait_condition("ServersConfigured")
    assert "status" not in other.get("GrpcBalancedService", "orders")
    assert "GRPC_SERVER_MAX_CONNECTION_AGE_MS" not in other.env("orders")
    shop.delete("GrpcBalancedService", "orders")
    shop.delete("Deployment", "orders")
    url = shop.url("Service", "orders-headless")
    shop.api.wait(url, lambda _: False, within=30, what="the unused Service gone", missing=True)


def test_a_reference_to_another_namespace_is_refused_with_the_reason(shop: Shop) -> None:
    shop.create(objects.idle("checkout", annotations={"grpcbalance.dev/client": "other/orders"}))
    event = shop.wait_event("checkout", "NamespaceNotAllowed")
    assert "this operator works in one namespace only" in event["message"]


def test_the_definition_may_go_and_come_back(lab: Lab, shop: Shop) -> None:
    created(shop, "-again")
    shop.wait_condition("ServersConfigured", name="orders-again")
    shop.api.delete(CRD)
    shop.api.wait(CRD, lambda _: False, within=60, what="CRD gone", missing=True)
    lab.kubectl("apply", "-k", "crds")
    lab.kubectl("wait", "--for=condition=Established", "crd/grpcbalancedservices.grpcbalance.dev")
    shop.api.wait(shop.url("GrpcBalancedService"), lambda _: True, within=30, what="gbs served")
    shop.create(objects.balanced("orders-again"))
    made = shop.wait_condition("ServersConfigured", name="orders-again", within=60)
    assert condition(made, "Ready")["reason"] == "NoEndpoints"
    assert shop.get("Service", "orders-again-headless")["metadata"]["annotations"]["grpcbalance.dev/owner-uid"]


def test_nothing_of_the_cluster_was_asked_for_and_nothing_was_forbidden(lab: Lab) -> None:
    """The last one: it judges what the others made the operator do."""
    asked = [record for record in lab.audit() if record.user == ACCOUNT]
    assert {record.verb for record in asked} >= {"list", "watch", "create", "patch", "delete"}
    reviews = "selfsubjectaccessreviews"
    wide = [r for r in asked if r.resource and r.namespace != NAMESPACE and r.resource != reviews]
    assert [str(record) for record in wide] == []
    assert [str(record) for record in asked if record.forbidden] == []
    bindings = lab.kubectl("get", "clusterrolebindings", "-o", "jsonpath={.items[*].subjects[*].name}").split()
    assert "grpcbalance-operator" not in bindings
