"""The acts of the demo, in order. Each does something to the shop, measures, prints, and adds to the result."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from lab.install import condition
from lab.records import Recorder

from . import measure
from .result import Result
from .show import Show
from .stage import Stage, is_true

_SAMPLE = 300
_SHOWN = ("Ready", "ServersConfigured", "ClientsConfigured")


@dataclass(frozen=True, slots=True)
class Demo:
    """The demo: acts share the shop, the client's record, the printed show and the result."""

    stage: Stage
    recorder: Recorder
    show: Show
    result: Result

    def promise(self, text: str, kept: bool) -> None:
        """Show a promise; a broken one makes the demo fail."""
        self.result.promise(self.show, text, kept)

    def _sample(self, since: float) -> dict[str, int]:
        rpcs = self.recorder.wait(lambda found: len(found) >= _SAMPLE, since=since, within=30)
        if rpcs is None:
            raise AssertionError(f"the client made fewer than {_SAMPLE} RPCs in 30 s")
        return measure.distribution(rpcs[:_SAMPLE])

    def _pods(self) -> list[str]:
        return [pod["metadata"]["name"] for pod in self.stage.server_pods()]

    def before(self) -> None:
        """Act 1: the ClusterIP Service, where one pod takes all."""
        self.show.heading("1  Before: three servers behind an ordinary ClusterIP Service")
        self.show.say("one client, one gRPC channel, 50 RPC/s, to orders:5000")
        counts = self._sample(time.time())
        self.show.distribution(counts, self._pods())
        self.result.data["before"] = counts
        self.promise("the problem is there: one pod takes every RPC", measure.share_of_busiest(counts) == 1.0)

    def balance(self) -> None:
        """Act 2: the object and two annotations."""
        self.show.heading("2  One object, two annotations")
        self.show.command("kubectl apply -f examples/demo/manifests/orders.yaml")
        self.stage.apply_balanced()
        for name, role in (("orders", "server"), ("checkout", "client")):
            self.show.command(f"kubectl annotate deployment/{name} grpcbalance.dev/{role}=orders")
            self.stage.kubectl("annotate", f"deployment/{name}", f"grpcbalance.dev/{role}=orders")
        self._follow_status()
        self.show.command("kubectl get gbs")
        self.show.output(self.stage.kubectl("get", "gbs"))
        # The record may still hold RPCs of the client's old pod, which ends while the new one works.
        done = time.time() + 2
        counts = self._sample(done)
        pods = self._pods()
        self.show.distribution(counts, pods)
        self.result.data["after"] = counts
        fair = set(counts) == set(pods) and measure.jain(counts, len(pods)) >= 0.99
        self.promise("every pod gets its share (Jain index at least 0.99)", fair)

    def _follow_status(self) -> None:
        said: list[str] = []

        def accept(balanced: dict[str, Any]) -> bool:
            summary = balanced.get("status", {}).get("summary", {})
            states = [f"{kind} {condition(balanced, kind).get('reason', '-')}" for kind in _SHOWN]
            line = f"endpoints {summary.get('endpoints', '-')}   " + "   ".join(states)
            if said[-1:] != [line]:
                said.append(line)
                self.show.say(line)
            return is_true(balanced, "Ready", "ClientsConfigured")

        self.stage.wait_balanced(accept, 180, "Ready and ClientsConfigured")

    def scale_out(self) -> None:
        """Act 3: two more pods."""
        self.show.heading("3  Scale out, 3 to 5: how soon is a new pod used?")
        known, start = set(self._pods()), time.time()
        self.show.command("kubectl scale deployment/orders --replicas=5")
        self.stage.scale(5)
        ready = self.stage.ready_times(known, 2, 60)
        within = measure.PICK_UP_LIMIT + 10
        self.recorder.wait(lambda found: len(measure.first_rpcs(found, ready)) == 2, since=start, within=within)
        rpcs = self.recorder.rpcs(start)
        first = measure.first_rpcs(rpcs, ready)
        waits = sorted(round(first[pod] - ready[pod], 2) for pod in first)
        for pod in first:
            self.show.say(f"{pod}: first RPC {first[pod] - ready[pod]:.1f} s after it was Ready")
        self.show.distribution(self._sample(time.time()), self._pods())
        self.result.data["scale_out"] = {"ready_to_first_rpc_s": waits, "failed_rpcs": measure.failed(rpcs)}
        quick = len(waits) == 2 and max(waits) <= measure.PICK_UP_LIMIT
        self.promise(f"a new pod is used within {measure.PICK_UP_LIMIT:.0f} s of being Ready", quick)
        self.promise("no RPC failed", measure.failed(rpcs) == 0)

    def scale_in(self) -> None:
        """Act 4: three pods fewer."""
        self.show.heading("4  Scale in, 5 to 2: does a call fail?")
        start = time.time()
        self.show.command("kubectl scale deployment/orders --replicas=2")
        self.stage.scale(2)
        self.show.say("old pods go on serving for their preStop of 35 s, then finish what is in flight")
        self.stage.wait_pods_gone(2, 120)
        rpcs = self.recorder.rpcs(start)
        self.show.distribution(self._sample(time.time()), self._pods())
        self.result.data["scale_in"] = {"failed_rpcs": measure.failed(rpcs)}
        self.promise(f"no RPC failed ({len(rpcs)} made meanwhile)", measure.failed(rpcs) == 0)

    def delete(self) -> None:
        """Act 5: the object goes, traffic does not."""
        self.show.heading("5  Delete the object: running traffic must not notice")
        before, start = self.stage.generations(), time.time()
        self.show.command("kubectl delete gbs orders")
        self.stage.kubectl("delete", "gbs", "orders")
        # Longer than the connection age: every connection is made anew, and so the name resolved again.
        wanted = int(50 * 1.3 * measure.MAX_CONNECTION_AGE)
        self.show.say("waiting until every connection was made anew, and the name resolved without the object")
        self.recorder.wait(lambda found: len(found) >= wanted, since=start, within=60)
        self.show.command("kubectl apply -f examples/demo/manifests/orders.yaml")
        self.stage.apply_balanced()
        balanced = self.stage.wait_balanced(lambda b: is_true(b, "Ready", "ClientsConfigured"), 60, "Ready again")
        rpcs, rollouts = self.recorder.rpcs(start), self.stage.generations()
        rolled = sum(rollouts[name] - before[name] for name in before)
        self.result.data["delete"] = {"failed_rpcs": measure.failed(rpcs), "rollouts": rolled}
        self.result.data["status"] = balanced["status"]
        self.promise(f"no RPC failed ({len(rpcs)} made meanwhile)", measure.failed(rpcs) == 0)
        self.promise("no pod was rolled", rolled == 0)
