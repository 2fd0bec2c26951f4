"""`discovery: DNS -> XDS -> DNS` as a user does it: one word in the object, clients that say so, no failed RPC."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import pytest

from lab.pki import Authority
from lab.records import Recorder, failures, per_pod
from lab.rest import Object, Rest, path
from tests.kit import objects, programs, xds
from tests.kit.shop import ROLLOUT, SOON, Shop, env_of

from .test_lifecycle import target

pytestmark = pytest.mark.cluster

TARGET, BOOTSTRAP = "GRPC_ORDERS_TARGET", "GRPC_XDS_BOOTSTRAP_CONFIG"
LANGUAGES = [pytest.param("go"), pytest.param("python", marks=pytest.mark.xds)]


def caller(how: str, language: str = "go", rate: int = 20, service: str = "orders") -> Object:
    """A client that says how it can follow by xDS."""
    made = programs.client(language, "checkout", "orders", rate=rate)
    made["metadata"]["annotations"] |= {"grpcbalance.dev/client": service, "grpcbalance.dev/xds": how}
    return made


def trust(shop: Shop, authority: bytes) -> None:
    """Create the ConfigMap by which clients of a namespace know the look-aside balancer over TLS."""
    data = {"ca.crt": authority.decode()}
    made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "grpcbalance-xds-ca"}, "data": data}
    shop.api.create(path("v1", "configmaps", shop.namespace), made)


def discover(shop: Shop, by: str) -> None:
    """Change the one word."""
    shop.merge("GrpcBalancedService", "orders", {"spec": {"discovery": by}})


def on_xds(shop: Shop) -> str:
    """The target of clients on xDS."""
    return f"xds:///orders.{shop.namespace}:{objects.PORT}"


def variables(shop: Shop, name: str = "checkout") -> dict[str, Any]:
    """Variables of a client."""
    return env_of(shop.get("Deployment", name), "checkout")


def wait_target(shop: Shop, value: str | None, within: float = SOON) -> Object:
    """Wait until the client has a target, or none."""
    what = f"the target is {value}"
    return shop.wait_deployment("checkout", lambda d: env_of(d, "checkout").get(TARGET) == value, what, within)


def moved(shop: Shop, counts: Mapping[str, int]) -> Object:
    """Wait until status counts so many clients as moved and as on DNS."""
    return shop.wait_balanced(
        lambda b: b.get("status", {}).get("xds", {}).get("workloads") == counts,
        f"workloads are {counts}",
        within=ROLLOUT,
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_one_word_moves_clients_there_and_back_and_no_rpc_fails(language: str, shop: Shop, authority: bytes) -> None:
    assert authority
    xds.serve(shop, **xds.OPEN)
    ready = caller("plaintext", language, rate=50)
    shop.create(ready, programs.client("go", "legacy", "orders", rate=20))
    shop.wait_configured()
    shop.wait_rolled_out("checkout", "legacy")
    wait_all_injected(shop)
    with Recorder(shop.cluster, shop.namespace, "part=client") as calls:
        assert calls.wait(lambda found: len(per_pod(found)) == 2, since=0, within=60) is not None
        start = time.time()
        there(shop)
        scale_out(shop, calls)
        back(shop)
        shop.kubectl("scale", "deployment/orders", "--replicas=2")
        shop.wait_rolled_out("orders")
        assert failures(calls.rpcs(start)) == []


def wait_all_injected(shop: Shop) -> None:
    """Wait until the clients of before the injection, which call they know not whom, are gone."""
    for pod in shop.api.items(shop.url("Pod"), "part=client"):
        if TARGET not in env_of(pod, "checkout"):
            name = pod["metadata"]["name"]
            shop.api.wait(shop.url("Pod", name), lambda _: False, within=60, what=f"{name} gone", missing=True)


def there(shop: Shop) -> None:
    """One client is moved; the other one stays, untouched, and is told what to do."""
    legacy = shop.revision("legacy")
    discover(shop, "XDS")
    assert moved(shop, {"moved": 1, "onDns": 1})["status"]["target"] == on_xds(shop)
    wait_target(shop, on_xds(shop))
    shop.wait_configured()
    shop.wait_rolled_out("checkout")
    shop.wait_condition("XdsAccepted", "True", "AllAccepted")
    stays = shop.wait_workload("legacy", "StaysOnDns")
    assert (stays["state"], "grpcbalance.dev/xds" in stays["message"]) == ("Configured", True)
    assert (variables(shop, "legacy")[TARGET], shop.revision("legacy")) == (target(shop), legacy)


def back(shop: Shop) -> None:
    """Nothing of xDS is left, neither in the client nor in status."""
    discover(shop, "DNS")
    wait_target(shop, target(shop))
    assert BOOTSTRAP not in variables(shop)
    shop.wait_configured()
    shop.wait_rolled_out("checkout")
    found = shop.wait_balanced(lambda b: "xds" not in b["status"], "status has nothing of xDS")
    assert "XdsAccepted" not in {condition["type"] for condition in found["status"]["conditions"]}


def scale_out(shop: Shop, calls: Recorder) -> None:
    """A new pod is used by the client on xDS as soon as it is ready; the other one learns it later."""
    shop.kubectl("scale", "deployment/orders", "--replicas=3")
    shop.wait_rolled_out("orders")
    used = calls.wait(lambda found: len(per_pod(found)) == 3, since=time.time() - 1, within=5)
    assert used is not None


@pytest.mark.parametrize("language", LANGUAGES)
def test_over_tls_a_client_is_moved_when_its_namespace_has_the_certificate(
    language: str, shop: Shop, authority: bytes, api: Rest
) -> None:
    xds.serve(shop, discovery="XDS")
    client = caller("ready", language)
    before = client["spec"]["template"]["spec"].get("volumes")
    shop.create(client)
    waits = shop.wait_workload("checkout", "XdsNoAuthority")
    assert (waits["state"], "create configmap grpcbalance-xds-ca" in waits["message"]) == ("Refused", True)
    shop.wait_event("checkout", "XdsNoAuthority")
    assert TARGET not in variables(shop)
    trust(shop, authority)
    wait_target(shop, on_xds(shop))
    shop.wait_configured()
    shop.wait_rolled_out("checkout")
    with Recorder(shop.cluster, shop.namespace, "app=checkout") as calls:
        assert calls.wait(lambda found: len(per_pod(found[-50:])) == 2, since=time.time(), within=60) is not None
    (told,) = [one for one in xds.clients(shop.cluster, api) if one["namespace"] == shop.namespace]
    assert told["pod"] == told["node"]
    shop.annotate("checkout", client=None)
    gone = wait_target(shop, None)
    assert gone["spec"]["template"]["spec"].get("volumes") == before


@pytest.mark.xds
def test_nobody_is_moved_to_a_balancer_that_it_would_not_trust(shop: Shop, authority: bytes) -> None:
    xds.serve(shop, discovery="XDS")
    trust(shop, Authority("somebody else").certificate)
    shop.create(caller("ready"))
    told = shop.wait_workload("checkout", "XdsNotTrusted")
    assert "unable to get local issuer certificate" in told["message"]
    assert "grpcbalance-xds.grpcbalance-system.svc.cluster.local" in told["message"]
    shop.wait_event("checkout", "XdsNotTrusted")
    assert TARGET not in variables(shop)
    right = {"data": {"ca.crt": authority.decode()}}
    shop.api.merge(path("v1", "configmaps", shop.namespace, "grpcbalance-xds-ca"), right)
    wait_target(shop, on_xds(shop))
    shop.wait_configured()


@pytest.mark.xds
def test_a_certificate_that_goes_is_told_before_a_pod_needs_it(shop: Shop, authority: bytes) -> None:
    xds.serve(shop, discovery="XDS")
    trust(shop, authority)
    shop.create(caller("ready"))
    wait_target(shop, on_xds(shop))
    shop.wait_configured()
    shop.api.delete(path("v1", "configmaps", shop.namespace, "grpcbalance-xds-ca"))
    # It is looked for once a minute.
    told = shop.wait_workload("checkout", "XdsNoAuthority", within=2 * ROLLOUT)
    assert "its new pods could not follow" in told["message"]
    shop.wait_condition("ClientsConfigured", "False", "XdsNoAuthority")
    revision = shop.revision("checkout")
    trust(shop, authority)
    shop.wait_configured()
    assert shop.revision("checkout") == revision


@pytest.mark.xds
@pytest.mark.parametrize("how", ["ready", "plaintext"])
def test_clients_that_are_let_in_no_more_go_back_to_dns_and_no_rpc_fails(
    how: str, shop: Shop, web: Shop, authority: bytes
) -> None:
    """Otherwise their new pods would be told nothing, while those on DNS need nobody's leave."""
    xds.serve(shop, discovery="XDS", **xds.OPEN)
    trust(web, authority)
    web.create(caller(how, rate=50, service=f"{shop.namespace}/orders"))
    wait_target(web, on_xds(shop))
    web.wait_rolled_out("checkout")
    wait_all_injected(web)
    with Recorder(web.cluster, web.namespace, "app=checkout") as calls:
        assert calls.wait(lambda found: len(per_pod(found)) == 2, since=0, within=60) is not None
        start = time.time()
        shop.merge("GrpcBalancedService", "orders", {"spec": {"allowedClients": None}})
        left = wait_target(web, target(shop))
        assert BOOTSTRAP not in env_of(left, "checkout")
        assert not left["spec"]["template"]["spec"].get("volumes")
        web.wait_rolled_out("checkout")
        web.wait_event("checkout", "NamespaceNotAllowed")
        # They follow by DNS now, and a pod that starts later does, too.
        web.kubectl("scale", "deployment/checkout", "--replicas=2")
        web.wait_rolled_out("checkout")
        assert calls.wait(lambda found: len(per_pod(found)) == 2, since=time.time(), within=60) is not None
        assert failures(calls.rpcs(start)) == []


