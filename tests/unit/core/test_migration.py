"""Whom `discovery: XDS` moves, and what has to be there first: table by table, on decisions about whole objects."""

from __future__ import annotations

from typing import Any

import pytest

from grpcbalance.lookaside.seen import Seen
from grpcbalance.names import BOOTSTRAP
from grpcbalance.values import PROOF
from tests.unit import factories as make
from tests.unit.core.merge import merge, tidy
from tests.unit.core.snapshots import decide_in, reasons
from tests.unit.core.test_plan import CLIENT, CONFIGURED_CLIENT, READY, SERVER, Raw, annotate, injected, names_in

OPEN: Raw = {"allowedClients": {"namespaces": {"from": "All"}}}
ON_XDS = (make.gbs(discovery="XDS", **OPEN), SERVER, make.serving())
SECURE = (make.gbs(discovery="XDS", **OPEN), SERVER, make.serving())
AWAY = Seen("nobody answers")
SERVES = Seen("", plaintext=True, tls=True)
MOVING = annotate(CLIENT, xds="plaintext")
READY_CLIENT = annotate(CLIENT, xds="ready")
TARGET = "GRPC_ORDERS_TARGET"
XDS_ONLY = {BOOTSTRAP, "GRPCBALANCE_POD_NAME", "GRPCBALANCE_ZONE"}


def on_xds(raw: Raw, *objects: Raw, **situation: Any) -> Raw:
    return injected(raw["metadata"]["name"], *(objects or ON_XDS), raw, seen=SERVES, **situation)


def env(raw: Raw) -> dict[str, str]:
    (app,) = raw["spec"]["template"]["spec"]["containers"]
    return {entry["name"]: entry.get("value", "") for entry in app.get("env") or ()}


def order(raw: Raw) -> list[str]:
    return [*env(raw)]


@pytest.mark.parametrize("client", [MOVING, annotate(CONFIGURED_CLIENT, xds="plaintext")], ids=["new", "from DNS"])
def test_a_client_that_says_so_is_moved(client: Raw) -> None:
    moved = env(on_xds(client))
    assert moved[TARGET] == "xds:///orders.shop:5000"
    assert set(moved) >= XDS_ONLY
    assert order(on_xds(client)).index(BOOTSTRAP) > order(on_xds(client)).index("GRPCBALANCE_POD_NAME")


def test_who_does_not_say_so_stays_on_dns_and_is_told_what_to_do() -> None:
    decision = decide_in("checkout", *ON_XDS, CONFIGURED_CLIENT, seen=SERVES)
    (finding,) = decision.findings
    assert (decision.patch, finding.state, str(finding.reason)) == (None, "Configured", "StaysOnDns")
    for words in ("google.golang.org/grpc/xds", "io.grpc:grpc-xds", "@grpc/grpc-js-xds", "grpcbalance.dev/xds: ready"):
        assert words in finding.message
    assert env(on_xds(CLIENT)) == env(CONFIGURED_CLIENT)


def test_there_and_back_leaves_nothing() -> None:
    moved = make.roll(on_xds(annotate(CONFIGURED_CLIENT, xds="plaintext")))
    back = injected("checkout", *READY, moved)
    assert tidy(annotate(back, xds=None)["spec"]) == tidy(CONFIGURED_CLIENT["spec"])
    gone = injected("checkout", *ON_XDS, annotate(moved, client=None), seen=SERVES)
    assert tidy(gone["spec"]) == tidy(CLIENT["spec"])


def test_over_tls_a_volume_comes_and_goes_with_the_variables() -> None:
    objects = (make.gbs(discovery="XDS"), SERVER, make.serving())
    moved = make.roll(on_xds(READY_CLIENT, *objects))
    spec = moved["spec"]["template"]["spec"]
    (mount,) = spec["containers"][0]["volumeMounts"]
    (volume,) = spec["volumes"]
    assert mount == {"name": "grpcbalance-xds", "mountPath": "/var/run/secrets/grpcbalance.dev/xds", "readOnly": True}
    token, authority = volume["projected"]["sources"]
    assert token["serviceAccountToken"]["audience"] == "grpcbalance-xds"
    assert authority["configMap"]["name"] == "grpcbalance-xds-ca"
    # What the API server fills in makes no difference.
    volume["projected"]["defaultMode"] = 420
    assert reasons(decide_in("checkout", *objects, moved, seen=SERVES)) == ["Configured"]
    gone = injected("checkout", *objects, annotate(moved, client=None), seen=SERVES)
    assert tidy(gone["spec"]) == tidy(CLIENT["spec"])


