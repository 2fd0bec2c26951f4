"""Many workers at once, on the real queue: what one of them does while another one waits for the API server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from grpcbalance.errors import Retry
from grpcbalance.model import Key, Rollout
from grpcbalance.observe_rollout import deployment_rollout
from grpcbalance.queue import WorkQueue
from grpcbalance.reconcile import Reconciler, settle_time
from grpcbalance.settings import Settings
from grpcbalance.view import View
from tests.unit import factories as make
from tests.unit.fake_time import run

from .server import Server, Write
from .world import make_context

Raw = dict[str, Any]
ROLLOUT = 4.0


class NoHooks:
    def added(self, lane: str) -> None:
        pass

    def started(self, key: object, waited: float) -> None:
        pass

    def finished(self, key: object, took: float, result: str) -> None:
        pass


@asynccontextmanager
async def working(settings: Settings) -> AsyncIterator[Server]:
    """An operator at work, in fake time. Each write takes 50 ms, each rollout of pods `ROLLOUT`."""
    loop = asyncio.get_running_loop()
    server, view = Server(loop.time), View()
    queue: WorkQueue[Key] = WorkQueue(NoHooks(), lambda bound: bound)

    def enqueue(keys: Iterable[Key]) -> None:
        for key in sorted(keys, key=repr):
            queue.add(key, settle_time(key, settings.settle))

    def finish(name: str) -> None:
        server.edit("deployments", name, lambda raw: raw.update(make.roll(raw)))

    def watched(kind: str, event: str, raw: Raw) -> None:
        loop.call_later(0.02, lambda: enqueue(view.apply(kind, event, raw)))
        if kind == "deployments" and deployment_rollout(raw) in (Rollout.PROGRESSING, Rollout.UNSEEN):
            loop.call_later(ROLLOUT if raw["spec"]["replicas"] else 0.05, finish, raw["metadata"]["name"])

    server.latency = 0.05
    server.watchers.append(watched)
    reconciler = Reconciler(make_context(server, view, settings, loop.time, enqueue))
    worker = asyncio.create_task(queue.run(reconciler, settings.workers))
    yield server
    queue.close()
    await worker


def crowd(count: int) -> list[Raw]:
    """A service whose server is settled, and clients of it."""
    server = make.server(replicas=0)
    clients = [make.deployment(f"client-{number:02}", client="orders") for number in range(count)]
    return [make.gbs(), server, make.serving("orders"), *clients]


def injected(raw: Raw) -> bool:
    return "annotations" in raw["spec"]["template"]["metadata"]


def rolling(raw: Raw) -> bool:
    return deployment_rollout(raw).unfinished


def test_sixteen_workers_never_take_more_slots_than_there_are_and_never_leave_one_free() -> None:
    async def main() -> tuple[int, int]:
        most = 0
        async with working(Settings()) as server:

            def count(write: Write, done: bool) -> None:  # noqa: ARG001 - after each write, whichever
                nonlocal most
                most = max(most, server.count("deployments", rolling))

            server.faults.append(count)
            server.put(*crowd(60))
            # Six rounds of ten, and some to notice.
            await asyncio.sleep(7 * ROLLOUT + 3.0)
            return most, server.count("deployments", injected)

    assert run(main()) == (10, 61)


def test_a_cold_start_among_many_new_objects_writes_no_status_that_is_soon_untrue() -> None:
    async def main() -> list[Write]:
        async with working(Settings(workers=1)) as server:
            for number in range(30):
                name = f"s{number}"
                server.put(make.gbs(name), make.serving(name), make.server(name, replicas=0))
                server.put(make.deployment(f"c{number}", client=name, replicas=0))
            await asyncio.sleep(120.0)
            return server.writes

    writes = run(main())
    verbs = [write.verb for write in writes]
    assert (verbs.count("create"), verbs.count("patch")) == (30, 60)
    assert verbs.count("status") <= 2 * 30


def test_a_slot_that_a_failing_patch_gives_back_is_taken_by_who_waits_for_it() -> None:
    async def main() -> list[str]:
        async with working(Settings(max_concurrent_rollouts=1)) as server:

            def fault(write: Write, done: bool) -> None:
                # Say, an admission webhook of one team that is down: 500 for ever.
                if write.name == "client-00" and not done:
                    raise Retry(None, "failed calling webhook")

            server.faults.append(fault)
            server.put(*crowd(4))
            await asyncio.sleep(5 * ROLLOUT)
            return [raw["metadata"]["name"] for raw in server.all("deployments") if injected(raw)]

    assert run(main()) == ["client-01", "client-02", "client-03", "orders"]
