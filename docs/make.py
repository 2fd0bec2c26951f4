"""Fills the parts of docs/ that come from elsewhere: code of the examples, tested tables, measured figures.

`python docs/make.py` writes them, `--check` only says which page is not as it would be (exit code 1).

A part stands between `<!-- begin KIND ARGUMENT -->` and `<!-- end -->`:
`code FILE` is what FILE has between its marks `snippet: begin` and `snippet: end`, or the whole FILE without marks;
`targets` is the table of tests/cluster/targets.yaml; `measured LANGUAGE` and `measurements` are of measurements.json.
"""

from __future__ import annotations

import json
import re
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import click
import yaml

DOCS: Final = Path(__file__).resolve().parent
ROOT: Final = DOCS.parent
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "operator")]

from lab.images import LANGUAGES  # noqa: E402 - these are found by the lines above
from tests.bench.dataplane import report  # noqa: E402

_PART: Final = re.compile(r"(<!-- begin (\w+)(?: (\S+))? -->\n).*?(<!-- end -->)", re.DOTALL)
_SNIPPET: Final = re.compile(r"^[^\n]*snippet: begin[^\n]*\n(.*?)^[^\n]*snippet: end", re.DOTALL | re.MULTILINE)
_LANGUAGES: Final = sorted(LANGUAGES)
_FENCE: Final = {".js": "javascript", ".py": "python", ".java": "java", ".go": "go", ".yaml": "yaml"}


@click.command(help=__doc__)
@click.option("--check", is_flag=True, help="Write nothing.")
def main(check: bool) -> None:
    """Write or check all pages."""
    stale = []
    for page in sorted(DOCS.rglob("*.md")):
        text = page.read_text()
        made = fill(text)
        if made != text:
            stale.append(page.relative_to(ROOT))
            if not check:
                page.write_text(made)
    for name in stale:
        click.echo(f"{name} is not up to date: run make docs" if check else f"wrote {name}", err=True)
    sys.exit(1 if check and stale else 0)


def fill(text: str) -> str:
    """A page with all its parts filled."""
    return _PART.sub(lambda found: f"{found[1]}{_MAKERS[found[2]](found[3] or '').strip()}\n{found[4]}", text)


def snippet(file: str) -> str:
    """A fenced block with the part of a file between its marks, or with all of it."""
    text = (ROOT / file).read_text()
    found = _SNIPPET.search(text)
    code = textwrap.dedent(found[1] if found else text).strip("\n")
    return f"```{_FENCE[Path(file).suffix]}\n{code}\n```"


def targets(_: str) -> str:
    """What each language does with each form of a target."""
    forms = yaml.safe_load((ROOT / "tests/cluster/targets.yaml").read_text())
    rows = [
        [f"`{form['target']}`", form["meaning"], *(_outcome(form[language]) for language in _LANGUAGES)]
        for form in forms
    ]
    return markdown(["target", "what it is", *(language.capitalize() for language in _LANGUAGES)], rows)


def _outcome(expected: Mapping[str, str] | str) -> str:
    if isinstance(expected, str):
        return {"balanced": "balances"}.get(expected, expected)
    ((code, message),) = expected.items()
    return f"{code.replace('_', ' ').lower()}: “{message}”"


def measured(language: str) -> str:
    """The rows of one client language in all tables of the published run."""
    made = []
    for table in report.tables(_published()):
        rows = [row[1:] for row in table.rows if row[0].split(" ")[0] == language]
        if rows:
            made.append(f"**{table.title}**\n\n{markdown(table.head[1:], rows)}")
    return "\n\n".join(made)


def measurements(_: str) -> str:
    """All tables and gates of the published run, with the versions that made it."""
    result = _published()
    libraries = ", ".join(f"{name} {version}" for name, version in sorted(result["libraries"].items()))
    seconds = sum(result["seconds"].values())
    head = (
        f"Run of {result['date']} on {result['machine']['cpus']} cores ({result['machine']['system']}), "
        f"Kubernetes {result['kubernetes']}, gRPC: {libraries}. It took {seconds / 60:.0f} minutes."
    )
    tables = [f"## {table.title}\n\n{markdown(table.head, table.rows)}" for table in report.tables(result)]
    gates = [[gate.what, gate.measured, "kept" if gate.kept else "**broken**"] for gate in report.gates(result)]
    return "\n\n".join([head, *tables, "## Promises\n\n" + markdown(["promise", "measured", ""], gates)])


def _published() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DOCS / "measurements.json").read_text())
    return found


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """A table; a bar in a cell is escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


_MAKERS: Final[Mapping[str, Callable[[str], str]]] = {
    "code": snippet,
    "targets": targets,
    "measured": measured,
    "measurements": measurements,
}


if __name__ == "__main__":
    main()
