"""`grpcbalance dev dns --from-cluster`: what the cluster's own DNS says, on the developer's machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.message
import dns.query
import dns.rcode
import pytest

from lab import Lab
from tests.kit import objects
from tests.kit.shop import ROLLOUT, SOON, Shop

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]
# Code, and the records of the answer without their TTLs.
Reply = tuple[str, list[str]]


class Dns:
    """A running `dev dns`."""

    def __init__(self, address: str) -> None:
        self._host, port = address.split(":")
        self._port = int(port)

    def ask(self, name: str, kind: str = "A") -> Reply:
        query = dns.message.make_query(name, kind)
        reply, _ = dns.query.udp_with_fallback(query, self._host, timeout=5, port=self._port)
        records = sorted(record.to_text() for rrset in reply.answer for record in rrset)
        return dns.rcode.to_text(reply.rcode()), records

    def wait(self, name: str, expected: Callable[[], Reply], within: float = SOON) -> None:
        """Wait until the reply is as expected; both may still change."""
        deadline = time.monotonic() + within
        while (reply := self.ask(name)) != (wanted := expected()):
            assert time.monotonic() < deadline, f"{name}: {reply} instead of {wanted} after {within:g} s"
            time.sleep(0.1)


@contextmanager
def dev_dns(shop: Shop, *args: str) -> Iterator[Dns]:
    command = [sys.executable, "-m", "grpcbalance", "dev", "dns", "--from-cluster", "--output=json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "operator"), "KUBECONFIG": str(shop.cluster.kubeconfig)}
    with subprocess.Popen(
        [*command, "--listen=127.0.0.1:0", *args], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout
            (address,) = json.loads(process.stdout.readline())["listening"]["on"]
            yield Dns(address)
            process.terminate()
            told = [json.loads(line) for line in process.stdout]
            assert process.wait(10) == 0
            assert [line for line in told if "trouble" in line] == []
        finally:
            process.kill()


def ready(shop: Shop, service: str) -> list[str]:
    """Addresses of the ready endpoints."""
    slices = shop.api.items(shop.url("EndpointSlice"), f"kubernetes.io/service-name={service}")
    endpoints = (endpoint for found in slices for endpoint in found.get("endpoints") or [])
    return sorted(e["addresses"][0] for e in endpoints if e["conditions"].get("ready") is not False)


def host(shop: Shop, service: str = "orders-headless") -> str:
    return f"{service}.{shop.namespace}.svc.cluster.local"


def wait_endpoints(shop: Shop, count: int) -> None:
    """Slices follow the Deployment's status, sometimes a second later."""
    shop.wait_balanced(lambda b: b["status"]["endpoints"]["total"] == count, f"{count} endpoints")


def test_follows_the_ready_endpoints(shop: Shop) -> None:
    with dev_dns(shop, f"--namespace={shop.namespace}") as dns:
        assert dns.ask(host(shop)) == ("NXDOMAIN", [])
        shop.create(objects.balanced(), objects.server(replicas=2))
        shop.wait_rolled_out("orders")
        for replicas in (3, 1):
            shop.kubectl("scale", "deployment/orders", f"--replicas={replicas}")
            shop.wait_rolled_out("orders")
            wait_endpoints(shop, replicas)
            dns.wait(host(shop), lambda: ("NOERROR", ready(shop, "orders-headless")))
            assert len(dns.ask(host(shop))[1]) == replicas
        shop.kubectl("scale", "deployment/orders", "--replicas=0")
        dns.wait(host(shop), lambda: ("NXDOMAIN", []), ROLLOUT)
        assert ready(shop, "orders-headless") == []
        shop.kubectl("scale", "deployment/orders", "--replicas=1")
        shop.wait_rolled_out("orders")
        dns.wait(host(shop), lambda: ("NOERROR", ready(shop, "orders-headless")))


def test_endpoints_that_are_not_ready_are_not_told(shop: Shop) -> None:
    server = objects.server(replicas=1)
    server["spec"]["template"]["spec"]["containers"][0]["readinessProbe"] = {"grpc": {"port": 1}, "periodSeconds": 1}
    with dev_dns(shop) as dns:
        shop.create(objects.balanced(), server, objects.cluster_ip())
        shop.wait_condition("EndpointsReady", "False", "NoneReady", within=ROLLOUT)
        address = shop.get("Service", "orders")["spec"]["clusterIP"]
        dns.wait(host(shop, "orders"), lambda: ("NOERROR", [address]))
        assert dns.ask(host(shop)) == ("NXDOMAIN", [])
        shop.delete("Service", "orders")
        dns.wait(host(shop, "orders"), lambda: ("NXDOMAIN", []))


# Run where the cluster's DNS can be reached: questions on standard input, replies on standard output.
ASK_COREDNS = """
import json, sys, dns.message, dns.query, dns.rcode
replies = []
for name, kind in json.load(sys.stdin):
    reply = dns.query.tcp(dns.message.make_query(name, kind), "10.89.0.1", timeout=5)
    records = sorted(record.to_text() for rrset in reply.answer for record in rrset)
    replies.append([dns.rcode.to_text(reply.rcode()), records])
json.dump(replies, sys.stdout)
"""


def coredns(lab: Lab, questions: list[tuple[str, str]]) -> list[Reply]:
    enter = ["nsenter", "--target", str(lab.component("coredns").pid), "--net", "--"]
    command, asked = [*enter, sys.executable, "-c", ASK_COREDNS], json.dumps(questions)
    done = subprocess.run(command, input=asked, check=True, capture_output=True, text=True)
    return [(code, records) for code, records in json.loads(done.stdout)]


@pytest.mark.needs_lab
def test_says_what_the_clusters_dns_says(shop: Shop) -> None:
    assert isinstance(shop.cluster, Lab)
    named = {"ports": [{"name": "grpc", "port": 80, "targetPort": "grpc"}, {"name": "admin", "port": 81}]}
    hand_made = objects.cluster_ip("by-hand", clusterIP="None", **named)
    empty = objects.cluster_ip("empty", clusterIP="None")
    shop.create(objects.balanced(), objects.server(replicas=3), objects.cluster_ip("orders", **named), empty)
    hand_made["spec"]["selector"] = {"app": "orders"}
    shop.create(hand_made)
    shop.wait_rolled_out("orders")
    (first, *_) = ready(shop, "orders-headless")
    hosts = [host(shop, name) for name in ("orders", "orders-headless", "by-hand", "empty", "absent")]
    endpoints = [f"{first.replace('.', '-')}.{name}" for name in hosts[1:]]
    others = [f"_grpc_config.{host(shop)}", "KUBERNETES.default.SVC.cluster.local"]
    questions = [(name, kind) for name in hosts + endpoints + others for kind in ("A", "AAAA", "SRV", "TXT")]
    questions += [(f"_{port}._tcp.{name}", "SRV") for port in ("grpc", "admin", "none") for name in hosts]
    questions += [(name, "A") for name in (f"{shop.namespace}.svc.cluster.local", "svc.cluster.local", "cluster.local")]
    with dev_dns(shop) as dns:
        dns.wait(host(shop, "by-hand"), lambda: ("NOERROR", ready(shop, "by-hand")))
        ours = [dns.ask(name, kind) for name, kind in questions]
        theirs = coredns(shop.cluster, questions)
    assert {code for code, _ in ours} == {"NOERROR", "NXDOMAIN"}
    assert [row for row in zip(questions, ours, theirs, strict=True) if row[1] != row[2]] == []
