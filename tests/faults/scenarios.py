"""The faults between operator and cluster, as a table over one runner. Numbers are those of the list of faults.

A fault is a context manager: it strikes before the script happens, which it does inside of it, and ends when it ends.
Sleeps are the faults themselves: so long they last.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Final

from tests.faults.rules import (
    EVENT,
    READS,
    WATCH,
    WRITES,
    Action,
    Answer,
    Delay,
    Drop,
    Duplicate,
    Rule,
    StreamError,
    Truncate,
)
from tests.faults.runner import Run, Runner, Terms
from tests.faults.world import FLAGS, poll

Fault = Callable[[Runner, list[Run]], AbstractContextManager[None]]

EVERYTHING: Final = READS | WRITES
# What kopf says, as errors, of an API server that is away: it goes on asking.
AWAY: Final = "Request attempt #"
# kopf ends at what a new watch heals, with some noise; the operator begins it anew, and says so.
ANEW: Final = f"{AWAY}|watching ended, beginning anew|Watcher for|multitasker has failed|request_cancel_callback"


@dataclass(frozen=True, slots=True)
class Scenario:
    """`count`: in so many namespaces at once. `full`: not for every change. `flags`: the operator's."""

    number: int
    name: str
    script: str
    fault: Fault
    terms: Terms = field(default_factory=Terms)
    full: bool = False
    count: int = 1
    flags: tuple[str, ...] = FLAGS

    def __str__(self) -> str:
        return f"{self.number}-{self.name}"


# -- A. crash and restart ------------------------------------------------------------------------------------


@contextlib.contextmanager
def restarted(runner: Runner, runs: list[Run]) -> Iterator[None]:
    """Nothing is written by an operator that finds everything as it was."""
    yield
    runner.world.restart()
    poll(lambda: any(runner.writes(run) for run in runs), 3.0)
    assert [runner.writes(run) for run in runs] == [[]] * len(runs)


@contextlib.contextmanager
def away(runner: Runner, _: list[Run]) -> Iterator[None]:
    """No operator while it happens."""
    with runner.world.away():
        yield


@contextlib.contextmanager
def crash_loop(runner: Runner, _: list[Run]) -> Iterator[None]:
    """SIGKILL each two seconds while it happens."""
    over = threading.Event()

    def strike() -> None:
        while not over.wait(2.0):
            runner.world.kill()

    killer = threading.Thread(target=strike, name="killer")
    killer.start()
    try:
        yield
    finally:
        over.set()
        killer.join(60)


# -- B. API trouble ------------------------------------------------------------------------------------------


@contextlib.contextmanager
def api_server_killed(runner: Runner, _: list[Run]) -> Iterator[None]:
    """SIGKILL and a new start, as soon as it has happened."""
    yield
    runner.world.lab.component("kube-apiserver").restart()
    runner.world.lab.wait_ready(60)


@contextlib.contextmanager
def api_server_stopped(runner: Runner, _: list[Run]) -> Iterator[None]:
    """SIGSTOP for 30 s: connections stay and are silent."""
    yield
    server = runner.world.lab.component("kube-apiserver")
    server.pause()
    time.sleep(30)
    server.resume()
    runner.world.lab.wait_ready(60)


def storm(seconds: float) -> Fault:
    """503 on everything, for so long; each stream of requests stays below two a second."""

    @contextlib.contextmanager
    def fault(runner: Runner, _: list[Run]) -> Iterator[None]:
        proxy, began = runner.world.proxy, time.time()
        with proxy.fault(Rule(Answer(503, b"no healthy upstream", content_type="text/plain"), EVERYTHING)):
            proxy.cut_streams()
            yield
            time.sleep(seconds)
        asked: dict[str, int] = {}
        for exchange in proxy.since(began, EVERYTHING):
            stream = f"{exchange.verb} {exchange.path.partition('?')[0]}"
            asked[stream] = asked.get(stream, 0) + 1
        assert asked, "nothing was asked during the storm"
        assert {stream: n for stream, n in asked.items() if n > 2 * seconds + 3} == {}

    return fault


