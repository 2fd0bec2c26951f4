"""What the server tells: text for people on standard error, or one JSON object a line on standard output."""

from __future__ import annotations

import json
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any, Final, Protocol

import click

from .changes import Change
from .hosts import Hosts
from .server import Listen

# More names than this are counted, not listed.
_LISTED: Final = 20


class Report(Protocol):
    """What can be told."""

    def started(self, listens: Sequence[Listen], source: str, hosts: Hosts) -> None:
        """It listens, and has these hosts."""

    def changed(self, source: str, changes: Sequence[Change]) -> None:
        """The source said something new; without changes: nothing that a reply would tell."""

    def trouble(self, text: str) -> None:
        """The source cannot be read; the last names stay in force."""


class Text:
    """For people."""

    def started(self, listens: Sequence[Listen], source: str, hosts: Hosts) -> None:
        """Where, what, and how to use it."""
        _say(f"listening on {', '.join(map(str, listens))} (UDP and TCP); Ctrl-C ends it")
        _say(f"{_count(len(hosts), 'name')} from {source}{':' if hosts else ''}")
        for name in sorted(hosts)[:_LISTED]:
            _say(f"  {_line(hosts, name)}")
        if len(hosts) > _LISTED:
            _say(f"  … and {len(hosts) - _LISTED} more")
        authority = _reachable(listens[0])
        _say(f"target in Go and Python:  dns://{authority}/{_example(hosts)}")
        _say("in Node:  the same, with GRPC_NODE_USE_ALTERNATIVE_RESOLVER=true in the environment")
        _say("in Java:  there is no way to name a DNS server in a target; see docs/howto/develop-without-a-cluster.md")

    def changed(self, source: str, changes: Sequence[Change]) -> None:
        """A line for each change."""
        if not changes:
            _say(f"{source}: read again, nothing is different")
        for change in changes:
            _say(change.as_text())

    def trouble(self, text: str) -> None:
        """What is wrong, and what holds meanwhile."""
        _say(f"{text}; the last names stay in force")


class Json:
    """For scripts: docs/reference/dev-dns.md lists the objects."""

    def started(self, listens: Sequence[Listen], source: str, hosts: Hosts) -> None:
        """`listening`."""
        addresses = {name: [str(e.address) for e in host.endpoints] for name, host in sorted(hosts.items())}
        _write({"listening": {"on": [str(listen) for listen in listens], "source": source, "names": addresses}})

    def changed(self, source: str, changes: Sequence[Change]) -> None:  # noqa: ARG002 - the signature is Report's
        """`change`, one for each."""
        for change in changes:
            _write({"change": change.as_json()})

    def trouble(self, text: str) -> None:
        """`trouble`."""
        _write({"trouble": text})


def _line(hosts: Hosts, name: str) -> str:
    host = hosts[name]
    ports = " ".join(f"{port.name}={port.number}" for port in host.ports())
    addresses = ", ".join(str(endpoint.address) for endpoint in host.endpoints) or "no address: NXDOMAIN"
    return f"{name}  {addresses}  {ports}".rstrip()


def _example(hosts: Hosts) -> str:
    """Host and port of a target, of the first name that has both."""
    for name, host in sorted(hosts.items()):
        if host.ports():
            return f"{name}:{host.ports()[0].number}"
    return "NAME:PORT"


def _reachable(listen: Listen) -> str:
    """An address to use for one that means all of them."""
    address = ip_address(listen.host)
    if not address.is_unspecified:
        return str(listen)
    return str(Listen("127.0.0.1" if address.version == 4 else "::1", listen.port))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _say(text: str) -> None:
    click.echo(text, err=True)


def _write(value: dict[str, Any]) -> None:
    click.echo(json.dumps(value, separators=(",", ":"), ensure_ascii=False))
