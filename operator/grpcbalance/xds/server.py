"""The gRPC around it all: an aggregated discovery service, state of the world. It decides nothing.

Incremental (delta) ADS is not there, so gRPC itself answers UNIMPLEMENTED; no gRPC client ever asks for it (A27).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Any, Final, NoReturn, Protocol

import grpc
from google.protobuf.message import DecodeError

from . import wire
from .certificates import AUTHORITY, CertificateError, Certificates, Material
from .clients import Clients, Identity, Stream
from .pace import Pace
from .session import LimitExceeded, Rejection, Response

logger = logging.getLogger(__name__)

SERVICE: Final = "envoy.service.discovery.v3.AggregatedDiscoveryService"
_METHOD: Final = "StreamAggregatedResources"
# Bytes of a request: a Node message, which has as much metadata as people put in, and names; one of 128 is long.
_LARGEST_NODE: Final = 256 * 1024
_LARGEST_NAME: Final = 128
_OPTIONS: Final = (
    # Both ends notice a connection that is dead: we ask every half minute, and clients may ask every 5 s.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    # C-core opens one for each target, on one connection. Streams beyond this hang there and say nothing.
    ("grpc.max_concurrent_streams", 1_000),
    # Two of ours on one port would each have half of the clients.
    ("grpc.so_reuseport", 0),
)

# Seconds until streams that do not end are cut off; a client that does not read may be one.
_GRACE: Final = 1.0

Context = grpc.aio.ServicerContext[bytes, bytes]

# Who the client is, by the context of its call. Raises RefusedError or UnavailableError.
Identify = Callable[[Any], Awaitable[Identity]]


class RefusedError(Exception):
    """The client does not prove who it is; the text names what is missing."""


class UnavailableError(Exception):
    """Nobody can tell who the client is now; later they may."""


class Listener(Protocol):
    """What is told; `xds.metrics` is the one that listens."""

    def sent(self, response: Response) -> None:
        """A response was written."""

    def told(self, seconds: float) -> None:
        """A change of a service has reached a client, so long after it was noticed."""

    def rejected(self, rejection: Rejection) -> None:
        """A client refused what it was sent."""

    def refused(self, reason: str) -> None:
        """A stream was refused or ended: identity, unavailable, streams, names, malformed."""

    def slowed(self) -> None:
        """A request had to wait, since its client sends so many."""


def secured(certificates: Certificates, *, mutual: bool) -> grpc.ServerCredentials:
    """TLS with a certificate that may change; `mutual`: clients must have one, too. Raises CertificateError."""
    first = certificates.read()
    if mutual and first.authority is None:
        raise CertificateError(f"mutual TLS needs {AUTHORITY} beside the certificate: who signs those of clients")

    def changed() -> Any:
        now = certificates.changed()
        return None if now is None else _configuration(now, mutual)

    return grpc.dynamic_ssl_server_credentials(_configuration(first, mutual), changed, mutual)


def _configuration(material: Material, mutual: bool) -> Any:
    pair = (material.key, material.chain)
    return grpc.ssl_server_certificate_configuration([pair], material.authority if mutual else None)


class Server:
    """One port. `async with Server(...)`: it listens, until the end, which ends all streams."""

    def __init__(
        self,
        address: tuple[str | None, int],
        credentials: grpc.ServerCredentials | None,
        clients: Clients,
        identify: Identify,
        listener: Listener,
    ) -> None:
        """`address`: host (None: every address) and port; `credentials`: None for plain text."""
        host, port = address
        bare = host or "::"
        self._address, self._credentials = f"[{bare}]:{port}" if ":" in bare else f"{bare}:{port}", credentials
        self._clients, self._identify, self._listener = clients, identify, listener
        largest = _LARGEST_NODE + clients.limits.names * _LARGEST_NAME
        self._server = grpc.aio.server(options=(*_OPTIONS, ("grpc.max_receive_message_length", largest)))
        # Bytes go in and out as they are: wire reads and makes them.
        handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(self._serve)
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {_METHOD: handler}),))
        self._streams: set[Stream] = set()
        self.port = 0

    async def __aenter__(self) -> Server:
        if self._credentials is None:
            self.port = self._server.add_insecure_port(self._address)
        else:
            self.port = self._server.add_secure_port(self._address, self._credentials)
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        # Streams do not end by themselves. Ended by us, and not by gRPC, they are no errors to either side (A57).
        for stream in self._streams:
            stream.end()
        await self._server.stop(_GRACE)

    async def _serve(self, requests: AsyncIterable[bytes], context: Context) -> None:
        try:
            await self._converse(requests, context)
        except grpc.aio.InternalError:
            # It went while it was written to. gRPC would log that as our error, and fail to tell the client so.
            raise asyncio.CancelledError from None

    async def _converse(self, requests: AsyncIterable[bytes], context: Context) -> None:
        try:
            stream = self._clients.open(context.peer(), await self._identify(context), time.time())
        except RefusedError as error:
            await self._refuse(context, "identity", grpc.StatusCode.UNAUTHENTICATED, str(error))
        except UnavailableError as error:
            await self._refuse(context, "unavailable", grpc.StatusCode.UNAVAILABLE, str(error))
        except LimitExceeded as error:
            await self._refuse(context, "streams", grpc.StatusCode.RESOURCE_EXHAUSTED, str(error))
        self._streams.add(stream)
        pace = Pace(stream, self._clients.limits.rate, self._listener.slowed)
        reader = asyncio.create_task(_read(stream, requests, pace), name=f"read {stream.peer}")
        reader.add_done_callback(lambda task: _ended(task, stream))
        try:
            await self._write(stream, context, reader)
        except LimitExceeded as error:
            await self._refuse(context, "names", grpc.StatusCode.RESOURCE_EXHAUSTED, str(error))
        except DecodeError:
            await self._refuse(context, "malformed", grpc.StatusCode.INVALID_ARGUMENT, "this is no DiscoveryRequest")
        finally:
            reader.cancel()
            self._streams.discard(stream)
            self._clients.close(stream)

    async def _write(self, stream: Stream, context: Context, reader: asyncio.Task[None]) -> None:
        """Write whatever is due, until the client has said its last word. A slow client delays itself only."""
        while stream.due.is_set() or not reader.done():
            await stream.due.wait()
            if stream.over:
                return
            since = stream.changed
            # Unknown kinds need no answer: a client cannot wait for what no server has.
            outcome = self._clients.take(stream)
            for rejection in outcome.rejections:
                logger.warning("%s (%s) refuses %s", stream.peer, stream.node.id, rejection.message)
                self._listener.rejected(rejection)
            for response in outcome.responses:
                await context.write(wire.encode(response))
                self._listener.sent(response)
            if since is not None and outcome.responses:
                self._listener.told(time.monotonic() - since)
        reader.result()

    async def _refuse(self, context: Context, reason: str, code: grpc.StatusCode, text: str) -> NoReturn:
        self._listener.refused(reason)
        await context.abort(code, text)
        raise AssertionError("abort raises")


async def _read(stream: Stream, requests: AsyncIterable[bytes], pace: Pace) -> None:
    """Take requests until the client has no more. Those that it sends faster than they are answered wait with it."""
    async for text in requests:
        await pace.wait(len(text))
        message = wire.decode(text)
        node = wire.node(message)
        if node is not None:
            stream.introduce(node)
        stream.receive(wire.request(message))
        await stream.room.wait()


def _ended(reader: asyncio.Task[None], stream: Stream) -> None:
    """The writer shall see that there are no more requests, and why; asking here keeps asyncio from complaining."""
    if not reader.cancelled():
        reader.exception()
    stream.due.set()