def test_a_volume_that_somebody_else_mounts_stays() -> None:
    moved = make.roll(on_xds(READY_CLIENT, *SECURE))
    spec = moved["spec"]["template"]["spec"]
    spec["initContainers"] = [make.container("init", volumeMounts=spec["containers"][0]["volumeMounts"])]
    gone = injected("checkout", *SECURE, annotate(moved, client=None), seen=SERVES)
    left = gone["spec"]["template"]["spec"]
    assert (len(left["volumes"]), left["containers"][0].get("volumeMounts")) == (1, [])


@pytest.mark.parametrize("edited", [False, True])
def test_what_a_renamed_container_left_behind_goes_when_the_client_leaves(edited: bool) -> None:
    moved = make.roll(on_xds(READY_CLIENT, *SECURE))
    spec = moved["spec"]["template"]["spec"]
    spec["containers"] = [make.container("renamed")]
    if edited:
        spec["volumes"][0]["projected"]["sources"].pop()
    gone = injected("checkout", *SECURE, annotate(moved, client=None), seen=SERVES)
    left = gone["spec"]["template"]
    assert (bool(left["spec"]["volumes"]), "grpcbalance.dev/injected" in left["metadata"]["annotations"]) == (
        edited,
        False,
    )


def test_the_installer_may_choose_plain_text_for_all() -> None:
    moved = on_xds(READY_CLIENT, balancer=make.balancer(plaintext=True))
    assert ":18000" in env(moved)[BOOTSTRAP]
    assert "volumes" not in moved["spec"]["template"]["spec"]


@pytest.mark.parametrize(
    ("seen", "reason", "told"),
    [
        (None, "XdsNotAsked", "not asked"),
        (Seen("10.0.0.1 does not answer", plaintext=True), "XdsNotServing", "10.0.0.1 does not answer"),
        (Seen("", tls=True), "XdsNotServing", "in plain text"),
    ],
)
def test_nobody_is_moved_before_the_balancer_serves_the_name(seen: Seen | None, reason: str, told: str) -> None:
    for client in (MOVING, annotate(CONFIGURED_CLIENT, xds="plaintext")):
        decision = decide_in("checkout", *ON_XDS, client, seen=seen)
        (finding,) = decision.findings
        assert (decision.patch, finding.state, str(finding.reason)) == (None, "Pending", reason)
        assert told in finding.message


def test_nobody_is_moved_to_tls_that_is_not_served() -> None:
    decision = decide_in("checkout", *ON_XDS, READY_CLIENT, seen=Seen("", plaintext=True))
    assert (decision.patch, reasons(decision)) == (None, ["XdsNotServing"])
    assert "--xds-credentials" in decision.findings[0].message


@pytest.mark.parametrize("seen", [None, Seen("nobody answers")])
def test_who_was_moved_is_left_alone_while_the_balancer_is_away(seen: Seen | None) -> None:
    moved = make.roll(on_xds(MOVING))
    assert reasons(decide_in("checkout", *ON_XDS, moved, seen=seen)) == ["Configured"]
    # Nor does another value wait for it.
    other = (make.gbs(discovery="XDS", client={"minResolutionInterval": "3s"}, **OPEN), SERVER, make.serving())
    assert names_in(decide_in("checkout", *other, moved, seen=seen).patch) == {"GRPC_ORDERS_MIN_RESOLUTION_INTERVAL_MS"}


def test_nobody_is_moved_to_a_service_without_endpoints() -> None:
    decision = decide_in("checkout", *ON_XDS[:2], MOVING, seen=SERVES)
    assert reasons(decision) == ["TargetNotServing"]
    # Back to DNS, too, the target has to answer first.
    moved = make.roll(on_xds(MOVING))
    assert reasons(decide_in("checkout", *READY[:2], moved)) == ["TargetNotServing"]


