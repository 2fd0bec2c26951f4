"""`make bench-dataplane`: clients of four languages against servers of another, on the lab, measured by themselves.

Writes build/bench/dataplane.json, plots beside it, and prints tables. Promises are gates: exit code 1 when one is
broken. Times are trends of this machine, shown beside what a small model of gRPC predicts.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table

from lab import Lab
from lab.images import LANGUAGES
from lab.install import install_operator, provide_images
from lab.rest import Rest

from . import outages, pickup, plots, report, rollout, steady, unready
from .world import Row, Say, world

# Wide enough for every table where no terminal says otherwise, such as a log file.
_WIDTH: Final = 140
SCENARIOS: Final = ("steady", "pickup", "unready", "rollout", "outages")


@click.command(help=__doc__)
@click.option("--language", "languages", multiple=True, type=click.Choice(LANGUAGES), help="Client language; all.")
@click.option("--only", multiple=True, type=click.Choice(SCENARIOS), help="Scenario; all.")
@click.option("--output", default="build/bench/dataplane.json", show_default=True, type=click.Path(path_type=Path))
def main(languages: tuple[str, ...], only: tuple[str, ...], output: Path) -> None:
    """Run the benchmark."""
    console, begun = Console(highlight=False), time.monotonic()
    if not console.is_terminal:
        console.width = _WIDTH

    def say(text: str) -> None:
        console.print(f"[dim]{time.monotonic() - begun:7.1f}s[/dim]  {text}")

    result = measure(languages or LANGUAGES, only or SCENARIOS, say)
    result["seconds"]["total"] = round(time.monotonic() - begun, 1)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result, indent=1) + "\n")
    drawn = plots.draw(result, output.parent)
    broken = show(console, result)
    console.print(f"numbers are in {output}, plots in {', '.join(map(str, drawn))}")
    sys.exit(1 if broken else 0)


def measure(languages: Sequence[str], scenarios: Sequence[str], say: Say) -> dict[str, Any]:
    """Run scenarios on a lab of two nodes; the result as it is written."""
    rows = [Row(language) for language in languages]
    needed = sorted({language for row in rows for language in (row.language, row.server)})
    result: dict[str, Any] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"system": platform.platform(), "cpus": len(os.sched_getaffinity(0))},
        "languages": list(languages),
        "events": report.EVENTS,
        "seconds": {},
    }
    with Lab(nodes=2) as lab, Rest(lab.kubeconfig) as api:
        provide_images(lab, needed)
        install_operator(lab, ("--max-concurrent-rollouts=100",))
        result["kubernetes"] = api.get("/version")["gitVersion"]
        say(f"Kubernetes {result['kubernetes']} with two nodes is up, the operator is in it")
        for name in scenarios:
            begun = time.monotonic()
            say(f"scenario {name}")
            _scenario(name, lab, api, rows, say, result)
            result["seconds"][name] = round(time.monotonic() - begun, 1)
    return result


def _scenario(name: str, lab: Lab, api: Rest, rows: Sequence[Row], say: Say, result: dict[str, Any]) -> None:
    if name == "rollout":
        result[name] = {}
        for spec in ("naive", "recommended"):
            with world(lab, api, f"bench-{spec}", rows, say) as place:
                result[name][spec] = rollout.run(place, naive=spec == "naive")
        return
    with world(lab, api, f"bench-{name}", rows, say) as place:
        if name == "steady":
            result[name] = steady.run(place)
        elif name == "pickup":
            result[name] = pickup.run(place, pickup.Size())
        elif name == "unready":
            result[name] = unready.run(place)
        else:
            result[name] = outages.run(place, lab)
        libraries = {row.language: place.library(row.language) for row in rows}
        result["libraries"] = result.get("libraries", {}) | libraries


def show(console: Console, result: dict[str, Any]) -> list[str]:
    """Print tables and gates; the gates that were broken."""
    for made in report.tables(result):
        table = Table(*made.head, title=made.title, title_justify="left")
        for row in made.rows:
            table.add_row(*row)
        console.print(table)
    gates, broken = Table("gate", "measured", "", title="Gates", title_justify="left"), []
    for gate in report.gates(result):
        gates.add_row(gate.what, gate.measured, "✔" if gate.kept else "✘ gate")
        broken += [] if gate.kept else [gate.what]
    console.print(gates)
    return broken


if __name__ == "__main__":
    main()
