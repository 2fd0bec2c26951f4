"""Puts the operator together and keeps it running: who is started in which order, and how all of it ends.

Everything lives in one event loop. Our own tasks are born before kopf, which cancels at its end every task that
is younger. Any of them ending ends the process: whoever runs it starts it again, and nothing is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import kopf

# What kopf watches is told nowhere else; kopf's version is pinned, and mypy checks these names.
from kopf._cogs.structs.references import Insights
from prometheus_client import CollectorRegistry

from . import logs
from .bucket import TokenBucket
from .credentials import CredentialsError
from .events import Recorder
from .handlers import Backoffs, HungError, Login, kopf_settings, register, run_tasks
from .kube import Kube
from .lifetime import Lifetime
from .lookaside.following import Following
from .lookaside.handshake import refused
from .lookaside.listing import pods_on_xds
from .lookaside.reading import Reader
from .metrics import Metrics
from .model import Key, StatusKey
from .permissions import SelfCheck
from .probes import Health, Probes
from .queue import LANES, WorkQueue
from .reconcile import Clock, Context, DryRun, Reconciler, settle_time
from .settings import Settings, replicas_host, split_address
from .sync import Sync
from .view import View
from .watched import kinds_in

logger = logging.getLogger(__name__)

# SIGTERM to exit: work in progress may take so long, then everything; the pod has 15 s.
_FINISH: Final = 5.0
_EXIT: Final = 9.0
# How soon a definition that came after us is noticed; costs a request only while a kind is not watched.
_LOOK_EVERY: Final = 2.0
_IDENTITY: Final[Any] = "grpcbalance"


def run(settings: Settings, *, domain_assumed: bool = False) -> int:
    """Run the operator until SIGTERM or SIGINT. Answers with the exit status.

    `domain_assumed`: the cluster's domain was neither given nor found. In a cluster of another one no client would
    find the target, and nothing else tells of it.
    """
    logs.configure(settings.log_level, settings.log_format)
    if domain_assumed:
        text = "no svc.<domain> in the search list of /etc/resolv.conf, assuming %s; if that is wrong: --cluster-domain"
        logger.warning(text, settings.cluster_domain)
    try:
        return asyncio.run(_main(settings))
    except CredentialsError as error:
        logger.error("%s", error)
        return 1


async def _main(settings: Settings) -> int:
    operator = Operator(settings)
    async with operator.kube, operator.probes:
        return await operator.run()


class Operator:
    """All parts, wired. Made inside of the event loop that runs it; `kube` and `probes` are entered by the caller."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics(CollectorRegistry())
        self.view = View()
        self.queue: WorkQueue[Key] = WorkQueue(self.metrics)
        bucket = TokenBucket(settings.writes_per_second, settings.write_burst)
        self.kube = Kube(self.metrics, bucket, settings.kubeconfig, settings.workers)
        self._kinds = kinds_in(settings.namespace)
        self.sync: Sync[Key] = Sync(
            self.kube, self.view, self._enqueue, self.metrics, settings.resync_interval, self._kinds
        )
        self.permissions = SelfCheck(self.kube.may, settings, self._permissions_changed)
        self.kube.on_forbidden = self.permissions.doubt
        self.health = Health(self._trouble, self.metrics.loop_lagged)
        self.probes = Probes(self.health, self.metrics.registry, split_address(settings.http_address))
        self._beside: asyncio.Queue[Callable[[], Awaitable[None]]] = asyncio.Queue()
        self.reconciler = Reconciler(self._context())
        replicas = partial(Reader, replicas_host(settings))
        self.lookaside = Following(self.view, replicas, self._enqueue, self.metrics)
        self._lifetime = Lifetime(self.health)
        self._stop = self._lifetime.stop
        self._observe()

    def _context(self) -> Context:
        clock = Clock(now=lambda: datetime.now(UTC), monotonic=time.monotonic)
        recorder = Recorder(self.kube.create_event, clock.now, clock.monotonic, self.metrics.event_dropped)
        dry = self.settings.dry_run
        return Context(
            view=self.view,
            api=DryRun(self.kube, self.view, recorder, self.metrics) if dry else self.kube,
            settings=self.settings,
            recorder=recorder,
            metrics=self.metrics,
            clock=clock,
            enqueue=self._enqueue,
            service_refusals={},
            workload_refusals={},
            pods_on_xds=partial(pods_on_xds, self.kube),
            refused=refused,
            beside=self._beside.put_nowait,
            missing=lambda: self.permissions.message,
            blind=lambda: not self.sync.done.is_set(),
        )

    def _observe(self) -> None:
        self.metrics.watch_queue(LANES, self.queue.depth, self.queue.unfinished)
        slots = self.view.slots
        self.metrics.watch_rollouts(lambda: len(slots.in_flight), lambda: len(slots.waiting))
        for kind in self._kinds:
            self.metrics.watch_kind(kind.plural, partial(self._size, kind.plural))

    def _trouble(self) -> dict[str, str]:
        """What keeps us from being ready."""
        return self.sync.trouble() | self.permissions.trouble()

    def _permissions_changed(self) -> None:
        self.sync.bar(self.permissions.barred)
        self.metrics.permissions_missing([(item.resource, item.verb) for item in self.permissions.missing])
        self._enqueue(self.reconciler.forgive())
        self._enqueue_statuses()

    def _enqueue_statuses(self) -> None:
        self._enqueue([StatusKey(*ref) for ref in self.view.balanced])

    def _size(self, kind: str) -> int:
        return len(self.view.names(kind))

    def _enqueue(self, keys: Iterable[Key], backlog: bool = False) -> None:
        for key in keys:
            self.queue.add(key, settle_time(key, self.settings.settle), backlog=backlog)

    # -- running -----------------------------------------------------------------------------------------

    async def run(self) -> int:
        """Until a signal (0), or until a part ends that must not (1)."""
        start = self._lifetime.start
        self._lifetime.listen()
        start("heart", self.health.heart())
        start("queue", self.queue.run(self.reconciler, self.settings.workers))
        start("permissions", self.permissions.run())
        start("backlog", self._catch_up())
        start("resync", self.sync.run())
        start("lookaside", self.lookaside.run())
        start("beside", self._work_beside())
        # Last: by now all of ours, workers too, are born.
        start("watch", self._watch())
        try:
            return await self._lifetime.end()
        finally:
            await self._shut_down()

    async def _seeded(self) -> None:
        """The barrier: nothing is watched until everything is known that may be."""
        await self.sync.ready()
        if not self.sync.done.is_set():
            # Status is all that is written then: it tells what is missing.
            self._enqueue_statuses()

    async def _catch_up(self) -> None:
        """Whenever everything has become known, all of it is due."""
        while True:
            await self.sync.done.wait()
            # Nothing of it will ever be garbage as a whole; the collector need not look at it again and again.
            gc.collect()
            gc.freeze()
            for key in self.view.all_keys():
                self.queue.add(key, 0.0, backlog=True)
            logger.info("all kinds are known, working")
            await self.sync.undone.wait()

    async def _work_beside(self) -> None:
        """What no worker shall wait for, one after the other; what fails has to say so itself."""
        while True:
            work = await self._beside.get()
            await work()

    async def _watch(self) -> None:
        """Run kopf; when it gives up, begin anew. It ends for good at many errors that a new watch heals."""
        delays = iter(Backoffs())
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                await self._run_kopf()
            except HungError:
                # What hangs may wake up, and would then watch beside the next one.
                raise
            except Exception:
                logger.exception("watching ended, beginning anew")
            if time.monotonic() - began > 60:
                delays = iter(Backoffs())
            if self._stop.is_set():
                return
            self.metrics.watch_restarted()
            self.sync.hurry()
            await asyncio.sleep(next(delays))

    async def _run_kopf(self) -> None:
        # A kind that may not be watched must not end, or hold up, all other watches.
        await self.permissions.check()
        registry, insights, ending = kopf.OperatorRegistry(), Insights(), asyncio.Event()
        register(registry, self.sync, self.sync.watchable, self._seeded, Login(self.settings.kubeconfig))
        namespace = self.settings.namespace
        end = asyncio.create_task(self._until_overlooked(insights, ending), name="overlooked")
        older = asyncio.all_tasks()
        try:
            tasks = await kopf.spawn_tasks(
                registry=registry,
                settings=kopf_settings(),
                insights=insights,
                clusterwide=namespace is None,
                namespaces=() if namespace is None else (namespace,),
                standalone=True,
                # Unused without peering, but kopf makes one up from the user's name, and a pod's user has none.
                identity=_IDENTITY,
                stop_flag=ending,
            )
            # kopf has put its own in place; ours stops the rest, too, and kopf through the flag.
            self._lifetime.listen()
            await run_tasks(tasks, older)
        finally:
            end.cancel()

    async def _until_overlooked(self, insights: Insights, ending: asyncio.Event) -> None:
        """End kopf when we are asked to stop, or when a kind is served, and may be watched, that it does not watch.

        It looks for kinds once, when it begins.
        """
        try:
            while not self._stop.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_EVERY):
                        await self._stop.wait()
                if insights.ready_resources.is_set() and (found := await self._overlooked(insights)):
                    logger.warning("watching begins anew: %s are served, and were not", found)
                    return
        finally:
            ending.set()

    async def _overlooked(self, insights: Insights) -> str | None:
        watched = {(resource.group, resource.plural) for resource in insights.watched_resources}
        for kind in self.sync.watchable:
            if (kind.group, kind.plural) not in watched and await self.kube.serves(*kind[:3]):
                return kind.plural
        return None

    async def _shut_down(self) -> None:
        """Let work in progress finish for a while, cancel the rest; a watchdog ends what hangs."""
        faulthandler.dump_traceback_later(_EXIT, exit=True)
        self.health.stopping = True
        self._stop.set()
        self.queue.close()
        # Connections that scrapers keep open are tasks younger than kopf, which would wait for them.
        await self.probes.close()
        tasks = self.health.tasks
        await asyncio.wait({tasks["queue"], tasks["watch"]}, timeout=_FINISH)
        for task in tasks.values():
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait(tasks.values(), timeout=_EXIT - _FINISH - 2)
        faulthandler.cancel_dump_traceback_later()
