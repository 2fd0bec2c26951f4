"""`make demo`: from nothing to an evenly spread gRPC service on a real cluster, with every number measured.

Exit code 0: all promises kept; 1: one was broken, or something did not happen in time.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import click

from lab import LabError, open_cluster
from lab.install import echo_image_name, install_operator, operator_image_name, provide_images
from lab.records import Recorder
from lab.rest import Rest

from .acts import Demo
from .result import Result
from .show import Show
from .stage import NAMESPACE, Stage


@click.command(help=__doc__)
@click.option("--output", default="build/demo.json", show_default=True, type=click.Path(path_type=Path))
def main(output: Path) -> None:
    """Run the demo and write its numbers."""
    show, result, started = Show(), Result(), time.monotonic()
    seconds: dict[str, float] = {}
    try:
        _run(show, result, seconds)
    except (LabError, AssertionError) as error:
        result.broken.append(str(error))
    seconds["total"] = round(time.monotonic() - started, 1)
    result.data["seconds"] = seconds
    sys.exit(result.finish(show, output))


def _run(show: Show, result: Result, seconds: dict[str, float]) -> None:
    def timed(name: str, act: Callable[[], None]) -> None:
        begun = time.monotonic()
        act()
        seconds[name] = round(time.monotonic() - begun, 1)

    show.heading("A Kubernetes cluster, and the operator in it")
    begun = time.monotonic()
    with open_cluster() as cluster, Rest(cluster.kubeconfig) as api:
        seconds["cluster"] = round(time.monotonic() - begun, 1)
        show.say(f"cluster is up ({seconds['cluster']} s)")
        timed("images", lambda: provide_images(cluster))
        brought = "images are in it" if cluster.takes_images else "it has to have the images"
        show.say(f"{brought}: {operator_image_name()} and {echo_image_name()}")
        show.command("kubectl apply -k manifests")
        timed("install", lambda: install_operator(cluster))
        show.say("operator is ready")
        stage = Stage(cluster, api)
        timed("shop", stage.prepare)
        with Recorder(cluster, NAMESPACE, "app=checkout") as recorder:
            demo = Demo(stage, recorder, show, result)
            for act in (demo.before, demo.balance, demo.scale_out, demo.scale_in, demo.delete):
                timed(act.__name__, act)
        if not cluster.takes_images:
            show.say(f"left in your cluster: namespace {NAMESPACE}, and the operator (`kubectl delete -k manifests`)")


if __name__ == "__main__":
    main()
