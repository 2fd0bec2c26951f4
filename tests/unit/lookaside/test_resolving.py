"""The replicas' name, asked of a DNS server on this machine."""

from __future__ import annotations

import asyncio
import socket

import pytest

from grpcbalance.devdns.server import Listen, Server
from grpcbalance.lookaside import reading
from grpcbalance.lookaside.reading import UnresolvedError, resolve
from tests.unit.devdns.asking import host, served

NAME = "balancer-replicas.mesh.svc.cluster.local"
HOSTS = served(host(NAME, "10.0.0.2", "10.0.0.1"), host("six.test", "fd00::1"))


def ask(name: str, *, port: int | None = None) -> tuple[str, ...]:
    async def main() -> tuple[str, ...]:
        async with Server(HOSTS).listening(Listen("127.0.0.1", 0)) as bound:
            return await resolve(name, nameservers=["127.0.0.1"], port=port or bound.port)

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("name", "addresses"),
    [(NAME, ("10.0.0.1", "10.0.0.2")), ("six.test", ("fd00::1",)), ("nobody.mesh.svc.cluster.local", ())],
)
def test_every_address_of_an_absolute_name(name: str, addresses: tuple[str, ...]) -> None:
    assert ask(name) == addresses


def test_a_dns_server_that_is_silent_is_told_apart_from_a_name_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reading, "PATIENCE", 0.3)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        with pytest.raises(UnresolvedError, match="the DNS does not answer"):
            ask(NAME, port=silent.getsockname()[1])
