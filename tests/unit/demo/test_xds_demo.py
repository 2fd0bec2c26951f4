"""How the demos make numbers of records, and lines of status."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from examples.demo.acting import line_of
from examples.demo.result import Result
from examples.demo.show import Show
from examples.demo.stage import MANIFESTS, documents_of
from examples.xds.acts import workload_of
from examples.xds.measure import Waits, let_go, picked_up, readable, waits
from lab.records import Rpc


def rpc(start: float, pod: str = "a", code: str = "OK") -> Rpc:
    return Rpc(start, pod if code == "OK" else "", "", code, False, "checkout-1-x")


def balanced(**status: Any) -> dict[str, Any]:
    ready = {"type": "Ready", "status": "True", "reason": "Ready"}
    return {"status": {"summary": {"endpoints": "3/3"}, "conditions": [ready], **status}}


def test_a_new_pod_counts_from_ready_to_its_first_answer() -> None:
    rpcs = [rpc(13.0, "b"), rpc(10.5, "a"), rpc(10.2, "a", "UNAVAILABLE"), rpc(11.0, "a"), rpc(10.1, "old")]
    assert picked_up(rpcs, {"a": 10.0, "b": 12.0, "never": 9.0}) == Waits(2, 0.75, 1.0)
    assert picked_up([], {"a": 10.0}) == Waits(0, None, None)


def test_an_old_pod_counts_from_leaving_to_its_last_answer() -> None:
    rpcs = [rpc(10.5, "a"), rpc(12.0, "a", "UNAVAILABLE"), rpc(10.2, "a"), rpc(9.0, "b"), rpc(50.0, "stays")]
    assert let_go(rpcs, {"a": 10.0, "b": 10.0}) == Waits(2, 0.25, 0.5)


@pytest.mark.parametrize(
    ("found", "pods", "kept"),
    [
        (waits([0.1, 0.2, 1.0]), 3, True),
        (waits([0.1, 0.2, 1.1]), 3, False),
        (waits([0.1, 0.2]), 3, False),
        (waits([]), 0, False),
    ],
)
def test_a_limit_holds_for_every_pod_or_not_at_all(found: Waits, pods: int, kept: bool) -> None:
    assert found.within(pods, 1.0) is kept


def test_times_are_shown_as_people_read_them() -> None:
    assert [readable(each) for each in (None, 0.0142, 0.9994, 1.04, 12.35)] == [
        "-",
        "14 ms",
        "999 ms",
        "1.0 s",
        "12.3 s",
    ]
    assert waits([0.0142, 0.5]).milliseconds() == {"pods": 2, "p50_ms": 257, "max_ms": 500}
    assert waits([]).milliseconds() == {"pods": 0, "p50_ms": None, "max_ms": None}


def test_status_in_one_line() -> None:
    assert line_of({}) == "endpoints -   Ready -   ServersConfigured -   ClientsConfigured -"
    assert line_of(balanced()) == "endpoints 3/3   Ready Ready   ServersConfigured -   ClientsConfigured -"
    accepted = {"type": "XdsAccepted", "status": "True", "reason": "AllAccepted"}
    found = balanced(conditions=[accepted], xds={"workloads": {"moved": 1, "onDns": 1}})
    assert line_of(found).endswith("ClientsConfigured -   XdsAccepted AllAccepted   on xDS 1, on DNS 1")


def test_what_status_says_of_a_workload() -> None:
    found = balanced(workloads=[{"name": "checkout"}, {"name": "billing", "message": "stays on DNS"}])
    assert workload_of(found, "billing") == {"name": "billing", "message": "stays on DNS"}
    assert workload_of(found, "other") == workload_of(balanced(), "billing") == {}


def test_a_later_manifest_replaces_what_has_the_same_name() -> None:
    clients = MANIFESTS.parents[1] / "xds" / "manifests" / "clients.yaml"
    made = documents_of([(MANIFESTS / "shop.yaml").read_text(), clients.read_text()])
    names = [(one["kind"], one["metadata"]["name"]) for one in made]
    assert names == [
        ("Service", "orders"),
        ("Deployment", "orders"),
        ("Deployment", "checkout"),
        ("Deployment", "billing"),
    ]
    containers = [one["spec"]["template"]["spec"]["containers"][0] for one in made[1:]]
    assert {one["image"] for one in containers} == {"docker.io/grpcbalance/echo-go:dev"}
    checkout, billing = containers[1:]
    assert checkout["env"] == billing["env"]
    assert {"name": "RATE", "value": "200"} in checkout["env"]


def test_a_broken_promise_is_the_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show, result, output = Show(), Result({"kill": {}}), tmp_path / "build" / "demo.json"
    result.promise(show, "kept", kept=True)
    assert result.finish(show, output) == 0
    result.promise(show, "broken", kept=False)
    assert result.finish(show, output) == 1
    assert json.loads(output.read_text()) == {"kill": {}}
    assert "✘ broken" in capsys.readouterr().out


def test_a_log_has_tables_and_neither_colours_nor_spinners(capsys: pytest.CaptureFixture[str]) -> None:
    show = Show()
    with show.busy():
        show.table("to the first RPC", ("client", "by", "p50"), [("checkout", "xDS", "14 ms"), ("billing", "DNS", "-")])
    found = capsys.readouterr().out
    assert "to the first RPC:" in found
    assert "checkout     xDS" in found
    assert "\x1b" not in found
