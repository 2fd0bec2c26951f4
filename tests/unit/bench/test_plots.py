"""The plot of a run: one row per language, and the same file for the same result."""

from __future__ import annotations

from pathlib import Path

from tests.bench.dataplane import plots

TIMELINE = {"pods": {"a": [1, 2, 3], "b": [0, 1, 3]}, "failed": [0, 1, 0]}
RESULT = {
    "languages": ["go", "java"],
    "steady": {"go": {"timeline": {"before": TIMELINE, "after": TIMELINE}}},
    "rollout": {"naive": {"java": {"default floor": {"timeline": TIMELINE}}}},
}


def test_each_language_has_the_panels_that_were_measured() -> None:
    assert list(plots.panels(RESULT, "go")) == ["before", "after"]
    assert list(plots.panels(RESULT, "java")) == ["naive rollout"]


def test_the_same_result_gives_the_same_files(tmp_path: Path) -> None:
    first = [file.read_bytes() for file in plots.draw(RESULT, tmp_path / "one")]
    second = [file.read_bytes() for file in plots.draw(RESULT, tmp_path / "two")]
    assert first == second
    assert first[0].startswith(b"\x89PNG")
    assert b"<svg" in first[1]
