"""The acts of the demo, in order. Each does something to the shop, measures, prints, and adds to the result."""

from __future__ import annotations

import time

from . import measure
from .acting import Acting
from .stage import is_true


class Demo(Acting):
    """The demo of DNS."""

    def before(self) -> None:
        """Act 1: the ClusterIP Service, where one pod takes all."""
        self.show.heading("1  Before: three servers behind an ordinary ClusterIP Service")
        self.show.say("one client, one gRPC channel, 50 RPC/s, to orders:5000")
        counts = self.sample(time.time())
        self.show.distribution(counts, self.pods())
        self.result.data["before"] = counts
        self.promise("the problem is there: one pod takes every RPC", measure.share_of_busiest(counts) == 1.0)

    def balance(self) -> None:
        """Act 2: the object and two annotations."""
        self.show.heading("2  One object, two annotations")
        self.apply_balanced()
        for name, role in (("orders", "server"), ("checkout", "client")):
            self.kubectl("annotate", f"deployment/{name}", f"grpcbalance.dev/{role}=orders")
        self.follow_status(lambda b: is_true(b, "Ready", "ClientsConfigured"), 180, "Ready and ClientsConfigured")
        self.show_status()
        counts = self.sample(self.settled())
        pods = self.pods()
        self.show.distribution(counts, pods)
        self.result.data["after"] = counts
        fair = set(counts) == set(pods) and measure.jain(counts, len(pods)) >= 0.99
        self.promise("every pod gets its share (Jain index at least 0.99)", fair)

    def scale_out(self) -> None:
        """Act 3: two more pods."""
        self.show.heading("3  Scale out, 3 to 5: how soon is a new pod used?")
        known, start = set(self.pods()), time.time()
        self.kubectl("scale", "deployment/orders", "--replicas=5")
        ready = self.stage.ready_times(known, 2, 60)
        within = measure.PICK_UP_LIMIT + 10
        self.recorder.wait(lambda found: len(measure.first_rpcs(found, ready)) == 2, since=start, within=within)
        rpcs = self.recorder.rpcs(start)
        first = measure.first_rpcs(rpcs, ready)
        waits = sorted(round(first[pod] - ready[pod], 2) for pod in first)
        for pod in first:
            self.show.say(f"{pod}: first RPC {first[pod] - ready[pod]:.1f} s after it was Ready")
        self.show.distribution(self.sample(time.time()), self.pods())
        self.result.data["scale_out"] = {"ready_to_first_rpc_s": waits, "failed_rpcs": measure.failed(rpcs)}
        quick = len(waits) == 2 and max(waits) <= measure.PICK_UP_LIMIT
        self.promise(f"a new pod is used within {measure.PICK_UP_LIMIT:.0f} s of being Ready", quick)
        self.promise("no RPC failed", measure.failed(rpcs) == 0)

    def scale_in(self) -> None:
        """Act 4: three pods fewer."""
        self.show.heading("4  Scale in, 5 to 2: does a call fail?")
        start = time.time()
        self.kubectl("scale", "deployment/orders", "--replicas=2")
        self.show.say("old pods go on serving for their preStop of 35 s, then finish what is in flight")
        self.stage.wait_pods_gone(2, 120)
        rpcs = self.recorder.rpcs(start)
        self.show.distribution(self.sample(time.time()), self.pods())
        self.result.data["scale_in"] = {"failed_rpcs": measure.failed(rpcs)}
        self.promise(f"no RPC failed ({len(rpcs)} made meanwhile)", measure.failed(rpcs) == 0)

    def delete(self) -> None:
        """Act 5: the object goes, traffic does not."""
        self.show.heading("5  Delete the object: running traffic must not notice")
        before, start = self.stage.generations(), time.time()
        self.kubectl("delete", "gbs", "orders")
        # Longer than the connection age: every connection is made anew, and so the name resolved again.
        wanted = int(50 * 1.3 * measure.MAX_CONNECTION_AGE)
        self.show.say("waiting until every connection was made anew, and the name resolved without the object")
        self.recorder.wait(lambda found: len(found) >= wanted, since=start, within=60)
        self.apply_balanced()
        balanced = self.stage.wait_balanced(lambda b: is_true(b, "Ready", "ClientsConfigured"), 60, "Ready again")
        rpcs, rollouts = self.recorder.rpcs(start), self.stage.generations()
        rolled = sum(rollouts[name] - before[name] for name in before)
        self.result.data["delete"] = {"failed_rpcs": measure.failed(rpcs), "rollouts": rolled}
        self.result.data["status"] = balanced["status"]
        self.promise(f"no RPC failed ({len(rpcs)} made meanwhile)", measure.failed(rpcs) == 0)
        self.promise("no pod was rolled", rolled == 0)
