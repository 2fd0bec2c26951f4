"""A small HTTP server in the place of the API server: it answers as told, and keeps what it was asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from aiohttp import web

from grpcbalance.bucket import TokenBucket
from grpcbalance.kube import Kube


class Request(NamedTuple):
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


class Counts:
    def __init__(self) -> None:
        self.requests: list[tuple[str, int]] = []
        self.writes: list[tuple[str, str]] = []
        self.dropped = 0

    def requested(self, method: str, code: int) -> None:
        self.requests.append((method, code))

    def wrote(self, resource: str, verb: str) -> None:
        self.writes.append((resource, verb))

    def event_dropped(self) -> None:
        self.dropped += 1


Answer = Callable[[Request], Awaitable[web.StreamResponse]]


class Server:
    """Answers each request with the next of `answers`, the last one for ever; keeps what it was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.requests: list[Request] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        text = await request.text()
        seen = Request(
            request.method,
            request.raw_path.partition("?")[0],
            dict(request.query),
            dict(request.headers),
            json.loads(text) if text else None,
        )
        self.requests.append(seen)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return await answer(seen)


def says(body: Any, status: int = 200, **headers: str) -> Answer:
    async def answer(_: Request) -> web.Response:
        return web.json_response(body, status=status, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return answer


def refuses(code: int, message: str = "no", **headers: str) -> Answer:
    return says({"kind": "Status", "status": "Failure", "code": code, "message": message}, code, **headers)


@asynccontextmanager
async def serving(server: Server, folder: Path) -> AsyncIterator[tuple[Kube, Counts]]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    counts = Counts()
    try:
        path = kubeconfig(folder, f"http://127.0.0.1:{runner.addresses[0][1]}")
        async with Kube(counts, TokenBucket(1000, 1000), path) as kube:
            yield kube, counts
    finally:
        await runner.cleanup()


def kubeconfig(folder: Path, server: str, **user: Any) -> str:
    path = folder / "kubeconfig"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": user or {"token": "secret"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path.write_text(yaml.safe_dump(document))
    return str(path)


def call(tmp_path: Path, use: Callable[[Kube], Awaitable[Any]], *answers: Answer) -> tuple[Any, Server, Counts]:
    async def main() -> tuple[Any, Server, Counts]:
        server = Server(*answers)
        async with serving(server, tmp_path) as (kube, counts):
            return await use(kube), server, counts

    return asyncio.run(main())
