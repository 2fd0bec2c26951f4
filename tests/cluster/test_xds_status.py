"""What status tells of clients on xDS, which are pointed at the look-aside balancer by hand."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from click.testing import CliRunner, Result

from grpcbalance.__main__ import main
from lab.install import NAMESPACE, XDS_DEPLOYMENT, condition
from lab.records import Recorder
from lab.rest import Object, Rest
from tests.kit import objects, programs, xds
from tests.kit.shop import ROLLOUT, Shop

pytestmark = [pytest.mark.cluster, pytest.mark.xds, pytest.mark.timeout(600)]

CLIENT = {"grpcbalance.dev/client": "orders"}
# The operator's own target goes to a variable that no program reads: the tests' has the usual name.
ASIDE = {"env": {"target": {"name": "INJECTED_TARGET"}}}
# A minute of patience, and looks half a minute apart.
TOLD = 180.0
# Long enough for several looks at the balancer.
QUIET = 10.0


@pytest.fixture(scope="module")
def balancer(api: Rest, authority: bytes) -> None:
    """The look-aside balancer is installed."""
    assert authority
    xds.wait_ready(api)


@pytest.fixture
def served(shop: Shop, balancer: None) -> Shop:
    """`orders` with discovery XDS, a server, and the client `checkout`, which is on xDS."""
    assert balancer is None
    spec = {"discovery": "XDS", "client": {**ASIDE, "waitForReady": True}, **xds.OPEN}
    shop.create(objects.balanced(**spec), objects.server(replicas=1, annotations={"grpcbalance.dev/server": "orders"}))
    shop.wait_condition("EndpointsReady", within=ROLLOUT)
    client = programs.client("go", "checkout", "orders")
    shop.create(xds.on_xds(client, shop.namespace))
    shop.wait_rolled_out("checkout", "orders")
    return shop


def deaf(shop: Shop, replicas: int = 1) -> Object:
    """A workload with a target on xDS, and a program that takes no notice."""
    env = [{"name": "GRPC_ORDERS_TARGET", "value": f"xds:///orders.{shop.namespace}:{objects.PORT}"}]
    return objects.idle("deaf", replicas=replicas, env=env, annotations=CLIENT)


def pod_of(shop: Shop, name: str) -> str:
    """The only pod of a Deployment that is rolled out, once all former ones are gone."""
    pods = [pod["metadata"] for pod in shop.api.items(shop.url("Pod"), f"app={name}")]
    going = [f"pod/{meta['name']}" for meta in pods if "deletionTimestamp" in meta]
    if going:
        shop.kubectl("wait", "--for=delete", "--timeout=60s", *going)
    (found,) = (str(meta["name"]) for meta in pods if "deletionTimestamp" not in meta)
    return found


def counts(balanced: Object) -> Any:
    return balanced.get("status", {}).get("xds", {}).get("workloads")


def test_a_client_that_takes_everything_and_what_it_does_otherwise(served: Shop) -> None:
    with Recorder(served.cluster, served.namespace, "app=checkout") as recorder:
        assert recorder.wait(lambda rpcs: len(rpcs) > 50, since=time.time(), within=60) is not None
    served.wait_condition("XdsAccepted", reason="AllAccepted")
    served.wait_condition("ClientsConfigured", within=ROLLOUT)
    found = served.wait_balanced(
        lambda b: bool(b["status"]["xds"].get("downgrades")), "a downgrade is told", within=TOLD
    )
    assert counts(found) == {"moved": 1, "onDns": 0}
    [told] = found["status"]["xds"]["downgrades"]
    assert told["client"].startswith("gRPC Go 1.")
    assert told["feature"] == "client.waitForReady"
    # Only what is stable is written, so nothing is now.
    before = found["metadata"]["resourceVersion"]
    time.sleep(QUIET)
    assert served.get("GrpcBalancedService", "orders")["metadata"]["resourceVersion"] == before


def test_a_program_without_xds_is_named_and_nobody_else(served: Shop) -> None:
    served.wait_condition("ClientsConfigured", within=ROLLOUT)
    served.create(deaf(served))
    found = served.wait_condition("ClientsConfigured", "False", "XdsNotConnected", within=TOLD)
    message = condition(found, "ClientsConfigured")["message"]
    assert pod_of(served, "deaf") in message
    assert pod_of(served, "checkout") not in message
    assert counts(found) == {"moved": 2, "onDns": 0}
    assert condition(found, "Ready")["status"] == "True"
    served.wait_event("orders", "XdsNotConnected")
    served.kubectl("set", "env", "deployment/deaf", "GRPC_ORDERS_TARGET-")
    served.wait_condition("ClientsConfigured", within=TOLD)


def test_the_command_shows_who_is_connected_and_fails_while_something_is_not_ready(served: Shop) -> None:
    served.wait_configured()

    def status(*more: str) -> Result:
        where = ("--kubeconfig", str(served.cluster.kubeconfig), "-n", served.namespace)
        return CliRunner().invoke(main, ["status", *where, *more])

    served.wait_balanced(lambda b: bool(b["status"]["xds"].get("downgrades")), "the client is seen")
    pod = pod_of(served, "checkout")
    found = status("-o", "json")
    assert found.exit_code == 0, found.output
    [service] = json.loads(found.stdout)["services"]
    assert {(one["namespace"], one["pod"], one["told"]) for one in service["xds"]["clients"]} == {
        (served.namespace, pod, True)
    }
    text = status("orders").stdout
    assert f"{served.namespace}/orders is Ready" in text
    assert "  on xDS     1 of 1 client workloads; 1 connected" in text
    served.kubectl("scale", "deployment/orders", "--replicas=0")
    served.wait_condition("Ready", "False", "NoEndpoints", within=ROLLOUT)
    found = status()
    assert (found.exit_code, "is not Ready (NoEndpoints)" in found.stdout) == (1, True)
    assert status("nobody").exit_code == 2


def test_without_the_balancer_that_is_told_with_the_fix_and_nobody_is_accused(served: Shop, api: Rest) -> None:
    served.wait_condition("XdsAccepted")
    served.wait_condition("ClientsConfigured", within=ROLLOUT)
    scale = ("scale", f"deployment/{XDS_DEPLOYMENT}", "--namespace", NAMESPACE)
    served.cluster.kubectl(*scale, "--replicas=0")
    try:
        served.wait_balanced(
            lambda b: "kubectl apply -k manifests/xds" in condition(b, "XdsAccepted")["message"], "the fix", within=120
        )
        told = served.wait_condition("XdsAccepted", "Unknown", "XdsNotServing")
        assert condition(told, "ClientsConfigured")["status"] == "True"
    finally:
        served.cluster.kubectl(*scale, "--replicas=2")
        xds.wait_ready(api)
    served.wait_condition("XdsAccepted", within=60)


def test_an_object_on_dns_has_nothing_of_it(shop: Shop, balancer: None) -> None:
    assert balancer is None
    shop.create(objects.balanced())
    found = shop.wait_condition("Ready", "False")
    assert "xds" not in found["status"]
    assert condition(found, "Ready")["reason"]
    assert "XdsAccepted" not in {one["type"] for one in found["status"]["conditions"]}
