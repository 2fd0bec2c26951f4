"""Every gate of the look-aside balancer's benchmark can fail, and what has a budget is set beside it."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.bench.xds import report
from tests.unit.bench.changed import changed

TIMES = {"n": 32, "p50": 20.0, "p99": 50.0, "max": 55.0}
CELL = {
    "streams": 300,
    "endpoints": 100,
    "replicas": 2,
    "write_ms": TIMES,
    "receipt_ms": TIMES,
    "last_ms": TIMES,
    "expected": 6000,
    "delivered": 6000,
    "least": 1,
    "most": 1,
    "other": 300,
    "cpu_ms": 60.0,
    "clients_cpu_ms": 30.0,
    "rss_mb": 70.0,
    "connect_s": 0.4,
    "machine_busy": 0.5,
}
KIND = {
    "language": "go",
    "xds": True,
    "rate": 1000,
    "rate_made": 990.0,
    "pace_ms": {"mean": 2.0, "most": 6.0},
    "expected": 32,
    "added_ms": TIMES,
    "removed_ms": TIMES,
    "rpcs": 5000,
    "failed": 0,
    "first_error": "",
    "rollout": {"rpcs": 500, "failed": 0, "first_error": ""},
}
RESULT: dict[str, Any] = {
    "events": 30,
    "fan_out": {"300x100x2": CELL},
    "pickup": {"kinds": {"go-xds": KIND, "go-dns": {**copy.deepcopy(KIND), "xds": False, "added_ms": {"n": 0}}}},
}


def test_all_gates_are_kept() -> None:
    found = list(report.gates(RESULT))
    assert len(found) == 7
    assert all(gate.kept for gate in found)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("fan_out", "300x100x2", "delivered"), 5999),
        (("fan_out", "300x100x2", "most"), 2),
        (("fan_out", "300x100x2", "least"), 0),
        (("fan_out", "300x100x2", "other"), 301),
        (("pickup", "kinds", "go-xds", "expected"), 33),
        (("pickup", "kinds", "go-xds", "failed"), 1),
        (("pickup", "kinds", "go-dns", "rollout", "failed"), 1),
        (("events",), 33),
    ],
)
def test_each_gate_can_fail(place: tuple[str, ...], value: Any) -> None:
    assert sum(not gate.kept for gate in report.gates(changed(RESULT, place, value))) == 1


def test_a_part_that_failed_breaks_a_gate() -> None:
    assert [gate.kept for gate in report.gates({"failed": {"pickup": "no answer"}})] == [False]


def test_budgets_are_those_of_the_design() -> None:
    assert {what: most for what, _, most in report.budgets(RESULT)} == {
        "300x100x2: receipt p99, ms": 100,
        "300x100x2: RSS, MiB": 150,
        "go-xds: first RPC p50, ms": 25,
        "go-xds: first RPC p99, ms": 60,
    }


def test_tables_have_rows_as_wide_as_their_heads() -> None:
    tables = report.tables(RESULT)
    assert len(tables) == 4
    assert all(len(row) == len(table.head) for table in tables for row in table.rows)


@pytest.mark.parametrize(("missing", "count"), [("fan_out", 3), ("pickup", 2)])
def test_a_part_of_a_run_gives_its_tables(missing: str, count: int) -> None:
    assert len(report.tables({key: value for key, value in RESULT.items() if key != missing})) == count
