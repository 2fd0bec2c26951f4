"""`python -m tests.bench.dataplane.publish`: make a run the one that docs/ shows. `make docs` then writes the pages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import click

from . import plots

DOCS: Final = Path(__file__).resolve().parents[3] / "docs"


@click.command(help=__doc__)
@click.argument("run", default="build/bench/dataplane.json", type=click.Path(path_type=Path, exists=True))
def main(run: Path) -> None:
    """Write measurements.json without what only plots need, and the plot."""
    result = json.loads(run.read_text())
    drawn = plots.draw(result, DOCS / "img", ("svg",))
    (DOCS / "measurements.json").write_text(json.dumps(_without_timelines(result), indent=1) + "\n")
    click.echo(f"docs/measurements.json, {', '.join(path.name for path in drawn)}: now make docs")


def _without_timelines(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_timelines(inner) for key, inner in value.items() if key != "timeline"}
    return value


if __name__ == "__main__":
    main()
