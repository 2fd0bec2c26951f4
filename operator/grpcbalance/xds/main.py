"""Puts the look-aside balancer together and keeps it running. Each replica is complete: there is no leader.

It serves nothing before it knows all there is, and what it knows stays when the API server is away.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry

from grpcbalance import logs
from grpcbalance.bucket import TokenBucket
from grpcbalance.credentials import CredentialsError
from grpcbalance.lifetime import Lifetime
from grpcbalance.lookaside.connected import PATH as CLIENTS_PATH
from grpcbalance.lookaside.page import PATH, Ports
from grpcbalance.probes import Health, Probes
from grpcbalance.settings import split_address
from grpcbalance.view import View
from grpcbalance.watched import served_kinds

from .certificates import CertificateError, Certificates
from .clients import Clients
from .debug import page
from .debug_services import page as services_page
from .directory import Directory
from .gather import Gather
from .identify import by_certificate, by_nothing, by_token
from .metrics import Metrics
from .review import ReviewingKube
from .server import Identify, Server, secured
from .session import Limits
from .settings import XdsSettings
from .store import Concern, Labels, Store
from .tokens import Tokens
from .watching import Watching

logger = logging.getLogger(__name__)

_NAME_LENGTH: Final = 256
# Of the collector of cycles. With Python's own, it looks at all that clients have again and again while they are told
# of a change: that took half of the time with 3,000 of them. What telling leaves behind is gone without it.
_THRESHOLDS: Final = (50_000, 2, 1)


def run(settings: XdsSettings) -> int:
    """Serve until SIGTERM or SIGINT. Answers with the exit status."""
    logs.configure(settings.log_level, settings.log_format)
    if not (settings.tls_address or settings.mtls_address or settings.plaintext_address):
        logger.error("nowhere to serve clients: give --tls-address, --mtls-address or --plaintext-address")
        return 1
    try:
        return asyncio.run(_main(settings))
    except (CredentialsError, CertificateError) as error:
        logger.error("%s", error)
        return 1


async def _main(settings: XdsSettings) -> int:
    balancer = Balancer(settings)
    async with balancer.kube, balancer.probes:
        return await balancer.run()


class Balancer:
    """All parts, wired. Made inside of the event loop that runs it; `kube` and `probes` are entered by the caller."""

    def __init__(self, settings: XdsSettings) -> None:
        self.settings = settings
        self.metrics = Metrics(CollectorRegistry())
        # It only reads: no writes to pace.
        self.kube = ReviewingKube(self.metrics, TokenBucket(1, 1), settings.kubeconfig)
        self.view = View()
        self.directory = Directory(self.view)
        limits = Limits(settings.max_names, _NAME_LENGTH, settings.requests_per_second)
        self.clients = Clients(self.directory, limits, settings.max_streams)
        self._gather: Gather[Concern] = Gather(self._flush)
        kinds = served_kinds(settings.namespace)
        self.watching: Watching[Concern] = Watching(self.kube, Store(self.view), self._changed, kinds)
        self.health = Health(self._trouble, self.metrics.loop_lagged)
        address = split_address(settings.http_address)
        pages = {CLIENTS_PATH: lambda: page(self.clients)}
        self.probes = Probes(self.health, self.metrics.registry, address, pages, {PATH: self._services_page})
        self.metrics.watch(lambda: len(self.clients), self.watching.age)
        # Those that listen; the others wait until all is known.
        self.servers: list[Server] = []
        self._ports = tuple(self._servers())
        self._lifetime = Lifetime(self.health)

    async def _services_page(self) -> str:
        settings, serves = self.settings, bool(self.servers)
        ports = Ports(
            plaintext=serves and bool(settings.plaintext_address),
            tls=serves and bool(settings.tls_address),
            mtls=serves and bool(settings.mtls_address),
        )
        return await services_page(self.clients, self.directory, ports)

    def _trouble(self) -> dict[str, str]:
        """What keeps us from serving. An API server that is away does not, once all is known."""
        if not self.watching.known.is_set():
            return self.watching.trouble()
        return {} if self.servers else {"servers": "not started yet"}

    def _changed(self, concerned: Iterable[Concern]) -> None:
        for concern in concerned:
            self._gather.changed(concern)

    def _flush(self, concern: Concern) -> int:
        now = time.monotonic()
        if isinstance(concern, Labels):
            return self.clients.relabelled(concern.namespace, now)
        return self.clients.changed(concern, now)

    async def run(self) -> int:
        """Until a signal (0), or until a part ends that must not (1)."""
        self._lifetime.listen()
        self._lifetime.start("heart", self.health.heart())
        self._lifetime.start("watch", self.watching.run())
        self._lifetime.start("serve", self._serve())
        try:
            return await self._lifetime.end()
        finally:
            self.health.stopping = True
            for task in self.health.tasks.values():
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait(self.health.tasks.values(), timeout=5.0)

    async def _serve(self) -> None:
        """Listen for clients once all is known."""
        await self.watching.known.wait()
        for ref in self.directory.refs():
            self.clients.changed(ref, time.monotonic())
        # Nothing of it will ever be garbage as a whole; the collector need not look at it again and again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_THRESHOLDS)
        async with contextlib.AsyncExitStack() as stack:
            for server in self._ports:
                await stack.enter_async_context(server)
                logger.info("serving clients on port %d", server.port)
                self.servers.append(server)
            await asyncio.Event().wait()

    def _servers(self) -> Iterator[Server]:
        settings, folder = self.settings, Path(self.settings.certificates)
        if settings.plaintext_address is not None:
            yield self._server(settings.plaintext_address, None, by_nothing)
        if settings.tls_address is not None:
            tokens = Tokens(self.kube.review, time.monotonic, time.time)
            yield self._server(settings.tls_address, secured(Certificates(folder), mutual=False), by_token(tokens))
        if settings.mtls_address is not None:
            yield self._server(settings.mtls_address, secured(Certificates(folder), mutual=True), by_certificate)

    def _server(self, address: str, credentials: Any, identify: Identify) -> Server:
        return Server(split_address(address), credentials, self.clients, identify, self.metrics)
