"""`make bench-dataplane`: clients of four languages against servers of another, on the lab, measured by themselves.

Writes build/bench/dataplane.json, plots beside it, and prints tables. Promises are gates: exit code 1 when one is
broken. Times are trends of this machine, shown beside what a small model of gRPC predicts.
"""

from __future__ import annotations

import functools
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from lab import Lab, LabError
from lab.images import LANGUAGES
from lab.install import install_operator, provide_images
from lab.rest import Rest
from tests.bench.show import Say, begin, show
from tests.kit.failures import folder_of

from . import outages, pickup, plots, report, rollout, steady, unready
from .world import Row, World, world

Run = Callable[[World], dict[str, Any]]
SCENARIOS: Final = ("steady", "pickup", "unready", "rollout", "outages")


@click.command(help=__doc__)
@click.option("--language", "languages", multiple=True, type=click.Choice(LANGUAGES), help="Client language; all.")
@click.option("--only", multiple=True, type=click.Choice(SCENARIOS), help="Scenario; all.")
@click.option("--keep-others", is_flag=True, help="Keep what the output file has of scenarios that are not run.")
@click.option("--output", default="build/bench/dataplane.json", show_default=True, type=click.Path(path_type=Path))
def main(languages: tuple[str, ...], only: tuple[str, ...], keep_others: bool, output: Path) -> None:
    """Run the benchmark."""
    console, say = begin()
    output.parent.mkdir(parents=True, exist_ok=True)
    result = measure(languages or LANGUAGES, only or SCENARIOS, say)
    if keep_others and output.exists():
        result = _merged(json.loads(output.read_text()), result)
    output.write_text(json.dumps(result, indent=1) + "\n")
    drawn = plots.draw(result, output.parent)
    broken = show(console, report.tables(result), report.gates(result))
    console.print(f"numbers are in {output}, plots in {', '.join(map(str, drawn))}")
    sys.exit(1 if broken else 0)


def measure(languages: Sequence[str], scenarios: Sequence[str], say: Say) -> dict[str, Any]:
    """Run scenarios on a lab of two nodes; the result as it is written."""
    rows = [Row(language) for language in languages]
    needed = sorted({language for row in rows for language in (row.language, row.server)})
    result = _begun(languages)
    with Lab(nodes=2, keep=folder_of("bench-dataplane")) as lab, Rest(lab.kubeconfig) as api:
        provide_images(lab, needed)
        install_operator(lab, ("--max-concurrent-rollouts=100",))
        result["kubernetes"] = api.get("/version")["gitVersion"]
        say(f"Kubernetes {result['kubernetes']} with two nodes is up, the operator is in it")
        for name in scenarios:
            begun = time.monotonic()
            say(f"scenario {name}")
            try:
                _scenario(name, lab, api, rows, say, result)
            except (AssertionError, LabError) as error:
                # What the others have measured stays worth something.
                result["failed"][name] = str(error)
                lab.dump(folder_of(f"bench-dataplane-{name}"))
                say(f"scenario {name} failed: {error}; what helps is in {folder_of(f'bench-dataplane-{name}')}")
            result["seconds"][name] = round(time.monotonic() - begun, 1)
    return result


def _begun(languages: Sequence[str]) -> dict[str, Any]:
    """A result without figures."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"system": platform.platform(), "cpus": len(os.sched_getaffinity(0))},
        "languages": list(languages),
        "events": report.EVENTS,
        "libraries": {},
        "seconds": {},
        "failed": {},
    }


def _merged(before: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    """A result with the scenarios of an earlier one that it has not."""
    ran = result["seconds"]
    kept = {name: before[name] for name in SCENARIOS if name in before and name not in ran}
    failed = {name: error for name, error in before["failed"].items() if name not in ran}
    return {**before, **kept, **result, "seconds": before["seconds"] | ran, "failed": failed | result["failed"]}


def _parts(name: str, lab: Lab, rows: Sequence[Row]) -> Iterator[tuple[str, Sequence[Row], Run]]:
    """The runs of a scenario, each in a world of its own: a title, its rows, and what is run."""
    if name == "rollout":
        # One row at a time: a machine that cannot keep up rolls slowly, and so hides what a quick rollout does.
        for spec in ("naive", "recommended"):
            for row in rows:
                yield spec, [row], functools.partial(rollout.run, naive=spec == "naive")
    elif name == "pickup":
        for age in (10, 60):
            yield f"age{age}", rows, functools.partial(pickup.run, size=pickup.Size(age))
    elif name == "outages":
        yield "all", rows, functools.partial(outages.run, lab=lab)
    else:
        yield "all", rows, {"steady": steady.run, "unready": unready.run}[name]


def _scenario(name: str, lab: Lab, api: Rest, rows: Sequence[Row], say: Say, result: dict[str, Any]) -> None:
    result[name] = {}
    for title, some, run in _parts(name, lab, rows):
        namespace = f"bench-{name}-{title}-{some[0].language}"
        with world(lab, api, namespace, some, say) as place:
            found = run(place)
            result["libraries"] |= {row.language: place.library(row.language) for row in some}
        into = result[name].setdefault(title, {}) if name == "rollout" else result[name]
        for language, row in found.items():
            into.setdefault(language, {}).update(row)


if __name__ == "__main__":
    main()
