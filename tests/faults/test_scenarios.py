"""Each scenario of the table ends as its script does without a fault, and no oracle has anything to say."""

from __future__ import annotations

import pytest

from tests.faults.runner import Runner, text
from tests.faults.scenarios import SCENARIOS, Scenario

pytestmark = [pytest.mark.cluster, pytest.mark.needs_lab]


@pytest.mark.parametrize(
    "scenario",
    [pytest.param(s, id=str(s).replace(" ", "-"), marks=[pytest.mark.full] if s.full else []) for s in SCENARIOS],
)
def test_fault(runner: Runner, scenario: Scenario) -> None:
    runner.learn([scenario.script])
    runner.world.deploy(scenario.flags)
    runs = runner.stage(*[scenario.script] * scenario.count, label=str(scenario.number))
    with runner.excused(*runs, longer=scenario.terms.within), scenario.fault(runner, runs):
        runner.act(runs)
    reports = runner.judge(runs, scenario.terms)
    assert "\n".join(text(report) for report in reports if report) == ""
    for run in runs:
        runner.world.remove(run.shop)
