"""Somebody else's workloads, annotated, un-annotated, the object deleted, in any order and with the operator killed."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable
from typing import Final

import pytest

from grpcbalance.kinds import WORKLOADS
from lab import Cluster, Lab
from lab.install import wait_operator
from lab.rest import Object, Rest, path
from tests.corpus.systems import comparable
from tests.kit import objects, operator
from tests.kit.shop import Shop, env_of, record_of

from .conftest import new_namespace
from .test_endpoints import by_hand
from .test_lifecycle import TARGET

pytestmark = [pytest.mark.cluster, pytest.mark.needs_lab]

SEED: Final = 20261125
KINDS: Final = tuple(workload.kind for workload in WORKLOADS)
OWN: Final = {"name": "LOG_LEVEL", "value": "debug"}
FULL: Final = {"GRPC_ORDERS_TARGET", "GRPC_ORDERS_SERVICE_CONFIG", "GRPC_ORDERS_MIN_RESOLUTION_INTERVAL_MS"}


def annotate(shop: Shop) -> None:
    for kind in KINDS:
        shop.annotate("theirs", kind, client="orders")


def unannotate(shop: Shop) -> None:
    for kind in KINDS:
        shop.annotate("theirs", kind, client=None)


def delete(shop: Shop) -> None:
    shop.delete("GrpcBalancedService", "orders")


STEPS: Final[tuple[Callable[[Shop], None], ...]] = (annotate, unannotate, delete)


def staged(cluster: Cluster, api: Rest, label: str) -> tuple[Shop, dict[str, Object]]:
    """A namespace with an object that serves, and one workload of each kind as its owner made it."""
    shop = Shop(cluster, api, new_namespace(api, label))
    shop.create(
        by_hand("ready", ["10.210.0.1"], ready=True),
        objects.idle("orders", ports=(5000,), annotations={"grpcbalance.dev/server": "orders"}),
        objects.balanced(),
        *(objects.as_kind(kind, objects.idle("theirs", env=[OWN])) for kind in KINDS),
    )
    shop.wait_condition("ServersConfigured")
    return shop, {kind: shop.get(kind, "theirs") for kind in KINDS}


def ours(found: Object) -> set[str]:
    return {name for name in env_of(found) if name.startswith("GRPC_")}


def settled(order: tuple[Callable[[Shop], None], ...], found: Object) -> bool:
    """Whether a workload is as the page says for an order of steps."""
    if order.index(annotate) < order.index(unannotate):
        return not ours(found)
    if order[-1] is annotate:
        # The object went before: nobody says with which values.
        return not ours(found)
    # It went after: what was written stays, whole; and if the operator had not come to it, nothing was.
    return ours(found) in (FULL, set())


def test_it_ends_as_promised_whatever_comes_first(cluster: Cluster, api: Rest) -> None:
    assert isinstance(cluster, Lab)
    orders = list(itertools.permutations(STEPS))
    places = [staged(cluster, api, f"order-{number}") for number in range(len(orders))]
    moments = random.Random(SEED)  # noqa: S311  # a seed makes the moments the same in every run
    for number in range(len(STEPS)):
        for order, (shop, _) in zip(orders, places, strict=True):
            order[number](shop)
        time.sleep(moments.uniform(0.0, 0.6))  # the moment at which it is killed
        operator.kill(cluster, api)
        wait_operator(cluster)
    operator.wait_quiet(cluster, api, lambda: True, seconds=3, within=90)
    for order, (shop, originals) in zip(orders, places, strict=True):
        names = " ".join(step.__name__ for step in order)
        for kind in KINDS:
            found = shop.get(kind, "theirs")
            assert settled(order, found), f"{names}: {kind} has {sorted(ours(found))}"
            assert env_of(found)["LOG_LEVEL"] == "debug"
            assert set(record_of(found).get("app", {})) == ours(found), f"{names}: record and env of {kind} differ"
            if not ours(found) and order.index(annotate) < order.index(unannotate):
                assert comparable(found) == comparable(originals[kind]), names
    for order, (shop, originals) in zip(orders, places, strict=True):
        come_back(shop, originals, annotated=order.index(unannotate) < order.index(annotate))


def come_back(shop: Shop, originals: dict[str, Object], *, annotated: bool) -> None:
    """The object comes again: who is annotated is configured, who is not stays as it was. Then everything goes."""
    shop.create(objects.balanced())
    shop.wait_condition("ServersConfigured")
    if annotated:
        shop.wait_condition("ClientsConfigured")
        assert all(env_of(shop.get(kind, "theirs"))[TARGET] for kind in KINDS)
        unannotate(shop)
    for kind, original in originals.items():
        found = shop.wait_object(kind, "theirs", lambda o: not ours(o), f"{kind} is as it was")
        assert comparable(found) == comparable(original)
        shop.delete(kind, "theirs")
    shop.wait_balanced(lambda b: b["status"]["clients"]["matched"] == 0, "no client is left")
    shop.api.delete(path("v1", "namespaces", "", shop.namespace))
