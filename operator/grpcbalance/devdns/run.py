"""The parts together: names from a source, sockets, and what is told about both."""

from __future__ import annotations

import asyncio
import errno
import signal
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack

from .changes import changes
from .hosts import Hosts, Served, SourceError
from .report import Report
from .server import Listen, Server
from .source import Source


async def run(listens: Sequence[Listen], source: Source, name: str, domain: str, report: Report) -> None:
    """Serve until SIGINT or SIGTERM; `name` is what the source is called. Raises SourceError when it cannot begin."""
    serving = asyncio.create_task(_serve(listens, source, name, domain, report))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
    try:
        await serving
    except asyncio.CancelledError:
        return
    finally:
        await source.close()


async def _serve(listens: Sequence[Listen], source: Source, name: str, domain: str, report: Report) -> None:
    server = Server(_served(await source.read(), domain))

    def publish(hosts: Hosts) -> None:
        before, server.served = server.served.hosts, _served(hosts, domain)
        report.changed(name, changes(before, hosts))

    async with AsyncExitStack() as sockets:
        bound = [await _listen(server, listen, sockets) for listen in listens]
        report.started(bound, name, server.served.hosts)
        await source.run(publish, report.trouble)


def _served(hosts: Hosts, domain: str) -> Served:
    return Served.of(hosts, domain, serial=int(time.time()))


async def _listen(server: Server, listen: Listen, sockets: AsyncExitStack) -> Listen:
    try:
        return await sockets.enter_async_context(server.listening(listen))
    except OSError as error:
        raise SourceError(f"cannot listen on {listen}: {_reason(error)}") from error


def _reason(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "another program does; choose another port with --listen"
    if error.errno == errno.EACCES:
        return "ports below 1024 are for root; choose another with --listen"
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine does not have that address; choose another with --listen"
    return error.strerror or str(error)
