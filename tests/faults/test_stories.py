"""Each story of the table comes to its end, and no oracle has anything to say of what the operator did meanwhile."""

from __future__ import annotations

import pytest

from tests.faults.runner import Runner, text
from tests.faults.stories import STORIES, Story

pytestmark = [pytest.mark.cluster, pytest.mark.needs_lab]


@pytest.mark.parametrize(
    "story", [pytest.param(s, id=str(s).replace(" ", "-"), marks=[pytest.mark.full] if s.full else []) for s in STORIES]
)
def test_story(runner: Runner, story: Story) -> None:
    runner.world.deploy()
    run = runner.alone(story.name)
    story.tell(runner.world, run.shop)
    (report,) = runner.judge([run], story.terms)
    assert text(report) == ""
    runner.world.remove(run.shop)
