"""The acts of the demo of xDS, in order. Each does something to the shop, measures both clients, and prints."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from examples.demo.measure import PICK_UP_LIMIT
from examples.demo.stage import is_true
from lab.install import condition
from lab.records import of_deployment
from lab.rest import Object

from . import balancer
from .both import CLIENTS, ON_DNS, ON_XDS, Both
from .measure import XDS_LIMIT, let_go, picked_up, readable

# A client connects to the balancer again within seconds, most of them; some after half a minute.
_RETURN_LIMIT: Final = 60.0
_PICK_UP: Final = "from Ready (the EndpointSlice's event) to the first RPC"


class XdsDemo(Both):
    """The demo of xDS."""

    def on_dns(self) -> None:
        """Act 1: both clients on DNS."""
        self.show.heading("1  discovery: DNS. Two clients of one object, the same program; one is said to speak xDS")
        self.apply_balanced()
        self.annotate("orders", "grpcbalance.dev/server=orders")
        self.annotate("checkout", "grpcbalance.dev/client=orders", "grpcbalance.dev/xds=plaintext")
        self.annotate("billing", "grpcbalance.dev/client=orders")
        self.follow_status(lambda b: is_true(b, "Ready", "ClientsConfigured"), 180, "Ready and ClientsConfigured")
        self.show_status()
        self.spread("on_dns", ON_DNS, ON_DNS)

    def to_xds(self) -> None:
        """Act 2: one word is changed."""
        self.show.heading("2  discovery: XDS. One word, and who is ready moves")
        before, start = self.stage.generations(), time.time()
        self.discover("XDS")
        balanced = self.follow_status(_one_moved, 90, "one client moved, one on DNS")
        self.spread("to_xds", ON_XDS, ON_DNS)
        self.show_status()
        self.overview()
        stays = workload_of(balanced, "billing")
        self.show.say("of billing status has:")
        self.show.output(f"{stays.get('reason', '-')}: {stays.get('message', '-')}")
        told = stays.get("reason") == "StaysOnDns" and "grpcbalance.dev/xds" in stays["message"]
        self.promise("status says why billing stays on DNS, and how it can follow", told)
        rolled = {name: count - before[name] for name, count in self.stage.generations().items()}
        only = rolled == {"orders": 0, "checkout": 1, "billing": 0}
        self.promise("only checkout was rolled, once; billing and the servers were not touched", only)
        self.none_failed("to_xds", start)

    def scale_out(self) -> None:
        """Act 3: five more pods, one by one: each change is found for itself."""
        self.show.heading("3  Scale out, 3 to 8: how soon is a new pod used?")
        start, new = time.time(), dict[str, float]()
        for replicas in range(4, 9):
            new |= self.grow(replicas, 1)
        self.show.say("all are ready; on DNS a client asks again when servers end its connections, here after 10 s …")
        self.await_used(CLIENTS, new, start, PICK_UP_LIMIT + 10)
        rpcs = self.recorder.rpcs(start)
        found = {name: picked_up(of_deployment(rpcs, name), new) for name in CLIENTS}
        self.table("scale_out", _PICK_UP, found)
        checkout, billing = (found[name] for name in CLIENTS)
        self.promise(f"on xDS a new pod is used within {XDS_LIMIT:.0f} s", checkout.within(5, XDS_LIMIT))
        self.promise(f"on DNS a new pod is used within {PICK_UP_LIMIT:.0f} s", billing.within(5, PICK_UP_LIMIT))
        self.none_failed("scale_out", start)

    def roll(self) -> None:
        """Act 4: all servers are replaced."""
        self.show.heading("4  Rolling update of the servers: does a call fail?")
        safe = condition(self.stage.api.get(self.stage.balanced()), "RolloutSafe")
        self.show.say(f"DNS needs servers that go on for 35 s (preStop): RolloutSafe is {safe.get('status', '-')}")
        start, old = time.time(), set(self.pods())
        self.kubectl("rollout", "restart", "deployment/orders")
        self.stage.wait_rolled_out("orders", 120)
        self.show.say("all are new; old ones go on serving for their preStop of 35 s, then finish what is in flight …")
        self.stage.wait_pods_gone(len(old), 120)
        rpcs = self.recorder.rpcs(start)
        left = {pod: at for pod, at in self.endpoints.left_at.items() if pod in old}
        found = {name: let_go(of_deployment(rpcs, name), left) for name in CLIENTS}
        self.table("roll", "from when a pod is no ready endpoint any more to its last RPC", found)
        soon = found["checkout"].within(len(old), XDS_LIMIT)
        self.promise(f"on xDS an old pod is let go of within {XDS_LIMIT:.0f} s", soon)
        self.none_failed("roll", start)

    def kill(self) -> None:
        """Act 5: the look-aside balancer dies."""
        self.show.heading("5  SIGKILL for both replicas of the look-aside balancer: does a call fail?")
        start = time.time()
        self.show.say(f"{balancer.kill(self.stage.cluster, self.stage.api)}; calls go on …")
        balancer.wait_away(self.stage.api)
        balancer.wait_ready(self.stage.api)
        self.show.say(f"Kubernetes has started them again, after {time.time() - start:.1f} s; now one pod more")
        first = self.grow(9, 1)
        self.await_used(("checkout",), first, start, _RETURN_LIMIT)
        back = picked_up(of_deployment(self.recorder.rpcs(start), "checkout"), first)
        self.show.say(
            f"its first RPC from checkout after {readable(back.most)}, as it has connected again; and one more"
        )
        second = self.grow(10, 1)
        self.await_used(CLIENTS, first | second, start, PICK_UP_LIMIT + 10)
        rpcs = self.recorder.rpcs(start)
        found = {name: picked_up(of_deployment(rpcs, name), second) for name in CLIENTS}
        self.table("kill", f"of that one, {_PICK_UP}", found)
        self.result.data["kill"]["back"] = back.milliseconds()
        again = back.within(1, _RETURN_LIMIT) and found["checkout"].within(1, XDS_LIMIT)
        self.promise(f"on xDS new pods are found again (within {_RETURN_LIMIT:.0f} s, then as before)", again)
        self.none_failed("kill", start)

    def back_to_dns(self) -> None:
        """Act 6: the word is changed back."""
        self.show.heading("6  discovery: DNS again")
        start = time.time()
        self.discover("DNS")
        balanced = self.follow_status(_none_moved, 90, "all clients on DNS")
        self.spread("back_to_dns", ON_DNS, ON_DNS)
        self.show_status()
        self.result.data["status"] = balanced["status"]
        self.none_failed("back_to_dns", start)


def workload_of(balanced: Object, name: str) -> Object:
    """What status says of a workload; empty when it says nothing."""
    found: Iterator[Object] = (one for one in balanced["status"].get("workloads", []) if one["name"] == name)
    return next(found, {})


def _one_moved(balanced: Object) -> bool:
    counts = balanced.get("status", {}).get("xds", {}).get("workloads")
    return counts == {"moved": 1, "onDns": 1} and is_true(balanced, "Ready", "ClientsConfigured", "XdsAccepted")


def _none_moved(balanced: Object) -> bool:
    return "xds" not in balanced.get("status", {}) and is_true(balanced, "Ready", "ClientsConfigured")
