"""The oracles of the fault tests, on made-up histories: each finds what it is for, and nothing else."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from tests.faults import oracles
from tests.faults.history import GBS, SERVICES, SLICES, History, State
from tests.faults.oracles import Deeds
from tests.unit.faults.made import balanced, record, seen, server, service, slice_of

# -- O1 ------------------------------------------------------------------------------------------------------


def test_the_same_end_in_two_namespaces_is_the_same() -> None:
    def end(namespace: str, uid: str) -> dict[str, Any]:
        item = service(uid)
        item["metadata"] |= {"resourceVersion": uid, "managedFields": [{"time": uid}]}
        item["metadata"]["annotations"]["grpcbalance.dev/unreferenced-since"] = f"2026-01-0{uid}T00:00:00Z"
        made = server()
        made["spec"]["template"]["spec"]["containers"][0]["env"].append(
            {"name": "T", "value": f"dns:///orders.{namespace}"}
        )
        return oracles.canonical({(SERVICES, "orders-headless"): item, ("deployments", "orders"): made}, namespace)

    assert oracles.difference(end("shop-1", "1"), end("shop-2", "2")) == []


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (
            lambda s: s[GBS, "orders"]["status"]["conditions"][0].update(status="False"),
            "grpcbalancedservices/orders.conditions.Ready.status",
        ),
        (
            lambda s: s[GBS, "orders"]["status"]["conditions"][0].update(message="other"),
            "grpcbalancedservices/orders.conditions.Ready.message",
        ),
        (
            lambda s: s[GBS, "orders"]["status"]["endpoints"].update(ready=7),
            "grpcbalancedservices/orders.status.endpoints.ready",
        ),
        (
            lambda s: s[SERVICES, "orders-headless"]["spec"].update(selector={}),
            "services/orders-headless.spec.selector.app",
        ),
        (lambda s: s.pop((SERVICES, "orders-headless")), "services/orders-headless"),
        (
            lambda s: s["deployments", "orders"]["spec"]["template"]["spec"]["containers"][0]["env"].clear(),
            "deployments/orders.env.app",
        ),
        (
            lambda s: s["deployments", "orders"]["spec"]["template"]["metadata"].update(annotations={}),
            "deployments/orders.record.app",
        ),
        (lambda s: s[SLICES, "by-hand"]["endpoints"].clear(), "endpointslices/by-hand"),
    ],
)
def test_another_end_is_told_by_place(change: Any, where: str) -> None:
    def state() -> State:
        return {
            (GBS, "orders"): balanced(),
            (SERVICES, "orders-headless"): service(),
            ("deployments", "orders"): server(),
            (SLICES, "by-hand"): slice_of("10.0.0.1"),
        }

    other = state()
    change(other)
    found = oracles.difference(oracles.canonical(state(), "shop"), oracles.canonical(other, "shop"))
    assert [line.partition(": ")[0] for line in found] == [where]


def test_what_differs_by_itself_is_left_out() -> None:
    wanted, found = {"a": {"x": 1, "y": 2}, "b": 3}, {"a": {"x": 1, "y": 9}, "b": 3}
    masked = ["a.y"]
    assert oracles.difference(wanted, found) == ["a.y: 9 instead of 2"]
    assert oracles.without(wanted, masked) == oracles.without(found, masked) == {"a": {"x": 1}, "b": 3}


# -- O2 ------------------------------------------------------------------------------------------------------


def test_deeds_are_counted_by_object_and_not_by_event() -> None:
    history = History(
        [
            seen(1, SERVICES, service("s1")),
            seen(2, SERVICES, service("s1")),
            seen(3, SERVICES, service("s1"), deleted=True),
            seen(4, SERVICES, service("s2")),
            seen(5, "deployments", server(None)),
            seen(6, "deployments", server()),
            seen(6, "deployments", server()),
            seen(7, "deployments", server("1")),
        ]
    )
    assert oracles.deeds(history) == Deeds(
        created={"services/orders-headless": 2, "deployments/orders": 1},
        deleted={"services/orders-headless": 1},
        rolled={"deployments/orders": 2},
    )


def test_only_more_than_without_the_fault_is_collateral() -> None:
    reference = Deeds({"services/a": 1}, {}, {"deployments/b": 2})
    assert oracles.collateral(reference, Deeds({"services/a": 1}, {}, {"deployments/b": 1})) == []
    found = Deeds({"services/a": 2}, {"services/a": 1}, {"deployments/b": 3})
    assert len(oracles.collateral(reference, found)) == 3
    assert len(oracles.collateral(reference, found, extra_rollouts=1)) == 2


def test_writes_to_strangers_are_told() -> None:
    stranger = server(None, "bystander", other="annotation")
    unmanaged = service("s3", name="somebodys")
    del unmanaged["metadata"]["labels"]
    history = History(
        [
            seen(1, SERVICES, service()),
            seen(2, "deployments", server()),
            seen(3, "deployments", stranger),
            seen(4, SERVICES, unmanaged),
        ]
    )
    own = [
        record("patch", "services", "orders-headless"),
        record("patch", "deployments", "orders"),
        record("create", "events", "x"),
    ]
    assert oracles.strangers(own, history) == []
    wrong = [record("patch", "deployments", "bystander"), record("delete", "services", "somebodys")]
    assert len(oracles.strangers(wrong, history)) == 2
    assert oracles.strangers([dataclasses.replace(r, code=409) for r in wrong], history) == []


# -- O3, O6 --------------------------------------------------------------------------------------------------


def test_noise_is_every_attempt_to_write() -> None:
    records = [
        record("list", "services", ""),
        record("patch", "services", "a"),
        record("patch", "services", "a"),
        record("create", "events", "", 409),
    ]
    assert oracles.noise(records) == ["1 x create events shop/: 409", "2 x patch services shop/a: 200"]
    assert oracles.noise(records[:1]) == []


def test_what_was_forbidden_is_told() -> None:
    assert oracles.forbidden([record("get", "secrets", "a", 403), record("get", "services", "a", 404)]) == [
        "1 x get secrets shop was forbidden"
    ]


# -- O5 ------------------------------------------------------------------------------------------------------


def line(level: str, message: str, **more: str) -> str:
    return json.dumps({"time": "2026-01-01T00:00:00.000Z", "level": level, "message": message, **more})


def test_crashes_are_errors_and_tracebacks() -> None:
    fine = [line("info", "an error is told of"), line("warning", "cannot list services")]
    broken = [
        line("error", "oops"),
        line("critical", "stopping"),
        line("warning", "w", exception="Traceback (most recent call last):\n…"),
        "Traceback (most recent call last):",
    ]
    assert oracles.crashes("\n".join(fine)) == []
    assert oracles.crashes("\n".join([*fine, *broken])) == broken
    assert oracles.crashes(broken[0], allowed="oops") == []
    assert oracles.crashes(line("error", "shop-2/orders: oops"), others=["shop-2"]) == []


def test_order_is_that_of_the_versions() -> None:
    late = seen(1, SERVICES, service(), time=9)
    early = seen(2, GBS, balanced(), time=1)
    assert [s.version for s in History([early, late, late]).seen] == [1, 2]
    assert History([early, late]).of("elsewhere").seen == []
    assert set(History([late, seen(3, SERVICES, service(), deleted=True)]).end()) == set()
