"""What the server has names for: hosts with their endpoints, and which names follow from them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

Address = IPv4Address | IPv6Address
# By name: lower case, no trailing dot.
Hosts = Mapping[str, "Host"]

_LABEL: Final = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
# A DNS name as keys of `Hosts` are.
NAME: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*")
# Of a host, and of a cluster domain below which Services can have names of full length: so much that an endpoint's own
# name still is one. DNS allows 253.
LONGEST_NAME, LONGEST_DOMAIN = 189, 56

# CoreDNS' default. No gRPC library honours it, but caches between do.
TTL: Final = 5


class SourceError(Exception):
    """Names cannot be had from where they should come; the message says why, and what to do about it."""


@dataclass(frozen=True, slots=True)
class Port:
    """A named port, as SRV records tell it."""

    name: str
    number: int
    protocol: str = "tcp"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address of a host. `label` before the host's name is the endpoint's own name; empty: it has none."""

    address: Address
    label: str
    ports: tuple[Port, ...] = ()


@dataclass(frozen=True, slots=True)
class Host:
    """A name with its endpoints; `ttl` in seconds, `service_config` canonical JSON for a TXT record, or None."""

    name: str
    endpoints: tuple[Endpoint, ...]
    ttl: int = TTL
    service_config: str | None = None

    def ports(self) -> tuple[Port, ...]:
        """Ports of all endpoints, each once."""
        return tuple(dict.fromkeys(port for endpoint in self.endpoints for port in endpoint.ports))


def dashed(address: Address) -> str:
    """The label of an endpoint without a host name of its own: `10-1-2-3`, as CoreDNS makes it."""
    return str(address).replace(".", "-").replace(":", "-")


def names_above(name: str) -> list[str]:
    """The names that a name stands below, nearest first."""
    labels = name.split(".")
    return [".".join(labels[start:]) for start in range(1, len(labels))]


@dataclass(frozen=True, slots=True)
class Served:
    """All hosts at one moment. `domain` and the names outside of it are zones of ours; `serial` is that of their SOA.

    `inner` are the names that only have names below them: they exist, without records (RFC 8020).
    """

    hosts: Hosts
    domain: str
    serial: int
    inner: frozenset[str]

    @classmethod
    def of(cls, hosts: Hosts, domain: str, serial: int) -> Served:
        """Of these hosts; one without endpoints keeps its zone, but does not exist, as in CoreDNS."""
        return cls(hosts, domain, serial, frozenset({domain, *_inner(hosts.values())}))

    def zone(self, name: str) -> str | None:
        """The zone of ours that a name belongs to, or None."""
        candidates = [name, *names_above(name)]
        if self.domain in candidates:
            return self.domain
        return next((candidate for candidate in candidates if candidate in self.hosts), None)

    def host(self, name: str) -> Host | None:
        """The host of that name, if it has endpoints."""
        found = self.hosts.get(name)
        return found if found and found.endpoints else None


def _inner(hosts: Iterable[Host]) -> set[str]:
    inner: set[str] = set()
    for host in hosts:
        if host.endpoints:
            inner.update(names_above(host.name), (f"_{port.protocol}.{host.name}" for port in host.ports()))
    return inner