@pytest.mark.xds
def test_a_client_in_plain_text_is_moved_only_to_what_is_open_to_all(shop: Shop, authority: bytes) -> None:
    assert authority
    xds.serve(shop, discovery="XDS")
    shop.create(caller("plaintext"))
    assert "allowedClients" in shop.wait_workload("checkout", "StaysOnDns", within=ROLLOUT)["message"]
    assert variables(shop)[TARGET] == target(shop)
    shop.merge("GrpcBalancedService", "orders", {"spec": xds.OPEN})
    wait_target(shop, on_xds(shop))
    shop.wait_configured()


@pytest.mark.xds
def test_what_a_bootstrap_refers_to_is_kept_before_it(shop: Shop, authority: bytes) -> None:
    """The kubelet expands `$(NAME)` only of what stands earlier; whatever somebody does, the user's entries stay."""
    assert authority
    xds.serve(shop, discovery="XDS", **xds.OPEN)
    client = caller("plaintext")
    shop.create(client)
    wait_target(shop, on_xds(shop))
    own = [entry["name"] for entry in programs.container(client)["env"]]
    url = "/spec/template/spec/containers/0/env"
    env = programs.container(shop.get("Deployment", "checkout"))["env"][::-1]
    patch = json.dumps([{"op": "replace", "path": url, "value": env}])
    shop.kubectl("patch", "deployment/checkout", "--type=json", "-p", patch)
    found = shop.wait_deployment("checkout", refers_back, "the bootstrap stands after what it refers to")
    users = [entry["name"] for entry in env if entry["name"] in own]
    assert [e["name"] for e in programs.container(found)["env"] if e["name"] in own] == users


def refers_back(deployment: Object) -> bool:
    """Whether the bootstrap stands after what it refers to."""
    names = [entry["name"] for entry in programs.container(deployment)["env"]]
    return names.index(BOOTSTRAP) > max(names.index("GRPCBALANCE_POD_NAME"), names.index("GRPCBALANCE_ZONE"))
