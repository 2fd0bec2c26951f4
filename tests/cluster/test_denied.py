"""The user's side says no, by a policy or a quota: told in the server's words, tried again slowly, healed by itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from lab import Cluster, Lab
from lab.install import condition
from lab.rest import Object, RestError, path
from tests.kit import objects
from tests.kit.operator import ACCOUNT
from tests.kit.shop import ROLLOUT, Shop

pytestmark = [pytest.mark.cluster, pytest.mark.needs_lab, pytest.mark.timeout(420)]

ADMISSION = "admissionregistration.k8s.io/v1"
MAX_AGE = "GRPC_SERVER_MAX_CONNECTION_AGE_MS"
SERVER = {"grpcbalance.dev/server": "orders"}
# What was refused is sent again after a minute; long enough to see a hot loop, short enough for the first try only.
WATCHED = 20.0
HEALED = 90.0


@pytest.fixture
def lab(cluster: Cluster) -> Lab:
    """The session's cluster, which has to be a lab: its audit log is looked at."""
    assert isinstance(cluster, Lab), "this test needs the lab: it reads the audit log"
    return cluster


@pytest.fixture
def policy(shop: Shop) -> Iterator[str]:
    """Nobody injects anything into Deployments of the test's namespace; answers with the policy's name."""
    name = f"no-foreign-hands-{shop.namespace}"[:63].rstrip("-")
    rule = {"apiGroups": ["apps"], "apiVersions": ["*"], "resources": ["deployments"], "operations": ["UPDATE"]}
    injected = "'grpcbalance.dev/injected' in object.spec.template.metadata.?annotations.orValue({})"
    spec = {
        "matchConstraints": {"resourceRules": [rule]},
        "matchConditions": [{"name": "here", "expression": f"request.namespace == '{shop.namespace}'"}],
        "validations": [{"expression": f"!({injected})", "message": "no foreign hands in our pods"}],
    }
    policies, bindings = (
        path(ADMISSION, "validatingadmissionpolicies"),
        path(ADMISSION, "validatingadmissionpolicybindings"),
    )
    shop.api.create(policies, {"metadata": {"name": name}, "spec": spec})
    binding = {"policyName": name, "validationActions": ["Deny"]}
    shop.api.create(bindings, {"metadata": {"name": name}, "spec": binding})
    yield name
    for collection in (policies, bindings):
        if shop.api.find(f"{collection}/{name}") is not None:
            shop.api.delete(f"{collection}/{name}")


def wait_enforced(shop: Shop, deployment: str) -> None:
    """Policies take effect a little after they are there, and nothing tells when."""
    patch = {"spec": {"template": {"metadata": {"annotations": {"grpcbalance.dev/injected": "{}"}}}}}
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            shop.api.request(
                "PATCH",
                shop.url("Deployment", deployment),
                patch,
                content_type="application/merge-patch+json",
                query={"dryRun": "All"},
            )
        except RestError:
            return
        time.sleep(0.2)
    raise AssertionError("the policy is not enforced after 30 s")


def tries(lab: Lab, verb: str, resource: str, namespace: str, since: datetime) -> int:
    """Requests of the operator that were refused."""
    asked = (
        r
        for r in lab.audit(since)
        if r.user == ACCOUNT and (r.verb, r.resource, r.namespace) == (verb, resource, namespace)
    )
    return sum(record.code >= 400 for record in asked)


def disturb(shop: Shop, deployment: str, seconds: float) -> None:
    """Changes that have nothing to do with it: each is a reason to look again, and none to try again."""
    deadline, number = time.monotonic() + seconds, 0
    while time.monotonic() < deadline:
        number += 1
        shop.merge("Deployment", deployment, {"metadata": {"labels": {"number": str(number)}}})
        shop.merge("GrpcBalancedService", "orders", {"metadata": {"labels": {"number": str(number)}}})
        time.sleep(0.5)


@pytest.mark.full
def test_a_policy_that_denies_our_patch_is_quoted_and_not_run_against(lab: Lab, shop: Shop, policy: str) -> None:
    shop.create(objects.idle("orders", ports=(5000,)), objects.balanced())
    wait_enforced(shop, "orders")
    since = datetime.now(UTC)
    shop.annotate("orders", server="orders")
    entry = shop.wait_workload("orders", "ApiRefused")
    assert "no foreign hands in our pods" in entry["message"]
    balanced = shop.wait_condition("ServersConfigured", "False", "ApiRefused")
    assert "no foreign hands in our pods" in condition(balanced, "ServersConfigured")["message"]
    shop.wait_event("orders", "ApiRefused")
    disturb(shop, "orders", WATCHED)
    # A label of the Deployment makes it another workload, of which nobody knows whether it would be refused as well.
    assert tries(lab, "patch", "deployments", shop.namespace, since) <= 2
    shop.api.delete(path(ADMISSION, "validatingadmissionpolicybindings", "", policy))
    shop.wait_env("orders", MAX_AGE, "300000", within=HEALED)
    shop.wait_condition("ServersConfigured", within=HEALED)


@pytest.mark.full
def test_a_quota_that_denies_our_service_is_quoted_and_not_run_against(lab: Lab, shop: Shop) -> None:
    quota = path("v1", "resourcequotas", shop.namespace)
    shop.api.create(quota, {"metadata": {"name": "none"}, "spec": {"hard": {"services": "0"}}})

    def known(found: Object) -> bool:
        return bool(found.get("status", {}).get("hard") == {"services": "0"})

    shop.api.wait(f"{quota}/none", known, within=30, what="the quota is counted")
    since = datetime.now(UTC)
    shop.create(objects.idle("orders", ports=(5000,), annotations=SERVER), objects.balanced())
    balanced = shop.wait_condition("ServiceReady", "False", "ApiRefused")
    assert "exceeded quota: none" in condition(balanced, "ServiceReady")["message"]
    assert condition(balanced, "Ready")["reason"] == "ApiRefused"
    # What needs no Service goes on.
    shop.wait_env("orders", MAX_AGE, "300000")
    disturb(shop, "orders", WATCHED)
    assert tries(lab, "create", "services", shop.namespace, since) == 1
    shop.api.delete(f"{quota}/none")
    shop.wait_condition("ServiceReady", within=HEALED)


def test_a_limit_that_keeps_new_pods_away_ends_as_a_failed_rollout_and_heals(shop: Shop) -> None:
    made = objects.server(replicas=1, spec={"progressDeadlineSeconds": 8})
    made["spec"]["template"]["spec"]["containers"][0]["resources"] = {"limits": {"memory": "128Mi"}}
    shop.create(made, objects.balanced())
    shop.wait_rolled_out("orders")
    limits = path("v1", "limitranges", shop.namespace)
    limit = {"type": "Container", "max": {"memory": "64Mi"}}
    shop.api.create(limits, {"metadata": {"name": "small"}, "spec": {"limits": [limit]}})
    shop.annotate("orders", server="orders")
    balanced = shop.wait_condition("ServersConfigured", "False", "RolloutFailed", within=ROLLOUT)
    message = condition(balanced, "ServersConfigured")["message"]
    assert "Deployment orders" in message
    # In the API server's words, which the Deployment's controller passes on.
    assert "maximum memory usage per Container is 64Mi" in message
    # The old pod serves on.
    assert condition(balanced, "EndpointsReady")["status"] == "True"
    shop.api.delete(f"{limits}/small")
    # The ReplicaSet's own back-off.
    shop.wait_condition("ServersConfigured", within=ROLLOUT)