@pytest.mark.parametrize("client", [MOVING, annotate(CONFIGURED_CLIENT, xds="plaintext")], ids=["new", "on DNS"])
def test_plain_text_is_for_services_that_let_in_everybody(client: Raw) -> None:
    objects = (make.gbs(discovery="XDS"), SERVER, make.serving())
    stays = make.roll(injected("checkout", *objects, client, seen=SERVES) if client is MOVING else client)
    assert env(stays) == env(CONFIGURED_CLIENT)
    (finding,) = decide_in("checkout", *objects, stays, seen=SERVES).findings
    assert (finding.state, str(finding.reason)) == ("Configured", "StaysOnDns")
    assert "allowedClients" in finding.message
    # Narrowed later, it goes back: the balancer would tell its new pods nothing.
    back = injected("checkout", *objects, make.roll(on_xds(MOVING)), seen=SERVES)
    assert env(back) == env(CONFIGURED_CLIENT)


@pytest.mark.parametrize(
    ("was", "now", "seen", "situation"),
    [
        (READY_CLIENT, "plaintext", Seen("", tls=True), {}),
        (READY_CLIENT, "ready", Seen("", tls=True), {"balancer": make.balancer(plaintext=True)}),
        (READY_CLIENT, "ready", AWAY, {"balancer": make.balancer(service="other.mesh")}),
        (MOVING, "ready", Seen("", plaintext=True), {}),
    ],
    ids=["plaintext", "credentials", "service", "tls"],
)
def test_another_way_to_the_balancer_has_to_be_there_first(
    was: Raw, now: str, seen: Seen, situation: dict[str, Any]
) -> None:
    moved = annotate(make.roll(on_xds(was, *SECURE)), xds=now)
    decision = decide_in("checkout", *SECURE, moved, seen=seen, **situation)
    assert (decision.patch, reasons(decision)) == (None, ["XdsNotServing"])


def test_the_way_changes_for_all_services_of_a_container_or_not_yet() -> None:
    payments = (make.server("payments"), make.serving("payments"))
    both = annotate(READY_CLIENT, client="orders,payments")
    there = (*SECURE, make.gbs("payments", discovery="XDS"), *payments)
    moved = annotate(make.roll(on_xds(both, *there, waited=300.0)), xds="plaintext")
    # Its object is gone, so nobody can tell what would become of it.
    decision = decide_in("checkout", *SECURE, *payments, moved, seen=SERVES, waited=300.0)
    assert (decision.patch, reasons(decision)) == (None, ["Pending", "ServiceMissing"])
    assert "payments" in decision.findings[0].message


def test_no_other_client_is_moved_while_one_that_was_is_lost() -> None:
    lost = {"conditions": [{"type": "ClientsConfigured", "status": "False", "reason": "XdsNotConnected"}]}
    objects = (make.gbs(discovery="XDS", status=lost, **OPEN), SERVER, make.serving())
    decision = decide_in("checkout", *objects, annotate(CONFIGURED_CLIENT, xds="plaintext"), seen=SERVES)
    assert (decision.patch, reasons(decision)) == (None, ["XdsNotConnected"])
    # What may mend the lost one is written.
    moved = annotate(make.roll(on_xds(MOVING)), xds="ready")
    assert decide_in("checkout", *objects, moved, seen=SERVES).patch is not None


def test_servers_are_held_while_a_client_that_is_moved_has_pods_on_dns() -> None:
    faster = make.gbs(discovery="XDS", server={"maxConnectionAge": "1m"}, **OPEN)
    moving = on_xds(annotate(CONFIGURED_CLIENT, xds="plaintext"))
    moving["metadata"]["generation"] += 1
    objects = (faster, SERVER, make.serving(), make.headless())
    assert reasons(decide_in("orders", *objects, moving, seen=SERVES)) == ["UnsafeRollout"]
    assert reasons(decide_in("orders", *objects, make.roll(moving), seen=SERVES)) == ["Pending"]


