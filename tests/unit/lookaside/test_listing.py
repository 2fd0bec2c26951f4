"""Pods are read live: of one namespace, running ones only, page by page up to a bound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from grpcbalance.errors import Retry
from grpcbalance.kube import Kube
from grpcbalance.lookaside import listing
from grpcbalance.lookaside.listing import pods_on_xds
from grpcbalance.lookaside.pods import Pod
from tests.unit.api_server import Answer, Counts, Server, call, refuses, says

from .test_pods import DNS, pod


def page(*pods: dict[str, Any], more: str = "") -> Answer:
    return says({"metadata": {"continue": more} if more else {}, "items": list(pods)})


def read(folder: Path, *answers: Answer) -> tuple[tuple[Pod, ...], Server, Counts]:
    async def use(kube: Kube) -> tuple[Pod, ...]:
        return await pods_on_xds(kube, "shop")

    found: tuple[tuple[Pod, ...], Server, Counts] = call(folder, use, *answers)
    return found


def test_all_pages_and_of_them_the_pods_on_xds(tmp_path: Path) -> None:
    first = page(pod(), pod("on-dns", env=DNS), pod("going", deletionTimestamp="2026-01-01T00:00:00Z"), more="next")
    found, server, _ = read(tmp_path, first, page(pod("checkout-6b7f9-zzzzz")))
    assert [one.node.pod for one in found] == ["checkout-6b7f9-x2x4z", "checkout-6b7f9-zzzzz"]
    assert {request.path for request in server.requests} == {"/api/v1/namespaces/shop/pods"}
    assert server.requests[0].query == {"limit": "500", "fieldSelector": "status.phase=Running"}
    assert server.requests[1].query["continue"] == "next"


def test_no_more_than_so_many_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "_PAGES", 3)
    found, server, _ = read(tmp_path, page(pod(), more="next"))
    assert (len(found), len(server.requests)) == (3, 3)


def test_what_the_server_says_instead_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(Retry, match="list pods: no"):
        read(tmp_path, refuses(503))
