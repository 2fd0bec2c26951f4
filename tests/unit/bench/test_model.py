"""The model of how soon a client finds a new pod."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bench.dataplane.model import Setting, predict


def test_worst_cases() -> None:
    assert Setting(10, 30).worst == 30
    assert Setting(60, 30).worst == 66
    assert Setting(60, 10, dns_ttl=5).worst == 71
    assert Setting(10, 30, drops=True).worst == 41


@settings(max_examples=40)
@given(age=st.integers(1, 300), floor=st.integers(1, 60), pods=st.integers(1, 8), drops=st.booleans())
def test_nothing_is_slower_than_the_worst_case(age: int, floor: int, pods: int, drops: bool) -> None:
    setting = Setting(age, floor, drops=drops)
    found = predict(setting, pods, [0.0, 8.0, 16.0], [-10.0 * age, -1.0])
    assert found["n"] == 900
    assert 0 <= found["p50"] <= found["p99"] <= found["max"] <= setting.worst + 0.01


def test_more_connections_find_a_pod_sooner() -> None:
    many, one = (predict(Setting(60, 1), pods, [0.0], [-1000.0])["p50"] for pods in (10, 1))
    assert many < one / 3


def test_connections_made_together_end_together() -> None:
    assert 44 <= predict(Setting(60, 10), 3, [10.0], [0.0])["p50"] <= 50


def test_an_age_below_the_floor_buys_nothing() -> None:
    assert predict(Setting(3, 30), 2, [10.0], [0.0])["p50"] == predict(Setting(15, 30), 2, [10.0], [0.0])["p50"] == 20
