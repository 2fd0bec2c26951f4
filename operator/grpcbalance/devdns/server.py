"""The sockets: UDP and TCP on one address. What is replied is decided in `answer`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, NamedTuple, cast

from .answer import reply_to
from .hosts import Served

# Connections at the same time, and seconds that one may be idle or take for a message.
CONNECTIONS: Final = 64
IDLE: Final = 10.0


class Listen(NamedTuple):
    """Where to listen; port 0 takes any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Server:
    """Replies from `served`, which may be exchanged at any time. Owned by one event loop."""

    def __init__(self, served: Served, idle: float = IDLE) -> None:
        self.served = served
        self._idle = idle
        self._writers: set[asyncio.StreamWriter] = set()

    @asynccontextmanager
    async def listening(self, listen: Listen) -> AsyncIterator[Listen]:
        """Listen within the block; gives where. Raises OSError when that cannot be."""
        tcp = await asyncio.start_server(self._converse, listen.host, listen.port)
        try:
            bound = Listen(listen.host, tcp.sockets[0].getsockname()[1])
            udp, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: _Datagrams(self), local_addr=(bound.host, bound.port)
            )
            try:
                yield bound
            finally:
                udp.close()
        finally:
            tcp.close()
            for writer in self._writers:
                writer.transport.abort()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One TCP connection. It counts until it is closed, however slow the client takes the last replies."""
        if len(self._writers) >= CONNECTIONS:
            writer.transport.abort()
            return
        self._writers.add(writer)
        try:
            await self._reply(reader, writer)
            writer.close()
            async with asyncio.timeout(self._idle):
                await writer.wait_closed()
        except (ConnectionError, TimeoutError):
            writer.transport.abort()
        finally:
            self._writers.remove(writer)

    async def _reply(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """To several queries (RFC 7766), until the client ends, or a message deserves no reply."""
        while True:
            async with asyncio.timeout(self._idle):
                try:
                    size = int.from_bytes(await reader.readexactly(2))
                    query = await reader.readexactly(size)
                except asyncio.IncompleteReadError:
                    return
                reply = reply_to(query, self.served, stream=True)
                if reply is None:
                    return
                writer.write(len(reply).to_bytes(2) + reply)
                await writer.drain()


class _Datagrams(asyncio.DatagramProtocol):
    """The UDP half of a server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open."""
        # Not isinstance: that of Python 3.11 does not derive from it.
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        """Reply at once, if at all."""
        reply = reply_to(data, self._server.served, stream=False)
        if reply is not None and self._transport is not None:
            self._transport.sendto(reply, addr)
