"""The sockets, with dnspython's client at the other end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import dns.asyncquery
import dns.flags
import dns.message
import pytest
from dns.message import Message
from dns.rcode import Rcode

from grpcbalance.devdns import server as server_module
from grpcbalance.devdns.hosts import Served
from grpcbalance.devdns.server import Listen, Server

from .asking import HOSTS, ORDERS, host, lines, served

MANY = served(host("many.test", *(f"10.0.1.{n}" for n in range(60))))


def serve(
    use: Callable[[Server, Listen], Awaitable[None]],
    hosts: Served = HOSTS,
    address: str = "127.0.0.1",
    idle: float = 10,
) -> None:
    async def main() -> None:
        server = Server(hosts, idle)
        async with asyncio.timeout(20), server.listening(Listen(address, 0)) as bound:
            await use(server, bound)

    asyncio.run(main())


async def udp(bound: Listen, name: str, kind: str = "A") -> Message:
    return await dns.asyncquery.udp(dns.message.make_query(name, kind), bound.host, timeout=5, port=bound.port)


async def tcp(bound: Listen, name: str, kind: str = "A") -> Message:
    return await dns.asyncquery.tcp(dns.message.make_query(name, kind), bound.host, timeout=5, port=bound.port)


def framed(name: str, number: int = 1) -> bytes:
    return dns.message.make_query(name, "A", id=number).to_wire(prepend_length=True)


async def replied(reader: asyncio.StreamReader) -> Message:
    return dns.message.from_wire(await reader.readexactly(int.from_bytes(await reader.readexactly(2))))


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_udp_and_tcp_on_one_address(address: str) -> None:
    async def use(_: Server, bound: Listen) -> None:
        for ask in (udp, tcp):
            assert lines((await ask(bound, "orders.test")).answer) == ["orders.test. 5 IN A 127.0.0.1"]

    serve(use, address=address)


def test_truncated_over_udp_is_complete_over_tcp() -> None:
    async def use(_: Server, bound: Listen) -> None:
        assert (await udp(bound, "many.test")).flags & dns.flags.TC
        query = dns.message.make_query("many.test", "A")
        reply, by_tcp = await dns.asyncquery.udp_with_fallback(query, bound.host, timeout=5, port=bound.port)
        assert by_tcp
        assert len(reply.answer[0]) == 60

    serve(use, MANY)


def test_hosts_may_be_exchanged_at_any_time() -> None:
    async def use(server: Server, bound: Listen) -> None:
        reader, writer = await asyncio.open_connection(*bound)
        for hosts, code in ((HOSTS, Rcode.NOERROR), (MANY, Rcode.NXDOMAIN), (HOSTS, Rcode.NOERROR)):
            server.served = hosts
            writer.write(framed(ORDERS))
            assert (await replied(reader)).rcode() == code
            assert (await udp(bound, ORDERS)).rcode() == code
        writer.close()

    serve(use)


def test_several_queries_in_one_packet_of_a_connection() -> None:
    async def use(_: Server, bound: Listen) -> None:
        reader, writer = await asyncio.open_connection(*bound)
        writer.write(framed(ORDERS, 1) + framed("absent.cluster.local", 2) + framed("example.com", 3)[:9])
        assert [((await replied(reader)).id) for _ in range(2)] == [1, 2]
        writer.write(framed("example.com", 3)[9:])
        assert (await replied(reader)).rcode() == Rcode.REFUSED
        writer.close()

    serve(use)


@pytest.mark.parametrize("garbage", [b"", b"x", b"\x00" * 11, b"\xff" * 40, bytes(range(256)) * 16])
def test_garbage_ends_nothing(garbage: bytes) -> None:
    async def use(_: Server, bound: Listen) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(garbage, bound)
        reader, writer = await asyncio.open_connection(*bound)
        writer.write(len(garbage).to_bytes(2) + garbage)
        writer.write_eof()
        await reader.read()
        writer.close()
        assert (await udp(bound, ORDERS)).rcode() == (await tcp(bound, ORDERS)).rcode() == Rcode.NOERROR

    serve(use)


def test_malformed_query_is_told_so_and_the_connection_goes_on() -> None:
    async def use(_: Server, bound: Listen) -> None:
        reader, writer = await asyncio.open_connection(*bound)
        broken = framed(ORDERS)[2:-1]
        writer.write(len(broken).to_bytes(2) + broken + framed(ORDERS))
        assert [(await replied(reader)).rcode() for _ in range(2)] == [Rcode.FORMERR, Rcode.NOERROR]
        writer.close()

    serve(use)


def test_idle_connection_is_closed() -> None:
    async def use(_: Server, bound: Listen) -> None:
        reader, writer = await asyncio.open_connection(*bound)
        writer.write(framed(ORDERS)[:5])
        assert await reader.read() == b""
        writer.close()

    serve(use, idle=0.05)


def test_connections_are_bounded_and_a_closed_one_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "CONNECTIONS", 2)

    async def use(_: Server, bound: Listen) -> None:
        open_ = []
        for _number in range(2):
            reader, writer = await asyncio.open_connection(*bound)
            writer.write(framed(ORDERS))
            await replied(reader)
            open_.append((reader, writer))
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await refused(bound)
        assert (await udp(bound, ORDERS)).rcode() == Rcode.NOERROR
        # The server closes its side when it has read the end of ours.
        open_[0][1].write_eof()
        assert await open_[0][0].read() == b""
        assert (await tcp(bound, ORDERS)).rcode() == Rcode.NOERROR
        for _reader, writer in open_:
            writer.close()

    async def refused(bound: Listen) -> None:
        reader, writer = await asyncio.open_connection(*bound)
        try:
            writer.write(framed(ORDERS))
            await replied(reader)
        finally:
            writer.close()

    serve(use)


def test_a_client_that_takes_no_replies_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "reply_to", lambda *_, **__: bytes(60_000))

    async def use(_: Server, bound: Listen) -> None:
        _reader, writer = await asyncio.open_connection(*bound, limit=1024)
        with pytest.raises(ConnectionError):
            await ask_for_ever(writer)
        writer.close()

    async def ask_for_ever(writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(framed(ORDERS) * 100)
            await writer.drain()

    serve(use, idle=0.2)


def test_address_in_use() -> None:
    async def use(_: Server, bound: Listen) -> None:
        with pytest.raises(OSError, match="ddress already in use"):
            await Server(HOSTS).listening(bound).__aenter__()

    serve(use)


def test_udp_half_in_use_leaves_no_tcp_socket_behind() -> None:
    async def main() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))
            listen = Listen("127.0.0.1", taken.getsockname()[1])
            with pytest.raises(OSError, match="ddress already in use"):
                await Server(HOSTS).listening(listen).__aenter__()
        async with Server(HOSTS).listening(listen) as bound:
            assert bound == listen

    asyncio.run(main())


def test_end_of_the_server_ends_its_connections() -> None:
    async def main() -> None:
        async with Server(HOSTS).listening(Listen("127.0.0.1", 0)) as bound:
            reader, writer = await asyncio.open_connection(*bound)
            writer.write(framed(ORDERS))
            await replied(reader)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()

    asyncio.run(main())
