"""The acts of the local demo, in order: each changes something, measures from the client's record, and prints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from examples.demo import measure
from examples.demo.result import Result
from examples.demo.show import Show
from lab.records import Rpc

from .stage import MAX_CONNECTION_AGE, RATE, RESOLUTION_FLOOR, SERVERS, Client, Stage

_SAMPLE: Final = 300
# gRPC servers spread connection ages by ten percent (gRFC A9); then the client asks DNS, at once or after the floor.
FOLLOWS_WITHIN: Final = 1.1 * MAX_CONNECTION_AGE + RESOLUTION_FLOOR + 1.0


@dataclass(frozen=True, slots=True)
class LocalDemo:
    """Acts share the programs, the printed show and the result."""

    stage: Stage
    show: Show
    result: Result

    def promise(self, text: str, kept: bool) -> None:
        """Show a promise; a broken one makes the demo fail."""
        self.result.promise(self.show, text, kept)

    def without(self) -> None:
        """Act 1: the same name, and a client as the library makes it."""
        self.show.heading("1  Without: two servers under one name, a client with the library's defaults")
        self.show.command(f"FALLBACK_TARGET={self.stage.target} ./app client")
        with self.stage.client("client without", {"FALLBACK_TARGET": self.stage.target}) as client:
            counts = self._sample(client)
        self._distribution(counts)
        self.result.data["before"] = counts
        self.promise("the problem is there: one server takes every RPC", measure.share_of_busiest(counts) == 1.0)

    def variables(self) -> dict[str, str]:
        """What the operator injects in a cluster, here set by hand; the target names the DNS server."""
        return {
            "GRPC_ORDERS_TARGET": self.stage.target,
            "GRPC_ORDERS_SERVICE_CONFIG": '{"loadBalancingConfig":[{"round_robin":{}}]}',
            "GRPC_ORDERS_MIN_RESOLUTION_INTERVAL_MS": str(RESOLUTION_FLOOR * 1000),
        }

    def balance(self, client: Client) -> None:
        """Act 2: the variables that the operator injects."""
        self.show.heading("2  With the variables that grpcbalance injects in a cluster")
        for name, value in self.variables().items():
            self.show.command(f"export {name}='{value}'")
        known = ["orders-a", "orders-b"]
        self._wait_for(client, known, 20)
        counts = self._sample(client)
        self._distribution(counts)
        self.result.data["after"] = counts
        self.promise("each server gets its share (Jain index at least 0.99)", _even(counts, known))

    def add(self, client: Client) -> None:
        """Act 3: a third address."""
        self.show.heading("3  A third address comes: how soon is it used?")
        before = len(client.told())
        named = self.stage.name(SERVERS)
        self.show.say(f"orders-c, {SERVERS['orders-c']}, is in the names file, and so in DNS")
        found = self._wait_for(client, ["orders-c"], FOLLOWS_WITHIN + 10, before)
        took = round(measure.first_rpcs(found, ["orders-c"])["orders-c"] - named, 2)
        self.show.say(f"first RPC on orders-c {took:.1f} s later")
        counts = self._sample(client)
        self._distribution(counts)
        failed = measure.failed(client.told(before))
        self.result.data["added"] = {"dns_to_first_rpc_s": took, "counts": counts, "failed_rpcs": failed}
        self.promise(f"a new address is used within {FOLLOWS_WITHIN:.0f} s", took <= FOLLOWS_WITHIN)
        self.promise("each server gets its share (Jain index at least 0.99)", _even(counts, list(SERVERS)))
        self.promise("no RPC failed", failed == 0)

    def remove(self, client: Client) -> None:
        """Act 4: the first address goes, and a moment after the last RPC on it, its server."""
        self.show.heading("4  The first address goes: how soon is it left alone?")
        before, left = len(client.told()), ["orders-b", "orders-c"]
        named = self.stage.name(left)
        self.show.say(f"orders-a, {SERVERS['orders-a']}, is no more in DNS; its server still runs")
        found = client.wait(_a_is_left, since=before, within=FOLLOWS_WITHIN + 10, what="a second without orders-a")
        took = round(max((rpc.start - named for rpc in found if rpc.pod == "orders-a"), default=0.0), 2)
        self.show.say(f"last RPC on orders-a {max(took, 0.0):.1f} s later; now its server ends")
        self.stage.stop_server("orders-a")
        counts = self._sample(client)
        self._distribution(counts)
        failed = measure.failed(client.told(before))
        self.result.data["removed"] = {"dns_to_last_rpc_s": took, "counts": counts, "failed_rpcs": failed}
        self.promise(f"an address that is gone is left alone within {FOLLOWS_WITHIN:.0f} s", took <= FOLLOWS_WITHIN)
        self.promise("the others get its share (Jain index at least 0.99)", _even(counts, left))
        self.promise("no RPC failed, not even at the server's end", failed == 0)

    def _sample(self, client: Client) -> dict[str, int]:
        within = 10 * _SAMPLE / RATE
        what = f"{_SAMPLE} more RPCs"
        found = client.wait(lambda told: len(told) >= _SAMPLE, since=len(client.told()), within=within, what=what)
        return measure.distribution(found[:_SAMPLE])

    def _wait_for(self, client: Client, pods: list[str], within: float, since: int = 0) -> list[Rpc]:
        what = f"an RPC on {' and '.join(pods)}"
        return client.wait(lambda told: {*pods} <= {r.pod for r in told}, since=since, within=within, what=what)

    def _distribution(self, counts: dict[str, int]) -> None:
        self.show.distribution(counts, list(SERVERS))


def _a_is_left(rpcs: list[Rpc]) -> bool:
    """For a second's worth of RPCs."""
    return len(rpcs) > RATE and all(rpc.pod != "orders-a" for rpc in rpcs[-RATE:])


def _even(counts: dict[str, int], pods: list[str]) -> bool:
    return set(counts) == set(pods) and measure.jain(counts, len(pods)) >= 0.99
