"""What the fault proxy does to single connections: pass lines on, cut, hold, halve, and listen inside of a lab."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import socket
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import aiohttp
from aiohttp import web

from tests.faults.rules import Hold, Rule, StreamError

_CLONE_NEWNET: Final = 0x40000000
# Headers that belong to one connection; without Accept-Encoding nothing is packed, so that lines can be seen.
_HOP: Final = frozenset({"host", "connection", "content-length", "transfer-encoding", "accept-encoding"})
_LOOK_EVERY: Final = 0.5


class WasCut(Exception):  # noqa: N818 - no failure: it ends a request whose connection was cut
    """The connection was cut on purpose."""


async def lines_of(
    answer: aiohttp.ClientResponse, request: web.BaseRequest, frozen: asyncio.Event
) -> AsyncIterator[bytes]:
    """Lines of an answer, ends included, until it ends, or freezes, or nobody listens any more."""
    rest = b""
    while not frozen.is_set():
        try:
            chunk = await asyncio.wait_for(answer.content.readany(), _LOOK_EVERY)
        except TimeoutError:
            if _gone(request):
                raise WasCut from None
            continue
        if not chunk:
            if rest:
                yield rest
            return
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if frozen.is_set():
                return
            yield line + b"\n"


async def held(request: web.BaseRequest, rule: Rule | None) -> None:
    """Cut, or hold until the rule is over and cut then."""
    if rule is not None and isinstance(rule.action, Hold):
        rule.held.set()
        await until(request, rule.over)
    raise WasCut


async def until(request: web.BaseRequest, over: asyncio.Event) -> None:
    """Until something is over, or the client has gone."""
    while not over.is_set() and not _gone(request):
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), _LOOK_EVERY)


def _gone(request: web.BaseRequest) -> bool:
    return request.transport is None or request.transport.is_closing()


async def half(request: web.BaseRequest, answer: aiohttp.ClientResponse, content: bytes) -> None:
    """Announce the whole answer, send half of it, and cut."""
    stream = web.StreamResponse(status=answer.status, headers=kept(answer.headers))
    stream.content_length = len(content)
    await stream.prepare(request)
    await stream.write(content[: len(content) // 2])
    raise WasCut


async def stream_error(request: web.BaseRequest, action: StreamError) -> web.StreamResponse:
    """A watch that says ERROR and ends."""
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": action.code, "message": "made up"}
    stream = web.StreamResponse(headers={"Content-Type": "application/json"})
    await stream.prepare(request)
    await stream.write(json.dumps({"type": "ERROR", "object": status}).encode() + b"\n")
    await stream.write_eof()
    return stream


def kept(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers that are passed on."""
    return {name: value for name, value in headers.items() if name.lower() not in _HOP}


def listen_inside(pid: int, port: int) -> socket.socket:
    """A socket that listens in the network namespace of a process, for use from here: only a thread goes there."""

    def listen() -> socket.socket:
        namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
        try:
            if ctypes.CDLL(None, use_errno=True).setns(namespace, _CLONE_NEWNET):
                error = ctypes.get_errno()
                raise OSError(error, f"cannot enter the network of process {pid}: {os.strerror(error)}")
            return socket.create_server(("0.0.0.0", port), backlog=256)  # noqa: S104 - only the lab and its owner reach it
        finally:
            os.close(namespace)

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(listen).result()
