"""A few of many, in a sentence."""

from __future__ import annotations

import pytest

from grpcbalance.listed import listed


@pytest.mark.parametrize(
    ("items", "text"),
    [
        ([], ""),
        (["a"], "a"),
        (["a", "b"], "a, b"),
        (["a", "b", "c"], "a, b and 1 more"),
        ([1, 2, 3, 4], "1, 2 and 2 more"),
    ],
)
def test_the_first_ones_and_how_many_are_left(items: list[object], text: str) -> None:
    assert listed(items, 2) == text
