"""Clients that prove who they are: by a token over TLS, or by a certificate; and those that do not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from prometheus_client import CollectorRegistry

from grpcbalance.xds.certificates import AUTHORITY, CERTIFICATE, KEY, CertificateError, Certificates
from grpcbalance.xds.identify import by_certificate, by_token
from grpcbalance.xds.kinds import Kind
from grpcbalance.xds.metrics import Metrics
from grpcbalance.xds.server import Identify, Server, secured
from grpcbalance.xds.tokens import Tokens
from lab.pki import Authority, Identity
from tests.unit.xds.ads import METHOD, ask, read
from tests.unit.xds.test_tokens import GOOD, NOW, token
from tests.unit.xds.world import TARGET, World, orders

Code = grpc.StatusCode
SPIFFE = "spiffe://cluster.local/ns/{}/sa/checkout"


class Place:
    """A folder with the server's certificate, who signed it, and who signs those of clients."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.signer, self.clients = folder, Authority("servers"), Authority("clients")
        (folder / AUTHORITY).write_bytes(self.clients.certificate)
        self.renew("first")

    def renew(self, name: str) -> None:
        made = self.signer.issue(name, names=("localhost", "127.0.0.1"))
        (self.folder / KEY).write_bytes(made.key)
        (self.folder / CERTIFICATE).write_bytes(made.certificate)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def serve(place: Place, identify: Identify, story: Callable[[World, Any], Awaitable[None]], *, mutual: bool) -> None:
    """Run a story: a function of the world and of what opens a stream."""

    async def main() -> None:
        world, opened = World(*orders("10.1.0.1")), list[grpc.aio.Channel]()
        credentials = secured(Certificates(place.folder), mutual=mutual)
        server = Server(("127.0.0.1", 0), credentials, world.clients, identify, Metrics(CollectorRegistry()))

        def connect(client: Identity | None = None, *metadata: tuple[str, str], root: bytes = b"") -> Any:
            pair = (client.key, client.certificate) if client else (None, None)
            trusted = grpc.ssl_channel_credentials(root or place.signer.certificate, *pair)
            settings = (("grpc.use_local_subchannel_pool", 1),)
            channel = grpc.aio.secure_channel(f"127.0.0.1:{server.port}", trusted, options=settings)
            opened.append(channel)
            return channel.stream_stream(METHOD)(metadata=metadata)

        async with asyncio.timeout(30), server:
            try:
                await story(world, connect)
            finally:
                for channel in opened:
                    await channel.close()

    asyncio.run(main())


async def refused(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as found:
        await read(call)
    return found.value.code(), found.value.details() or ""


async def told(call: Any) -> int:
    """How many resources a client gets that asks for a listener."""
    await ask(call, Kind.LISTENER, TARGET)
    return len((await read(call)).resources)


def tokens(status: dict[str, Any]) -> Tokens:
    async def review(_: str, __: str) -> dict[str, Any]:
        return status

    return Tokens(review, lambda: 0.0, lambda: NOW)


def test_a_token_lets_in_whoever_is_allowed(place: Place) -> None:
    async def story(world: World, connect: Any) -> None:
        assert await told(connect(None, ("authorization", f"Bearer {token()}"))) == 1
        [stream] = world.clients
        assert (stream.identity.namespace, stream.identity.pod) == ("shop", "checkout-1")

    serve(place, by_token(tokens(GOOD)), story, mutual=False)


def test_another_namespace_is_told_nothing_and_no_token_gets_no_stream(place: Place) -> None:
    async def story(world: World, connect: Any) -> None:
        call = connect(None, ("authorization", f"Bearer {token()}"))
        assert await told(call) == 0
        code, text = await refused(connect())
        assert code is Code.UNAUTHENTICATED
        assert "call_creds" in text
        assert len(world.clients) == 1

    status = {**GOOD, "user": {"username": "system:serviceaccount:bank:teller"}}
    serve(place, by_token(tokens(status)), story, mutual=False)


@pytest.mark.parametrize(("namespace", "resources"), [("shop", 1), ("bank", 0)])
def test_a_certificate_tells_the_namespace(place: Place, namespace: str, resources: int) -> None:
    async def story(world: World, connect: Any) -> None:
        client = place.clients.issue("anything", names=("checkout.example", SPIFFE.format(namespace)))
        assert await told(connect(client)) == resources
        [stream] = world.clients
        assert stream.identity.namespace == namespace

    serve(place, by_certificate, story, mutual=True)


def test_who_has_no_certificate_of_ours_gets_no_stream(place: Place) -> None:
    async def story(world: World, connect: Any) -> None:
        name = SPIFFE.format("shop")
        for client in (None, Authority("strangers").issue("x", names=(name,))):
            assert (await refused(connect(client)))[0] is Code.UNAVAILABLE
        for names in ((), ("spiffe://cluster.local/ns/shop", f"x{name}")):
            code, text = await refused(connect(place.clients.issue("shop", names=names)))
            assert code is Code.UNAUTHENTICATED
            assert "spiffe://<trust domain>" in text
        assert len(world.clients) == 0

    serve(place, by_certificate, story, mutual=True)


def test_a_renewed_certificate_serves_new_connections_and_ends_no_old_one(place: Place) -> None:
    async def story(world: World, connect: Any) -> None:
        header = ("authorization", f"Bearer {token()}")
        old = connect(None, header)
        assert await told(old) == 1
        place.signer = Authority("others")
        place.renew("second")
        assert await told(connect(None, header)) == 1
        await ask(old, Kind.CLUSTER, TARGET)
        assert len((await read(old)).resources) == 1
        assert len(world.clients) == 2

    serve(place, by_token(tokens(GOOD)), story, mutual=False)


def test_mutual_tls_needs_those_who_sign(place: Place) -> None:
    (place.folder / AUTHORITY).unlink()
    with pytest.raises(CertificateError, match=r"needs ca\.crt"):
        secured(Certificates(place.folder), mutual=True)
    secured(Certificates(place.folder), mutual=False)
