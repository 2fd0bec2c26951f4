"""What is read from the API server, and with which credentials."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from grpcbalance.credentials import CredentialsError, load_credentials
from grpcbalance.errors import Expired
from grpcbalance.kube import Kube
from grpcbalance.model import Ref

from .api_server import Answer, call, kubeconfig, refuses, says


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


def test_a_question_may_be_about_one_object_only(tmp_path: Path) -> None:
    async def use(kube: Kube) -> object:
        return await kube.may("get", "", "configmaps", "", "grpcbalance-xds-ca")

    _, server, _ = call(tmp_path, use, says({"status": {"allowed": True}}, 201))
    asked = server.requests[0].body["spec"]["resourceAttributes"]
    assert (asked["resource"], asked["name"]) == ("configmaps", "grpcbalance-xds-ca")


def test_an_expired_list_is_told(tmp_path: Path) -> None:
    async def use(kube: Kube) -> None:
        with pytest.raises(Expired):
            async for _ in kube.pages("/api/v1/services"):
                pass

    call(tmp_path, use, says({"metadata": {"continue": "x"}, "items": []}), refuses(410))


def pod_spec(*values: str | None, init: str = "") -> dict[str, Any]:
    env = [{"name": "A", "value": v} if v is not None else {"name": "A", "valueFrom": {}} for v in values]
    spec: dict[str, Any] = {"containers": [{"name": "side"}, {"name": "app", "env": env}]}
    if init:
        spec["initContainers"] = [{"name": "i", "env": [{"name": "B", "value": init}]}]
    return spec


def job(value: str, *conditions: tuple[str, str]) -> dict[str, Any]:
    status = {"conditions": [{"type": kind, "status": state} for kind, state in conditions]} if conditions else {}
    return {"spec": {"template": {"spec": pod_spec(value)}}, "status": status}


@pytest.mark.parametrize(
    ("namespace", "paths"),
    [
        (None, ["/api/v1/pods", "/apis/batch/v1/jobs"]),
        ("shop", ["/api/v1/namespaces/shop/pods", "/apis/batch/v1/namespaces/shop/jobs"]),
    ],
    ids=["everywhere", "one namespace"],
)
def test_hosts_that_pods_and_unfinished_jobs_name(tmp_path: Path, namespace: str | None, paths: list[str]) -> None:
    pods = [
        pod_spec("x", "dns:///app.shop.svc.cluster.local.:5000"),
        pod_spec("dns:///app:5000", None),
        pod_spec(init="init.shop.svc:1"),
        pod_spec(),
    ]
    jobs = [
        job("waits.shop.svc"),
        job("suspended.shop.svc", ("Suspended", "True"), ("Failed", "False")),
        job("done.shop.svc", ("SuccessCriteriaMet", "True"), ("Complete", "True")),
        job("failed.shop.svc", ("Failed", "True")),
    ]

    async def use(kube: Kube) -> frozenset[str]:
        return await kube.hosts_in_use(namespace)

    answers = says({"metadata": {}, "items": [{"spec": spec} for spec in pods]}), says({"metadata": {}, "items": jobs})
    hosts, server, _ = call(tmp_path, use, *answers)
    assert hosts == {"app.shop.svc", "init.shop.svc", "waits.shop.svc", "suspended.shop.svc"}
    assert [request.path for request in server.requests] == paths
    # Of pods only those that are not at their end are asked for.
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
