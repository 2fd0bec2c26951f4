"""Stories about others who write the same objects, refuse ours, or take everything away (22, 23, 26, 28)."""

from __future__ import annotations

import threading

from lab.install import GBS, ROOT, condition
from lab.rest import LOST, Object, path
from tests.faults import scripts
from tests.faults.scripts import TARGET
from tests.faults.world import World, poll
from tests.kit import objects
from tests.kit.shop import Shop, env_of

# Three times in ten minutes, then no more.
_RESTORED = 3
_REFUSED_AGAIN = 60.0


def contested(world: World, shop: Shop) -> None:
    """22: a script takes our variables away each second: they are put back three times, then that is told."""
    scripts.opted_in(shop)
    shop.wait_configured()
    over = threading.Event()

    def remove() -> None:
        while not over.wait(1.0):
            try:
                _without_ours(shop)
            except LOST:
                continue

    remover = threading.Thread(target=remove, name="remover")
    remover.start()
    try:
        found = shop.wait_condition("ClientsConfigured", "False", "Contested", within=240)
    finally:
        over.set()
        remover.join(10)
    assert "checkout" in str(condition(found, "ClientsConfigured")["message"])
    restored = _times_injected(world, shop)
    assert restored <= 1 + _RESTORED


def _without_ours(shop: Shop) -> None:
    found = shop.get("Deployment", "checkout")
    if TARGET in env_of(found):
        app = found["spec"]["template"]["spec"]["containers"][0]
        app["env"] = [entry for entry in app["env"] if not entry["name"].startswith("GRPC_")]
        shop.api.replace(shop.url("Deployment", "checkout"), found)


def _times_injected(world: World, shop: Shop) -> int:
    had, times = False, 0
    for seen in world.recorder.of(shop.namespace).seen:
        if seen.key == ("deployments", "checkout"):
            has = TARGET in env_of(seen.object)
            times += has and not had
            had = has
    return times


def foreign_manager(world: World, shop: Shop) -> None:
    """11: another manager takes a variable over, by force: told with its name, and never taken back."""
    scripts.opted_in(shop)
    shop.wait_configured()
    theirs = {"name": "app", "env": [{"name": TARGET, "value": "dns:///theirs:1"}]}
    body: Object = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "checkout"},
        "spec": {"template": {"spec": {"containers": [theirs]}}},
    }
    world.api.apply(shop.url("Deployment", "checkout"), body, "them")
    told = shop.wait_workload("checkout", "EnvConflict")
    assert TARGET in told["message"]
    assert shop.env("checkout")[TARGET] == "dns:///theirs:1"


