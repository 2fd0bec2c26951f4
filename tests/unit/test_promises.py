"""docs/what-it-does.md: behind each sentence stand tests, and those exist."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "what-it-does.md"
_SENTENCE = re.compile(r"^- (?P<text>.*)\n(?:  <!-- (?P<tests>[^>]*) -->\n)?", re.MULTILINE)


def sentences() -> list[tuple[str, list[str]]]:
    return [(found["text"], (found["tests"] or "").split()) for found in _SENTENCE.finditer(PAGE.read_text())]


@functools.cache
def functions_of(file: str) -> frozenset[str]:
    path = ROOT / file
    tree = ast.parse(path.read_text()) if path.is_file() else ast.Module([], [])
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def test_the_page_promises_something() -> None:
    assert len(sentences()) >= 30
    assert len(sentences()) == PAGE.read_text().count("\n- ")


@pytest.mark.parametrize(("text", "tests"), sentences(), ids=lambda value: value[:40] if isinstance(value, str) else "")
def test_each_sentence_is_held_by_tests_on_a_cluster(text: str, tests: list[str]) -> None:
    assert tests, f"no test stands behind: {text}"
    for test in tests:
        file, _, name = test.partition("::")
        assert file.startswith(("tests/cluster/", "tests/faults/")), f"{test} does not run on a cluster"
        assert name in functions_of(file), f"there is no {test}, which should hold: {text}"
