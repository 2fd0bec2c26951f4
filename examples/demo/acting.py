"""What the acts of the demos on a cluster share: the shop, the clients' record, the printed show and the result."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from lab.install import ROOT, condition
from lab.records import Recorder, of_deployment
from lab.rest import Object

from . import measure
from .result import Result
from .show import Show
from .stage import Stage

_SAMPLE: Final = 300
_SHOWN: Final = ("Ready", "ServersConfigured", "ClientsConfigured")


@dataclass(frozen=True, slots=True)
class Acting:
    """Does something to the shop, as one would type it, and looks at what its clients do."""

    stage: Stage
    recorder: Recorder
    show: Show
    result: Result

    def promise(self, text: str, kept: bool) -> None:
        """Show a promise; a broken one makes the demo fail."""
        self.result.promise(self.show, text, kept)

    def kubectl(self, *args: str) -> str:
        """Show a command and run it in the shop's namespace; what it says is left to the caller to show."""
        self.show.command(shlex.join(("kubectl", *args)))
        return self.stage.kubectl(*args)

    def apply_balanced(self) -> None:
        """Apply the GrpcBalancedService."""
        self.show.command(f"kubectl apply -f {self.stage.balanced_file.relative_to(ROOT)}")
        self.stage.apply_balanced()

    def pods(self) -> list[str]:
        """Names of the servers' pods that are not on their way out."""
        return [pod["metadata"]["name"] for pod in self.stage.server_pods()]

    def sample(self, since: float, client: str = "checkout") -> dict[str, int]:
        """How many of 300 RPCs of a client each pod answered. Raises AssertionError when there are not so many."""
        wanted = self.recorder.wait(lambda found: len(of_deployment(found, client)) >= _SAMPLE, since=since, within=30)
        if wanted is None:
            raise AssertionError(f"the client {client} made fewer than {_SAMPLE} RPCs in 30 s")
        return measure.distribution(of_deployment(wanted, client)[:_SAMPLE])

    def follow_status(self, accept: Callable[[Object], bool], within: float, what: str) -> Object:
        """Wait for a state of the GrpcBalancedService, and show each step that status takes until then."""
        said: list[str] = []

        def look(balanced: Object) -> bool:
            line = line_of(balanced)
            if said[-1:] != [line]:
                said.append(line)
                self.show.say(line)
            return accept(balanced)

        return self.stage.wait_balanced(look, within, what)

    def show_status(self) -> None:
        """What `kubectl get gbs` says."""
        self.show.output(self.kubectl("get", "gbs"))

    def settled(self) -> float:
        """A moment from which on the record holds RPCs of the clients' newest pods only: they overlap for a moment."""
        self.stage.wait_pods_gone(len(self.stage.clients), 30, f"app in ({','.join(self.stage.clients)})")
        return time.time()


def line_of(balanced: Object) -> str:
    """Status in one line: endpoints, reasons of conditions, and how many clients are on xDS where any is to be."""
    status = balanced.get("status", {})
    kinds = [*_SHOWN, *(["XdsAccepted"] if condition(balanced, "XdsAccepted") else [])]
    states = [f"{kind} {condition(balanced, kind).get('reason', '-')}" for kind in kinds]
    parts = [f"endpoints {status.get('summary', {}).get('endpoints', '-')}", *states]
    if workloads := status.get("xds", {}).get("workloads"):
        parts.append(f"on xDS {workloads.get('moved', 0)}, on DNS {workloads.get('onDns', 0)}")
    return "   ".join(parts)
