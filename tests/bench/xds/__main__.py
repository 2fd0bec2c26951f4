"""`make bench-xds`: the look-aside balancer on the lab, as installed: fan-out to thousands of streams, real clients.

Writes build/bench/xds.json and prints tables. Counts are gates: exit code 1 when one is broken. Times, CPU and memory
are trends of this machine, on which API server, operator, both replicas and all clients run; budgets stand beside them.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from lab import Lab, LabError
from lab.images import LANGUAGES
from lab.install import install_operator, install_xds, provide_images
from lab.rest import LOST, Rest
from tests.bench.show import Say, begin, show
from tests.kit.failures import folder_of

from . import generator, pickup, report
from .fanout import CELLS, FanOut
from .figures import Cell, cell_of

_PARTS: Final = ("fan_out", "pickup")
_QUICK_CELLS: Final = (Cell(100, 100, 2), Cell(300, 1000, 1))
_QUICK_SIZE: Final = pickup.Size(rounds=2, dns_rounds=1, each=3)


@click.command(help=__doc__)
@click.option("--only", multiple=True, type=click.Choice(_PARTS), help="Part; all.")
@click.option("--case", "cases", multiple=True, help="Case of the fan-out, STREAMSxENDPOINTSxREPLICAS; all.")
@click.option("--changes", default=20, show_default=True, help="Changes in each case of the fan-out.")
@click.option("--quick", is_flag=True, help="A little of everything: shows that it works, and says little of times.")
@click.option("--output", default="build/bench/xds.json", show_default=True, type=click.Path(path_type=Path))
def main(only: tuple[str, ...], cases: tuple[str, ...], changes: int, quick: bool, output: Path) -> None:
    """Run the benchmark."""
    console, say = begin()
    cells = [cell_of(case) for case in cases] or (_QUICK_CELLS if quick else CELLS)
    size = _QUICK_SIZE if quick else pickup.Size()
    result = _measure(only or _PARTS, cells, 3 if quick else changes, size, say)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result, indent=1) + "\n")
    broken = show(console, report.tables(result), report.gates(result))
    console.print(f"numbers are in {output}")
    sys.exit(1 if broken else 0)


def _measure(parts: Sequence[str], cells: Sequence[Cell], changes: int, size: pickup.Size, say: Say) -> dict[str, Any]:
    result: dict[str, Any] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"system": platform.platform(), "cpus": len(os.sched_getaffinity(0))},
        "events": size.rounds * size.each,
        "failed": {},
    }
    with Lab(keep=folder_of("bench-xds")) as lab, Rest(lab.kubeconfig) as api:
        provide_images(lab, LANGUAGES if "pickup" in parts else ())
        lab.import_image(generator.image())
        install_operator(lab)
        install_xds(lab)
        result["kubernetes"] = api.get("/version")["gitVersion"]
        say(f"Kubernetes {result['kubernetes']} is up, the operator and the look-aside balancer are in it")
        if "pickup" in parts:
            say("real clients")
            _attempt(result, "pickup", lab, say, lambda: result.update(pickup=pickup.measure(lab, api, size, say)))
        if "fan_out" in parts:
            say(f"fan-out: {len(cells)} cases of {changes} changes")
            _attempt(result, "fan_out", lab, say, lambda: _fan_out(result, FanOut(lab, api, say), cells, changes))
    return result


def _attempt(result: dict[str, Any], what: str, lab: Lab, say: Say, run: Callable[[], None]) -> None:
    """Run a part. When it fails, what others have measured stays worth something."""
    try:
        run()
    except (AssertionError, LabError, *LOST) as error:
        result["failed"][what] = str(error)
        lab.dump(folder_of(f"bench-xds-{what}"))
        say(f"{what} failed: {error}; what helps is in {folder_of(f'bench-xds-{what}')}")


def _fan_out(result: dict[str, Any], bench: FanOut, cells: Sequence[Cell], changes: int) -> None:
    found = result["fan_out"] = {}
    bench.prepare()
    for cell in cells:
        found[str(cell)] = bench.measure(cell, changes)


if __name__ == "__main__":
    main()
