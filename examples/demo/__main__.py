"""`make demo`: from nothing to an evenly spread gRPC service on a real cluster, with every number measured.

Exit code 0: all promises kept; 1: one was broken, or something did not happen in time.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from lab.records import Recorder

from .acts import Demo
from .perform import Ready, perform
from .stage import NAMESPACE, Stage


@click.command(help=__doc__)
@click.option("--output", default="build/demo.json", show_default=True, type=click.Path(path_type=Path))
def main(output: Path) -> None:
    """Run the demo and write its numbers."""
    sys.exit(perform(_play, output))


def _play(ready: Ready) -> None:
    stage = Stage(ready.cluster, ready.api)
    ready.act("shop", stage.prepare)
    with Recorder(ready.cluster, NAMESPACE, "app=checkout") as recorder:
        demo = Demo(stage, recorder, ready.show, ready.result)
        for act in (demo.before, demo.balance, demo.scale_out, demo.scale_in, demo.delete):
            ready.act(act.__name__, act)
    if not ready.cluster.takes_images:
        left = f"namespace {NAMESPACE}, and the operator (`kubectl delete -k manifests`)"
        ready.show.say(f"left in your cluster: {left}")


if __name__ == "__main__":
    main()
