"""Upgrade and downgrade with fifty services in use: nothing rolls, nothing is lost, nothing is written but status."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from lab import Lab
from lab.images import example_image
from lab.install import OPERATOR_IMAGE, ROOT, echo_image_name
from lab.rest import Rest
from tests.kit import objects, operator, upgrade
from tests.kit.failures import folder_of
from tests.kit.shop import ROLLOUT, Shop, env_of, record_of

from .conftest import new_namespace
from .test_endpoints import by_hand

pytestmark = [pytest.mark.cluster, pytest.mark.needs_lab]

# The last one that knew Deployments only.
EARLIER: Final = "5c6c7b866f093c9ad8b0016d1bf056dad34dd925"
EARLIER_IMAGE: Final = "docker.io/grpcbalance/operator:earlier"
SERVICES: Final = 50
# As many of them, the first ones, have real pods.
WITH_PODS: Final = 3
# Specs in turn. A `None` leaves a field out.
SPECS: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"port": "grpc", "server": {"maxConnectionAge": "1h", "maxConnectionIdle": "10m"}},
    {"selector": None, "port": None, "serviceRef": {"name": "ordinary"}},
    {"client": {"tls": True, "authority": "orders.example.com", "policy": "WeightedRoundRobin"}},
    {
        "client": {"keepalive": {"time": "30s", "timeout": "10s", "permitWithoutCalls": True}},
        "server": {"keepalive": {"time": "1m", "minClientInterval": "20s"}},
    },
    {
        "client": {"env": {"target": {"name": "UPSTREAM", "format": "HostPort"}}, "retry": {"mode": "Unavailable"}},
        "server": {"env": {"maxConnectionAge": {"name": "MAX_AGE", "unit": "Seconds"}}},
    },
    {"serviceName": "renamed", "server": {"mode": "Unmanaged"}},
)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A lab of the test's own, with the operator as the earlier commit has it."""
    earlier = upgrade.checkout(EARLIER, tmp_path)
    with Lab(keep=folder_of("upgrade")) as lab:
        lab.import_image(example_image(ROOT / "examples", "go", echo_image_name()))
        upgrade.provide(lab, ROOT, OPERATOR_IMAGE)
        upgrade.provide(lab, earlier, EARLIER_IMAGE)
        upgrade.install(lab, earlier, EARLIER_IMAGE)
        yield lab


def create(shop: Shop, number: int) -> str:
    """A service with its server and client; those without pods have a ready endpoint made by hand."""
    name, caller, alive = f"orders-{number:02d}", f"checkout-{number:02d}", number < WITH_PODS
    spec = dict(SPECS[number % len(SPECS)])
    if "serviceRef" in spec:
        spec["serviceRef"] = {"name": name}
        shop.create(objects.cluster_ip(name))
    if "serviceName" in spec:
        spec["serviceName"] = f"{name}-pods"
    opt_in = {"grpcbalance.dev/server": name}, {"grpcbalance.dev/client": name}
    made = objects.balanced(name, **spec)
    made["spec"] = {key: value for key, value in made["spec"].items() if value is not None}
    shop.create(
        made,
        objects.server(name, replicas=int(alive), annotations=opt_in[0]),
        objects.client(caller, name, replicas=int(alive), annotations=opt_in[1]),
    )
    if not alive:
        piece = by_hand(name, [f"10.210.0.{number + 1}"], ready=True)
        service = spec.get("serviceName", f"{name}-headless")
        piece["metadata"]["labels"] |= {"kubernetes.io/service-name": service, "grpcbalance.dev/service": name}
        shop.create(piece)
    return name


def untouched(shop: Shop) -> dict[str, Any]:
    """All that no version of the operator may change as long as nobody asks for it."""
    deployments = shop.api.items(shop.url("Deployment"))
    made = deployments + shop.api.items(shop.url("ReplicaSet"))
    pods = shop.api.items(shop.url("Pod"))
    return {
        "generations": {d["metadata"]["name"]: (d["metadata"]["uid"], d["metadata"]["generation"]) for d in made},
        "pods": {p["metadata"]["name"]: p["metadata"]["uid"] for p in pods},
        "env": {d["metadata"]["name"]: env_of(d) for d in deployments},
        "records": {d["metadata"]["name"]: record_of(d) for d in deployments},
        "services": {
            s["metadata"]["name"]: (s["metadata"]["uid"], s["metadata"]["resourceVersion"], s["spec"])
            for s in shop.api.items(shop.url("Service"))
        },
        "specs": {
            b["metadata"]["name"]: (b["metadata"]["uid"], b["metadata"]["generation"])
            for b in shop.api.items(shop.url("GrpcBalancedService"))
        },
    }


def truths(shop: Shop) -> dict[tuple[str, str], str]:
    """(service, condition) -> when it became true, of those that are."""
    return {
        (balanced["metadata"]["name"], found["type"]): found["lastTransitionTime"]
        for balanced in shop.api.items(shop.url("GrpcBalancedService"))
        for found in balanced["status"]["conditions"]
        if found["status"] == "True"
    }


def settle(lab: Lab, api: Rest) -> None:
    """Wait until the operator has looked at every object, and has nothing more to say."""
    operator.wait_quiet(lab, api, lambda: upgrade.has_looked_at(lab, SERVICES, 2 * SERVICES), seconds=4, within=ROLLOUT)


@pytest.mark.full
def test_upgrade_and_downgrade_roll_nothing_and_lose_nothing(lab: Lab, tmp_path: Path) -> None:
    with Rest(lab.kubeconfig) as api:
        shop = Shop(lab, api, new_namespace(api, "upgrade"))
        names = [create(shop, number) for number in range(SERVICES)]
        for name in names:
            shop.wait_configured(name)
            shop.wait_condition("Ready", name=name, within=ROLLOUT)
        settle(lab, api)
        before, true_before = untouched(shop), truths(shop)
        assert len(before["specs"]) == SERVICES
        assert all(before["records"][f"checkout-{number:02d}"] for number in range(SERVICES))
        for root, image in ((ROOT, OPERATOR_IMAGE), (tmp_path, EARLIER_IMAGE)):
            since = datetime.now(UTC)
            upgrade.install(lab, root, image)
            settle(lab, api)
            assert upgrade.running_image(lab) == image
            assert untouched(shop) == before
            assert [r for r in operator.writes(lab, since) if r.subresource != "status"] == []
            assert {key: truths(shop).get(key) for key in true_before} == true_before
