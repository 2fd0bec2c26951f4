"""What each language does with each way to write a target: the table of docs/reference/targets.md, tried anew."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import Cluster
from lab.images import LANGUAGES
from lab.install import echo_image_name
from lab.rest import Rest, path
from tests.kit import objects
from tests.kit.shop import ROLLOUT, Shop

from .conftest import new_namespace

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("examples")]

FORMS: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "targets.yaml").read_text())
ROUND_ROBIN = '{"loadBalancingConfig":[{"round_robin":{}}]}'
# Enough that both servers are seen, if both are used.
RPCS = 10


def written(target: str, shop: Shop) -> str:
    """A target of the table as a client gets it: with this namespace, the cluster's DNS server, addresses of pods."""
    slices = shop.api.items(shop.url("EndpointSlice"), "grpcbalance.dev/service=orders")
    endpoints = [endpoint for item in slices for endpoint in item["endpoints"]]
    pods = [endpoint["addresses"][0] for endpoint in endpoints if endpoint["conditions"]["ready"]]
    service = shop.get("Service", "orders-headless")["metadata"]
    host = f"{service['name']}.{service['namespace']}.svc.cluster.local"
    texts = {"HOST": host, "SERVER": dns_server(shop), "POD1": pods[0], "POD2": pods[1]}
    for name, text in texts.items():
        target = target.replace(name, text)
    return target


def dns_server(shop: Shop) -> str:
    """Address of the cluster's DNS server, as kubelets give it to pods."""
    node = shop.api.items("/api/v1/nodes")[0]["metadata"]["name"]
    config = shop.api.get(f"/api/v1/nodes/{node}/proxy/configz")  # what administrators may read
    return str(config["kubeletconfig"]["clusterDNS"][0])


def pod(language: str, shop: Shop) -> objects.Object:
    """A pod of clients, a container for each form."""

    def env(target: str) -> list[objects.Object]:
        values = {
            "SERVICE": "ORDERS",
            "GRPC_ORDERS_TARGET": written(target, shop),
            "GRPC_ORDERS_SERVICE_CONFIG": ROUND_ROBIN,
            "RATE": "4",
            "TIMEOUT_MS": "10000",
        }
        return [{"name": name, "value": value} for name, value in values.items()]

    def container(number: int, form: dict[str, Any]) -> objects.Object:
        image = {"image": echo_image_name(language), "imagePullPolicy": "IfNotPresent", "args": ["client"]}
        return {"name": f"form-{number}", **image, "env": env(form["target"])}

    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"forms-{language}"},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "containers": [container(number, form) for number, form in enumerate(FORMS)],
        },
    }


def outcome(shop: Shop, language: str, number: int, ended: bool) -> Any:
    """`balanced`, `one pod`, or {code: message} (`exit`: the client ended at once); None: it is too early."""
    log = shop.cluster.kubectl(
        *("logs", "--namespace", shop.namespace, f"forms-{language}", "--container", f"form-{number}"), check=False
    )
    rpcs = [json.loads(line) for line in log.splitlines() if line.startswith('{"t":')]
    failed = [rpc for rpc in rpcs if rpc["code"] != "OK"]
    if failed:
        return {failed[0]["code"]: failed[0]["err"]}
    if len(rpcs) >= RPCS:
        return "balanced" if len({rpc["pod"] for rpc in rpcs}) == 2 else "one pod"
    return {"exit": log.strip()} if ended else None


def outcomes(shop: Shop, language: str) -> list[Any]:
    """What came of each form, as soon as all are known."""
    seen: list[Any] = []

    def known(pod: objects.Object) -> bool:
        states = {status["name"]: status["state"] for status in pod["status"].get("containerStatuses", [])}
        ended = [("terminated" in states.get(f"form-{number}", {})) for number in range(len(FORMS))]
        seen[:] = [outcome(shop, language, number, over) for number, over in enumerate(ended)]
        return None not in seen

    deadline = time.monotonic() + ROLLOUT
    while not known(shop.get("Pod", f"forms-{language}")):
        missing = [form["target"] for form, found in zip(FORMS, seen, strict=True) if found is None]
        assert time.monotonic() < deadline, f"{language}: nothing is known of {missing}"
        time.sleep(0.5)
    return seen


def as_written(expected: Any, seen: Any) -> bool:
    """Whether what was seen is as the table says: of a message the table has a part."""
    if isinstance(expected, str) or isinstance(seen, str):
        return bool(expected == seen)
    ((code, part),) = expected.items()
    return part in seen.get(code, "")


@pytest.fixture(scope="module")
def place(cluster: Cluster, api: Rest) -> Iterator[Shop]:
    """Two servers behind a headless Service, and the clients of all languages."""
    name = new_namespace(api, "targets")
    shop = Shop(cluster, api, name)
    shop.create(objects.balanced(), objects.server(annotations={"grpcbalance.dev/server": "orders"}))
    shop.wait_condition("Ready", within=ROLLOUT)
    for language in LANGUAGES:
        shop.create(pod(language, shop))
    yield shop
    api.delete(path("v1", "namespaces", "", name))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_form_of_a_target_does_what_the_table_says(place: Shop, language: str) -> None:
    seen = outcomes(place, language)
    rows = zip(FORMS, seen, strict=True)
    different = {form["target"]: found for form, found in rows if not as_written(form[language], found)}
    assert different == {}
