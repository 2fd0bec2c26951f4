"""The reference pages name everything there is to name."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from grpcbalance.api import ConditionType, Reason

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("word", [*ConditionType, *Reason])
def test_status_page_names_every_condition_and_reason(word: str) -> None:
    assert f"`{word}`" in (ROOT / "docs/reference/status.md").read_text()


def _answers() -> list[tuple[str, list[str]]]:
    """File -> names, from each row of CONTRIBUTING's questions."""
    rows = re.findall(r"^\| .*\? \| (.*) \|$", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    found: list[tuple[str, list[str]]] = []
    for word in re.findall(r"`([^`]+)`", " ".join(rows)):
        if word.endswith(".py"):
            found.append((word, []))
        else:
            found[-1][1].append(word)
    return found


def test_each_question_of_a_newcomer_is_answered() -> None:
    assert len(re.findall(r"^\| .*\? \|", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)) == 10


@pytest.mark.parametrize(("file", "names"), _answers())
def test_what_a_newcomer_is_pointed_to_is_there(file: str, names: list[str]) -> None:
    assert names, f"{file}: which function?"
    tree = ast.parse((ROOT / "operator/grpcbalance" / file).read_text())
    defined = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            methods = (item for item in node.body if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef))
            defined |= {node.name, *(f"{node.name}.{item.name}" for item in methods)}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            defined.add(node.name)
    assert set(names) <= defined


def test_operator_is_no_package() -> None:
    # With an __init__.py the folder would shadow the standard library's `operator` for everything run here.
    assert not (ROOT / "operator" / "__init__.py").exists()
