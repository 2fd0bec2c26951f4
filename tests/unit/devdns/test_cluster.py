"""A cluster as the source of hosts, before a server that plays its API server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from grpcbalance.devdns import cluster as cluster_module
from grpcbalance.devdns.cluster import Cluster
from grpcbalance.devdns.hosts import Hosts, SourceError
from grpcbalance.devdns.services import Mirror
from tests.unit.api_server import Request, Server, kubeconfig, refuses, says, serving

from .test_services import Raw, endpoint, service, slice_of

SERVICES = "/api/v1/services"
SLICES = "/apis/discovery.k8s.io/v1/endpointslices"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "_PAUSE", 0.01)


class Api:
    """Lists what it has been given; each watch of slices is answered when the test says with what."""

    def __init__(self) -> None:
        self.services, self.slices = [service()], [slice_of("s", endpoint("10.0.0.1"))]
        self.watches: asyncio.Queue[web.Response] = asyncio.Queue()
        self.asked: list[Request] = []
        self.refusal: tuple[int, str] | None = None

    async def answer(self, request: Request) -> web.StreamResponse:
        self.asked.append(request)
        services = request.path.endswith("services")
        if "watch" in request.query:
            # Services never change here.
            return await (asyncio.Queue[web.Response]() if services else self.watches).get()
        if self.refusal is not None:
            return await refuses(*self.refusal)(request)
        items = self.services if services else self.slices
        return await says({"metadata": {"resourceVersion": "7"}, "items": items})(request)

    def event(self, kind: str, item: Raw, version: str = "8") -> None:
        item = {**item, "metadata": {**item.get("metadata", {}), "resourceVersion": version}}
        self.watches.put_nowait(web.Response(text=json.dumps({"type": kind, "object": item}) + "\n"))

    def watched_from(self) -> list[str]:
        return [r.query["resourceVersion"] for r in self.asked if "watch" in r.query and r.path == SLICES]


class Told:
    def __init__(self) -> None:
        self.queue: asyncio.Queue[str] = asyncio.Queue()

    def publish(self, hosts: Hosts) -> None:
        self.queue.put_nowait(" ".join(str(e.address) for host in hosts.values() for e in host.endpoints))

    def trouble(self, text: str) -> None:
        self.queue.put_nowait(text)


def follow(tmp_path: Path, use: Callable[[Api, Told], Coroutine[Any, Any, None]], namespace: str | None = None) -> Api:
    async def main() -> Api:
        api, told = Api(), Told()
        async with asyncio.timeout(20), serving(Server(api.answer), tmp_path):
            source = Cluster(str(tmp_path / "kubeconfig"), namespace, Mirror("cluster.local", None))
            told.publish(await source.read())
            assert await told.queue.get() == "10.0.0.1"
            running = asyncio.create_task(source.run(told.publish, told.trouble))
            await use(api, told)
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
            await source.close()
        return api

    return asyncio.run(main())


def test_events_change_hosts_and_watches_go_on_where_they_ended(tmp_path: Path) -> None:
    async def use(api: Api, told: Told) -> None:
        api.event("MODIFIED", slice_of("s", endpoint("10.0.0.2")), "8")
        assert await told.queue.get() == "10.0.0.2"
        api.event("BOOKMARK", {}, "9")
        api.event("ADDED", slice_of("t", endpoint("10.0.0.3")), "10")
        assert await told.queue.get() == "10.0.0.2 10.0.0.3"
        api.event("DELETED", slice_of("s"), "11")
        assert await told.queue.get() == "10.0.0.3"

    api = follow(tmp_path, use)
    assert api.watched_from()[:4] == ["7", "8", "9", "10"]
    assert [r.path for r in api.asked if "watch" not in r.query] == [SERVICES, SLICES]


def test_a_slice_of_many_endpoints_is_one_long_line(tmp_path: Path) -> None:
    async def use(api: Api, told: Told) -> None:
        many = [endpoint(f"10.1.{n // 250}.{n % 250}", nodeName="x" * 200) for n in range(1000)]
        api.event("MODIFIED", slice_of("s", *many))
        assert len((await told.queue.get()).split()) == 1000

    follow(tmp_path, use)


@pytest.mark.parametrize(
    ("response", "trouble"),
    [
        (web.Response(text='{"type":"ERROR","object":{"code":410,"message":"too old"}}\n'), ""),
        (web.Response(status=410), ""),
        (
            web.Response(text='{"type":"ERROR","object":{"code":500,"message":"etcd"}}\n'),
            "watch endpointslices: etcd (trying again)",
        ),
        (web.Response(status=403), "watch endpointslices: HTTP 403 (trying again)"),
        (web.Response(text="<html>\n"), "watch endpointslices: JSONDecodeError"),
    ],
    ids=["expired", "expired at once", "error", "refused", "no JSON"],
)
def test_a_watch_that_fails_is_followed_by_a_listing(tmp_path: Path, response: web.Response, trouble: str) -> None:
    async def use(api: Api, told: Told) -> None:
        api.slices = [slice_of("s", endpoint("10.0.0.9"))]
        api.watches.put_nowait(response)
        if trouble:
            assert (await told.queue.get()).startswith(trouble)
        assert await told.queue.get() == "10.0.0.9"
        api.event("MODIFIED", slice_of("s", endpoint("10.0.0.4")))
        assert await told.queue.get() == "10.0.0.4"

    follow(tmp_path, use)


def test_an_outage_is_told_once(tmp_path: Path) -> None:
    async def use(api: Api, told: Told) -> None:
        api.refusal = (503, "away")
        api.watches.put_nowait(web.Response(status=503))
        assert await told.queue.get() == "watch endpointslices: HTTP 503 (trying again)"
        assert await told.queue.get() == "list services: away (does kubectl reach the cluster?)"
        seen = len(api.asked)
        while len(api.asked) < seen + 3:  # noqa: ASYNC110 - further attempts; nobody tells of them
            await asyncio.sleep(0.01)
        api.refusal = None
        assert await told.queue.get() == "10.0.0.1"

    follow(tmp_path, use)


def test_one_namespace_only(tmp_path: Path) -> None:
    async def use(api: Api, told: Told) -> None:
        api.event("MODIFIED", slice_of("s", endpoint("10.0.0.2")))
        assert await told.queue.get() == "10.0.0.2"

    api = follow(tmp_path, use, namespace="shop")
    assert {request.path for request in api.asked} == {
        "/api/v1/namespaces/shop/services",
        "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices",
    }


@pytest.mark.parametrize(
    ("code", "message", "reason"),
    [
        (403, "forbidden", "needed: list and watch of services and endpointslices"),
        (503, "away", "does kubectl reach the cluster?"),
    ],
)
def test_a_cluster_that_refuses_from_the_start(tmp_path: Path, code: int, message: str, reason: str) -> None:
    async def main() -> None:
        async with serving(Server(refuses(code, message)), tmp_path):
            source = Cluster(str(tmp_path / "kubeconfig"), None, Mirror("cluster.local", None))
            with pytest.raises(SourceError) as caught:
                await source.read()
            await source.close()
            assert message in str(caught.value)
            assert reason in str(caught.value)

    asyncio.run(main())


def test_no_such_kubeconfig(tmp_path: Path) -> None:
    async def main() -> None:
        source = Cluster(str(tmp_path / "absent"), None, Mirror("cluster.local", None))
        with pytest.raises(SourceError):
            await source.read()
        await source.close()

    asyncio.run(main())


def test_the_server_is_away(tmp_path: Path) -> None:
    async def main() -> None:
        source = Cluster(kubeconfig(tmp_path, "http://127.0.0.1:1"), None, Mirror("cluster.local", None))
        with pytest.raises(SourceError, match="does kubectl reach the cluster"):
            await source.read()
        await source.close()

    asyncio.run(main())
