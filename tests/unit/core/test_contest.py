"""How often variables that somebody takes away are put back, as a function of when that was done before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpcbalance.api import Reason
from grpcbalance.contest import AT_MOST, WINDOW, Account, entry, label, merged, stored, verdict
from grpcbalance.model import Ref
from tests.unit import factories as make

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
WORKLOAD = make.workload(
    make.deployment(
        client="orders",
        meta={
            "managedFields": [
                {"manager": "helm", "operation": "Update", "time": "2026-01-01T11:59:57Z", "fieldsV1": {"f:spec": {}}}
            ]
        },
    )
)


def ago(*seconds: float) -> tuple[datetime, ...]:
    return tuple(NOW - timedelta(seconds=before) for before in seconds)


@pytest.mark.parametrize(
    ("account", "reason", "wait"),
    [
        (Account(), None, 0),
        (Account(ago(61)), None, 0),
        (Account(ago(10)), Reason.RESTORING, 50),
        (Account(ago(300, 61)), None, 0),
        (Account(ago(500, 300, 61)), Reason.CONTESTED, 1739),
        (Account(ago(601, 300, 61)), None, 0),
        (Account(ago(1799), contested=True), Reason.CONTESTED, 1),
        (Account(ago(1801), contested=True), None, 0),
        (Account(ago(5), contested=True), Reason.CONTESTED, 1795),
    ],
)
def test_verdict(account: Account, reason: Reason | None, wait: float) -> None:
    found = verdict(account, WORKLOAD, NOW)
    assert (found.problem and found.problem.reason, found.wait) == (reason, wait)


@pytest.mark.parametrize(("before", "who"), [(5, "helm"), (3, "somebody"), (1, "somebody")])
def test_who_wrote_since_is_named_and_nobody_who_wrote_before(before: float, who: str) -> None:
    problem = verdict(Account(ago(before), contested=True), WORKLOAD, NOW).problem
    assert problem is not None
    assert problem.message.startswith(f"{who} keeps taking our variables away")


@given(st.lists(st.floats(1, 4000), min_size=1, max_size=60))
def test_never_more_than_three_restorings_in_ten_minutes_and_one_a_minute(pauses: list[float]) -> None:
    now, account, done = NOW, Account(), list[datetime]()
    for pause in pauses:
        now += timedelta(seconds=pause)
        account = account.judged(now)
        if verdict(account, WORKLOAD, now).problem is None:
            account = account.with_restoring(now)
            done.append(now)
    for number, time in enumerate(done):
        assert sum(time <= other < time + WINDOW for other in done) <= AT_MOST
        assert number == 0 or time - done[number - 1] >= timedelta(minutes=1)


def test_status_keeps_an_account_exactly() -> None:
    account = Account(ago(100.125, 7), contested=True)
    status = {"restored": [entry("Deployment/other", Account(ago(1))), entry("Deployment/checkout", account)]}
    assert stored(status, "Deployment/checkout") == account
    assert stored(status, "Deployment/none") == Account() == stored({}, "Deployment/checkout")


def test_what_somebody_else_wrote_into_status_is_left_out() -> None:
    written = {"workload": "Deployment/checkout", "times": ["never", "2026-01-01T00:00:00", "2026-01-01T11:59:00Z"]}
    assert stored({"restored": [written]}, "Deployment/checkout") == Account(ago(60))


def test_accounts_of_several_services_are_one() -> None:
    both = merged([Account(ago(90, 60)), Account(ago(60, 30), contested=True)])
    assert both == Account(ago(90, 60, 30), contested=True)


def test_a_workload_of_another_namespace_is_not_named() -> None:
    workload, twin = (
        make.workload(make.deployment("secret-name", client="shop/orders", namespace="secret-team", uid=uid))
        for uid in ("uid-1", "uid-2")
    )
    assert label(workload, Ref("secret-team", "orders")) == "Deployment/secret-name"
    assert "secret" not in label(workload, Ref("shop", "orders"))
    assert label(workload, Ref("shop", "orders")) != label(twin, Ref("shop", "orders"))


def managed(*entries: tuple[str, str, dict[str, Any]]) -> dict[str, Any]:
    return {
        "managedFields": [
            {"manager": manager, "time": f"2026-01-01T00:00:{second}Z", "fieldsV1": {"f:spec": {}}, **more}
            for manager, second, more in entries
        ]
    }


@pytest.mark.parametrize(
    ("entries", "writer"),
    [
        ([], ("", "")),
        ([("kubectl", "10", {})], ("2026-01-01T00:00:10Z", "kubectl")),
        ([("helm", "20", {}), ("kubectl", "10", {})], ("2026-01-01T00:00:20Z", "helm")),
        ([("kubectl", "10", {}), ("grpcbalance", "20", {})], ("2026-01-01T00:00:10Z", "kubectl")),
        ([("kube-controller-manager", "30", {"subresource": "status"})], ("", "")),
        ([("annotator", "30", {"fieldsV1": {"f:metadata": {}}})], ("", "")),
    ],
)
def test_who_gave_the_spec_something_last(
    entries: list[tuple[str, str, dict[str, Any]]], writer: tuple[str, str]
) -> None:
    assert make.workload(make.deployment(client="orders", meta=managed(*entries))).writer == writer