@contextlib.contextmanager
def busy(runner: Runner, runs: list[Run]) -> Iterator[None]:
    """429 with Retry-After: 5 on one write; none follows sooner."""
    proxy, began = runner.world.proxy, time.time()
    answer = Answer(429, _status(429, "TooManyRequests"), (("Retry-After", "5"),))
    rule = Rule(answer, WRITES, path=_of(runs), times=1)
    with proxy.fault(rule):
        yield
        assert poll(lambda: rule.hits, 15), "no write came"
        time.sleep(6)
    refused = next(e for e in proxy.since(began, WRITES) if "429" in e.outcome)
    # What was on its way already is not called back.
    early = [e for e in proxy.since(refused.ended + 0.2, WRITES) if e.began < refused.ended + 4.8]
    assert early == []


@contextlib.contextmanager
def conflicts(runner: Runner, runs: list[Run]) -> Iterator[None]:
    """409 on every second write, for 15 s."""
    answer = Answer(409, _status(409, "Conflict"))
    with runner.world.proxy.fault(rule := Rule(answer, WRITES, path=_of(runs) + r"/(?!events)", every=2)):
        yield
        time.sleep(15)
        assert rule.hits


def watch_fails(action: Action, times: int = 4) -> Fault:
    """Each watch that begins meets this, some times."""

    @contextlib.contextmanager
    def fault(runner: Runner, _: list[Run]) -> Iterator[None]:
        with runner.world.proxy.fault(rule := Rule(action, WATCH, times=times)):
            runner.world.proxy.cut_streams()
            yield
            assert poll(lambda: rule.hits == times, 60), f"{rule.hits} watches began"

    return fault


@contextlib.contextmanager
def silence(runner: Runner, runs: list[Run]) -> Iterator[None]:
    """Every open watch freezes; what happens is acted on all the same, before it thaws."""
    with runner.world.proxy.frozen() as streams:
        assert streams >= 4, "hardly anything is watched"
        yield
        for run in runs:
            assert poll(lambda run=run: run.script.done(run.shop), 90), "not acted on within 90 s of silence"


def events(action: Action, path: str = "", content: str = "", times: int | None = None, after: float = 0) -> Fault:
    """Lines of watches meet this."""

    @contextlib.contextmanager
    def fault(runner: Runner, runs: list[Run]) -> Iterator[None]:
        spaces = "|".join(run.namespace for run in runs)
        rule = Rule(action, EVENT, path=path, content=f"{content}.*({spaces})", times=times)
        with runner.world.proxy.fault(rule):
            yield
            assert poll(lambda: rule.hits, 30), "no such event came"
            time.sleep(after)

    return fault


def slow(seconds: float) -> Fault:
    """Every request takes so much longer until all is done."""

    @contextlib.contextmanager
    def fault(runner: Runner, runs: list[Run]) -> Iterator[None]:
        with runner.world.proxy.fault(Rule(Delay(seconds), EVERYTHING)):
            yield
            assert poll(lambda: all(run.script.done(run.shop) for run in runs), 60), "not done within 60 s"

    return fault


def garbage(action: Action) -> Fault:
    """Answers to the listings and watches of an operator that starts, and to its writes, are nonsense, thrice each."""

    @contextlib.contextmanager
    def fault(runner: Runner, runs: list[Run]) -> Iterator[None]:
        reads = [Rule(action, frozenset({verb}), times=3) for verb in sorted(READS)]
        writes = Rule(action, WRITES, path=_of(runs), times=3)
        with runner.world.proxy.fault(*reads, writes):
            # An operator that runs does not list anything soon.
            runner.world.kill()
            yield
            assert poll(lambda: writes.hits and all(rule.hits for rule in reads), 60), f"{reads} {writes}"

    return fault


