"""A cluster in memory with the operator in it, and time that jumps from one thing that happens to the next.

Deterministic: one thing at a time, in the order in which it is due. The operator's keys are kept as
`queue.WorkQueue` keeps them; the view, the reconcilers and all that decides are the real ones.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry

from grpcbalance.errors import Retry
from grpcbalance.events import Recorder
from grpcbalance.metrics import Metrics
from grpcbalance.model import Key, StatusKey
from grpcbalance.names import ANNOTATION_CLIENT, ANNOTATION_SERVER, PLURAL
from grpcbalance.queue import BACKOFF_BASE, BACKOFF_CAP
from grpcbalance.reconcile import Clock, Context, DryRun, Reconciler, settle_time
from grpcbalance.settings import Settings
from grpcbalance.view import KINDS, View
from tests.unit import factories as make

from .controllers import Deployments, Slices
from .fields import Raw
from .server import Server, Write

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
# Longer than every wait of the operator but those that end only with what they wait for.
LONG = 1000.0


class CrashError(BaseException):
    """The operator dies here; nothing of it may catch this."""


def make_context(
    server: Server,
    view: View,
    settings: Settings,
    monotonic: Callable[[], float],
    enqueue: Callable[..., None],
) -> Context:
    """What the reconcilers work with, on the fake server and fake time."""
    clock = Clock(now=lambda: BEGINNING + timedelta(seconds=monotonic()), monotonic=monotonic)
    metrics = Metrics(CollectorRegistry(), monotonic)
    recorder = Recorder(server.create_event, clock.now, clock.monotonic, metrics.event_dropped)
    return Context(
        view=view,
        api=DryRun(server, view, recorder, metrics) if settings.dry_run else server,
        settings=settings,
        recorder=recorder,
        metrics=metrics,
        clock=clock,
        enqueue=enqueue,
        service_refusals={},
        workload_refusals={},
        pods_on_xds=server.pods_on_xds,
        refused=server.tls.refused,
        beside=_at_once,
    )


class Operator:
    """One life of the operator: it begins by listing everything, as `main` does."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.view = View()
        made = make_context(world.server, self.view, world.settings, lambda: world.now, self.enqueue)
        context = replace(made, missing=lambda: world.missing, blind=lambda: world.blind)
        self.metrics = context.metrics
        self._reconcile = Reconciler(context)
        # key -> ticket of the only look that counts, and when it is due
        self._due: dict[Key, tuple[float, int]] = {}
        self._failures: Counter[Key] = Counter()
        self._tickets = itertools.count()
        for kind in KINDS:
            for raw in world.server.all(kind):
                self.view.apply(kind, None, raw)
        self.look_at_all()

    def look_at_all(self) -> None:
        """Have everything reconciled now."""
        for key in self.view.all_keys():
            self._add(key, 0.0)

    def permissions_changed(self) -> None:
        """As `main` does when other permissions are missing than before."""
        self.enqueue([*self._reconcile.forgive(), *(StatusKey(*ref) for ref in self.view.balanced)])

    def take(self, kind: str, event: str, raw: Raw) -> None:
        """An event of a watch."""
        self.enqueue(self.view.apply(kind, event, raw))

    def enqueue(self, keys: Iterable[Key]) -> None:
        """Have keys reconciled soon."""
        # Sets of keys differ in order from run to run, since strings hash differently.
        for key in sorted(keys, key=repr):
            self._add(key, settle_time(key, self._world.settings.settle))

    def _add(self, key: Key, delay: float) -> None:
        due = self._world.now + delay
        if key in self._due and self._due[key][0] <= due:
            return
        ticket = next(self._tickets)
        self._due[key] = due, ticket
        self._world.later(delay, partial(self._look, key, ticket))

    def _look(self, key: Key, ticket: int) -> None:
        if self._world.operator is not self or self._due.get(key, (0.0, -1))[1] != ticket:
            return
        del self._due[key]
        try:
            again = _finish(self._reconcile(key))
        except Retry as error:
            self._failures[key] += 1
            self._due.pop(key, None)
            bound = min(BACKOFF_CAP, BACKOFF_BASE * 2.0 ** self._failures[key])
            self._add(key, bound if error.after is None else error.after)
            return
        del self._failures[key]
        if again is not None:
            self._add(key, again)


def _finish(work: Coroutine[Any, Any, float | None]) -> float | None:
    """Run a coroutine that never waits to its end."""
    try:
        work.send(None)
    except StopIteration as done:
        answer: float | None = done.value
        return answer
    raise AssertionError("the fake API server never waits")


def _at_once(work: Callable[[], Awaitable[None]]) -> None:
    """What the operator has done beside its work."""

    async def do() -> None:
        await work()

    _finish(do())


