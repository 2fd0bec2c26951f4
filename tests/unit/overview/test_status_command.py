"""The command against an API server of our own: exit status, formats, what it asks, and errors that say what to do."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from aiohttp import web
from click.testing import CliRunner, Result

from grpcbalance.__main__ import main
from grpcbalance.overview.report import Report
from tests.unit.api_server import kubeconfig

from .kit import Raw, client, condition, on_xds, orders, page, replica, standing

GBS = "/apis/grpcbalance.dev/v1alpha1/{}grpcbalancedservices"
PODS = "/api/v1/namespaces/grpcbalance-system/pods"
Answers = dict[str, Raw | int]
NO = 'User "u" cannot get resource "x"'
BAD = orders(standing(condition("Ready", "False", "NoEndpoints", "no pod")))


class Api:
    """Answers by path with an object, or with an error of that code; what is not there is a 404."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.asked: list[tuple[str, dict[str, str]]] = []

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append((request.path, dict(request.query)))
        found = self.answers.get(request.path, 404)
        if isinstance(found, int):
            message = NO if found == 403 else f"code {found}"
            status = {"kind": "Status", "status": "Failure", "code": found, "message": message}
            return web.json_response(status, status=found)
        return web.json_response(found)


@contextmanager
def serving(api: Api) -> Iterator[str]:
    """Serve in a thread: the command has an event loop of its own. Gives the address."""
    ready, ended = threading.Event(), asyncio.Event()
    address: list[str] = []
    loop = asyncio.new_event_loop()

    async def main() -> None:
        application = web.Application()
        application.router.add_get("/{path:.*}", api.handle)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        address.append(f"http://127.0.0.1:{runner.addresses[0][1]}")
        ready.set()
        await ended.wait()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(main(),))
    thread.start()
    try:
        assert ready.wait(10)
        yield address[0]
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(10)
        loop.close()


def listed(*objects: Raw, namespace: str | None = "default") -> Answers:
    where = f"namespaces/{namespace}/" if namespace else ""
    return {GBS.format(where): {"metadata": {}, "items": list(objects)}}


def replicas(**pages: Raw | int) -> Answers:
    items = [replica(name) for name in pages]
    told = {f"{PODS}/{name}:8080/proxy/debug/clients": one for name, one in pages.items()}
    return {PODS: {"metadata": {}, "items": items}, **told}


Run = Callable[..., tuple[Result, Api]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def call(answers: Answers, *arguments: str, **options: Any) -> tuple[Result, Api]:
        api = Api(answers)
        with serving(api) as address:
            config = kubeconfig(tmp_path, address)
            runner = CliRunner(env={"KUBECONFIG": ""})
            return runner.invoke(main, ["status", "--kubeconfig", config, *arguments], **options), api

    return call


def test_status_0_means_that_all_are_ready(run: Run) -> None:
    result, api = run(listed(orders()))
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("shop/orders is Ready\n")
    # For objects on DNS nobody else is asked.
    assert [path for path, _ in api.asked] == [GBS.format("namespaces/default/")]


def test_status_1_means_that_something_is_not(run: Run) -> None:
    result, _ = run(listed(orders(), BAD))
    assert result.exit_code == 1
    assert "is not Ready (NoEndpoints): no pod" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "namespace", "query"),
    [
        (("-n", "shop"), "shop", {}),
        (("-A",), None, {}),
        (("orders", "-n", "shop"), "shop", {"fieldSelector": "metadata.name=orders"}),
    ],
)
def test_what_is_asked_for(run: Run, arguments: tuple[str, ...], namespace: str | None, query: dict[str, str]) -> None:
    result, api = run(listed(orders(), namespace=namespace), *arguments)
    assert result.exit_code == 0
    [(path, asked)] = api.asked
    assert path in listed(namespace=namespace)
    assert asked == {"limit": "500", **query}


def test_clients_on_xds_come_from_every_replica_by_the_proxy(run: Run) -> None:
    answers = listed(on_xds()) | replicas(one=page(client()), two=page(client("checkout-2")))
    result, api = run(answers, "-o", "json")
    assert result.exit_code == 0
    [service] = json.loads(result.stdout)["services"]
    assert [(one["replica"], one["pod"]) for one in service["xds"]["clients"]] == [
        ("one", "checkout-1"),
        ("two", "checkout-2"),
    ]
    assert len(api.asked) == 4


