"""Runs scripts with and without faults, and has every oracle judge what came of it.

The reference of a script is what happens without a fault: seen twice, so that what differs by itself is not held
against anybody. It is made once for each script.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from lab.audit import WRITING_VERBS, AuditRecord
from tests.faults import honesty, oracles
from tests.faults.history import History, State
from tests.faults.scripts import SCRIPTS, Script, at_once, nothing
from tests.faults.world import World, now, poll
from tests.kit.shop import Shop

# Without a fault a script is done, and nothing follows, within these seconds.
CALM_WITHIN: Final = 60.0
QUIET: Final = 5.0
# A status that was held back because things moved is written after 3 s.
_PATIENCE: Final = 4.0


@dataclass(frozen=True, slots=True)
class Reference:
    """A script without a fault: its end, what differs by itself, what was done, and the writes it took, in order."""

    state: dict[str, Any]
    masked: tuple[str, ...]
    deeds: oracles.Deeds
    writes: tuple[str, ...]


@dataclass(slots=True)
class Run:
    """A script in a namespace of its own. Times are since the epoch; `excused`: while a fault blinded the operator."""

    script: Script
    shop: Shop
    began: datetime
    restarts: int
    excused: list[tuple[float, float]] = field(default_factory=list)

    @property
    def namespace(self) -> str:
        """Where it plays."""
        return self.shop.namespace


@dataclass(frozen=True, slots=True)
class Terms:
    """What a scenario allows: seconds to convergence, log lines, restarts by the kubelet, rollouts, refusals."""

    within: float = 30.0
    quiet: float = QUIET
    log: str = ""
    restarts: int = 0
    extra_rollouts: int = 0
    forbidden: bool = False


Report = dict[str, list[str]]


class Runner:
    """Stages, waits, judges."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._references: dict[str, Reference] = {}

    # -- without faults ----------------------------------------------------------------------------------

    def reference(self, name: str) -> Reference:
        """The reference of a script."""
        self.learn([name])
        return self._references[name]

    def learn(self, names: Iterable[str]) -> None:
        """Make references of scripts that have none yet, all of them at once."""
        missing = [name for name in dict.fromkeys(names) if name not in self._references]
        if not missing:
            return
        self.world.deploy()
        runs = self.stage(*(name for name in missing for _ in range(2)), label="reference")
        self.act(runs)
        for run in runs:
            self._await(run, run.script.done, "does not end without a fault")
        self.wait_quiet(runs, _PATIENCE, CALM_WITHIN)
        for first, second in zip(runs[::2], runs[1::2], strict=True):
            self._references[first.script.name] = self._compare(first, second)
            self.world.remove(first.shop)
            self.world.remove(second.shop)

    def _compare(self, first: Run, second: Run) -> Reference:
        states = [oracles.canonical(self._state(run), run.namespace) for run in (first, second)]
        masked = tuple(line.partition(": ")[0] for line in oracles.difference(states[0], states[1]))
        writes = min((self.writes(run) for run in (first, second)), key=len)
        return Reference(states[0], masked, oracles.deeds(self.world.recorder.of(first.namespace)), tuple(writes))

    # -- one run -----------------------------------------------------------------------------------------

    def stage(self, *scripts: str, label: str = "") -> list[Run]:
        """Namespaces in which scripts are about to happen."""
        runs = []
        for name in scripts:
            shop = self.world.shop(f"{name}-{label}" if label else name)
            runs.append(Run(SCRIPTS[name], shop, now(), self.world.restarts()))
            runs[-1].script.before(shop)
        for run in runs:
            self._await(run, run.script.ready, "cannot begin")
        # Nothing of what was before may still be going on.
        self.wait_quiet(runs, 1.5, CALM_WITHIN)
        return runs

    def alone(self, name: str) -> Run:
        """An empty namespace for what has no reference."""
        return Run(
            Script(name, nothing, nothing, at_once, at_once), self.world.shop(name), now(), self.world.restarts()
        )

    def _await(self, run: Run, accept: Callable[[Shop], bool], complaint: str) -> None:
        if not poll(lambda: accept(run.shop), CALM_WITHIN):
            found = run.shop.api.find(run.shop.url("GrpcBalancedService", "orders")) or {}
            raise AssertionError(f"{run.script.name} in {run.namespace} {complaint}: {found.get('status')}")

    def act(self, runs: Sequence[Run]) -> None:
        """Let it happen."""
        for run in runs:
            run.began = now()
            run.script.act(run.shop)

    @contextlib.contextmanager
    def excused(self, *runs: Run, longer: float = 10.0) -> Iterator[None]:
        """A time in which, and shortly after which, the operator cannot know what is."""
        start = time.time()
        try:
            yield
        finally:
            for run in runs:
                run.excused.append((start, time.time() + longer))

    def writes(self, run: Run) -> list[str]:
        """What the operator wrote for a run since it began: `METHOD path#number`, the number among equal ones."""
        counted: dict[str, int] = {}
        found = []
        for record in self._asked(run.began, [run]):
            if record.wrote and record.resource != "events":
                what = f"{record.verb} {record.uri.partition('?')[0].replace(run.namespace, 'NAMESPACE')}"
                counted[what] = counted.get(what, 0) + 1
                found.append(f"{what}#{counted[what]}")
        return found

    def wait_quiet(self, runs: Sequence[Run], seconds: float, within: float) -> None:
        """Wait until the operator has tried no write for some seconds in the namespaces of the runs."""
        began, deadline = now(), time.monotonic() + within
        last, quiet_since = -1, time.monotonic()
        while time.monotonic() - quiet_since < seconds:
            found = len(self._attempts(began, runs))
            if found != last:
                last, quiet_since = found, time.monotonic()
            assert time.monotonic() < deadline, f"not quiet within {within:g} s: {self._attempts(began, runs)[-5:]}"
            time.sleep(0.2)

    # -- judging -----------------------------------------------------------------------------------------

    def judge(self, runs: Sequence[Run], terms: Terms | None = None) -> list[Report]:
        """Complaints of each oracle for each run, empty when all is well; the quiet window is shared."""
        terms = terms or Terms()
        converged = self._converge(runs, terms.within)
        self._let_settle(runs)
        began = now()
        time.sleep(terms.quiet)
        noisy = self._asked(began, runs)
        reports = []
        for run, lines in zip(runs, converged, strict=True):
            others = [other.namespace for other in runs if other is not run]
            report = self._judged(run, terms, [r for r in noisy if r.namespace == run.namespace], others)
            reports.append({key: value for key, value in {"O1": lines, **report}.items() if value})
        return reports

    def _judged(self, run: Run, terms: Terms, noisy: list[AuditRecord], others: list[str]) -> Report:
        world, history = self.world, self.world.recorder.of(run.namespace)
        asked = [r for r in world.asked(run.began) if r.namespace in ("", run.namespace)]
        restarts = world.restarts()
        crashes = oracles.crashes(world.log(run.began), terms.log, others)
        if restarts > terms.restarts + run.restarts:
            crashes.append(f"restarted {restarts} times")
        return {
            "O2": [
                *self._collateral(run, history, terms),
                *oracles.strangers(asked, history),
            ],
            "O3": oracles.noise(noisy),
            "O4": honesty.dishonest(history, run.excused, time.time()),
            "O5": crashes,
            "O6": [] if terms.forbidden else oracles.forbidden(asked),
        }

    def _collateral(self, run: Run, history: History, terms: Terms) -> list[str]:
        if run.script.name not in SCRIPTS:
            return []
        reference = self.reference(run.script.name).deeds
        return oracles.collateral(reference, oracles.deeds(history), terms.extra_rollouts)

    def _converge(self, runs: Sequence[Run], within: float) -> list[list[str]]:
        """What is different from the reference's end, for each run, when nothing is, or when the time is over."""
        deadline = time.monotonic() + within
        while any(lines := [self._different(run) for run in runs]) and time.monotonic() < deadline:
            time.sleep(0.2)
        return lines

    def _let_settle(self, runs: Sequence[Run]) -> None:
        """Events may follow what converged, for a moment; what goes on longer is noise."""
        with contextlib.suppress(AssertionError):
            self.wait_quiet(runs, 1.0, 6.0)

    def _different(self, run: Run) -> list[str]:
        if run.script.name not in SCRIPTS:
            return []
        reference = self.reference(run.script.name)
        found = oracles.canonical(self._state(run), run.namespace)
        masked = reference.masked
        return oracles.difference(oracles.without(reference.state, masked), oracles.without(found, masked))

    def _state(self, run: Run) -> State:
        return self.world.recorder.of(run.namespace).end()

    def _asked(self, since: datetime, runs: Sequence[Run]) -> list[AuditRecord]:
        namespaces = {run.namespace for run in runs}
        return [record for record in self.world.asked(since) if record.namespace in namespaces]

    def _attempts(self, since: datetime, runs: Sequence[Run]) -> list[str]:
        return [str(r) for r in self._asked(since, runs) if r.verb in WRITING_VERBS]


def text(report: Report) -> str:
    """Complaints for a person."""
    return "\n".join(f"{oracle}: {line}" for oracle, lines in report.items() for line in lines)
