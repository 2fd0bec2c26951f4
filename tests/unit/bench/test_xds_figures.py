"""From receipts of streams, and from calls of clients, to figures."""

from __future__ import annotations

import pytest

from lab.records import Rpc
from tests.bench.xds.figures import Calls, Cell, Change, Kind, cell_of, fan_out, of_kind, pickup

CHANGES = [Change(1, 10.0, 10.004), Change(2, 20.0, 20.006)]
WHOLE = [[(0, 5.0), (1, 10.010), (2, 20.020)], [(0, 5.0), (1, 10.030), (2, 20.040)]]
GO = Kind("go", True, 1000)


def rpc(start: float, pod: str, client: str = "go-xds-1-x", code: str = "OK", message: str = "") -> Rpc:
    return Rpc(start, pod, "", code, False, client, message)


def test_a_case_is_read_as_it_is_written() -> None:
    assert cell_of("300x100x2") == Cell(300, 100, 2)
    assert str(cell_of("300x100x2")) == "300x100x2"
    with pytest.raises(ValueError, match="unpack"):
        cell_of("300x100")


def test_times_count_from_before_the_write_to_each_and_to_the_last() -> None:
    found = fan_out(CHANGES, WHOLE)
    assert found["receipt_ms"] == {"n": 4, "p50": 25.0, "p99": 40.0, "max": 40.0}
    assert found["last_ms"] == {"n": 2, "p50": 35.0, "p99": 40.0, "max": 40.0}
    assert found["write_ms"]["max"] == 6.0
    assert (found["expected"], found["delivered"], found["least"], found["most"], found["other"]) == (4, 4, 1, 1, 2)


def test_what_did_not_come_is_counted_and_has_no_last() -> None:
    found = fan_out(CHANGES, [WHOLE[0], WHOLE[1][:2]])
    assert (found["expected"], found["delivered"], found["least"], found["most"]) == (4, 3, 0, 1)
    assert found["last_ms"]["n"] == 1


def test_what_came_twice_counts_once_in_times() -> None:
    found = fan_out(CHANGES, [[*WHOLE[0], (2, 29.0), (0, 29.5)], WHOLE[1]])
    assert (found["delivered"], found["most"], found["other"]) == (4, 2, 3)
    assert found["receipt_ms"]["max"] == 40.0


def test_rpcs_of_a_kind_are_those_of_its_deployment() -> None:
    rpcs = [rpc(1, "a"), rpc(2, "a"), rpc(3, "a"), rpc(2, "a", "go-dns-1-x")]
    assert of_kind(rpcs, GO, 2.0, 3.0) == [rpcs[1]]


def test_pickup_tells_what_the_pace_adds() -> None:
    failed = [rpc(1, "", code="UNAVAILABLE", message=text) for text in ("no connection at all", "reset")]
    calls = Calls([rpc(10.02, "b"), rpc(9.0, "a")], [rpc(12.005, "b")], failed, made=2000, seconds=4.0)
    found = pickup(GO, calls, {"b": 10.0}, {"b": 12.0}, [3, 4, 5])
    assert found["rate_made"] == 500
    assert found["pace_ms"] == {"mean": 4.0, "most": 10.0}
    assert found["added_ms"] == {"n": 1, "p50": 20.0, "p99": 20.0, "max": 20.0}
    assert found["removed_ms"]["max"] == 5.0
    assert (found["expected"], found["failed"], found["first_error"], found["rpcs"]) == (1, 2, "reset", 2000)


def test_pickup_of_a_client_that_made_no_call() -> None:
    found = pickup(GO, Calls([], [], [], made=0, seconds=4.0), {"b": 10.0}, {}, [3])
    assert found["added_ms"] == {"n": 0}
    assert found["first_error"] == ""
