"""Killed at every write: after it was done but before its answer came (1), and before it was done (2).

A script's reference tells its writes. Each becomes a case: the proxy holds that request, the operator is killed, and
the next one has to end where the reference ended. Several cases share one kill, each in a namespace of its own.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

import pytest

from tests.faults.rules import Hold, Rule
from tests.faults.runner import Run, Runner, Terms, text

pytestmark = [pytest.mark.cluster, pytest.mark.needs_lab, pytest.mark.timeout(600)]

# A held request takes one of the operator's sixteen workers, and is given up by it after ten seconds.
AT_ONCE: Final = 6
HELD_WITHIN: Final = 9.0
METHODS: Final = {"create": "POST", "patch": "PATCH", "delete": "DELETE", "update": "PUT"}
SCRIPTS: Final = ("create", "scale", "change", "rename", "delete", "unannotate")
GATE: Final = ("create",)


class Case(NamedTuple):
    """A write of a script, as `Runner.writes` tells it, and whether the API server carries it out."""

    script: str
    write: str
    forwarded: bool

    @property
    def may_merge(self) -> bool:
        """Whether it tells of several changes at once when others were held up: a later status does."""
        return "/status#" in self.write and not self.write.endswith("#1")

    def rule(self, run: Run) -> Rule:
        """Holds that write, in that namespace."""
        verb, url, number = re.fullmatch(r"(\w+) (\S+)#(\d+)", self.write).groups()  # type: ignore[union-attr]
        path = "^" + re.escape(url.replace("NAMESPACE", run.namespace)) + r"($|\?)"
        return Rule(Hold(self.forwarded), frozenset({METHODS[verb]}), path, skip=int(number) - 1, times=1)


def cases(runner: Runner, scripts: tuple[str, ...]) -> list[Case]:
    """Every write of scripts, both ways."""
    runner.learn(scripts)
    return [
        Case(s, write, forwarded)
        for s in scripts
        for write in runner.reference(s).writes
        for forwarded in (True, False)
    ]


def batches(found: list[Case]) -> Iterator[list[Case]]:
    """As many as one kill is good for."""
    for start in range(0, len(found), AT_ONCE):
        yield found[start : start + AT_ONCE]


def kill_at(runner: Runner, batch: list[Case]) -> list[str]:
    """Complaints about the cases of a batch."""
    runs = runner.stage(*(case.script for case in batch))
    rules = [case.rule(run) for case, run in zip(batch, runs, strict=True)]
    with contextlib.ExitStack() as fault:
        fault.enter_context(runner.world.proxy.fault(*rules))
        fault.enter_context(runner.excused(*runs))
        runner.act(runs)
        missed = [
            case
            for case, rule in zip(batch, rules, strict=True)
            if not rule.held.wait(HELD_WITHIN) and not case.may_merge
        ]
        runner.world.kill()
    complaints = [f"{case}: that write never came" for case in missed]
    for case, run, report in zip(batch, runs, runner.judge(runs, Terms(within=40, quiet=3)), strict=True):
        if report:
            complaints.append(f"{case} in {run.namespace}: {text(report)}")
        else:
            runner.world.remove(run.shop)
    return complaints


def judge(runner: Runner, scripts: tuple[str, ...]) -> None:
    """Every case of scripts is well, and there are some."""
    found = cases(runner, scripts)
    assert len(found) >= 2 * len(scripts)
    runner.world.deploy()
    complaints = [line for batch in batches(found) for line in kill_at(runner, batch)]
    assert complaints == []


def test_killed_at_every_write(runner: Runner) -> None:
    judge(runner, GATE)


@pytest.mark.full
def test_killed_at_every_write_of_every_script(runner: Runner) -> None:
    judge(runner, tuple(script for script in SCRIPTS if script not in GATE))
