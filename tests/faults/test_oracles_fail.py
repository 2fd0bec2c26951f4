"""Each oracle notices the fault it is for, in an operator that has that fault, and no other oracle does."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.faults.runner import Runner, Terms

pytestmark = [pytest.mark.cluster, pytest.mark.needs_lab]

ORACLES: Final = ("O1", "O2", "O3", "O4", "O5", "O6")


def test_each_oracle_notices_its_fault_and_no_other(runner: Runner) -> None:
    runner.learn(["create"])
    runner.world.deploy(sabotage=(Path(__file__).parent / "sabotage.py").read_text())
    healthy = runner.stage("create", label="healthy")
    broken = [run for oracle in ORACLES for run in runner.stage("create", label=f"breaks-{oracle}")]
    runs = [*broken, *healthy]
    runner.act(runs)
    reports = runner.judge(runs, Terms(within=8))
    runner.world.deploy()
    assert [sorted(report) for report in reports] == [*([oracle] for oracle in ORACLES), []]
    for run in runs:
        runner.world.remove(run.shop)
