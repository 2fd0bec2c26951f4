"""Addresses of a lab, and the pair of interfaces through which its owner reaches the API server.

Inside, every lab has the same addresses, since it has a network namespace of its own. Nodes are addresses on the
loopback interface; each pod hangs on an interface of its own and all traffic between pods is routed, so that
connection tracking sees both directions (a bridge would need a kernel module for that). No default route leads
out: nothing in a lab can reach anything but its owner.
"""

from __future__ import annotations

import fcntl
import ipaddress
import json
import random
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from . import sweep
from .model import LabError

PODS: Final = "10.89.0.0/16"
SERVICES: Final = "10.96.0.0/16"
FIRST_SERVICE: Final = "10.96.0.1"
MAX_NODES: Final = 9
# Set aside for tests of network devices (RFC 2544), so nobody's network uses it.
_MANAGEMENT: Final = ipaddress.ip_network("198.18.0.0/15")
_PREFIX: Final = 30

Net = ipaddress.IPv4Network


@dataclass(frozen=True, slots=True)
class Link:
    """Both ends of the pair: the owner's address and the lab's, in a network of their own; the owner's interface."""

    interface: str
    owner: str
    lab: str

    @property
    def url(self) -> str:
        """Where the owner finds the API server."""
        return f"https://{self.lab}:6443"


def node_address(number: int) -> str:
    """Address of a node; the first is number 1."""
    return f"10.89.0.{number}"


def pod_range(number: int) -> tuple[str, str]:
    """First and last address of the pods of a node: about 4,000."""
    return f"10.89.{number * 16}.2", f"10.89.{number * 16 + 15}.253"


def choose(used: Iterable[Net], seed: int | None = None) -> Net:
    """A free management network, given all networks that this machine has a route to. Raises LabError."""
    taken = [net for net in used if net.overlaps(_MANAGEMENT)]
    count = 2 ** (_PREFIX - _MANAGEMENT.prefixlen)
    start = random.Random(seed).randrange(count)  # noqa: S311 - spreads labs of several machines, no secret
    for step in range(count):
        number = (start + step) % count
        net = ipaddress.ip_network((int(_MANAGEMENT.network_address) + number * 4, _PREFIX))
        if isinstance(net, Net) and not any(net.overlaps(other) for other in taken):
            return net
    raise LabError(f"no free network is left in {_MANAGEMENT}: remove the routes into it (ip route)")


def connect(lab: str, pid: int, nodes: int) -> Link:
    """Make the pair between the caller's network namespace and that of process `pid`, and the nodes' addresses."""
    interface = f"gbl{lab}"
    with _locked():
        net = choose(_used())
        owner, inner = (str(host) for host in net.hosts())
        _ip(
            f"link add {interface} type veth peer name mgmt netns {pid}",
            f"addr add {owner}/{_PREFIX} dev {interface}",
            f"link set {interface} up",
        )
    addresses = [f"addr add {node_address(number)}/32 dev lo" for number in range(1, nodes + 1)]
    lines = ["link set lo up", *addresses, f"addr add {inner}/{_PREFIX} dev mgmt", "link set mgmt up"]
    _ip(*lines, inside=pid)
    return Link(interface, owner, inner)


def cut_off(pid: int, number: int) -> None:
    """Drop without a word whatever comes from or goes to the pods of a node, in the network namespace of `pid`."""
    pods = f"10.89.{number * 16}.0/20"
    drop = f"ip saddr {pods} drop; ip daddr {pods} drop"
    chains = "".join(
        f"chain {hook} {{ type filter hook {hook} priority -10; {drop}; }}\n" for hook in ("forward", "input", "output")
    )
    table = f"table inet lost-node-{number} {{\n{chains}}}\n"
    _feed(["nft", "-f", "-"], table, pid, f"node {number} could not be cut off")


def disconnect(link: Link) -> None:
    """Remove the pair. The kernel does it too, but some time after the lab's last process has gone."""
    subprocess.run(["ip", "link", "delete", link.interface], check=False, capture_output=True, timeout=20)


def routed(text: str) -> list[Net]:
    """The networks in the output of `ip -json -4 route show table all`; the default route is none of them."""
    found = []
    for route in json.loads(text or "[]"):
        if route.get("dst", "default") != "default":
            found.append(ipaddress.IPv4Network(route["dst"], strict=False))
    return found


def _used() -> list[Net]:
    command = ["ip", "-json", "-4", "route", "show", "table", "all"]
    answer = subprocess.run(command, check=False, capture_output=True, text=True, timeout=20)
    if answer.returncode != 0:
        raise LabError(f"`{' '.join(command)}` failed: {answer.stderr.strip()}")
    return routed(answer.stdout)


def _ip(*lines: str, inside: int | None = None) -> None:
    complaint = f"the lab's network could not be made ({' ; '.join(lines)})"
    _feed(["ip", "-batch", "-"], "\n".join(lines) + "\n", inside, complaint)


def _feed(command: list[str], text: str, inside: int | None, complaint: str) -> None:
    """Run a command on a text, in the network namespace of a process if one is given. Raises LabError."""
    enter = [] if inside is None else ["nsenter", "--target", str(inside), "--net"]
    answer = subprocess.run([*enter, *command], input=text, check=False, capture_output=True, text=True, timeout=20)
    if answer.returncode != 0:
        raise LabError(f"{complaint}: {answer.stderr.strip()}")


@contextmanager
def _locked() -> Iterator[None]:
    # Two processes that look for a free network at the same moment would find the same one.
    with Path(sweep.RUN_ROOT / "network.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
