"""The parts together, with an API server that is told what to say: start, changes, trouble, signals, the end."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import signal
from pathlib import Path
from typing import Any

import grpc
import pytest

from grpcbalance import logs
from grpcbalance.lookaside.page import PATH, Page
from grpcbalance.xds.clients import Clients
from grpcbalance.xds.identify import by_nothing
from grpcbalance.xds.kinds import Kind
from grpcbalance.xds.main import Balancer, run
from grpcbalance.xds.server import Server
from grpcbalance.xds.settings import XdsSettings
from tests.unit import factories as make
from tests.unit.api_server import kubeconfig
from tests.unit.xds.ads import read, subscribe, until
from tests.unit.xds.balancing import Api, balance, connected, get, metric, ready, stop
from tests.unit.xds.world import ALL, TARGET, orders

# -- from start to end -----------------------------------------------------------------------------------


def test_it_serves_what_the_cluster_says_and_pushes_changes(tmp_path: Path) -> None:
    api = Api(*orders("10.1.0.1", allowedClients=ALL))

    async def story(balancer: Balancer) -> None:
        await ready(balancer)
        async with connected(balancer) as call:
            first = await subscribe(call, TARGET)
            # One that cannot be read ends nothing.
            bad = make.serving("orders", "10.1.0.2")
            api.put(bad | {"endpoints": [{"addresses": []}]})
            api.put(make.serving("orders", "10.1.0.2"))
            pushed = await read(call)
            assert pushed.type_url == Kind.ENDPOINTS
            assert pushed.version_info != first.version_info
            page = json.loads((await get(balancer, "/debug/clients"))[1])
            assert page["clients"][0]["asked"][0]["names"] == [TARGET]
            services = Page.model_validate_json((await get(balancer, PATH))[1])
            assert (services.ports.plaintext, services.ports.tls) == (True, False)
            assert [(one.name, one.ready, one.clients) for one in services.services] == [("orders", True, (0,))]
            assert "grpcbalance_xds_streams 1.0" in (await get(balancer, "/metrics"))[1]
        stop()

    assert balance(tmp_path, api, story)[0] == 0


def test_nothing_is_served_before_everything_is_known(tmp_path: Path) -> None:
    api = Api(*orders("10.1.0.1", allowedClients=ALL))
    api.away = {"endpointslices"}

    async def story(balancer: Balancer) -> None:
        await until(lambda: balancer.watching.trouble().keys() == {"endpointslices"})
        status, text = await get(balancer, "/readyz")
        assert status == 503
        assert text.startswith("endpointslices: ")
        assert await get(balancer, "/livez") == (200, "ok\n")
        assert balancer.servers == []
        assert '"ports":{"plaintext":false,"tls":false,"mtls":false}' in (await get(balancer, PATH))[1]
        api.away.clear()
        await ready(balancer)
        async with connected(balancer) as call:
            await subscribe(call, TARGET)
        stop()

    assert balance(tmp_path, api, story)[0] == 0


def test_while_the_api_server_is_away_clients_are_served(tmp_path: Path) -> None:
    api = Api(*orders("10.1.0.1", allowedClients=ALL))

    async def story(balancer: Balancer) -> None:
        await ready(balancer)
        assert metric(balancer, "grpcbalance_xds_state_age_seconds") == 0
        async with connected(balancer) as call:
            await subscribe(call, TARGET)
            api.go()
            await until(lambda: metric(balancer, "grpcbalance_xds_state_age_seconds") > 0)
            assert (await get(balancer, "/readyz"))[0] == 200
            async with connected(balancer) as new:
                assert len((await subscribe(new, TARGET)).resources) == 1
            # What has changed meanwhile is told when it is back.
            api.put(make.serving("orders", "10.1.0.2"))
            api.away.clear()
            assert (await read(call)).type_url == Kind.ENDPOINTS
            await until(lambda: metric(balancer, "grpcbalance_xds_state_age_seconds") == 0)
        stop()

    assert balance(tmp_path, api, story)[0] == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_all_streams_well_and_the_process(
    number: signal.Signals, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async def story(balancer: Balancer) -> None:
        await ready(balancer)
        async with connected(balancer) as call, connected(balancer) as silent:
            await subscribe(call, TARGET)
            await silent.wait_for_connection()
            os.kill(os.getpid(), number)
            await until(lambda: len(balancer.clients) == 0)
            for one in (call, silent):
                assert await read(one) is grpc.aio.EOF

    status, seconds = balance(tmp_path, Api(*orders(allowedClients=ALL)), story)
    assert status == 0
    assert seconds < 5
    # gRPC would complain past our log.
    assert "Traceback" not in capfd.readouterr().err


def test_labels_of_namespaces_reach_the_clients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api(make.namespace("web"))
    told: list[str] = []

    def relabelled(_: Clients, namespace: str, now: float) -> int:
        assert now > 0
        told.append(namespace)
        return 0

    monkeypatch.setattr(Clients, "relabelled", relabelled)

    async def story(balancer: Balancer) -> None:
        await ready(balancer)
        await until(lambda: bool(api.watches["namespaces"]))
        api.put(make.namespace("web", {"team": "web"}))
        await until(lambda: told == ["web"])
        stop()

    assert balance(tmp_path, api, story)[0] == 0


# -- what is wrong from the start ------------------------------------------------------------------------


def test_a_port_that_is_taken_ends_it(tmp_path: Path) -> None:
    async def main() -> int:
        api = Api()
        async with api.serving() as url:
            path = kubeconfig(tmp_path, url)
            taker = Balancer(XdsSettings(kubeconfig=path, http_address="127.0.0.1:0"))
            async with Server(("127.0.0.1", 0), None, taker.clients, by_nothing, taker.metrics) as taken:
                settings = XdsSettings(
                    kubeconfig=path, http_address="127.0.0.1:0", plaintext_address=f"127.0.0.1:{taken.port}"
                )
                balancer = Balancer(settings)
                async with balancer.kube, balancer.probes, asyncio.timeout(20):
                    return await balancer.run()

    assert asyncio.run(main()) == 1


def test_it_ends_when_a_part_ends(tmp_path: Path) -> None:
    async def story(balancer: Balancer) -> None:
        await ready(balancer)
        balancer.health.tasks["watch"].cancel()

    assert balance(tmp_path, Api(), story)[0] == 1


def test_one_namespace_means_that_nothing_else_is_read(tmp_path: Path) -> None:
    api = Api()

    async def story(balancer: Balancer) -> None:
        await ready(balancer)
        stop()

    assert balance(tmp_path, api, story, namespace="shop")[0] == 0
    assert {path.rpartition("/")[2] for path in api.asked} == {"grpcbalancedservices", "services", "endpointslices"}
    assert all("/namespaces/shop/" in path for path in api.asked)


def test_credentials_that_do_not_work_end_it(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text("{}")
    anywhere = "127.0.0.1:0"
    assert run(XdsSettings(kubeconfig=str(path), http_address=anywhere, plaintext_address=anywhere)) == 1


def test_run_answers_with_the_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def stops(_: Balancer) -> int:
        return 0

    monkeypatch.setattr(Balancer, "run", stops)
    path = kubeconfig(tmp_path, "http://127.0.0.1:1")
    anywhere = "127.0.0.1:0"
    assert run(XdsSettings(kubeconfig=path, http_address=anywhere, plaintext_address=anywhere)) == 0


def test_nowhere_to_serve_is_told(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "configure", lambda *_: None)
    assert run(XdsSettings()) == 1
    assert "give --tls-address, --mtls-address or --plaintext-address" in caplog.text


@pytest.mark.parametrize("address", ["tls_address", "mtls_address"])
def test_a_certificate_that_is_missing_is_told(
    address: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "configure", lambda *_: None)
    settings = XdsSettings(certificates=str(tmp_path), http_address="127.0.0.1:0")
    given: Any = {address: "127.0.0.1:0"}
    assert run(dataclasses.replace(settings, **given)) == 1
    assert "tls.key: No such file or directory; mount a Secret" in caplog.text
