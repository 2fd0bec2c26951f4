"""Rule 5: restarts are limited, ordered and held."""

from __future__ import annotations

from typing import Any

import pytest

from grpcbalance.api import Reason
from grpcbalance.optin import Problem
from tests.unit import factories as make
from tests.unit.core.merge import merge
from tests.unit.core.snapshots import decide_in, reasons
from tests.unit.core.test_plan import CLIENT, CONFIGURED_CLIENT, READY, SAFE, SERVER, Raw, annotate, injected, names_in


def test_rule5_limit_holds_new_rollouts_only() -> None:
    full: dict[str, Any] = {"rollouts": 10, "max_rollouts": 10}
    assert reasons(decide_in("checkout", *READY, CLIENT, **full)) == ["RolloutLimit"]
    assert decide_in("checkout", *READY, CLIENT, **full).patch is None
    assert decide_in("checkout", *READY, CLIENT, rollouts=9, max_rollouts=10).patch is not None
    rolling = make.deployment(client="orders", rolled=False)
    assert decide_in("checkout", *READY, rolling, **full).patch is not None
    unseen = make.deployment(client="orders", meta={"generation": 2})
    assert decide_in("checkout", *READY, unseen, **full).patch is None


@pytest.mark.parametrize(
    "situation", [{"rollouts": 10}, {"refusal": Problem(Reason.API_REFUSED, "denied")}], ids=["limit", "refused"]
)
def test_rule5_a_removal_that_waits_is_told_too(situation: dict[str, Any]) -> None:
    # Without a finding nobody would know, and no one would wake it.
    out = decide_in("checkout", *READY, annotate(CONFIGURED_CLIENT, client=None), **situation)
    assert reasons(out) == ["RolloutLimit" if "rollouts" in situation else "ApiRefused"]


def test_rule5_a_partial_removal_that_waits_is_told_too() -> None:
    two = (*READY, make.gbs("payments"), make.server("payments"), make.serving("payments"))
    both = injected("checkout", *two, annotate(CLIENT, client="orders,payments"), waited=300.0)
    decision = decide_in("checkout", *two, annotate(both, client="orders"), rollouts=10)
    assert (decision.patch, reasons(decision)) == (None, ["Configured", "RolloutLimit"])


def test_rule5_servers_go_first_for_a_bounded_time() -> None:
    objects = (make.gbs(), make.server(), make.serving(), CLIENT)
    assert reasons(decide_in("checkout", *objects)) == ["WaitingForServers"]
    assert decide_in("checkout", *objects, waited=299.0).patch is None
    assert decide_in("checkout", *objects, waited=300.0).patch is not None


def test_rule5_servers_that_roll_out_are_waited_for() -> None:
    rolling = SERVER | {"status": {}}
    assert reasons(decide_in("checkout", make.gbs(), rolling, make.serving(), CLIENT)) == ["WaitingForServers"]


@pytest.mark.parametrize(
    "server",
    [
        make.server(containers=[make.container(ports=[5000], env=make.env(GRPC_SERVER_MAX_CONNECTION_AGE_MS="1", GRPC_SERVER_MAX_CONNECTION_AGE_GRACE_MS="1"))]),
        make.server(containers=[make.container(ports=[5000], env=make.env(GRPC_SERVER_MAX_CONNECTION_AGE_MS="1") * 2 + make.env(GRPC_SERVER_MAX_CONNECTION_AGE_GRACE_MS="1"))]),
        make.server(annotations={"grpcbalance.dev/paused": "maybe"}),
        make.server(meta={"ownerReferences": [{"kind": "Rollout", "name": "x", "controller": True}], "annotations": {"grpcbalance.dev/server": "orders"}}),
    ],
    ids=["conflict", "duplicate", "bad annotation", "controlled"],
)  # fmt: skip
def test_rule5_servers_that_only_a_person_can_mend_are_not_waited_for(server: Raw) -> None:
    assert decide_in("checkout", make.gbs(), server, make.serving(), CLIENT).patch is not None


def test_rule5_two_services_that_call_each_other_do_not_wait_for_one_another() -> None:
    a = make.deployment("a", server="a", client="b", containers=[make.container(ports=[5000])])
    b = make.deployment("b", server="b", client="a", containers=[make.container(ports=[5000])])
    objects = (make.gbs("a"), make.gbs("b"), a, b, make.serving("a"), make.serving("b"))
    for name in ("a", "b"):
        assert {"GRPC_SERVER_MAX_CONNECTION_AGE_MS", f"GRPC_{'B' if name == 'a' else 'A'}_TARGET"} <= names_in(
            decide_in(name, *objects).patch
        )


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (make.deployment(client="orders", paused=True), "DeploymentPaused"),
        (annotate(CLIENT, paused="true"), "Paused"),
    ],
)
def test_rule5_paused_waits(raw: Raw, reason: str) -> None:
    decision = decide_in("checkout", *READY, raw)
    assert (decision.patch, reasons(decision)) == (None, [reason])
    assert decision.findings[0].state == "Pending"


AGED = make.gbs(server={"maxConnectionAge": "1m"})
PRE_STOP = {"lifecycle": {"preStop": {"sleep": {"seconds": 40}}}}