def test_a_bootstrap_before_what_it_refers_to_is_put_in_its_place() -> None:
    moved = make.roll(on_xds(MOVING))
    (app,) = moved["spec"]["template"]["spec"]["containers"]
    app["env"].sort(key=lambda entry: entry["name"] != BOOTSTRAP)
    assert order(moved)[0] == BOOTSTRAP
    mended = order(injected("checkout", *ON_XDS, moved, seen=SERVES))
    assert mended.index(BOOTSTRAP) > max(mended.index(name) for name in XDS_ONLY - {BOOTSTRAP})


def test_a_pods_name_of_the_users_own_comes_before_the_bootstrap_too() -> None:
    own = {"name": "GRPCBALANCE_POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    client = annotate(make.deployment(client="orders", containers=[make.container(env=[own])]), xds="plaintext")
    moved = on_xds(client)
    assert order(moved).index(BOOTSTRAP) > order(moved).index("GRPCBALANCE_POD_NAME")
    gone = injected("checkout", *ON_XDS, annotate(make.roll(moved), client=None), seen=SERVES)
    assert tidy(gone["spec"]) == tidy(client["spec"])


@pytest.mark.parametrize(
    "own",
    [
        {BOOTSTRAP: '{"xds_servers":[]}'},
        {"GRPC_XDS_BOOTSTRAP": "/etc/bootstrap.json"},
        {TARGET: "dns:///elsewhere:1"},
        {"GRPCBALANCE_POD_NAME": "me"},
    ],
    ids=lambda own: next(iter(own)),
)
def test_nothing_is_injected_beside_what_would_win(own: dict[str, str]) -> None:
    client = annotate(
        make.deployment(client="orders", containers=[make.container(env=make.env(**own))]), xds="plaintext"
    )
    decision = decide_in("checkout", *ON_XDS, client, seen=SERVES)
    (finding,) = decision.findings
    assert (decision.patch, finding.state, str(finding.reason)) == (None, "Refused", "EnvConflict")
    assert next(iter(own)) in finding.message


def test_a_volume_of_our_name_is_the_users() -> None:
    client = annotate(make.deployment(client="orders"), xds="ready")
    client["spec"]["template"]["spec"]["volumes"] = [{"name": "grpcbalance-xds", "emptyDir": {}}]
    decision = decide_in("checkout", make.gbs(discovery="XDS"), SERVER, make.serving(), client, seen=SERVES)
    assert (decision.patch, reasons(decision)) == (None, ["EnvConflict"])
    assert PROOF in decision.findings[0].message


def test_two_services_share_one_bootstrap() -> None:
    payments = (make.gbs("payments", discovery="XDS", **OPEN), make.server("payments"), make.serving("payments"))
    both = annotate(MOVING, client="orders,payments")
    moved = make.roll(on_xds(both, *ON_XDS, *payments, waited=300.0))
    assert env(moved)["GRPC_PAYMENTS_TARGET"] == "xds:///payments.shop:5000"
    assert order(moved).count(BOOTSTRAP) == 1
    # One leaves; the other needs it still.
    one = injected("checkout", *ON_XDS, *payments, annotate(moved, client="payments"), seen=SERVES)
    assert TARGET not in env(one)
    assert set(env(one)) >= XDS_ONLY


@pytest.mark.parametrize("taken", sorted(XDS_ONLY))
def test_what_somebody_took_away_comes_back_in_its_place(taken: str) -> None:
    moved = make.roll(on_xds(MOVING))
    (app,) = moved["spec"]["template"]["spec"]["containers"]
    app["env"] = [entry for entry in app["env"] if entry["name"] != taken]
    again = injected("checkout", *ON_XDS, moved, seen=SERVES)
    assert sorted(order(again)) == sorted(order(on_xds(MOVING)))
    assert order(again).index(BOOTSTRAP) > max(order(again).index(n) for n in XDS_ONLY - {BOOTSTRAP})


def test_a_change_that_is_written_twice_is_one() -> None:
    patch = decide_in("checkout", *ON_XDS, READY_CLIENT, seen=SERVES).patch
    assert patch is not None
    once = merge(READY_CLIENT, patch)
    assert tidy(merge(once, patch)) == tidy(once)
