"""`make demo-local`: client-side balancing without a cluster, and without root; every number is measured.

Three servers on loopback addresses, a client, and `grpcbalance dev dns` in the place of the cluster's DNS. What the
operator does in a cluster, the demo does by hand: it sets the variables and keeps the addresses. Exit code 0: all
promises kept; 1: one was broken, or something did not happen in time.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import click

from examples.demo.result import Result
from examples.demo.show import Show

from .acts import LocalDemo
from .programs import ProgramError
from .stage import Stage

_OUTPUT = click.Path(path_type=Path)
_PORT = click.IntRange(1024, 65_535)


@click.command(help=__doc__)
@click.option("--port", default=5000, show_default=True, type=_PORT, help="Port of the three servers.")
@click.option("--dns-port", default=1053, show_default=True, type=_PORT, help="Port of the DNS server.")
@click.option("--output", default="build/demo-local.json", show_default=True, type=_OUTPUT)
def main(port: int, dns_port: int, output: Path) -> None:
    """Run the demo and write its numbers."""
    show, result, started = Show(), Result(), time.monotonic()
    try:
        with tempfile.TemporaryDirectory() as folder, Stage(Path(folder), port, dns_port) as stage:
            _run(LocalDemo(stage, show, result))
    except ProgramError as error:
        result.broken.append(str(error))
    result.data["seconds"] = round(time.monotonic() - started, 1)
    sys.exit(result.finish(show, output))


def _run(demo: LocalDemo) -> None:
    stage, show = demo.stage, demo.show
    show.heading("Three servers, one name, no cluster")
    show.say("building examples/go")
    stage.build()
    show.say("starting orders-a, orders-b and orders-c on 127.0.0.1, 127.0.0.2 and 127.0.0.3")
    stage.start_servers()
    show.command(f"grpcbalance dev dns names.yaml --listen 127.0.0.1:{stage.dns_port}")
    stage.start_dns(["orders-a", "orders-b"])
    demo.without()
    with stage.client("client", demo.variables()) as client:
        demo.balance(client)
        demo.add(client)
        demo.remove(client)


if __name__ == "__main__":
    main()