@pytest.mark.parametrize(
    ("answers", "note"),
    [
        ({PODS: 403}, f"who is connected is not shown: list pods: {NO}"),
        (replicas(one=403, two=403), f"who is connected is not shown: get pods/proxy: {NO}"),
        (
            replicas(),
            "the look-aside balancer has no pods in grpcbalance-system: kubectl apply -k manifests/xds installs it",
        ),
        (
            {PODS: {"metadata": {}, "items": [replica("one", phase="Pending", waits="ContainerCreating")]}},
            "replica one of the look-aside balancer is not ready (ContainerCreating): kubectl -n grpcbalance-system "
            "describe pod one tells why; is there a Secret grpcbalance-xds-tls?",
        ),
        (replicas(one=503), "replica one of the look-aside balancer cannot be read: get pods/proxy: code 503"),
        (replicas(one={"clients": 7}), "replica one of the look-aside balancer tells what this version cannot read"),
    ],
    ids=["no list", "no proxy", "none", "not ready", "away", "garbage"],
)
def test_what_cannot_be_read_is_said_in_one_line_and_the_rest_goes_on(run: Run, answers: Answers, note: str) -> None:
    result, _ = run(listed(on_xds()) | answers)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[:2] == [f"Note: {note}.", "shop/orders is Ready"]
    assert "  on xDS     1 of 2 client workloads\n" in result.stdout


def test_one_of_two_replicas_is_shown(run: Run) -> None:
    result, _ = run(listed(on_xds()) | replicas(one=503, two=page(client())))
    assert "Note: replica one" in result.stdout
    assert "1 of 2 client workloads; 1 connected" in result.stdout


def test_the_balancer_may_be_elsewhere(run: Run) -> None:
    _, api = run(listed(on_xds()), "--xds-service", "balancer.mesh")
    assert api.asked[1][0] == "/api/v1/namespaces/mesh/pods"


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_formats_say_the_same(run: Run, form: str) -> None:
    result, _ = run(listed(BAD, on_xds()) | replicas(one=page(client())), "-o", form)
    assert result.exit_code == 1
    content = json.loads(result.stdout) if form == "json" else yaml.safe_load(result.stdout)
    assert [one.ready.reason for one in Report.model_validate(content).services] == ["NoEndpoints", "Ready"]


def test_colours_are_for_terminals(run: Run) -> None:
    plain, _ = run(listed(BAD))
    coloured, _ = run(listed(BAD), color=True)
    assert "\x1b[" not in plain.stdout
    assert click.style("not Ready", fg="red") in coloured.stdout
    assert click.unstyle(coloured.stdout) == plain.stdout


@pytest.mark.parametrize(
    ("answers", "arguments", "message"),
    [
        (listed(), ("orders",), "GrpcBalancedService default/orders does not exist"),
        ({}, (), "GrpcBalancedService is not known here: kubectl apply -k crds"),
        (
            {GBS.format("namespaces/default/"): 403},
            (),
            f"list grpcbalancedservices: {NO} (needed: list of grpcbalancedservices)",
        ),
        ({GBS.format("namespaces/default/"): 503}, (), "(does kubectl reach the cluster?)"),
        ({}, ("-A", "-n", "shop"), "leave NAME and --namespace out"),
        ({}, ("-A", "orders"), "leave NAME and --namespace out"),
        ({}, ("--context", "other"), "other"),
        ({}, ("--kubeconfig", "/nowhere"), "/nowhere: no such kubeconfig"),
        ({}, ("--xds-service", "balancer"), "is not NAME.NAMESPACE of a Service"),
        ({}, ("-o", "xml"), "is not one of 'text', 'json', 'yaml'"),
    ],
)
def test_an_error_has_status_2_and_says_what_is_wrong(
    run: Run, answers: Answers, arguments: tuple[str, ...], message: str
) -> None:
    result, _ = run(answers, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""
