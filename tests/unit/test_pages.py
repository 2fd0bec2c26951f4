"""The parts of docs/ that are made from code, tables and figures."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs import make

DOCS = Path(make.__file__).parent


def test_a_part_is_filled_and_what_surrounds_it_stays() -> None:
    text = "before\n<!-- begin code examples/go/server.go -->\nold\n<!-- end -->\nafter\n"
    made = make.fill(text)
    assert made.startswith("before\n<!-- begin code examples/go/server.go -->\n```go\n// serverOptions are")
    assert made.endswith("}\n```\n<!-- end -->\nafter\n")
    assert "old" not in made
    assert "snippet" not in made
    assert make.fill(made) == made


def test_a_bar_in_a_cell_does_not_end_it() -> None:
    assert make.markdown(["a"], [["x|y"]]) == "| a |\n| --- |\n| x\\|y |"


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: page.name)
def test_every_page_is_up_to_date(page: Path) -> None:
    assert make.fill(page.read_text()) == page.read_text(), "run make docs"


@pytest.mark.parametrize("page", [*sorted(DOCS.rglob("*.md")), *sorted(DOCS.parent.glob("*.md"))], ids=lambda p: p.name)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []
