"""Others who write the same workloads: some never touch our variables, some keep taking them away."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import pairwise

import pytest
import yaml

from lab import Cluster, Lab
from lab.rest import LOST, Rest
from tests.kit import objects, operator
from tests.kit.shop import Shop

from .test_endpoints import by_hand
from .test_lifecycle import TARGET, target

pytestmark = [pytest.mark.cluster, pytest.mark.needs_lab, pytest.mark.timeout(420)]

CLIENT = {"grpcbalance.dev/client": "orders"}
# Three restorings, one a minute at most, and the next removal.
UNTIL_CONTESTED = 200.0


@pytest.fixture
def lab(cluster: Cluster) -> Lab:
    """The session's cluster, which has to be a lab: its audit log is looked at."""
    assert isinstance(cluster, Lab), "this test needs the lab: it reads the audit log"
    return cluster


def manifest(name: str) -> str:
    """What the user has in Git: the annotation, but nothing of ours."""
    return yaml.safe_dump(objects.idle(name, annotations=CLIENT))


def removes(shop: Shop, name: str) -> None:
    """A script that deletes our variables, whatever stands there."""
    entries = [{"name": variable, "$patch": "delete"} for variable in shop.env(name) if variable.startswith("GRPC_")]
    if entries:
        containers = [{"name": "app", "env": entries}]
        body = {"spec": {"template": {"spec": {"containers": containers}}}}
        query = {"fieldManager": "env-police"}
        content = "application/strategic-merge-patch+json"
        shop.api.request("PATCH", shop.url("Deployment", name), body, content_type=content, query=query)


def tunes(shop: Shop, name: str) -> None:
    """A controller that writes a number of its own, and what it knows of env, each time it sees another."""
    if TARGET in shop.env(name):
        made = objects.idle(name, annotations=CLIENT)
        made["spec"]["minReadySeconds"] = (shop.get("Deployment", name)["spec"].get("minReadySeconds") or 0) + 1
        shop.api.request("PUT", shop.url("Deployment", name), made, query={"fieldManager": "tuner"})


def applies(shop: Shop, name: str) -> None:
    shop.kubectl("apply", "-f", "-", stdin=manifest(name))


def applies_on_the_server(shop: Shop, name: str) -> None:
    """As Argo CD and Flux do."""
    how = ("--server-side", "--force-conflicts", "--field-manager=argocd-controller")
    shop.kubectl("apply", *how, "-f", "-", stdin=manifest(name))


def replaces(shop: Shop, name: str) -> None:
    shop.kubectl("replace", "-f", "-", stdin=manifest(name))


@contextlib.contextmanager
def again_and_again(every: float, act: Callable[[], None]) -> Iterator[None]:
    """Have somebody act in the background, until the block ends. The pauses are theirs, nothing is waited for."""
    over = threading.Event()

    def loop() -> None:
        while not over.wait(every):
            with contextlib.suppress(*LOST):
                act()

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=60)


def patches(lab: Lab, shop: Shop, name: str) -> list[datetime]:
    """When the operator wrote to a workload."""
    mine = (r for r in lab.writes(operator.ACCOUNT) if (r.namespace, r.name, r.verb) == (shop.namespace, name, "patch"))
    return [record.time for record in mine if record.resource == "deployments"]


def staged(shop: Shop) -> None:
    shop.create(
        by_hand("ready", ["10.210.0.1"], ready=True),
        objects.balanced(),
        objects.idle("orders", ports=(5000,), annotations={"grpcbalance.dev/server": "orders"}),
    )


@pytest.mark.parametrize("how", [applies, applies_on_the_server], ids=["kubectl-apply", "argo-like"])
def test_who_applies_the_users_manifest_again_changes_nothing(lab: Lab, shop: Shop, how: Callable[..., None]) -> None:
    staged(shop)
    how(shop, "checkout")
    shop.wait_configured()
    generation = shop.get("Deployment", "checkout")["metadata"]["generation"]
    for _ in range(5):
        how(shop, "checkout")
    operator.wait_quiet(lab, shop.api, lambda: True, seconds=3, within=60)
    found = shop.get("Deployment", "checkout")
    assert (found["metadata"]["generation"], len(patches(lab, shop, "checkout"))) == (generation, 1)
    assert shop.env("checkout")[TARGET] == target(shop)


def test_one_removal_is_put_back_within_seconds(shop: Shop) -> None:
    staged(shop)
    applies(shop, "checkout")
    shop.wait_configured()
    removes(shop, "checkout")
    shop.wait_env("checkout", TARGET, target(shop), within=10)
    balanced = shop.wait_balanced(lambda b: "restored" in b["status"], "status tells of the restoring")
    assert [entry["workload"] for entry in balanced["status"]["restored"]] == ["Deployment/checkout"]


@pytest.mark.full
def test_who_keeps_taking_them_away_is_named_and_given_up_on(lab: Lab, shop: Shop, api: Rest) -> None:
    staged(shop)
    names = ("police", "replaced", "tuned", "applied", "argo")
    for name in names:
        applies(shop, name)
    shop.wait_configured()
    with contextlib.ExitStack() as loops:
        for every, how, name in (
            (1.0, removes, "police"),
            (5.0, replaces, "replaced"),
            (2.0, tunes, "tuned"),
            (30.0, applies, "applied"),
            (30.0, applies_on_the_server, "argo"),
        ):
            loops.enter_context(again_and_again(every, lambda how=how, name=name: how(shop, name)))  # type: ignore[misc]  # defaults bind the loop's values
        # Who only removes owns nothing, so the API server keeps no name; nobody else must be blamed for it.
        for name in ("police", "replaced"):
            assert shop.wait_workload(name, "Contested", within=UNTIL_CONTESTED)["message"].startswith("somebody keeps")
        tuned = shop.wait_workload("tuned", "Contested", within=UNTIL_CONTESTED)
        assert tuned["message"].startswith("tuner keeps taking our variables away")
        shop.wait_condition("ClientsConfigured", "False", "Contested")
        shop.wait_event("police", "Contested")
        operator.kill(lab, api)
        operator.wait_quiet(lab, api, lambda: True, seconds=10, within=90)
    for name in ("police", "replaced", "tuned"):
        times = patches(lab, shop, name)
        assert len(times) == 1 + 3, name
        assert all((later - before).total_seconds() > 55 for before, later in pairwise(times[1:])), times
    for name in ("applied", "argo"):
        assert len(patches(lab, shop, name)) == 1, name
        assert shop.env(name)[TARGET] == target(shop)
    assert TARGET not in shop.env("police")