class World:
    """Cluster, operator and time. `takes` tells how long a Deployment's rollout is, None: for ever.

    `after` is a world at rest whose objects are taken over.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        takes: Callable[[str], float | None] = lambda _: 1.0,
        slices: bool = True,
        watch_delay: float = 0.02,
        after: World | None = None,
    ) -> None:
        self.now: float = after.now if after else 0.0
        self.settings: Settings = settings or Settings()
        self.watch_delay = watch_delay
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._turns = itertools.count()
        self.server: Server = Server(lambda: self.now)
        if after is not None:
            self.server.take_over(after.server)
        Deployments(self.server, self.later, takes)
        if slices:
            Slices(self.server, self.later)
        self.server.watchers.append(self._watched)
        self.operator: Operator | None = None
        self.crashes = 0
        # Permissions that the operator lacks, and whether it cannot see everything.
        self.missing = ""
        self.blind = False

    # -- time ---------------------------------------------------------------------------------------------

    def later(self, delay: float, act: Callable[[], None]) -> None:
        """Have something happen in so many seconds."""
        heapq.heappush(self._agenda, (self.now + delay, next(self._turns), act))

    def run(self, seconds: float) -> World:
        """Let time pass."""
        end = self.now + seconds
        while self._agenda and self._agenda[0][0] <= end:
            self.now, _, act = heapq.heappop(self._agenda)
            try:
                act()
            except CrashError:
                self.crashes += 1
                self.operator = None
                # By whoever runs it.
                self.later(2.0, self._begin)
        self.now = end
        return self

    # -- the operator -------------------------------------------------------------------------------------

    def start(self) -> World:
        """Begin a new life of the operator; the earlier one, if any, is dead."""
        self._begin()
        return self

    def _begin(self) -> None:
        self.operator = Operator(self)

    def _watched(self, kind: str, event: str, raw: Raw) -> None:
        operator = self.operator

        def deliver() -> None:
            if operator is not None and self.operator is operator:
                operator.take(kind, event, raw)

        self.later(self.watch_delay, deliver)

    def writes_in(self, seconds: float) -> list[Write]:
        """Let time pass; what the operator wrote meanwhile."""
        before = len(self.server.writes)
        self.run(seconds)
        return self.server.writes[before:]

    # -- people -------------------------------------------------------------------------------------------

    def annotate(
        self, name: str, server: str | None = None, client: str | None = None, namespace: str = make.NAMESPACE
    ) -> None:
        """Make these our only opt-in annotations on a Deployment."""

        def change(raw: Raw) -> None:
            ours = {ANNOTATION_SERVER: server, ANNOTATION_CLIENT: client}
            kept = {k: v for k, v in raw["metadata"].get("annotations", {}).items() if k not in ours}
            raw["metadata"]["annotations"] = kept | {k: v for k, v in ours.items() if v is not None}

        self.server.edit("deployments", name, change, namespace)

    def spec(self, kind: str, name: str, **fields: Any) -> None:
        """Set fields of an object's spec."""
        self.server.edit(kind, name, lambda raw: raw["spec"].update(fields))

    # -- what is seen -------------------------------------------------------------------------------------

    def env(self, name: str, namespace: str = make.NAMESPACE) -> dict[str, str | None]:
        """Env of the first container of a Deployment."""
        container = self.server.get("deployments", name, namespace)["spec"]["template"]["spec"]["containers"][0]
        return {entry["name"]: entry.get("value") for entry in container.get("env") or ()}

    def status(self, name: str = "orders") -> Raw:
        """Status of a GrpcBalancedService."""
        return dict(self.server.get(PLURAL, name).get("status") or {})

    def condition(self, kind: str, name: str = "orders") -> tuple[str, str]:
        """Status and reason of a condition."""
        found = next(c for c in self.status(name)["conditions"] if c["type"] == kind)
        return found["status"], found["reason"]

    def refusals(self, reason: str) -> float:
        """How often the operator's metric counted a reason."""
        assert self.operator is not None
        name = "grpcbalance_refusals_total"
        return self.operator.metrics.registry.get_sample_value(name, {"reason": reason}) or 0.0

    def standing(self, workload: str, name: str = "orders") -> tuple[str, str]:
        """State and reason of a workload in a status."""
        found = next(w for w in self.status(name)["workloads"] if w["name"] == workload)
        return found["state"], found["reason"]


def shop(world: World, replicas: int = 1, **spec: Any) -> World:
    """Give a world `orders`, its server and the client `checkout`, and let the operator work until all is quiet."""
    world.server.put(
        make.gbs(**spec), make.server(replicas=replicas), make.deployment(client="orders", replicas=replicas)
    )
    return world.start().run(LONG)
