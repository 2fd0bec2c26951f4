"""The README's tour, followed to the letter: every command works, and prints what the README says."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from lab import Lab
from lab.install import provide_images

pytestmark = [pytest.mark.cluster, pytest.mark.needs_lab]

ROOT = Path(__file__).parents[2]
# What differs from run to run: the age of an object, the names of pods, and each one's share of calls.
VARYING = re.compile(r"\b\d+m?s\b|-[a-z0-9]{5,10}-[a-z0-9]{5}\b|^ *\d+ (?=\"pod\")")


class Step(NamedTuple):
    """A command and the output that stands below it; None when the README shows none."""

    command: str
    output: list[str] | None


def tour() -> Iterator[Step]:
    text = (ROOT / "README.md").read_text()
    part = text.partition("## A tour in two minutes")[2].partition("\n## ")[0]
    for block in re.findall(r"^```\n(.*?)^```$", part, re.DOTALL | re.MULTILINE):
        for found in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
            yield Step(found[0], found[1].splitlines() or None)


def comparable(lines: list[str]) -> list[str]:
    return [re.sub(r" +", " ", VARYING.sub("VARYING", line)).strip() for line in lines]


def test_every_step_of_the_tour_does_what_the_readme_says() -> None:
    steps = list(tour())
    assert [step.command.split()[0] for step in steps].count("kubectl") >= 7
    with Lab() as lab:
        provide_images(lab)
        for command, output in steps:
            ran = subprocess.run(
                ["bash", "-c", command],
                check=False,
                cwd=ROOT,
                env=lab.environment,
                capture_output=True,
                text=True,
                timeout=180,
            )
            assert ran.returncode == 0, f"{command}: {ran.stderr}"
            if output is not None:
                assert comparable(ran.stdout.splitlines()) == comparable(output), command
