"""Queries and replies as text, and the hosts that tests ask about."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import dns.flags
import dns.message
import dns.rcode
from dns.message import Message

from grpcbalance.devdns.answer import reply_to
from grpcbalance.devdns.hosts import Endpoint, Host, Port, Served, dashed

GRPC = (Port("grpc", 5000), Port("metrics", 9090), Port("quic", 443, "udp"))
CONFIG = '{"loadBalancingConfig":[{"round_robin":{}}]}'
ORDERS = "orders.shop.svc.cluster.local"
SOA = "cluster.local. 5 IN SOA ns.dns.cluster.local. hostmaster.cluster.local. 7 7200 1800 86400 5"


def host(name: str, *addresses: str, ttl: int = 5, config: str | None = None, ports: tuple[Port, ...] = GRPC) -> Host:
    endpoints = tuple(Endpoint(ip_address(a), dashed(ip_address(a)), ports) for a in addresses)
    return Host(name, endpoints, ttl, config)


def served(*hosts: Host) -> Served:
    return Served.of({one.name: one for one in hosts}, "cluster.local", serial=7)


HOSTS = served(
    host(ORDERS, "10.0.0.1", "10.0.0.2", "fd00::1", ttl=30, config=CONFIG),
    host("empty.shop.svc.cluster.local"),
    Host("plain.shop.svc.cluster.local", (Endpoint(ip_address("10.96.0.9"), "", (Port("grpc", 80),)),)),
    Host("web.shop.svc.cluster.local", (Endpoint(ip_address("10.0.0.7"), "web-0", ()),)),
    host("orders.test", "127.0.0.1"),
    host("gone.test"),
)


def ask(name: str, kind: str, hosts: Served = HOSTS, *, stream: bool = True, **query: Any) -> Message:
    wire = reply_to(dns.message.make_query(name, kind, **query).to_wire(), hosts, stream=stream)
    assert wire is not None
    return dns.message.from_wire(wire)


def lines(section: list[dns.rrset.RRset]) -> list[str]:
    return sorted(line for rrset in section for line in rrset.to_text().splitlines())


def told(reply: Message) -> tuple[str, list[str], list[str], list[str]]:
    """Code, and the records of the three sections."""
    sections = (lines(reply.answer), lines(reply.authority), lines(reply.additional))
    return dns.rcode.to_text(reply.rcode()), *sections
