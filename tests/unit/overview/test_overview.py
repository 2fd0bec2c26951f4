"""What the report says of objects, and how that reads."""

from __future__ import annotations

from typing import Any

import pytest

from grpcbalance.lookaside.connected import Page
from grpcbalance.overview.build import build
from grpcbalance.overview.report import Report
from grpcbalance.overview.text import render
from tests.unit import factories as make

from .kit import Raw, asks, client, condition, on_xds, orders, page, standing


def report(*objects: Raw, notes: tuple[str, ...] = (), **pages: Raw) -> Report:
    read = {name: Page.model_validate(one) for name, one in pages.items()}
    return build(objects, read or None, notes)


def lines(*objects: Raw, **more: Any) -> list[str]:
    return list(render(report(*objects, **more)))


def test_one_that_stands_well() -> None:
    assert lines(orders()) == [
        "shop/orders is Ready",
        "  target     dns:///orders-headless.shop.svc.cluster.local.:5000",
        "  endpoints  3/3 ready; servers 1/1, clients 1/2 configured",
    ]
    assert report(orders()).ready


def test_trouble_and_the_fix() -> None:
    waiting = {
        "kind": "Deployment",
        "name": "pay",
        "role": "Client",
        "containers": ["a"],
        "state": "Pending",
        "reason": "Paused",
    }
    status = standing(
        condition("Ready", "False", "NoEndpoints", "EndpointsReady: no pod"),
        condition("EndpointsReady", "False", "NoEndpoints", "no pod"),
        condition("RolloutSafe", "Unknown", "NoneAnnotated", "no server"),
        workloads=[
            {**waiting, "name": "checkout", "state": "Refused", "reason": "EnvConflict", "message": "remove it"},
            waiting,
            {**waiting, "name": "fine", "state": "Configured", "reason": "Configured"},
        ],
        omittedWorkloads=3,
    )
    assert lines(orders(status))[0] == "shop/orders is not Ready (NoEndpoints): EndpointsReady: no pod"
    assert lines(orders(status))[3:] == [
        "  EndpointsReady=False (NoEndpoints): no pod",
        "  RolloutSafe=Unknown (NoneAnnotated): no server",
        "  client Deployment checkout is Refused (EnvConflict): remove it",
        "  client Deployment pay is Pending (Paused)",
        "  and 3 workloads more, with less trouble",
    ]
    assert not report(orders(status), make.gbs("z", status=standing())).ready


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (make.gbs(), "shop/orders is not known (NoStatus): the operator has not looked at it yet"),
        (orders(generation=2), "shop/orders is not known (StaleStatus): of an earlier spec"),
    ],
    ids=["none", "stale"],
)
def test_a_status_that_says_nothing_of_now_is_not_ready(raw: Raw, words: str) -> None:
    assert lines(raw)[0].startswith(words)
    assert not report(raw).ready


def test_by_name_and_nothing_at_all() -> None:
    made = report(make.gbs("b", status=standing()), make.gbs("a", status=standing()), orders(namespace="pay"))
    assert [(one.namespace, one.name) for one in made.services] == [("pay", "orders"), ("shop", "a"), ("shop", "b")]
    assert lines() == ["There is no GrpcBalancedService here."]
    assert report().ready


def test_clients_on_xds() -> None:
    proven = client("me", namespace="shop", pod="checkout-2", zone="")
    refusing = client("pay-1", asks("listener"), asks("cluster", refuses="no\nsuch"), cluster="pay")
    stranger = client("", asks("listener"), cluster="")
    other = client("other-1", asks("cluster", "orders.shopping:5000"), asks("endpoints", "orders2.shop:5000"))
    found = lines(on_xds(), replica1=page(proven, refusing), replica2=page(client(), stranger, other))
    since = "since 2026-01-01T00:00:00Z"
    assert found[3:] == [
        "  on xDS     1 of 2 client workloads; 4 connected",
        "    gRPC Go 1.85.0, client.waitForReady: calls fail",
        f"    a client without a name: gRPC Go 1.85.0, zone a, by replica2 {since}; is told nothing: it is not let in, or it has just come",
        f"    pay/pay-1: gRPC Go 1.85.0, zone a, by replica1 {since}; refuses cluster: no such",
        f"    shop/checkout-1: gRPC Go 1.85.0, zone a, by replica2 {since}",
        f"    shop/checkout-2: gRPC Go 1.85.0, by replica1 {since}",
    ]


def staying(name: str, message: str) -> Raw:
    found = {"kind": "Deployment", "name": name, "role": "Client", "state": "Configured", "message": message}
    return {**found, "reason": "StaysOnDns"}


def test_why_clients_stay_on_dns_is_told_and_is_no_trouble() -> None:
    fine = {**staying("fine", ""), "reason": "Configured"}
    told = {"workloads": {"moved": 1, "onDns": 14}}
    many = [staying(f"d{number:02}", "stays: annotate it") for number in range(13)]
    raw = orders(standing(xds=told, workloads=[*many, staying("closed", "stays: let in all"), fine]), discovery="XDS")
    listed = ", ".join(f"Deployment d{number:02}" for number in range(10))
    assert lines(raw)[3:] == [
        "  on xDS     1 of 15 client workloads",
        f"    {listed} and 3 more: stays: annotate it",
        "    Deployment closed: stays: let in all",
    ]
    [service] = report(raw).services
    assert report(raw).ready
    assert service.workloads == ()
    assert service.xds is not None
    assert service.xds.model_dump(by_alias=True)["staysOnDns"][-1] == {
        "kind": "Deployment",
        "name": "closed",
        "message": "stays: let in all",
    }
    # Of an object that is on DNS by now that is old news.
    raw["spec"]["discovery"] = "DNS"
    assert len(lines(raw)) == 3


def test_who_is_connected_may_be_unknown() -> None:
    [service] = report(on_xds(), notes=("why",)).services
    assert service.xds is not None
    assert service.xds.clients is None
    assert lines(on_xds(), notes=("why",))[0] == "Note: why."
    assert "  on xDS     1 of 2 client workloads" in lines(on_xds())
    # A replica of before this version tells no cluster.
    older = {key: value for key, value in client().items() if key != "cluster"}
    [service] = report(on_xds(), replica=page(older)).services
    assert service.xds is not None
    assert service.xds.clients is not None
    assert (service.xds.clients[0].namespace, service.xds.clients[0].pod) == ("", "checkout-1")


def test_one_on_dns_has_no_clients_of_the_balancer() -> None:
    [service] = report(orders(), replica=page(client())).services
    assert service.xds is None


def test_every_key_is_always_there() -> None:
    dumped = report(make.gbs(discovery="XDS")).model_dump(mode="json", by_alias=True)
    [service] = dumped["services"]
    assert dumped["version"] == "v1"
    assert set(service) == {
        "namespace", "name", "ready", "target", "endpoints", "servers", "clients", "troubles", "workloads", "omittedWorkloads", "xds",
    }  # fmt: skip
    assert service["xds"] == {"moved": 0, "onDns": 0, "staysOnDns": [], "downgrades": [], "clients": None}
