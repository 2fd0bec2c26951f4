"""The contract of examples/README.md, held by the program of every language as a real pod."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from lab import Cluster
from lab.images import LANGUAGES
from lab.install import condition, echo_image_name
from lab.rest import Object, Rest, path
from tests.kit import objects
from tests.kit.shop import ROLLOUT, Shop

from .conftest import new_namespace

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("examples")]

BAD_SERVER = {
    "GRPC_SERVER_MAX_CONNECTION_AGE_MS": "5s",
    "GRPC_SERVER_KEEPALIVE_TIME_MS": "0",
    "GRPC_SERVER_PERMIT_KEEPALIVE_WITHOUT_CALLS": "yes",
}
BAD_CLIENT = {"SERVICE": "ORDERS", "GRPC_ORDERS_TARGET": "dns:///orders:5000", "RATE": "many", "TIMEOUT_MS": "-1"}
CLIENT = {"SERVICE": "ORDERS", "RATE": "20"}
HEALTH_CHECKED = (
    '{"loadBalancingConfig":[{"round_robin":{}}],"healthCheckConfig":{"serviceName":"grpcbalance.echo.v1.Echo"}}'
)
ROUND_ROBIN = '{"loadBalancingConfig":[{"round_robin":{}}]}'


@pytest.fixture(scope="module")
def place(cluster: Cluster, api: Rest) -> Iterator[Shop]:
    """A namespace with a headless Service before the servers of each language."""
    shop = Shop(cluster, api, new_namespace(api, "examples"))
    for language in LANGUAGES:
        service = objects.cluster_ip(f"server-{language}", clusterIP="None")
        shop.create(service, pod(f"server-{language}", language, "server", {}, app=f"server-{language}"))
    for language in LANGUAGES:
        shop.api.wait(shop.url("Pod", f"server-{language}"), is_ready, within=ROLLOUT, what=f"{language} server ready")
    yield shop
    api.delete(path("v1", "namespaces", "", shop.namespace))


def pod(name: str, language: str, argument: str, env: Mapping[str, str], app: str = "") -> Object:
    """A pod of an example, as strict as clusters get: no root, nothing to write to, no privileges."""
    container: Object = {
        "name": "app",
        "image": echo_image_name(language),
        "imagePullPolicy": "IfNotPresent",
        "args": [argument] if argument else [],
        "env": [*objects.IDENTITY, *({"name": key, "value": value} for key, value in env.items())],
        "securityContext": {
            "runAsNonRoot": True,
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    if app:
        container["readinessProbe"] = {
            "grpc": {"port": 5000, "service": "grpcbalance.echo.v1.Echo"},
            "periodSeconds": 1,
        }
    spec = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 30, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": app or name}}, "spec": spec}


def is_ready(seen: Object) -> bool:
    return condition(seen, "Ready").get("status") == "True"


def ended(shop: Shop, name: str) -> tuple[int, str]:
    """Exit code and output of a pod that ends by itself."""

    def over(seen: Object) -> bool:
        return any("terminated" in status["state"] for status in seen["status"].get("containerStatuses", []))

    found = shop.api.wait(shop.url("Pod", name), over, within=ROLLOUT, what=f"{name} has ended")
    code = found["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"]
    return code, shop.cluster.kubectl("logs", "--namespace", shop.namespace, name, check=False)


def wait_lines(
    shop: Shop, name: str, accept: Callable[[list[dict[str, Any]]], bool], what: str
) -> list[dict[str, Any]]:
    """Wait until the JSON lines that a pod has written are accepted."""
    deadline = time.monotonic() + ROLLOUT
    while True:
        text = shop.cluster.kubectl("logs", "--namespace", shop.namespace, name, check=False)
        lines = [json.loads(line) for line in text.splitlines() if line.startswith("{") and line.endswith("}")]
        if accept(lines):
            return lines
        assert time.monotonic() < deadline, f"{name}: {what}; its last lines: {text[-2000:]}"
        time.sleep(0.2)


def rpcs(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in lines if "code" in line]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("argument", "variables"), [("server", BAD_SERVER), ("client", BAD_CLIENT)])
def test_all_malformed_variables_are_told_at_once(
    place: Shop, language: str, argument: str, variables: dict[str, str]
) -> None:
    name = f"bad-{argument}-{language}"
    place.create(pod(name, language, argument, variables))
    code, output = ended(place, name)
    assert code == 1, output
    wrong = {key: value for key, value in variables.items() if key not in ("SERVICE", "GRPC_ORDERS_TARGET")}
    assert [key for key, value in wrong.items() if f'{key}="{value}": want ' not in output] == [], output


@pytest.mark.parametrize("language", LANGUAGES)
def test_without_an_argument_it_says_how_it_is_used(place: Shop, language: str) -> None:
    place.create(pod(f"bare-{language}", language, "", {}))
    code, output = ended(place, f"bare-{language}")
    assert code == 2
    assert "usage" in output.lower()


@pytest.mark.parametrize("language", LANGUAGES)
def test_without_variables_the_librarys_defaults_hold(place: Shop, language: str) -> None:
    name, target = f"plain-{language}", f"server-{language}:5000"
    place.create(pod(name, language, "client", {**CLIENT, "FALLBACK_TARGET": target}))
    lines = wait_lines(place, name, lambda found: len(rpcs(found)) >= 20, "20 RPCs")
    start = lines[0]["start"]
    assert (start["target"], start["service_config"], start["authority"]) == (target, "", "")
    assert start["settings"] == {**CLIENT, "FALLBACK_TARGET": target}
    assert start["grpc"]
    assert {(rpc["code"], rpc["pod"]) for rpc in rpcs(lines)} == {("OK", f"server-{language}")}
    assert not any(rpc.get("mismatch") for rpc in rpcs(lines))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_variable_is_taken(place: Shop, language: str) -> None:
    variables = {
        **CLIENT,
        "GRPC_ORDERS_TARGET": f"dns:///server-{language}.{place.namespace}.svc.cluster.local.:5000",
        "GRPC_ORDERS_AUTHORITY": "orders.example",
        "GRPC_ORDERS_SERVICE_CONFIG": ROUND_ROBIN,
        "GRPC_ORDERS_MIN_RESOLUTION_INTERVAL_MS": "5000",
        "GRPC_ORDERS_KEEPALIVE_TIME_MS": "300000",
        "GRPC_ORDERS_KEEPALIVE_TIMEOUT_MS": "5000",
        "GRPC_ORDERS_KEEPALIVE_PERMIT_WITHOUT_CALLS": "true",
        "TIMEOUT_MS": "5000",
    }
    place.create(pod(f"full-{language}", language, "client", variables))
    lines = wait_lines(place, f"full-{language}", lambda found: len(rpcs(found)) >= 20, "20 RPCs")
    assert lines[0]["start"]["settings"] == variables
    assert {rpc["code"] for rpc in rpcs(lines)} == {"OK"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_server_that_is_told_to_end_loses_nothing(place: Shop, language: str) -> None:
    """Health first, then GOAWAY and what is in flight; it counts what it served, and ends before it would be killed.

    The client watches health: a server on C-core cancels what arrives while it stops (grpc/grpc#41785).
    """
    name, client = f"ends-{language}", f"asks-{language}"
    age = {"GRPC_SERVER_MAX_CONNECTION_AGE_MS": "2000", "GRPC_SERVER_MAX_CONNECTION_AGE_GRACE_MS": "5000"}
    place.create(objects.cluster_ip(name, clusterIP="None"))
    place.create(pod(name, language, "server", age, app=name), pod(f"{name}-2", language, "server", age, app=name))
    for each in (name, f"{name}-2"):
        place.api.wait(place.url("Pod", each), is_ready, within=ROLLOUT, what=f"{each} ready")
    target = {"GRPC_ORDERS_TARGET": f"dns:///{name}:5000", "GRPC_ORDERS_SERVICE_CONFIG": HEALTH_CHECKED}
    place.create(pod(client, "go", "client", {**CLIENT, **target, "TIMEOUT_MS": "5000"}))
    wait_lines(place, client, lambda found: {rpc["pod"] for rpc in rpcs(found)} == {name, f"{name}-2"}, "both servers")
    served = wait_lines(place, name, lambda found: any("served" in line for line in found), "a line of what was served")
    counts = [line["served"] for line in served if "served" in line]
    assert counts[-1]["pod"] == name
    assert counts[-1]["attempts"] > 0 == counts[-1]["retries"]
    begun = time.monotonic()
    place.delete("Pod", name)
    place.api.wait(place.url("Pod", name), lambda _: False, within=30, what=f"{name} gone", missing=True)
    assert time.monotonic() - begun < 20, "it was killed after its grace period"
    before = len(rpcs(wait_lines(place, client, lambda _: True, "")))
    after = rpcs(wait_lines(place, client, lambda found: len(rpcs(found)) >= before + 40, "40 RPCs more"))
    assert {rpc["code"] for rpc in after} == {"OK"}
    assert {rpc["pod"] for rpc in after[before + 2 :]} == {f"{name}-2"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_client_that_is_told_to_end_finishes_its_rpc(place: Shop, language: str) -> None:
    name = f"stops-{language}"
    place.create(pod(name, language, "client", {**CLIENT, "FALLBACK_TARGET": "server-go:5000"}))
    wait_lines(place, name, lambda found: len(rpcs(found)) >= 20, "20 RPCs")
    place.delete("Pod", name)  # its object stays until the kubelet has told how the container ended
    code, _ = ended(place, name)
    assert code == 0
