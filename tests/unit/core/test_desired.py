from __future__ import annotations

from typing import Any

import pytest

from grpcbalance.api import Reason
from grpcbalance.desired import Resolution, drifted, headless_service, serving
from grpcbalance.optin import Problem
from tests.unit import factories as make
from tests.unit.core.snapshots import resolve_in, resolved_in, snapshot_of

Raw = dict[str, Any]
NAMED = {"port": 80, "targetPort": "grpc"}


def by_ref(**spec: Any) -> Raw:
    return make.gbs(**{"selector": None, "port": None, "serviceRef": {"name": "orders"}, **spec})


@pytest.mark.parametrize(
    ("objects", "port", "confirmed"),
    [
        ([make.gbs()], 5000, False),
        ([make.gbs(), make.server()], 5000, True),
        ([make.gbs(port="grpc"), make.server(containers=[make.container(ports=[("grpc", 7000)])])], 7000, True),
        ([by_ref(), make.service()], 5000, True),
        ([by_ref(port=5000), make.service()], 5000, True),
        ([by_ref(port=6000), make.service()], 6000, False),
        (
            [by_ref(), make.service(ports=[NAMED]), make.server(containers=[make.container(ports=[("grpc", 7000)])])],
            7000,
            True,
        ),
        ([by_ref(port="web"), make.service(ports=[{"name": "web", "port": 80, "targetPort": 8080}])], 8080, True),
    ],
)
def test_port(objects: list[Raw], port: int, confirmed: bool) -> None:
    resolution = resolved_in(*objects)
    assert (resolution.port, resolution.port_confirmed) == (port, confirmed)


SERVERS_77 = [
    make.server("a", server="orders", containers=[make.container(ports=[("grpc", 7000)])]),
    make.server("b", server="orders", containers=[make.container(ports=[("grpc", 7001)])]),
]


@pytest.mark.parametrize(
    ("objects", "reason", "words"),
    [
        ([make.gbs(), make.server(containers=[make.container(ports=[8080])])], Reason.PORT_NOT_DECLARED, "5000"),
        ([make.gbs(port="grpc")], Reason.PORT_UNRESOLVED, "grpc"),
        ([make.gbs(port="grpc"), make.server()], Reason.PORT_UNRESOLVED, "Deployment orders"),
        ([make.gbs(port="grpc"), *SERVERS_77], Reason.PORT_AMBIGUOUS, "7000, 7001"),
        ([by_ref()], Reason.SERVICE_NOT_FOUND, "orders"),
        ([by_ref(), make.service(type="ExternalName", externalName="x.y")], Reason.UNSUPPORTED_SERVICE, "ExternalName"),
        ([by_ref(), make.service(selector={})], Reason.UNSUPPORTED_SERVICE, "no selector"),
        ([by_ref(), make.service(ports=[NAMED, {"port": 81}])], Reason.PORT_AMBIGUOUS, "2 ports"),
        ([by_ref(), make.service(ports=[NAMED])], Reason.PORT_UNRESOLVED, "grpc"),
        ([make.gbs(client={"serviceConfig": "{"})], Reason.INVALID_SERVICE_CONFIG, "not JSON"),
        ([make.gbs(client={"policy": "Best"})], Reason.INVALID_SPEC, "client.policy"),
        (
            [make.gbs(client={"env": {"target": {"name": "X"}, "serviceConfig": {"name": "X"}}})],
            Reason.VARIABLE_CLASH,
            "X would be injected twice",
        ),
    ],
)
def test_problems_name_the_fix(objects: list[Raw], reason: Reason, words: str) -> None:
    problem = resolve_in(*objects)
    assert isinstance(problem, Problem)
    assert problem.reason is reason
    assert words in problem.message


def test_foreign_namespaces_have_no_say_in_the_port() -> None:
    # Else anybody in the cluster could make the object unaccepted, or vouch for a port.
    foreign = make.server(
        "evil", server="shop/orders", namespace="evil", containers=[make.container(ports=[("grpc", 1)])]
    )
    assert resolved_in(make.gbs(), foreign).port_confirmed is False
    named = [make.gbs(port="grpc"), make.server(containers=[make.container(ports=[("grpc", 7000)])])]
    assert resolved_in(*named, foreign).port == 7000


