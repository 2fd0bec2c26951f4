"""What is done to both clients of the demo of xDS, and asked of both, side by side."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from examples.demo.acting import Acting
from examples.demo.measure import failed, first_rpcs, jain
from examples.demo.stage import NAMESPACE
from lab import LabError
from lab.endpoints import ApartWatch
from lab.records import failures, of_deployment

from .measure import Waits, readable

# The first one is annotated for xDS, the other one is not.
CLIENTS: Final = ("checkout", "billing")
ON_XDS: Final = f"xds:///orders.{NAMESPACE}:5000"
ON_DNS: Final = f"dns:///orders-headless.{NAMESPACE}.svc.cluster.local.:5000"
_BY: Final = {"checkout": "xDS", "billing": "DNS"}
_START: Final = 60.0


@dataclass(frozen=True, slots=True)
class Both(Acting):
    """Acts with two clients; `endpoints` knows when pods became ready endpoints, and when they ceased to be."""

    endpoints: ApartWatch

    def annotate(self, deployment: str, *annotations: str) -> None:
        """Annotate a Deployment."""
        self.kubectl("annotate", f"deployment/{deployment}", *annotations)

    def discover(self, by: str) -> None:
        """Change the one word."""
        patch = json.dumps({"spec": {"discovery": by}}, separators=(",", ":"))
        self.kubectl("patch", "gbs", "orders", "--type=merge", "-p", patch)

    def overview(self) -> None:
        """What `grpcbalance status` says. Raises LabError when it could not look."""
        arguments = ["status", "orders", f"--namespace={NAMESPACE}"]
        self.show.command(" ".join(["grpcbalance", *arguments]))
        command = [sys.executable, "-m", "grpcbalance", *arguments, f"--kubeconfig={self.stage.cluster.kubeconfig}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode not in (0, 1):
            raise LabError(f"grpcbalance status: {done.stderr.strip()}")
        self.show.output(done.stdout)

    def spread(self, act: str, *targets: str) -> None:
        """How RPCs of each client are spread now, and that it has the target that it should have, by its own words."""
        since, pods = self.settled(), self.pods()
        self.result.data[act] = {}
        for name, target in zip(CLIENTS, targets, strict=True):
            counts = self.sample(since, name)
            (pod,) = {rpc.client for rpc in of_deployment(self.recorder.rpcs(since), name)}
            found = self.recorder.starts[pod]["target"]
            self.show.say(f"{name}: target {found}")
            self.show.distribution(counts, pods)
            self.result.data[act][name] = {"target": found, "spread": counts}
            even = set(counts) == set(pods) and jain(counts, len(pods)) >= 0.99
            self.promise(f"{name} calls {target}, evenly (Jain index at least 0.99)", found == target and even)

    def grow(self, replicas: int, more: int) -> dict[str, float]:
        """Scale the servers out by `more`; when each of the new pods became a ready endpoint."""
        known = set(self.endpoints.ready)
        self.kubectl("scale", "deployment/orders", f"--replicas={replicas}")
        self.endpoints.wait(lambda seen: len(seen.ready - known) == more, _START, f"{more} more endpoints")
        return {pod: self.endpoints.ready_at[pod] for pod in self.endpoints.ready - known}

    def await_used(self, clients: Iterable[str], pods: Mapping[str, float], since: float, within: float) -> None:
        """Wait until clients have called pods. Which did not in time is told by what is measured afterwards."""
        self.recorder.wait(
            lambda found: all(len(first_rpcs(of_deployment(found, name), pods)) == len(pods) for name in clients),
            since=since,
            within=within,
        )

    def table(self, act: str, what: str, found: Mapping[str, Waits]) -> None:
        """Times of both clients side by side."""
        self.result.data[act] = {name: waits.milliseconds() for name, waits in found.items()}
        rows = [(name, _BY[name], str(w.pods), readable(w.p50), readable(w.most)) for name, w in found.items()]
        self.show.table(what, ("client", "by", "pods", "p50", "max"), rows)

    def none_failed(self, act: str, since: float) -> None:
        """Promise that no RPC of either client has failed since then."""
        rpcs = self.recorder.rpcs(since)
        made = {name: of_deployment(rpcs, name) for name in CLIENTS}
        for name, mine in made.items():
            of_act = self.result.data.setdefault(act, {}).setdefault(name, {})
            of_act |= {"rpcs": len(mine), "failed": failed(mine)}
        told = ", ".join(f"{failed(mine)} of {len(mine):,} of {name}" for name, mine in made.items())
        self.promise(f"no RPC failed: {told}", failed(rpcs) == 0)
        for rpc in failures(rpcs)[:3]:
            self.show.output(f"        {rpc.client}: {'another pod answered' if rpc.ok else rpc.code} {rpc.message}")
