"""Asks every replica of the look-aside balancer what it knows. Nothing is believed, and nothing is without bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final

import aiohttp
from pydantic import ValidationError

from .merge import NONE_READY, Answers
from .page import PATH, Page

# Of the replicas' HTTP side; manifests/xds has no other.
PORT: Final = 8080
# Seconds, for a name and for a page.
PATIENCE: Final = 3.0
# Bytes of a page: 5,000 clients of 1,000 services each take less.
LARGEST: Final = 32 * 1024 * 1024
# Replicas that are asked; nobody runs so many.
MOST: Final = 64
_CHUNK: Final = 256 * 1024

Resolve = Callable[[str], Awaitable[tuple[str, ...]]]


class UnresolvedError(Exception):
    """A name has no address; the text says why."""


async def resolve(host: str, **options: object) -> tuple[str, ...]:
    """Addresses of an absolute name, as the DNS tells now. Raises UnresolvedError.

    `options` are those of dnspython's resolver; without any /etc/resolv.conf is read.
    """
    # Late: only who has an object on xDS needs it.
    from dns.asyncresolver import Resolver  # noqa: PLC0415
    from dns.exception import DNSException  # noqa: PLC0415
    from dns.resolver import NXDOMAIN, NoAnswer  # noqa: PLC0415

    try:
        resolver = Resolver(configure=not options)
        for name, value in options.items():
            setattr(resolver, name, value)
        resolver.lifetime = PATIENCE
        answers = await resolver.resolve_name(f"{host}.", search=False)
        return tuple(sorted(set(answers.addresses())))
    except (NXDOMAIN, NoAnswer):
        return ()
    except (DNSException, OSError) as error:
        raise UnresolvedError(f"the DNS does not answer ({type(error).__name__})") from error


class Reader:
    """`async with Reader(...) as reader`: a look at all replicas whenever somebody wants one."""

    def __init__(self, host: str, resolve: Resolve = resolve, port: int = PORT) -> None:
        """`host`: the name that has an address for each ready replica."""
        self._host, self._resolve, self._port = host, resolve, port
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Reader:
        self._session = aiohttp.ClientSession(
            trust_env=False,
            timeout=aiohttp.ClientTimeout(total=PATIENCE),
            cookie_jar=aiohttp.DummyCookieJar(),
            # What is small on the wire could be large here.
            auto_decompress=False,
            headers={"Accept-Encoding": "identity"},
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def read(self) -> Answers:
        """Ask all of them, at the same time."""
        try:
            addresses = await self._resolve(self._host)
        except UnresolvedError as error:
            return Answers(unresolved=f"{self._host} cannot be resolved: {error}")
        if not addresses:
            text = f"{self._host} has no address: no replica of the look-aside balancer is ready"
            return Answers(unresolved=f"{text}; {NONE_READY}")
        asking = {address: asyncio.create_task(self._ask(address)) for address in addresses[:MOST]}
        try:
            # Not gather: kopf, which cancels tasks that are younger than it, must not end who waits for them.
            await asyncio.wait(asking.values())
        finally:
            for task in asking.values():
                task.cancel()
        told = {address: "was not asked to the end" if t.cancelled() else t.result() for address, t in asking.items()}
        return Answers(
            pages={address: answer for address, answer in told.items() if isinstance(answer, Page)},
            silent={address: answer for address, answer in told.items() if isinstance(answer, str)},
        )

    async def _ask(self, address: str) -> Page | str:
        """The page, or what came instead, as the end of a sentence about the replica."""
        if self._session is None:
            raise RuntimeError("not connected: use `async with`")
        host = f"[{address}]" if ":" in address else address
        try:
            async with self._session.get(f"http://{host}:{self._port}{PATH}", allow_redirects=False) as response:
                if response.status == 503:
                    return f"is asked by too many from here: see who reads {PATH} on port {self._port}"
                if response.status != 200:
                    return f"answers {response.status}: are operator and balancer of one version?"
                body = await _body(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return f"does not answer on port {self._port} ({type(error).__name__}): see its log, and NetworkPolicies"
        if body is None:
            return f"answers with more than {LARGEST} bytes"
        try:
            return Page.model_validate_json(body)
        except ValidationError:
            return "answers with what cannot be read: are operator and balancer of one version?"


async def _body(response: aiohttp.ClientResponse) -> bytes | None:
    """All of it, None when it is too large."""
    found = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        found += chunk
        if len(found) > LARGEST:
            return None
    return bytes(found)
