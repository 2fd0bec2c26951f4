"""`make demo-xds`: one word moves a client from DNS to a look-aside balancer and back; both side by side, measured.

Exit code 0: all promises kept; 1: one was broken, or something did not happen in time.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from examples.demo.perform import Ready, perform
from examples.demo.stage import MANIFESTS, NAMESPACE, Stage
from lab.endpoints import ApartWatch
from lab.records import Recorder

from . import balancer
from .acts import XdsDemo
from .both import CLIENTS

_OURS = Path(__file__).parent / "manifests"


@click.command(help=__doc__)
@click.option("--output", default="build/demo-xds.json", show_default=True, type=click.Path(path_type=Path))
def main(output: Path) -> None:
    """Run the demo and write its numbers."""
    sys.exit(perform(_play, output))


def _play(ready: Ready) -> None:
    ready.show.command(f"kubectl apply -k {balancer.FOLDER}")
    ready.act("balancer", lambda: balancer.install(ready.cluster))
    ready.show.say("look-aside balancer is ready, two replicas")
    files = (MANIFESTS / "shop.yaml", _OURS / "clients.yaml")
    stage = Stage(ready.cluster, ready.api, files, _OURS / "orders.yaml", CLIENTS)
    ready.act("shop", stage.prepare)
    ready.show.say("shop is there: three servers, two clients, all in Go")
    with (
        Recorder(ready.cluster, NAMESPACE, f"app in ({','.join(CLIENTS)})") as recorder,
        ApartWatch(ready.cluster, NAMESPACE) as endpoints,
    ):
        demo = XdsDemo(stage, recorder, ready.show, ready.result, endpoints)
        ready.act("on_dns", demo.on_dns)
        since = time.time()
        for act in (demo.to_xds, demo.scale_out, demo.roll, demo.kill, demo.back_to_dns):
            ready.act(act.__name__, act)
        ready.show.heading("From the first change to the last")
        demo.none_failed("whole", since)
    if not ready.cluster.takes_images:
        folders = f"`kubectl delete -k {balancer.FOLDER}`, then `kubectl delete -k manifests`"
        ready.show.say(f"left in your cluster: namespace {NAMESPACE}, balancer and operator ({folders})")


if __name__ == "__main__":
    main()
