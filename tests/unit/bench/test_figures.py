"""From a client's record to figures."""

from __future__ import annotations

import pytest

from lab.records import Rpc, of_deployment
from tests.bench.dataplane.figures import (
    by_client,
    first_after,
    last_after,
    longest_gap,
    percentiles,
    spread,
    timeline,
)


def rpc(start: float, pod: str = "a", client: str = "c-1-x", code: str = "OK") -> Rpc:
    return Rpc(start, pod if code == "OK" else "", "", code, False, client)


@pytest.mark.parametrize(
    ("pods", "one", "many"),
    [
        ("abcabcabca", True, False),
        ("abc" * 33 + "a", True, True),
        ("aaaaaaaaaa", False, False),
        ("aabc" * 25, False, False),
        ("ab" * 50, False, False),
    ],
)
def test_gates_of_even_load(pods: str, one: bool, many: bool) -> None:
    found = spread([rpc(float(n), pod) for n, pod in enumerate(pods)], 3)
    assert (found.even_for_one(), found.even_for_many()) == (one, many)
    assert sum(found.counts) == found.rpcs == len(pods)
    assert len(found.counts) == 3


def test_rpcs_of_a_deployment_by_client_in_order() -> None:
    rpcs = [rpc(2, client="go-1-x"), rpc(1, client="go-1-x"), rpc(1, client="go-1-y"), rpc(1, client="go-two-1-x")]
    found = by_client(of_deployment(rpcs, "go"))
    assert {client: [r.start for r in each] for client, each in found.items()} == {"go-1-x": [1, 2], "go-1-y": [1]}


def test_the_longest_gap_is_between_rpcs_that_succeeded() -> None:
    rpcs = [rpc(0), rpc(1, code="UNAVAILABLE"), rpc(3), rpc(4)]
    assert longest_gap(rpcs) == 3
    assert longest_gap(rpcs[:1]) == 0


def test_percentiles() -> None:
    assert percentiles([]) == {"n": 0}
    assert percentiles([float(n) for n in range(1, 101)]) == {"n": 100, "p50": 50.5, "p99": 99, "max": 100}
    assert percentiles([3.0]) == {"n": 1, "p50": 3, "p99": 3, "max": 3}


def test_first_and_last_rpc_of_each_client_on_each_pod() -> None:
    rpcs = [rpc(10, "a"), rpc(12, "a"), rpc(9, "b"), rpc(13, "a", "c-1-y"), rpc(14, "a", code="UNAVAILABLE")]
    assert first_after(rpcs, {"a": 8.0}) == [("c-1-x", "a", 2.0), ("c-1-y", "a", 5.0)]
    assert last_after(rpcs, {"a": 8.0, "b": 11.0}) == [4.0, 0.0, 5.0]


def test_timeline_counts_by_second_and_shows_failures() -> None:
    rpcs = [rpc(10.1), rpc(10.9), rpc(11.5, "b"), rpc(11.6, code="UNAVAILABLE"), rpc(9.9), rpc(13.0)]
    assert timeline(rpcs, 10.0, 13.0) == {"pods": {"a": [2, 0, 0], "b": [0, 1, 0]}, "failed": [0, 1, 0]}
