"""The parts together, as far as that needs no API server: start, signals, and how a part's end ends all."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import kopf
import pytest
import yaml
from kopf._cogs.structs.references import Insights, Resource

from grpcbalance import main as main_module
from grpcbalance.kube import Kube
from grpcbalance.main import Operator
from grpcbalance.names import PLURAL
from grpcbalance.reconcile import Reconciler
from grpcbalance.settings import Settings
from grpcbalance.watched import KINDS


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """For an API server that is away: nothing listens on port 1."""
    document = {
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "current-context": "x",
    }
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    return Settings(kubeconfig=str(path), http_address="127.0.0.1:0")


def operate(settings: Settings, use: Callable[[Operator], Any]) -> tuple[int, float]:
    """Run an operator while `use` does something with it; answers with the exit status and how long stopping took."""

    async def main() -> tuple[int, float]:
        operator = Operator(settings)
        async with operator.kube, operator.probes:
            running = asyncio.create_task(operator.run())
            async with asyncio.timeout(10):
                await use(operator)
            began = asyncio.get_running_loop().time()
            return await running, asyncio.get_running_loop().time() - began

    return asyncio.run(main())


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what tells nobody when it becomes true; `operate` sets the deadline."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def get(operator: Operator, path: str) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{operator.probes.port}{path}") as answer,
    ):
        return answer.status, await answer.text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_without_an_api_server_it_is_alive_not_ready_and_stops_when_asked(
    settings: Settings, number: signal.Signals
) -> None:
    async def use(operator: Operator) -> None:
        while "Cannot connect" not in (await get(operator, "/readyz"))[1]:  # noqa: ASYNC110
            await asyncio.sleep(0.02)  # an HTTP answer is waited for: there is no event
        assert (await get(operator, "/readyz"))[0] == 503
        assert await get(operator, "/livez") == (200, "ok\n")
        os.kill(os.getpid(), number)

    status, seconds = operate(settings, use)
    assert status == 0
    assert seconds < 5


def test_it_ends_when_a_part_ends(settings: Settings) -> None:
    async def use(operator: Operator) -> None:
        await until(lambda: "resync" in operator.health.tasks)
        operator.health.tasks["resync"].cancel()

    assert operate(settings, use)[0] == 1


def test_watching_begins_anew_when_kopf_gives_up(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = 0

    async def gives_up(*_: object, **__: object) -> None:
        nonlocal runs
        runs += 1
        raise RuntimeError("ran out of credentials")

    monkeypatch.setattr(kopf, "run_tasks", gives_up)
    monkeypatch.setattr(kopf, "spawn_tasks", nothing)
    monkeypatch.setattr(main_module, "Backoffs", lambda: [0.01] * 1000)

    async def use(operator: Operator) -> None:
        await until(lambda: runs >= 3)
        assert (operator.metrics.registry.get_sample_value("grpcbalance_watch_restarts_total") or 0) >= 2
        assert operator.health.ailments() == []
        os.kill(os.getpid(), signal.SIGTERM)

    assert operate(settings, use)[0] == 0


def test_watching_begins_anew_until_kopf_watches_every_kind_that_is_served(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[bool] = []
    all_kinds = {Resource(kind.group, kind.version, kind.plural) for kind in KINDS}

    async def spawn(*, insights: Insights, stop_flag: asyncio.Event, **_: object) -> list[asyncio.Task[Any]]:
        # It overlooks our own kind in the first two runs, as when discovery lags behind the definition.
        found = all_kinds if len(runs) >= 2 else {kind for kind in all_kinds if kind.plural != PLURAL}
        runs.append(found == all_kinds)
        insights.watched_resources.update(found)
        insights.ready_resources.set()
        return [asyncio.create_task(stop_flag.wait())]

    async def run(tasks: list[asyncio.Task[Any]], **_: object) -> None:
        await tasks[0]

    async def serves(*_: str) -> bool:
        return True

    monkeypatch.setattr(kopf, "spawn_tasks", spawn)
    monkeypatch.setattr(kopf, "run_tasks", run)
    monkeypatch.setattr(main_module, "Backoffs", lambda: [0.01] * 1000)
    monkeypatch.setattr(main_module, "_LOOK_EVERY", 0.01)

    async def use(operator: Operator) -> None:
        monkeypatch.setattr(operator.kube, "serves", serves)
        await until(lambda: runs == [False, False, True])
        # Many looks later it is still the same run.
        await asyncio.sleep(0.3)
        assert runs == [False, False, True]
        os.kill(os.getpid(), signal.SIGTERM)

    assert operate(settings, use)[0] == 0


@pytest.mark.parametrize("namespace", [None, "shop"])
def test_kopf_watches_everywhere_or_in_one_namespace_and_never_scans(
    settings: Settings, namespace: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[dict[str, Any]] = []

    async def spawn(**options: Any) -> list[object]:
        given.append(options)
        return []

    async def run(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(kopf, "spawn_tasks", spawn)
    monkeypatch.setattr(kopf, "run_tasks", run)

    async def use(operator: Operator) -> None:
        await until(lambda: bool(given))
        watched = {kind.plural for kind in operator.sync.watchable}
        assert ("namespaces" in watched) == (namespace is None)

    assert operate(replace(settings, namespace=namespace), use)[0] == 0
    assert given[0]["settings"].scanning.disabled
    scope = (
        {"clusterwide": True, "namespaces": ()}
        if namespace is None
        else {"clusterwide": False, "namespaces": ("shop",)}
    )
    assert {key: given[0][key] for key in scope} == scope


def test_a_permission_that_is_missing_is_shown_and_counted_and_bars_its_kind(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    granted = False

    async def may(verb: str, _: str, resource: str, *__: str) -> bool:
        return granted or (verb, resource) != ("list", "cronjobs")

    def metric(operator: Operator) -> float | None:
        labels = {"resource": "cronjobs", "verb": "list"}
        return operator.metrics.registry.get_sample_value("grpcbalance_missing_permissions", labels)

    monkeypatch.setattr(Kube, "may", staticmethod(may))

    async def use(operator: Operator) -> None:
        nonlocal granted
        await until(lambda: bool(operator.permissions.missing))
        assert "may not list cronjobs.batch: apply manifests/rbac.yaml" in (await get(operator, "/readyz"))[1]
        assert metric(operator) == 1
        assert "cronjobs" not in {kind.plural for kind in operator.sync.watchable}
        granted = True
        await operator.permissions.check()
        assert "may not" not in (await get(operator, "/readyz"))[1]
        assert metric(operator) is None
        assert "cronjobs" in {kind.plural for kind in operator.sync.watchable}
        os.kill(os.getpid(), signal.SIGTERM)

    assert operate(settings, use)[0] == 0


def test_a_kind_that_may_not_be_watched_any_more_ends_watching_once_only(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[set[str]] = []

    async def spawn(
        *, registry: kopf.OperatorRegistry, stop_flag: asyncio.Event, **_: object
    ) -> list[asyncio.Task[Any]]:
        runs.append({str(selector.any_name) for selector in registry._watching.get_all_selectors()})
        return [asyncio.create_task(stop_flag.wait())]

    async def run(tasks: list[asyncio.Task[Any]], **_: object) -> None:
        if "services" in runs[-1]:
            raise RuntimeError("403: services is forbidden")
        await tasks[0]

    async def may(verb: str, _: str, resource: str, *__: str) -> bool:
        return not runs or (verb, resource) != ("watch", "services")

    monkeypatch.setattr(kopf, "spawn_tasks", spawn)
    monkeypatch.setattr(kopf, "run_tasks", run)
    monkeypatch.setattr(main_module, "Backoffs", lambda: [0.01] * 1000)
    monkeypatch.setattr(Kube, "may", staticmethod(may))

    async def use(_: Operator) -> None:
        await until(lambda: len(runs) == 2)
        await asyncio.sleep(0.3)
        os.kill(os.getpid(), signal.SIGTERM)

    assert operate(settings, use)[0] == 0
    assert [len(KINDS) - len(kinds) for kinds in runs] == [0, 1]
    assert "services" not in runs[1]


async def nothing(**_: object) -> list[object]:
    """No tasks."""
    return []


def test_work_in_progress_is_finished(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    finished: list[object] = []

    async def use(operator: Operator) -> None:
        began = asyncio.Event()

        async def slow(_: object, key: object) -> None:
            began.set()
            await asyncio.sleep(0.5)
            finished.append(key)

        monkeypatch.setattr(Reconciler, "__call__", slow)
        operator.queue.add("first", 0)  # type: ignore[arg-type]  # any key does
        await began.wait()
        operator.queue.add("second", 10)  # type: ignore[arg-type]  # as above
        os.kill(os.getpid(), signal.SIGTERM)

    assert operate(settings, use)[0] == 0
    assert finished == ["first"]
