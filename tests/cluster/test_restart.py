"""The operator's own life: killed at any moment, restarted with nothing to do, stopped in an orderly way."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from lab import Cluster, Lab
from lab.install import NAMESPACE, wait_operator
from lab.rest import Object, Rest, path
from tests.kit import objects, operator
from tests.kit.shop import Shop, env_of, record_of

from .conftest import new_namespace
from .test_endpoints import by_hand

pytestmark = [pytest.mark.cluster, pytest.mark.needs_lab]

SEED = 20261124
# So many, and so many when there is time.
KILLS = [6, pytest.param(24, marks=pytest.mark.full)]


@pytest.fixture
def lab(cluster: Cluster) -> Lab:
    """The session's cluster, which has to be a lab: its audit log and processes are looked at."""
    assert isinstance(cluster, Lab), "this test needs the lab: it reads the audit log and kills processes"
    return cluster


def opt_in(shop: Shop) -> None:
    """A server and a client without pods, a ready endpoint, and the object: only the operator takes time here."""
    shop.create(
        by_hand("ready", ["10.210.0.1"], ready=True),
        objects.idle("orders", ports=(5000,), annotations={"grpcbalance.dev/server": "orders"}),
        objects.idle("checkout", annotations={"grpcbalance.dev/client": "orders"}),
        objects.balanced(),
    )


def end_state(shop: Shop) -> Object:
    """What must be the same however the operator got there."""
    deployments = {name: shop.get("Deployment", name) for name in ("orders", "checkout")}
    service = shop.api.find(shop.url("Service", "orders-headless"))
    status = shop.get("GrpcBalancedService", "orders").get("status", {})
    return {
        "env": {name: env_of(found) for name, found in deployments.items()},
        "recorded": {name: sorted(record_of(found).get("app", {})) for name, found in deployments.items()},
        "service": service and {key: service["spec"][key] for key in ("selector", "ports", "clusterIP")},
        "conditions": {c["type"]: (c["status"], c["reason"]) for c in status.get("conditions", [])},
        "summary": status.get("summary"),
    }


def without_namespace(state: Object, namespace: str) -> str:
    return str(state).replace(namespace, "NAMESPACE")


def nothing(_: Shop) -> None:
    """Nothing has to be there before."""


def change(shop: Shop) -> None:
    shop.merge("GrpcBalancedService", "orders", {"spec": {"server": {"maxConnectionAge": "2m"}}})


def unannotate(shop: Shop) -> None:
    shop.annotate("checkout", client=None)


# What has to be there before, and what happens while the operator is killed.
SCENARIOS: dict[str, tuple[Callable[[Shop], None], Callable[[Shop], None]]] = {
    "create": (nothing, opt_in),
    "change": (opt_in, change),
    "unannotate": (opt_in, unannotate),
}


def done(shop: Shop, scenario: str) -> bool:
    """Whether the scenario's end is reached, as far as its own objects show it."""
    state = end_state(shop)
    client = ("True", "Configured") if scenario != "unannotate" else ("False", "NoneAnnotated")
    age = "120000" if scenario == "change" else "300000"
    return bool(
        state["conditions"].get("ClientsConfigured") == client
        and state["conditions"].get("ServersConfigured") == ("True", "Configured")
        and state["env"]["orders"].get("GRPC_SERVER_MAX_CONNECTION_AGE_MS") == age
        and ("GRPC_ORDERS_TARGET" in state["env"]["checkout"]) == (scenario != "unannotate")
    )


def wait_done(shop: Shop, scenario: str, within: float = 60) -> str:
    deadline = time.monotonic() + within
    while not done(shop, scenario):
        assert time.monotonic() < deadline, f"{scenario} in {shop.namespace}: {end_state(shop)}"
        time.sleep(0.2)
    return without_namespace(end_state(shop), shop.namespace)


def stage(lab: Lab, api: Rest, scenario: str, label: str) -> Shop:
    """A namespace in which the scenario is about to happen."""
    shop = Shop(lab, api, new_namespace(api, f"{scenario}-{label}"))
    before, _ = SCENARIOS[scenario]
    before(shop)
    if scenario != "create":
        shop.wait_configured()
    return shop


@pytest.mark.parametrize("kills", KILLS)
def test_killed_at_any_moment_ends_in_the_same_state(lab: Lab, api: Rest, kills: int) -> None:
    reference = {}
    for scenario, (_, act) in SCENARIOS.items():
        shop = stage(lab, api, scenario, "reference")
        act(shop)
        reference[scenario] = wait_done(shop, scenario)
        api.delete(path("v1", "namespaces", "", shop.namespace))
    moments = random.Random(SEED + kills)  # noqa: S311  # a seed makes the moments the same in every run
    for number in range(kills):
        delay = moments.uniform(0.0, 0.6)
        staged = {scenario: stage(lab, api, scenario, f"kill-{number}") for scenario in SCENARIOS}
        for scenario, shop in staged.items():
            SCENARIOS[scenario][1](shop)
        time.sleep(delay)
        operator.kill(lab, api)
        for scenario, shop in staged.items():
            found = wait_done(shop, scenario)
            assert found == reference[scenario], (
                f"{scenario}, killed after {delay:.3f} s (seed {SEED + kills}, kill {number})"
            )
            api.delete(path("v1", "namespaces", "", shop.namespace))


def test_restart_with_nothing_changed_writes_nothing(lab: Lab, api: Rest, shop: Shop) -> None:
    opt_in(shop)
    shop.wait_configured()
    refused = objects.idle("refused", ports=(5000,), annotations={"grpcbalance.dev/server": "nowhere"})
    shop.create(refused)
    shop.wait_event("refused", "ServiceMissing")
    operator.wait_nothing_terminates(api)
    operator.wait_quiet(lab, api, lambda: True, seconds=3, within=60)
    since = datetime.now(UTC)
    operator.restart(lab, api)
    operator.wait_quiet(lab, api, lambda: True, seconds=5, within=60)
    assert [str(record) for record in operator.writes(lab, since)] == []


def test_sigterm_ends_the_operator_cleanly_within_ten_seconds(lab: Lab, api: Rest, shop: Shop) -> None:
    name = operator.pod(api)["metadata"]["name"]
    opt_in(shop)
    started = time.monotonic()
    states: list[Object] = []

    def ended(pod: Object) -> bool:
        for status in pod["status"].get("containerStatuses", []):
            states.extend([status["state"]["terminated"]] if "terminated" in status["state"] else [])
        return bool(states)

    api.delete(path("v1", "pods", NAMESPACE, name))
    api.wait(path("v1", "pods", NAMESPACE, name), ended, within=15, what="operator ended")
    assert time.monotonic() - started < 10
    assert states[0]["exitCode"] == 0
    wait_operator(lab)
    shop.wait_configured()


def test_changes_made_while_the_operator_is_away_are_caught_up_with(lab: Lab, api: Rest, shop: Shop) -> None:
    opt_in(shop)
    shop.wait_configured()
    with operator.away(api):
        shop.merge("GrpcBalancedService", "orders", {"spec": {"server": {"maxConnectionAge": "2m"}}})
        shop.annotate("checkout", client=None)
        shop.delete("Service", "orders-headless")
    wait_operator(lab)
    shop.wait_env("checkout", "GRPC_ORDERS_TARGET", None)
    shop.wait_env("orders", "GRPC_SERVER_MAX_CONNECTION_AGE_MS", "120000")
    shop.wait_condition("ServiceReady")