def _of(runs: list[Run]) -> str:
    return "/namespaces/(" + "|".join(run.namespace for run in runs) + ")"


def _status(code: int, reason: str) -> bytes:
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason}
    return json.dumps(status | {"message": "made up by the fault proxy"}).encode()


_HTML: Final = Answer(200, b"<!DOCTYPE html><html><body>Please log in</body></html>", content_type="text/html")
_HTML_502: Final = Answer(502, b"<html><h1>Bad Gateway</h1></html>", content_type="text/html")
_NO_JSON: Final = Answer(200, b'{"kind": "List", "items": [{"meta\xff\x00')
_HUGE: Final = Answer(502, b"x" * 10_000_000, content_type="text/plain")
_BLIND: Final = Terms(within=60, log=ANEW)
_RESYNCED: Final = (*FLAGS, "--resync-interval=10")

SCENARIOS: Final = (
    Scenario(4, "restart with nothing to do", "nothing", restarted, full=True),
    Scenario(5, "changes while away", "many changes", away),
    Scenario(5, "deleted while away", "delete", away, full=True),
    Scenario(6, "crash loop", "churn", crash_loop, Terms(within=40, extra_rollouts=1), full=True),
    Scenario(
        7, "API server killed", "change", api_server_killed, Terms(within=30, log=AWAY, forbidden=True), full=True
    ),
    Scenario(
        7, "API server stopped", "change", api_server_stopped, Terms(within=30, log=AWAY, forbidden=True), full=True
    ),
    Scenario(9, "5xx for 8 s", "create", storm(8), Terms(within=20, log=AWAY)),
    Scenario(9, "5xx for 90 s", "rename", storm(90), Terms(within=40, log=AWAY), full=True),
    Scenario(10, "429 with Retry-After", "create", busy, full=True),
    Scenario(11, "conflicts", "create", conflicts, Terms(within=30), full=True),
    Scenario(12, "410 in the stream", "change", watch_fails(StreamError(410)), _BLIND, full=True),
    Scenario(12, "500 in the stream", "change", watch_fails(StreamError(500)), _BLIND, full=True),
    Scenario(12, "504 in the stream", "change", watch_fails(StreamError(504)), _BLIND, full=True),
    Scenario(12, "410 as status", "delete", watch_fails(Answer(410, _status(410, "Expired"))), _BLIND, full=True),
    Scenario(13, "watches freeze", "change", silence, Terms(within=30, log=AWAY), full=True),
    Scenario(
        14, "edit dropped", "change", events(Drop(), "grpcbalanced", times=1), Terms(40), full=True, flags=_RESYNCED
    ),
    Scenario(14, "all dropped", "create", events(Drop(), after=5), Terms(40), full=True, flags=_RESYNCED),
    Scenario(
        14, "deletion dropped", "delete", events(Drop(), content="DELETED"), Terms(40), full=True, flags=_RESYNCED
    ),
    Scenario(14, "duplicated", "create", events(Duplicate()), full=True),
    Scenario(14, "deletions duplicated", "delete", events(Duplicate()), full=True),
    Scenario(14, "delayed", "change", events(Delay(30), "grpcbalanced", times=1), Terms(60), full=True),
    Scenario(14, "workloads late", "rename", events(Delay(4), "deployments", times=2), Terms(60), full=True),
    Scenario(14, "Services late", "rename", events(Delay(4), "/services", times=2), Terms(60), full=True),
    Scenario(16, "slow API", "create", slow(2), Terms(within=30), full=True, count=20),
    Scenario(17, "cut in half", "create", garbage(Truncate()), _BLIND),
    Scenario(17, "a page to log in", "create", garbage(_HTML), _BLIND, full=True),
    Scenario(17, "502 of a load balancer", "create", garbage(_HTML_502), _BLIND, full=True),
    Scenario(17, "no JSON", "create", garbage(_NO_JSON), _BLIND, full=True),
    Scenario(17, "10 MB", "create", garbage(_HUGE), _BLIND, full=True),
)
