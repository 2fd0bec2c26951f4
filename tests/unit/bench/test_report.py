"""Every gate can fail, and every scenario has its table."""

from __future__ import annotations

from typing import Any

import pytest

from tests.bench.dataplane import report
from tests.unit.bench.changed import changed

EVEN = {"rpcs": 100, "counts": [34, 33, 33], "jain": 0.9999, "max_over_mean": 1.02, "off_mean": 0.67}
UNEVEN = {"rpcs": 100, "counts": [100, 0, 0], "jain": 0.3333, "max_over_mean": 3.0, "off_mean": 66.67}
TIMES = {"n": 21, "p50": 9.0, "p99": 12.0, "max": 12.5}
OUTAGE = {"rpcs": 10, "failed": 4, "codes": ["UNAVAILABLE"], "longest_gap_s": 1.5, "last_failure_s": 2.0}
RESULT: dict[str, Any] = {
    "events": 20,
    "steady": {
        "go": {
            "server": "python",
            "before": {"one": UNEVEN, "all": UNEVEN, "failed": 0, "passes": False},
            "pick_first": {"one": UNEVEN, "all": UNEVEN, "failed": 0, "passes": False},
            "after": {"one": EVEN, "all": EVEN, "failed": 0, "passes": True},
        }
    },
    "pickup": {
        "go": {
            "server": "python",
            "age 10 s, default floor": {
                "added": TIMES,
                "expected": 21,
                "predicted": TIMES,
                "bound": 30.0,
                "failed": 0,
                "removed": {"last_rpc": TIMES, "failed": 0},
            },
        }
    },
    "unready": {"go": {"server": "python", "age": 10, "default floor": {"last_rpc": TIMES, "bound": 30, "failed": 0}}},
    "rollout": {
        spec: {
            "go": {
                "server": "python",
                "rollout_s": 9.0,
                "default floor": {"rpcs": 10, "failed": failed, "longest_gap_s": 0.1, "codes": []},
                "servers a": {"attempts": 10, "retries": 0},
            }
        }
        for spec, failed in (("naive", 7), ("recommended", 0))
    },
    "outages": {
        "go": {
            "server": "python",
            "kill": {"keepalive": OUTAGE},
            "zero": {"keepalive": {**OUTAGE, "back_s": TIMES}},
            "node": {"keepalive": OUTAGE},
        }
    },
}
PICKED = ("pickup", "go", "age 10 s, default floor")


def test_all_gates_are_kept_and_naive_rollouts_are_none() -> None:
    found = report.gates(RESULT)
    assert len(found) == 6
    assert all(gate.kept for gate in found)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("steady", "go", "after", "passes"), False),
        (("steady", "go", "after", "failed"), 1),
        (("steady", "go", "before", "passes"), True),
        (("steady", "go", "pick_first", "passes"), True),
        ((*PICKED, "failed"), 1),
        ((*PICKED, "expected"), 22),
        ((*PICKED, "added"), {**TIMES, "n": 19}),
        ((*PICKED, "removed", "failed"), 1),
        (("rollout", "recommended", "go", "default floor", "failed"), 1),
    ],
)
def test_each_gate_can_fail(place: tuple[str, ...], value: Any) -> None:
    assert sum(not gate.kept for gate in report.gates(changed(RESULT, place, value))) == 1


def test_a_scenario_that_failed_breaks_a_gate() -> None:
    assert sum(not gate.kept for gate in report.gates({**RESULT, "failed": {"outages": "no answer"}})) == 1


def test_too_few_events_are_not_enough() -> None:
    assert sum(not gate.kept for gate in report.gates({**RESULT, "events": 22})) == 1


def test_tables_have_rows_as_wide_as_their_heads() -> None:
    tables = report.tables(RESULT)
    assert len(tables) == 9
    assert all(len(row) == len(table.head) for table in tables for row in table.rows)
    assert len({table.title for table in tables}) == len(tables)


@pytest.mark.parametrize("missing", ["steady", "pickup", "unready", "rollout", "outages"])
def test_a_part_of_a_run_gives_its_tables(missing: str) -> None:
    part = {key: value for key, value in RESULT.items() if key != missing}
    assert 0 < len(report.tables(part)) < 9
