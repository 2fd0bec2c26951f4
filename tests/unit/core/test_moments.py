"""Moments as the Kubernetes API writes them, and what anybody may have written in their place."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpcbalance.moments import from_text, to_text

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_written_in_utc_whatever_the_zone() -> None:
    assert to_text(NOON.astimezone(timezone(timedelta(hours=5)))) == "2026-01-01T12:00:00Z"
    assert to_text(NOON + timedelta(microseconds=1500), "milliseconds") == "2026-01-01T12:00:00.001Z"


@pytest.mark.parametrize("text", ["2026-01-01T12:00:00Z", "2026-01-01T12:00:00+00:00", "2026-01-01T17:00:00+05:00"])
def test_every_form_is_read(text: str) -> None:
    assert from_text(text) == NOON


@pytest.mark.parametrize("text", [None, "", "soon", "2026-01-01T12:00:00", "9999-12-31T23:59:59-23:59"])
def test_what_is_no_moment(text: str | None) -> None:
    assert from_text(text) is None


@given(st.datetimes(timezones=st.just(UTC)))
def test_back_to_the_same_second(moment: datetime) -> None:
    assert from_text(to_text(moment)) == moment.replace(microsecond=0)


@given(st.text())
def test_any_text_is_a_moment_in_utc_or_none(text: str) -> None:
    found = from_text(text)
    assert found is None or found.tzinfo is UTC
