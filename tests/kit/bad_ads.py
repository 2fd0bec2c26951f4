"""A look-aside balancer that can be told to send what no gRPC client takes. Runs in a pod, from the operator's image.

It serves every name on port 18000. By HTTP, on port 8080: POST /state sets {"addresses": […], "bad": true or false},
GET /refused answers with [node id, what the client said] of each response that was refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any, Final

import grpc
from aiohttp import web
from envoy.config.cluster.v3.cluster_pb2 import Cluster

from grpcbalance.api import Client
from grpcbalance.xds import wire
from grpcbalance.xds.kinds import Kind, Resource
from grpcbalance.xds.resources.catalog import Served, Variant, build
from grpcbalance.xds.resources.encoding import resource
from grpcbalance.xds.resources.endpoints import Host, Zone
from grpcbalance.xds.resources.features import BASELINE
from grpcbalance.xds.resources.names import parse
from grpcbalance.xds.session import Session

_SERVICE: Final = "envoy.service.discovery.v3.AggregatedDiscoveryService"


class BadAds:
    """What it serves, and to whom."""

    def __init__(self) -> None:
        self._addresses: tuple[str, ...] = ()
        self._bad = False
        self._streams: dict[asyncio.Queue[bytes | None], Session] = {}
        self._refused: list[tuple[str, str]] = []

    def lookup(self, kind: Kind, name: str) -> Resource | None:
        """A resource of today, for everybody."""
        parsed = parse(name)
        assert parsed is not None
        zone = Zone("", tuple(Host(address, ready=True) for address in self._addresses))
        made = build(Served(parsed, Client(), (zone,)), Variant(BASELINE, "")).get(kind, {}).get(name)
        if made is not None and kind is Kind.CLUSTER and self._bad:
            message = Cluster.FromString(made.body)
            message.lb_policy = Cluster.MAGLEV
            return resource(kind, name, message)
        return made

    async def stream(self, requests: AsyncIterable[bytes], _: Any) -> AsyncIterator[bytes]:
        """One client."""
        out: asyncio.Queue[bytes | None] = asyncio.Queue()
        session = self._streams[out] = Session(self.lookup, str(len(self._streams)))
        reader = asyncio.create_task(self._read(session, requests, out))
        try:
            while (response := await out.get()) is not None:
                yield response
        finally:
            reader.cancel()
            del self._streams[out]

    async def _read(self, session: Session, requests: AsyncIterable[bytes], out: asyncio.Queue[bytes | None]) -> None:
        node = ""
        async for text in requests:
            message = wire.decode(text)
            told = wire.node(message)
            node = told.id if told is not None else node
            outcome = session.receive(wire.request(message))
            self._refused += [(node, rejection.message) for rejection in outcome.rejections]
            for response in outcome.responses:
                out.put_nowait(wire.encode(response))
        out.put_nowait(None)

    async def state(self, request: web.Request) -> web.Response:
        """POST /state."""
        told = await request.json()
        self._addresses, self._bad = tuple(sorted(told["addresses"])), told["bad"]
        for out, session in self._streams.items():
            for response in session.push():
                out.put_nowait(wire.encode(response))
        return web.json_response({})

    async def refused(self, _: web.Request) -> web.Response:
        """GET /refused."""
        return web.json_response({"refused": self._refused})


async def main() -> None:
    """Serve, for ever."""
    ads = BadAds()
    server = grpc.aio.server()
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(ads.stream)
    methods = {"StreamAggregatedResources": handler}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, methods),))
    server.add_insecure_port("0.0.0.0:18000")
    await server.start()
    app = web.Application()
    app.add_routes([web.post("/state", ads.state), web.get("/refused", ads.refused)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, port=8080).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