def service_of_somebody(_: World, shop: Shop) -> None:
    """23: a Service of the wanted name is there: untouched, told, and ours is made when it goes."""
    shop.create(objects.cluster_ip("orders-headless"))
    before = shop.get("Service", "orders-headless")
    scripts.opted_in(shop)
    shop.wait_condition("ServiceReady", "False", "NameConflict")
    assert (
        shop.get("Service", "orders-headless")["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    )
    shop.delete("Service", "orders-headless")
    shop.wait_condition("ServiceReady")


def other_owner(_: World, shop: Shop) -> None:
    """23: two objects want one Service: the first one keeps it."""
    scripts.opted_in(shop)
    shop.wait_configured()
    before = shop.get("Service", "orders-headless")
    shop.create(objects.balanced("payments", serviceName="orders-headless"))
    shop.wait_condition("ServiceReady", "False", "NameConflict", name="payments")
    assert (
        shop.get("Service", "orders-headless")["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    )
    shop.wait_condition("ServiceReady")


def crd_made_anew(world: World, shop: Shop) -> None:
    """26: the definition goes, with every object, and comes again: what was injected stays, and is taken up again."""
    scripts.opted_in(shop)
    shop.wait_configured()
    env, service = shop.env("checkout"), shop.get("Service", "orders-headless")
    definition = path(
        "apiextensions.k8s.io/v1", "customresourcedefinitions", "", "grpcbalancedservices.grpcbalance.dev"
    )
    world.api.delete(definition)
    world.api.wait(definition, lambda _: False, within=30, what="definition gone", missing=True)
    world.lab.kubectl("apply", "--server-side", "-k", str(ROOT / "crds"), timeout=60)
    world.lab.kubectl("wait", "--for=condition=Established", "crd/grpcbalancedservices.grpcbalance.dev")
    assert poll(lambda: _created(shop), 30), "the kind is not served again"
    shop.wait_configured()
    assert shop.env("checkout") == env
    assert shop.get("Service", "orders-headless")["metadata"]["uid"] == service["metadata"]["uid"]


def _created(shop: Shop) -> bool:
    try:
        shop.create(objects.balanced())
    except LOST:
        return False
    return True


def namespace_deleted(world: World, shop: Shop) -> None:
    """26: the namespace goes while everything is being set up: it is gone within 30 s."""
    scripts.opted_in(shop)
    url = path("v1", "namespaces", "", shop.namespace)
    world.api.delete(url)
    world.api.wait(url, lambda _: False, within=30, what="namespace gone", missing=True)


def deleted_at_once(_: World, shop: Shop) -> None:
    """26: the object goes while it is being set up: no Service is left that nothing uses."""
    shop.create(scripts.endpoints("by-hand"), objects.idle("orders", ports=(5000,)), objects.balanced())
    shop.delete("GrpcBalancedService", "orders")
    url = shop.url("Service", "orders-headless")
    # It may never be made; if it is, it is gone a few seconds later.
    poll(lambda: shop.api.find(url) is not None, 3.0)
    assert poll(lambda: shop.api.find(url) is None, 30), "the Service is left"


def finalizer_by_hand(world: World, shop: Shop) -> None:
    """26: somebody's finalizer holds a deleted object: it goes as soon as that is removed."""
    scripts.opted_in(shop)
    shop.wait_configured()
    shop.merge("GrpcBalancedService", "orders", {"metadata": {"finalizers": ["example.com/by-hand"]}})
    shop.delete("GrpcBalancedService", "orders")
    assert "deletionTimestamp" in shop.get("GrpcBalancedService", "orders")["metadata"]
    shop.merge("GrpcBalancedService", "orders", {"metadata": {"finalizers": None}})
    url = path(*GBS, shop.namespace, "orders")
    world.api.wait(url, lambda _: False, within=10, what="object gone", missing=True)
    assert TARGET in shop.env("checkout")


def quota(world: World, shop: Shop) -> None:
    """28: a quota leaves no room for our Service: told in the server's words, healed when it is lifted."""
    url = path("v1", "resourcequotas", shop.namespace)
    world.api.create(url, {"metadata": {"name": "none"}, "spec": {"hard": {"count/services": "0"}}})
    world.api.wait(f"{url}/none", lambda q: "used" in q.get("status", {}), within=30, what="quota counted")
    scripts.opted_in(shop)
    found = shop.wait_condition("ServiceReady", "False", "ApiRefused")
    assert "exceeded quota" in condition(found, "ServiceReady")["message"]
    world.api.delete(f"{url}/none")
    shop.wait_configured(within=2 * _REFUSED_AGAIN)


def policy_denies(world: World, shop: Shop) -> None:
    """28: an admission policy denies our patch: told in its words, healed when it is lifted."""
    name = f"deny-{shop.namespace}"
    policy = path("admissionregistration.k8s.io/v1", "validatingadmissionpolicies")
    binding = path("admissionregistration.k8s.io/v1", "validatingadmissionpolicybindings")
    rule = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["deployments"]}
    selector = {"matchLabels": {"kubernetes.io/metadata.name": shop.namespace}}
    denied = {"expression": "oldObject.spec.template == object.spec.template", "message": "nobody edits pods here"}
    spec = {"matchConstraints": {"resourceRules": [rule], "namespaceSelector": selector}, "validations": [denied]}
    world.api.create(policy, {"metadata": {"name": name}, "spec": spec})
    bound = {"policyName": name, "validationActions": ["Deny"]}
    world.api.create(binding, {"metadata": {"name": name}, "spec": bound})
    try:
        _until_denied(shop)
        shop.create(scripts.endpoints("by-hand"), objects.balanced())
        shop.annotate("orders", server="orders")
        told = shop.wait_workload("orders", "ApiRefused")
        assert "nobody edits pods here" in told["message"]
    finally:
        world.api.delete(f"{binding}/{name}")
        world.api.delete(f"{policy}/{name}")
    shop.wait_env("orders", scripts.AGE, "300000", within=2 * _REFUSED_AGAIN)


def _until_denied(shop: Shop) -> None:
    """A policy is in force a moment after it was made."""
    shop.create(objects.idle("orders", ports=(5000,)))
    probe = {"spec": {"template": {"metadata": {"annotations": {"probe": "x"}}}}}

    def denied() -> bool:
        try:
            shop.api.request(
                "PATCH",
                shop.url("Deployment", "orders"),
                probe,
                content_type="application/merge-patch+json",
                query={"dryRun": "All"},
            )
        except LOST:
            return True
        return False

    assert poll(denied, 30), "the policy is not in force"


def pod_security(world: World, shop: Shop) -> None:
    """28: a restricted namespace with default limits for containers takes what we inject."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    world.api.merge(path("v1", "namespaces", "", shop.namespace), {"metadata": {"labels": labels}})
    limits = [{"type": "Container", "default": {"memory": "64Mi"}, "max": {"memory": "64Mi"}}]
    url = path("v1", "limitranges", shop.namespace)
    world.api.create(url, {"metadata": {"name": "small"}, "spec": {"limits": limits}})
    scripts.opted_in(shop)
    shop.wait_configured()
