"""The client against a small HTTP server: what is sent, and what every kind of failure becomes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest
import yaml
from aiohttp import web

from grpcbalance import kube as kube_module
from grpcbalance.bucket import TokenBucket
from grpcbalance.credentials import CredentialsError, load_credentials
from grpcbalance.errors import Conflict, Expired, Gone, Invalid, KubeError, Retry
from grpcbalance.kube import USER_AGENT, Kube
from grpcbalance.model import Ref, WorkloadRef


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


SERVICE = {"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "shop", "name": "orders-headless"}}
ORDERS = Ref("shop", "orders-headless")
CHECKOUT = WorkloadRef("Deployment", "shop", "checkout")
SERVICES = "/api/v1/namespaces/shop/services"

WRITES: list[tuple[str, Callable[[Kube], Awaitable[Any]], tuple[str, str, str], dict[str, str], tuple[str, str]]] = [
    (
        "create",
        lambda k: k.create_service(SERVICE),
        ("POST", SERVICES, "application/json"),
        {"fieldManager": "grpcbalance"},
        ("services", "create"),
    ),
    (
        "apply",
        lambda k: k.apply_service(SERVICE),
        ("PATCH", f"{SERVICES}/orders-headless", "application/apply-patch+yaml"),
        {"fieldManager": "grpcbalance", "force": "true"},
        ("services", "patch"),
    ),
    (
        "delete",
        lambda k: k.delete_service(ORDERS, "u1", "7"),
        ("DELETE", f"{SERVICES}/orders-headless", "application/json"),
        {},
        ("services", "delete"),
    ),
    (
        "patch",
        lambda k: k.patch_workload(CHECKOUT, {"metadata": {"resourceVersion": "5"}}),
        ("PATCH", "/apis/apps/v1/namespaces/shop/deployments/checkout", "application/strategic-merge-patch+json"),
        {"fieldManager": "grpcbalance"},
        ("deployments", "patch"),
    ),
    (
        "status",
        lambda k: k.apply_status(Ref("shop", "orders"), "u2", {"target": "t"}),
        (
            "PATCH",
            "/apis/grpcbalance.dev/v1alpha1/namespaces/shop/grpcbalancedservices/orders/status",
            "application/apply-patch+yaml",
        ),
        {"fieldManager": "grpcbalance", "force": "true"},
        ("grpcbalancedservices/status", "patch"),
    ),
]


@pytest.mark.parametrize(("use", "sent", "query", "counted"), [row[1:] for row in WRITES], ids=[r[0] for r in WRITES])
def test_writes(
    tmp_path: Path,
    use: Callable[[Kube], Awaitable[Any]],
    sent: tuple[str, str, str],
    query: dict[str, str],
    counted: tuple[str, str],
) -> None:
    _, server, counts = call(tmp_path, use, says({"kind": "X"}))
    (request,) = server.requests
    assert (request.method, request.path, request.headers["Content-Type"]) == sent
    assert request.query == query
    assert request.headers["User-Agent"] == USER_AGENT
    assert request.headers["Authorization"] == "Bearer secret"
    assert counts.writes == [counted]
    assert counts.requests == [(sent[0], 200)]


def test_bodies(tmp_path: Path) -> None:
    async def use(kube: Kube) -> None:
        await kube.create_service(SERVICE)
        await kube.delete_service(ORDERS, "u1", "7")
        await kube.apply_status(Ref("shop", "orders"), "u2", {"target": "t", "empty": {}, "zero": 0})

    _, server, _ = call(tmp_path, use, says({}))
    assert server.requests[0].body == SERVICE
    assert server.requests[1].body["preconditions"] == {"uid": "u1", "resourceVersion": "7"}
    assert server.requests[2].body == {
        "apiVersion": "grpcbalance.dev/v1alpha1",
        "kind": "GrpcBalancedService",
        "metadata": {"namespace": "shop", "name": "orders", "uid": "u2"},
        "status": {"target": "t", "empty": {}, "zero": 0},
    }


def test_live_reads(tmp_path: Path) -> None:
    async def use(kube: Kube) -> list[Any]:
        return [await kube.get_service(ORDERS), await kube.get_service(ORDERS)]

    answers, server, _ = call(tmp_path, use, says({"a": 1}), refuses(404))
    assert answers == [{"a": 1}, None]
    assert [r.path for r in server.requests] == [f"{SERVICES}/orders-headless"] * 2


def test_replacing_ports_is_bound_to_the_object(tmp_path: Path) -> None:
    ports = [{"name": "grpc", "port": 5000}]

    async def use(kube: Kube) -> None:
        await kube.replace_ports(ORDERS, "u1", ports)

    _, server, counts = call(tmp_path, use, says({"a": 1}))
    assert server.requests[0].body == {"metadata": {"uid": "u1"}, "spec": {"ports": ports}}
    assert counts.writes == [("services", "patch")]


def test_live_reads_are_no_writes(tmp_path: Path) -> None:
    async def use(kube: Kube) -> object:
        return await kube.get_service(ORDERS)

    _, _, counts = call(tmp_path, use, says({"a": 1}))
    assert counts.writes == []


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (400, Invalid),
        (401, Retry),
        (403, Invalid),
        (404, Gone),
        (405, Invalid),
        (408, Retry),
        (409, Conflict),
        (410, Expired),
        (413, Invalid),
        (415, Invalid),
        (422, Invalid),
        (429, Retry),
        (500, Retry),
        (502, Retry),
        (503, Retry),
        (504, Retry),
    ],
)
def test_each_status_becomes_one_error(tmp_path: Path, code: int, kind: type[KubeError]) -> None:
    async def use(kube: Kube) -> KubeError:
        with pytest.raises(KubeError) as caught:
            await kube.patch_workload(CHECKOUT, {})
        return caught.value

    error, _, counts = call(tmp_path, use, refuses(code, "why\nnot\x1b[31m" + "x" * 1000))
    assert type(error) is kind
    assert str(error).startswith("patch deployments: why not [31mxxx")
    assert len(str(error)) == 512
    assert counts.requests == [("PATCH", code)]
    assert counts.writes == []


def test_an_answer_that_is_no_status_is_quoted(tmp_path: Path) -> None:
    async def html(_: Request) -> web.Response:
        return web.Response(status=502, text="<html>\nbad gateway</html>")

    async def use(kube: Kube) -> str:
        with pytest.raises(Retry) as caught:
            await kube.get_service(ORDERS)
        return str(caught.value)

    assert call(tmp_path, use, html)[0] == "get services: <html> bad gateway</html>"


def test_a_good_answer_that_is_no_json_is_tried_again(tmp_path: Path) -> None:
    async def truncated(_: Request) -> web.Response:
        return web.Response(text='{"kind": ')

    async def use(kube: Kube) -> None:
        with pytest.raises(Retry):
            await kube.get_service(ORDERS)

    assert call(tmp_path, use, truncated)[2].requests == [("GET", 200)]


@pytest.mark.parametrize(
    ("header", "after"), [({"Retry_After": "7"}, 7.0), ({}, None), ({"Retry_After": "soon"}, None)]
)
def test_retry_after(tmp_path: Path, header: dict[str, str], after: float | None) -> None:
    async def use(kube: Kube) -> float | None:
        with pytest.raises(Retry) as caught:
            await kube.apply_service(SERVICE)
        return caught.value.after

    assert call(tmp_path, use, refuses(429, "busy", **header))[0] == after


def test_after_429_every_write_waits(tmp_path: Path) -> None:
    async def use(kube: Kube) -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(Retry):
            await kube.apply_service(SERVICE)
        await kube.create_service(SERVICE)
        return loop.time() - began

    assert call(tmp_path, use, refuses(429, "busy", Retry_After="1"), says({}))[0] >= 1.0


def test_a_server_that_is_away_or_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kube_module, "_TIMEOUT", aiohttp.ClientTimeout(total=0.2))

    async def hang(_: Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    async def main() -> None:
        counts = Counts()
        async with Kube(counts, TokenBucket(9, 9), kubeconfig(tmp_path, "http://127.0.0.1:1")) as kube:
            with pytest.raises(Retry, match="Cannot connect"):
                await kube.get_service(ORDERS)
        async with serving(Server(hang), tmp_path) as (kube, hung):
            with pytest.raises(Retry, match="TimeoutError"):
                await kube.create_service(SERVICE)
        assert counts.requests == [("GET", 0)]
        assert hung.requests == [("POST", 0)]

    asyncio.run(main())


def test_delete_of_what_is_gone_is_fine_and_of_what_changed_is_not(tmp_path: Path) -> None:
    async def use(kube: Kube) -> None:
        await kube.delete_service(ORDERS, "u", "1")
        with pytest.raises(Conflict):
            await kube.delete_service(ORDERS, "u", "1")

    call(tmp_path, use, refuses(404), refuses(409))


EVENT = {"metadata": {"namespace": "shop", "name": "e"}}


@pytest.mark.parametrize(
    ("answer", "dropped"),
    [(says({}), 0), (refuses(409), 0), (refuses(403), 1), (refuses(404), 1), (refuses(503), 1), (refuses(429), 1)],
)
def test_an_event_never_raises(tmp_path: Path, answer: Answer, dropped: int) -> None:
    async def use(kube: Kube) -> None:
        await kube.create_event(EVENT)

    _, server, counts = call(tmp_path, use, answer)
    assert server.requests[0].path == "/api/v1/namespaces/shop/events"
    assert counts.dropped == dropped
    assert counts.writes == []


def test_pages_follow_the_continue_token(tmp_path: Path) -> None:
    async def use(kube: Kube) -> list[Any]:
        return [page["items"] async for page in kube.pages("/api/v1/services", label_selector="a=b", limit=2)]

    first, last = {"metadata": {"continue": "c&1"}, "items": [1, 2]}, {"metadata": {}, "items": [3]}
    pages, server, _ = call(tmp_path, use, says(first), says(last))
    assert pages == [[1, 2], [3]]
    assert [r.query for r in server.requests] == [
        {"limit": "2", "labelSelector": "a=b"},
        {"limit": "2", "labelSelector": "a=b", "continue": "c&1"},
    ]


def test_an_expired_list_is_told(tmp_path: Path) -> None:
    async def use(kube: Kube) -> None:
        with pytest.raises(Expired):
            async for _ in kube.pages("/api/v1/services"):
                pass

    call(tmp_path, use, says({"metadata": {"continue": "x"}, "items": []}), refuses(410))


def test_pods_that_mention_a_host(tmp_path: Path) -> None:
    def pod(name: str, *values: str | None, init: str = "") -> dict[str, Any]:
        env = [{"name": "A", "value": v} if v is not None else {"name": "A", "valueFrom": {}} for v in values]
        spec: dict[str, Any] = {"containers": [{"name": "side"}, {"name": "app", "env": env}]}
        if init:
            spec["initContainers"] = [{"name": "i", "env": [{"name": "B", "value": init}]}]
        return {"metadata": {"name": name}, "spec": spec}

    host = "orders-headless.shop.svc"
    pods = [
        pod("uses", "x", f"dns:///{host}.cluster.local.:5000"),
        pod("other", "dns:///orders.shop.svc:5000", None),
        pod("init", init=f"{host}:1"),
        pod("none"),
    ]

    async def use(kube: Kube) -> list[str]:
        return await kube.pods_mentioning("shop", host)

    names, server, _ = call(tmp_path, use, says({"metadata": {}, "items": pods}))
    assert names == ["uses", "init"]
    assert server.requests[0].query["fieldSelector"] == "status.phase!=Succeeded,status.phase!=Failed"


@pytest.mark.parametrize(
    ("answer", "served"),
    [
        (says({"resources": [{"name": "grpcbalancedservices/status"}, {"name": "grpcbalancedservices"}]}), True),
        (says({"resources": [{"name": "grpcbalancedservices/status"}]}), False),
        (says({"resources": None}), False),
        (refuses(404), False),
        (refuses(503), False),
    ],
    ids=["served", "only a part of it", "nothing", "no such group", "not to be asked"],
)
def test_whether_a_kind_is_served(tmp_path: Path, answer: Answer, served: bool) -> None:
    async def use(kube: Kube) -> bool:
        return await kube.serves("grpcbalance.dev", "v1alpha1", "grpcbalancedservices")

    found, server, _ = call(tmp_path, use, answer)
    assert found is served
    assert [request.path for request in server.requests] == ["/apis/grpcbalance.dev/v1alpha1"]


def test_names_cannot_leave_their_place_in_the_path(tmp_path: Path) -> None:
    async def use(kube: Kube) -> None:
        await kube.get_service(Ref("a/../b", "c?d#e"))

    _, server, _ = call(tmp_path, use, says({}))
    assert server.requests[0].path == "/api/v1/namespaces/a%2F..%2Fb/services/c%3Fd%23e"


def test_credentials_of_a_kubeconfig(tmp_path: Path) -> None:
    found = asyncio.run(load_credentials(kubeconfig(tmp_path, "http://h:1")))
    assert (found.server, found.authorization) == ("http://h:1", "Bearer secret")


def test_no_credentials_say_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(CredentialsError, match="--kubeconfig"):
        asyncio.run(load_credentials(None))
    (tmp_path / "bad").write_text("{}")
    with pytest.raises(CredentialsError):
        asyncio.run(load_credentials(str(tmp_path / "bad")))
