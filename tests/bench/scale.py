"""`make bench`: the operator at scale, on the lab, against the real API server.

Writes build/bench/scale.json and prints a table. Counts of writes are gates: exit code 1 when one is exceeded.
Times and memory are trends of this machine; they are shown beside their budgets.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from lab import Lab
from lab.install import provide_images
from lab.rest import Rest

from .phases import Bench
from .show import begin
from .world import Size, build


@click.command(help=__doc__)
@click.option("--services", default=5000, show_default=True, help="GrpcBalancedServices; each has two Deployments.")
@click.option("--endpoints", default=20, show_default=True, help="Endpoints of each service.")
@click.option("--change-seconds", default=120, show_default=True, help="How long specs change, 10 a second.")
@click.option("--churn-seconds", default=60, show_default=True, help="How long endpoints flap, 50 a second.")
@click.option("--output", default="build/bench/scale.json", show_default=True, type=click.Path(path_type=Path))
def main(services: int, endpoints: int, change_seconds: int, churn_seconds: int, output: Path) -> None:
    """Run the benchmark."""
    console, say = begin()
    size = Size(services, endpoints)
    with Lab() as lab, Rest(lab.kubeconfig) as api:
        provide_images(lab)
        lab.kubectl("apply", "-k", "crds")
        say(f"writing {size.services} services, {size.workloads} workloads, {size.endpoints} endpoints")
        build(api, size)
        result = _measure(Bench(lab, api, size, say), say, change_seconds, churn_seconds)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result, indent=2) + "\n")
    failed = report(console, result)
    console.print(f"numbers are in {output}")
    sys.exit(1 if failed else 0)


def _measure(bench: Bench, say: Any, change_seconds: int, churn_seconds: int) -> dict[str, Any]:
    size = bench.size
    result: dict[str, Any] = {
        "objects": {"crs": size.services, "workloads": size.workloads, "endpoints": size.endpoints}
    }
    say("cold start, everything new")
    result["cold"] = bench.cold()
    say("restart, nothing to do")
    result["restart"] = bench.restart()
    say(f"10 changes a second for {change_seconds} s")
    result["changes"], result["cpu_s_per_1000_reconciles"] = bench.changes(10, change_seconds)
    say(f"50 endpoint changes a second for {churn_seconds} s")
    result["churn"] = bench.churn(50, churn_seconds)
    return result


def gates(result: dict[str, Any]) -> list[tuple[str, float, float]]:
    """(what, measured, most allowed) of every count that may not be exceeded."""
    services, cold = result["objects"]["crs"], result["cold"]["writes"]
    return [
        ("cold: writes for each new service", round(sum(cold.values()) / services, 3), 5),
        ("cold: Service writes for each", round(cold.get("services", 0) / services, 3), 1),
        ("cold: workload PATCHes for each", round(cold.get("deployments", 0) / services, 3), 2),
        ("restart: writes", result["restart"]["writes"], 0),
        ("changes: not told of in status", result["changes"]["missed"], 0),
        ("churn: status writes", result["churn"]["status_writes"], result["churn"]["events"]),
        ("churn: other writes", sum(result["churn"]["writes"].values()) - result["churn"]["status_writes"], 0),
    ]


def trends(result: dict[str, Any]) -> list[tuple[str, float, float]]:
    """(what, measured, budget) of times and memory."""
    return [
        ("restart: all checked, s", result["restart"]["seconds"], 30),
        ("restart: peak RSS, MiB", result["restart"]["peak_rss_mb"], 250),
        ("restart: idle RSS, MiB", result["restart"]["idle_rss_mb"], 180),
        ("changes: p50, s", result["changes"]["p50_s"], 0.3),
        ("changes: p99, s", result["changes"]["p99_s"], 2),
        ("CPU s per 1,000 reconciles", result["cpu_s_per_1000_reconciles"], 3),
    ]


def report(console: Console, result: dict[str, Any]) -> list[str]:
    """Print the table; the gates that were exceeded."""
    table = Table("what", "measured", "budget", "", title="grpcbalance at scale")
    failed = []
    for what, measured, most in gates(result):
        kept = measured <= most
        failed += [] if kept else [what]
        table.add_row(what, f"{measured:g}", f"{most:g}", "✔" if kept else "✘ gate")
    for what, measured, budget in trends(result):
        mark = "✔" if measured <= budget else f"{measured / budget:.1f}x"
        table.add_row(what, f"{measured:g}", f"{budget:g}", mark)
    table.add_row("cold: all configured, s", f"{result['cold']['seconds']:g}", "", "")
    table.add_row("cold: peak RSS, MiB", f"{result['cold']['peak_rss_mb']:g}", "", "")
    console.print(table)
    return failed


if __name__ == "__main__":
    main()
