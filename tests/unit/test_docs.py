"""The reference pages name everything there is to name."""

from __future__ import annotations

from pathlib import Path

import pytest

from grpcbalance.api import ConditionType, Reason

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("word", [*ConditionType, *Reason])
def test_status_page_names_every_condition_and_reason(word: str) -> None:
    assert f"`{word}`" in (ROOT / "docs/reference/status.md").read_text()


def test_operator_is_no_package() -> None:
    # With an __init__.py the folder would shadow the standard library's `operator` for everything run here.
    assert not (ROOT / "operator" / "__init__.py").exists()
