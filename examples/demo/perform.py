"""What the demos on a cluster have around their acts: cluster and operator, how long all took, and the result."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from lab import Cluster, LabError, open_cluster
from lab.install import echo_image_name, install_operator, operator_image_name, provide_images
from lab.rest import Rest

from .result import Result
from .show import Show


@dataclass(frozen=True, slots=True)
class Timed:
    """Runs what has a name, and keeps for how many seconds."""

    seconds: dict[str, float] = field(default_factory=dict)

    def __call__(self, name: str, act: Callable[[], None]) -> None:
        """Run an act."""
        begun = time.monotonic()
        act()
        self.seconds[name] = round(time.monotonic() - begun, 1)


@dataclass(frozen=True, slots=True)
class Ready:
    """A cluster with the operator in it, and where to put what comes of it."""

    cluster: Cluster
    api: Rest
    show: Show
    result: Result
    timed: Timed

    def act(self, name: str, act: Callable[[], None]) -> None:
        """Run a part of the demo, which may take its time."""
        with self.show.busy():
            self.timed(name, act)


def perform(play: Callable[[Ready], None], output: Path) -> int:
    """Open a cluster, install the operator, play, write the numbers; the exit code."""
    show, result, timed, started = Show(), Result(), Timed(), time.monotonic()
    try:
        _perform(play, show, result, timed)
    except (LabError, AssertionError) as error:
        result.broken.append(str(error))
    timed.seconds["total"] = round(time.monotonic() - started, 1)
    result.data["seconds"] = timed.seconds
    return result.finish(show, output)


def _perform(play: Callable[[Ready], None], show: Show, result: Result, timed: Timed) -> None:
    show.heading("A Kubernetes cluster, and the operator in it")
    begun = time.monotonic()
    with open_cluster() as cluster, Rest(cluster.kubeconfig) as api:
        timed.seconds["cluster"] = round(time.monotonic() - begun, 1)
        show.say(f"cluster is up ({timed.seconds['cluster']} s)")
        timed("images", lambda: provide_images(cluster))
        brought = "images are in it" if cluster.takes_images else "it has to have the images"
        show.say(f"{brought}: {operator_image_name()} and {echo_image_name()}")
        show.command("kubectl apply -k manifests")
        ready = Ready(cluster, api, show, result, timed)
        ready.act("install", lambda: install_operator(cluster))
        show.say("operator is ready")
        play(ready)