def aged(server: Raw, *more: Raw, gbs: Raw = AGED) -> Any:
    return decide_in("orders", gbs, server, make.headless(), make.serving(), *(more or (CONFIGURED_CLIENT,)))


def test_rule5_unsafe_rollout_of_servers_with_clients_is_held() -> None:
    decision = aged(SERVER)
    assert (decision.patch, reasons(decision)) == (None, ["UnsafeRollout"])
    assert "minReadySeconds: 35" in decision.findings[0].message
    assert "preStop.sleep.seconds: 35" in decision.findings[0].message


@pytest.mark.parametrize(
    "decision",
    [
        aged(merge(SERVER, {"spec": SAFE})),
        aged(SERVER, CLIENT),
        aged(merge(SERVER, {"spec": {"replicas": 0}})),
        aged(SERVER, gbs=make.gbs(server={"maxConnectionAge": "1m"}, rollout={"allowUnsafe": True})),
        aged(merge(SERVER, {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 60, "containers": [{"name": "app", **PRE_STOP}]}}}})),
    ],
    ids=["minReadySeconds", "no client is configured", "no pods", "allowUnsafe", "preStop"],
)  # fmt: skip
def test_rule5_hold_ends_when_it_is_safe(decision: Any) -> None:
    assert decision.patch is not None


UNREADABLE = make.gbs(server={"maxConnectionAge": "1m"}, client={"serviceConfig": "no JSON"})
RENAMED = make.gbs(server={"maxConnectionAge": "1m"}, serviceName="orders-pods")


@pytest.mark.parametrize(
    ("gbs", "server", "client"),
    [
        (RENAMED, SERVER, CONFIGURED_CLIENT),
        (None, annotate(SERVER, server=None), CONFIGURED_CLIENT),
        (UNREADABLE, annotate(SERVER, server=None), CONFIGURED_CLIENT),
        (AGED, SERVER, annotate(CONFIGURED_CLIENT, client="nowhere")),
        (AGED, SERVER, annotate(merge(CONFIGURED_CLIENT, {"spec": {"paused": True}}), client=None)),
        (AGED, SERVER, make.deployment("by-hand", containers=[make.container(env=make.env(T="orders-headless.shop.svc"))])),
    ],
    ids=["renamed", "object gone", "not accepted", "client moves to nowhere", "client opted out but paused", "client by hand"],
)  # fmt: skip
def test_rule5_clients_are_those_whose_pods_use_the_name_whatever_objects_and_annotations_say(
    gbs: Raw | None, server: Raw, client: Raw
) -> None:
    objects = (make.headless(), make.serving(), server, client)
    decision = decide_in("orders", *((gbs,) if gbs else ()), *objects)
    assert decision.patch is None
    assert "UnsafeRollout" in reasons(decision)


@pytest.mark.parametrize(
    ("strategy", "replicas", "held"),
    [
        ({"maxUnavailable": "100%", "maxSurge": 0}, 3, True),
        ({"maxUnavailable": 3}, 3, True),
        ({"maxUnavailable": 1, "maxSurge": 0}, 1, True),
        ({"maxUnavailable": 0, "maxSurge": 0}, 1, True),
        ({"maxUnavailable": "99%", "maxSurge": 0}, 3, False),
        ({"maxUnavailable": 0, "maxSurge": 1}, 1, False),
        ({}, 1, False),
        ({}, 4, False),
    ],
)
def test_rule5_min_ready_seconds_help_only_while_some_old_pods_stay(strategy: Raw, replicas: int, held: bool) -> None:
    spec = {"strategy": {"rollingUpdate": strategy}, "replicas": replicas, **SAFE}
    decision = aged(merge(SERVER, {"spec": spec}))
    assert (decision.patch is None) is held
    if held:
        assert "maxUnavailable" in decision.findings[0].message


def test_rule5_recreate_is_never_safe() -> None:
    decision = aged(merge(SERVER, {"spec": {"strategy": {"type": "Recreate"}, **SAFE}}))
    assert reasons(decision) == ["UnsafeRollout"]
    assert "Recreate" in decision.findings[0].message


@pytest.mark.parametrize(
    "raw",
    [
        annotate(SERVER, server=None),
        annotate(make.deployment("orders", client="payments"), server=None),
        annotate(SERVER, server="payments"),
    ],
    ids=["opting out", "a mere client whose pods serve", "moved to another service"],
)
def test_rule5_any_rollout_of_pods_that_serve_is_held(raw: Raw) -> None:
    other = make.gbs("payments", selector={"app": "x"}, server={"maxConnectionAge": "1m"})
    payments = (other, make.server("payments"), make.serving("payments"))
    orders = (make.gbs(), make.headless(), make.serving())
    decision = decide_in("orders", *orders, raw, CONFIGURED_CLIENT, *payments, waited=300.0)
    assert decision.patch is None
    assert "UnsafeRollout" in reasons(decision)


def test_rule5_rollout_restart_is_never_undone() -> None:
    restarted = merge(
        SERVER, {"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}}}}
    )
    assert decide_in("orders", make.gbs(), restarted).patch is None


# -- what is said of a rollout ---------------------------------------------------------------------------