def test_target_has_three_slashes_a_trailing_dot_and_the_container_port() -> None:
    assert resolved_in(make.gbs()).target == "dns:///orders-headless.shop.svc.cluster.local.:5000"


@pytest.mark.parametrize(
    ("objects", "authority"),
    [
        ([make.gbs(client={"tls": True, "authority": "orders.example"})], "orders.example"),
        ([by_ref(client={"tls": True}), make.service()], "orders.shop.svc"),
        ([by_ref(client={"tls": True, "authority": "x"}), make.service()], "x"),
    ],
)
def test_tls_means_no_trailing_dot_and_an_authority(objects: list[Raw], authority: str) -> None:
    resolution = resolved_in(*objects)
    assert resolution.target == "dns:///orders-headless.shop.svc.cluster.local:5000"
    assert resolution.authority == authority
    assert resolution.client_variables["GRPC_ORDERS_AUTHORITY"] == authority


def test_values_do_not_depend_on_endpoints() -> None:
    assert resolved_in(make.gbs()) == resolved_in(make.gbs(), make.serving("orders", "10.0.0.1", "10.0.0.2"))


def as_stored(manifest: Raw) -> Raw:
    return manifest | {"metadata": manifest["metadata"] | {"uid": "u", "resourceVersion": "9"}}


def drift(**changes: Any) -> bool:
    resolution = resolved_in(make.gbs())
    stored = as_stored(headless_service(make.balanced(make.gbs()), resolution))
    stored["spec"] |= changes.get("spec", {})
    for part in ("labels", "annotations"):
        stored["metadata"][part] |= changes.get(part, {})
    return drifted(make.observed_service(stored), make.balanced(make.gbs()), resolution)


def test_what_we_create_has_not_drifted() -> None:
    assert drift() is False


PORT = {"name": "grpc", "port": 5000, "targetPort": 5000, "protocol": "TCP", "appProtocol": "grpc"}


@pytest.mark.parametrize(
    "changes",
    [
        {"spec": {"selector": {"app": "other"}}},
        {"spec": {"ports": []}},
        {"spec": {"ports": [PORT | {"port": 80}]}},
        {"spec": {"ports": [PORT | {"targetPort": 80}]}},
        {"spec": {"ports": [PORT | {"appProtocol": None}]}},
        {"spec": {"publishNotReadyAddresses": True}},
        {"spec": {"ipFamilyPolicy": "PreferDualStack"}},
        {"spec": {"type": "NodePort"}},
        {"labels": {"app.kubernetes.io/managed-by": "Helm"}},
        {"labels": {"grpcbalance.dev/service": "other"}},
        {"annotations": {"grpcbalance.dev/owner-uid": "other"}},
        {"annotations": {"grpcbalance.dev/unreferenced-since": "2026-01-01T00:00:00+00:00"}},
        {"annotations": {"grpcbalance.dev/kept-spec": "{}"}},
    ],
)
def test_rule8_every_edit_of_our_service_is_drift(changes: Raw) -> None:
    assert drift(**changes) is True


@pytest.mark.parametrize(
    ("piece", "expected"),
    [
        (make.serving(), True),
        (make.serving(ports=[6000]), False),
        (make.serving(service_name="old-headless"), False),
        (make.endpoint_slice(endpoints=[make.endpoint("10.0.0.1", ready=False)]), False),
        (make.endpoint_slice(endpoints=[make.endpoint("10.0.0.1")]), True),
        (make.endpoint_slice(), False),
    ],
)
def test_rule3_serving_means_a_ready_endpoint_on_the_port(piece: Raw, expected: bool) -> None:
    snapshot = snapshot_of(make.gbs(), piece)
    resolution = resolve_in(make.gbs())
    assert isinstance(resolution, Resolution)
    assert serving(snapshot, resolution) is expected
