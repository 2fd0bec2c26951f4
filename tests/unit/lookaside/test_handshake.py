"""Whether clients would trust the look-aside balancer: tried on a real one, as they would."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from grpcbalance.lookaside.handshake import refused
from grpcbalance.xds.certificates import CERTIFICATE, KEY, Certificates
from grpcbalance.xds.identify import by_nothing
from grpcbalance.xds.metrics import Metrics
from grpcbalance.xds.server import Server, secured
from lab.pki import Authority, Identity
from tests.unit.xds.world import World, orders

HOST = "localhost"
SIGNER, OTHER = Authority("balancer"), Authority("somebody else")
RIGHT = SIGNER.certificate.decode()


def tried(folder: Path, authorities: str, made: Identity, *, tls: bool = True) -> str:
    """What a client that trusts `authorities` says of a balancer with this certificate."""
    (folder / KEY).write_bytes(made.key)
    (folder / CERTIFICATE).write_bytes(made.certificate)

    async def main() -> str:
        world, metrics = World(*orders("10.1.0.1")), Metrics(CollectorRegistry())
        credentials = secured(Certificates(folder), mutual=False) if tls else None
        server = Server(("127.0.0.1", 0), credentials, world.clients, by_nothing, metrics)
        async with asyncio.timeout(30), server:
            return await refused(authorities, HOST, server.port)

    return asyncio.run(main())


@pytest.mark.parametrize("authorities", [RIGHT, OTHER.certificate.decode() + RIGHT], ids=["one", "one of two"])
def test_who_trusts_its_signer_connects(tmp_path: Path, authorities: str) -> None:
    assert tried(tmp_path, authorities, SIGNER.issue(HOST, names=(HOST,))) == ""


def test_its_own_certificate_is_enough_to_know_it_by(tmp_path: Path) -> None:
    # As gRPC's libraries do: a chain may end at any certificate that is trusted.
    made = SIGNER.issue(HOST, names=(HOST,))
    assert tried(tmp_path, made.certificate.decode(), made) == ""


@pytest.mark.parametrize(
    ("authorities", "names", "tls", "said"),
    [
        pytest.param(OTHER.certificate.decode(), (HOST,), True, "unable to get local issuer certificate", id="signer"),
        pytest.param(RIGHT, ("other.example",), True, "Hostname mismatch", id="name"),
        # Its common name is the right one, and there is no other host name, yet it counts no more.
        pytest.param(RIGHT, ("192.0.2.1",), True, "Hostname mismatch", id="common name"),
        pytest.param("of no use", (HOST,), True, "there is no certificate in PEM", id="no certificate"),
        pytest.param(RIGHT, (HOST,), False, "", id="plain text"),
    ],
)
def test_who_would_not_connect_says_why(
    tmp_path: Path, authorities: str, names: tuple[str, ...], tls: bool, said: str
) -> None:
    why = tried(tmp_path, authorities, SIGNER.issue(HOST, names=names), tls=tls)
    assert why
    assert said in why


def test_nobody_is_no_refusal() -> None:
    with pytest.raises(ConnectionRefusedError):
        asyncio.run(refused(RIGHT, HOST, 1))
