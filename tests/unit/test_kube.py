"""The client against a small HTTP server: what is sent, and what every kind of failure becomes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from grpcbalance import kube as kube_module
from grpcbalance.answers import failure
from grpcbalance.bucket import TokenBucket
from grpcbalance.errors import Conflict, Expired, Forbidden, Gone, Invalid, KubeError, Retry
from grpcbalance.kube import USER_AGENT, Kube
from grpcbalance.model import Ref, WorkloadRef

from .api_server import Answer, Counts, Request, Server, call, kubeconfig, refuses, says, serving

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


@pytest.mark.parametrize("allowed", [True, False])
def test_a_question_about_a_permission_is_no_write(tmp_path: Path, allowed: bool) -> None:
    async def use(kube: Kube) -> object:
        return await kube.may("patch", "grpcbalance.dev", "grpcbalancedservices/status", "shop")

    answer, server, counts = call(tmp_path, use, says({"status": {"allowed": allowed}}, 201))
    assert answer is allowed
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")
    assert request.body["spec"]["resourceAttributes"] == {
        "verb": "patch",
        "group": "grpcbalance.dev",
        "resource": "grpcbalancedservices",
        "subresource": "status",
        "namespace": "shop",
    }
    assert counts.writes == []


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


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (
            'deployments.apps "x" is forbidden: User "y" cannot patch resource "deployments" in API group "apps"',
            Forbidden,
        ),
        ('services "x" is forbidden: exceeded quota: none, requested: services=1, used: services=1', Invalid),
        ("denied by ValidatingAdmissionPolicy: no env entries here", Invalid),
    ],
)
def test_a_missing_permission_is_told_from_a_quota_or_a_policy(message: str, kind: type[KubeError]) -> None:
    found = failure("patch deployments", 403, json.dumps({"message": message}).encode(), None)
    assert type(found) is kind
    assert message in str(found)
