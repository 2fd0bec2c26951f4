"""Real manifests: annotated, injected and un-injected again, they are what they were before."""

from __future__ import annotations

import pytest

from lab.rest import path
from tests.corpus import systems
from tests.corpus.systems import SYSTEMS, Expected, System
from tests.kit import objects
from tests.kit.objects import Object
from tests.kit.shop import SOON, Shop

from .test_endpoints import by_hand

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize("system", SYSTEMS, ids=str)
def test_injected_and_back(shop: Shop, system: System) -> None:
    originals = create(shop, system)
    annotate(shop, system)
    status = shop.wait_configured()["status"]
    assert status["port"] == system.port
    assert status["summary"]["servers"] == counted(system, "server")
    assert status["summary"]["clients"] == counted(system, "client")
    for original in originals:
        check_injected(shop, system, original, status["target"])
    for expected in system.workloads:
        names = dict.fromkeys([*expected.opt_in, *expected.choice])
        shop.api.merge(url(shop, expected), {"metadata": {"annotations": names}})
    for original in originals:
        what = f"{original['metadata']['name']} as it was"
        live = shop.api.wait(url(shop, original), lambda o: not systems.is_injected(o), within=SOON, what=what)
        assert systems.comparable(live) == systems.comparable(original)


def create(shop: Shop, system: System) -> list[Object]:
    """Create everything, with an endpoint made by hand since no pod runs; answers with the workloads as stored."""
    ready = by_hand("ready", ["10.220.0.1"], ready=True)
    ready["ports"][0]["port"] = system.port
    shop.create(ready, objects.balanced() | {"spec": system.service})
    stored = [shop.api.create(url(shop, item, collection=True), item) for item in system.at_rest()]
    return [item for item in stored if item["kind"] != "Service"]


def annotate(shop: Shop, system: System) -> None:
    """Annotate as a user would: without knowing of containers first, then as refusals ask for."""
    for expected in system.workloads:
        shop.api.merge(url(shop, expected), {"metadata": {"annotations": expected.opt_in}})
    for expected in system.workloads:
        if expected.refused:
            refusal = shop.wait_workload(expected.name, expected.refused)
            assert all(container in refusal["message"] for container in expected.containers)
            assert not systems.is_injected(shop.api.get(url(shop, expected)))
            shop.api.merge(url(shop, expected), {"metadata": {"annotations": expected.choice}})


def counted(system: System, role: str) -> str:
    """A summary that says that all workloads of a role are configured."""
    count = sum(expected.role == role for expected in system.workloads)
    return f"{count}/{count}"


def check_injected(shop: Shop, system: System, original: Object, target: str) -> None:
    """Exactly the expected containers have variables, all of them of their role, and nothing else has changed."""
    live = shop.api.get(url(shop, original))
    variables = systems.added(original, live)
    key = original["kind"], original["metadata"]["name"]
    expected = next((e for e in system.workloads if (e.kind, e.name) == key), None)
    assert set(variables) == (set(expected.containers) if expected else set())
    for container in variables.values():
        if expected and expected.role == "client":
            assert container["GRPC_ORDERS_TARGET"] == target
            assert all(name.startswith("GRPC_ORDERS_") for name in container)
        else:
            assert container["GRPC_SERVER_MAX_CONNECTION_AGE_MS"] == "300000"
            assert all(name.startswith("GRPC_SERVER_") for name in container)
    assert systems.without(live, variables) == systems.comparable(original)


def url(shop: Shop, item: Object | Expected, *, collection: bool = False) -> str:
    """API path of an object, or of the collection that it is created in."""
    kind, name = (item.kind, item.name) if isinstance(item, Expected) else (item["kind"], item["metadata"]["name"])
    version = {"Service": "v1", "CronJob": "batch/v1"}.get(kind, "apps/v1")
    return path(version, f"{kind.lower()}s", shop.namespace, "" if collection else name)
