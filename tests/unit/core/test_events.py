from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from grpcbalance.api import Reason
from grpcbalance.events import (
    Note,
    Recorder,
    condition_notes,
    event,
    finding_note,
    regarding_balanced,
    regarding_workload,
)
from grpcbalance.model import Ref, Role
from grpcbalance.plan import Finding
from tests.unit import factories as make

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ABOUT = regarding_workload(make.workload(make.server()))
TROUBLE = Note(Reason.ENV_CONFLICT, "has its own X", warning=True)


class Desk:
    """A Recorder with what it posted, what it dropped, and its time."""

    def __init__(self, **limits: float) -> None:
        self.posted: list[dict[str, Any]] = []
        self.dropped = 0
        self.time = 0.0
        self.recorder = Recorder(self._post, lambda: NOW, lambda: self.time, self._drop, **limits)  # type: ignore[arg-type]  # numbers by name

    async def _post(self, raw: dict[str, Any]) -> None:
        self.posted.append(raw)

    def _drop(self) -> None:
        self.dropped += 1

    def say(self, note: Note, subject: str = "s") -> bool:
        return asyncio.run(self.recorder.say(ABOUT, subject, note))


def test_event_names_its_object() -> None:
    raw = event(regarding_balanced(make.balanced(make.gbs())), TROUBLE, NOW)
    assert raw["involvedObject"] == {
        "apiVersion": "grpcbalance.dev/v1alpha1",
        "kind": "GrpcBalancedService",
        "namespace": "shop",
        "name": "orders",
        "uid": "uid-shop-orders",
    }
    assert (raw["type"], raw["reason"], raw["firstTimestamp"]) == ("Warning", "EnvConflict", "2026-01-01T00:00:00Z")


def test_the_same_words_have_the_same_name_even_after_a_restart() -> None:
    assert event(ABOUT, TROUBLE, NOW)["metadata"] == event(ABOUT, TROUBLE, NOW.replace(year=2027))["metadata"]
    assert event(ABOUT, TROUBLE, NOW)["metadata"] != event(ABOUT, TROUBLE, NOW, turn=1)["metadata"]


def test_each_write_is_news_though_the_words_are_the_same() -> None:
    desk = Desk(rate=0.0, burst=3)
    written = Note(Reason.INJECTED, "A changed", warning=False, occasion="1")
    notes = [written, written, written._replace(occasion="2"), written._replace(occasion="3")]
    assert [desk.say(note) for note in notes] == [True, False, True, True]
    assert len({raw["metadata"]["name"] for raw in desk.posted}) == 3
    # A flood of them is bounded as any other.
    assert (desk.say(written._replace(occasion="4")), desk.dropped) == (False, 1)


def test_name_of_a_long_object_is_valid() -> None:
    long = ABOUT._replace(ref=Ref("shop", "a" * 229 + "-" + "b" * 20))
    name = event(long, TROUBLE, NOW)["metadata"]["name"]
    assert len(name) <= 253
    assert "-." not in name


def test_repeated_words_are_said_once_until_quiet() -> None:
    desk = Desk()
    assert [desk.say(TROUBLE), desk.say(TROUBLE)] == [True, False]
    desk.recorder.quiet(ABOUT, "s")
    assert desk.say(TROUBLE) is True
    assert len({raw["metadata"]["name"] for raw in desk.posted}) == 2


def test_what_does_not_fit_is_dropped_counted_and_said_later() -> None:
    desk = Desk(rate=1.0, burst=2)
    assert [desk.say(TROUBLE, str(i)) for i in range(3)] == [True, True, False]
    assert desk.dropped == 1
    desk.time = 1.0
    assert desk.say(TROUBLE, "2") is True


def test_crowds_yield_to_everything_else() -> None:
    desk = Desk(rate=0.0, burst=10)
    crowd = Note(Reason.ROLLOUT_LIMIT, "waits", warning=True)
    assert sum(desk.say(crowd, str(i)) for i in range(10)) < 7
    assert desk.say(TROUBLE) is True


@pytest.mark.parametrize(
    ("state", "reason", "told"),
    [
        ("Configured", Reason.CONFIGURED, False),
        ("Pending", Reason.PENDING, False),
        ("Pending", Reason.ROLLING_OUT, False),
        ("Pending", Reason.SERVICE_MISSING, True),
        ("Pending", Reason.TARGET_NOT_SERVING, True),
        ("Pending", Reason.ROLLOUT_LIMIT, True),
        ("Refused", Reason.ENV_CONFLICT, True),
    ],
)
def test_what_people_hear_of(state: str, reason: Reason, told: bool) -> None:
    finding = Finding(Ref("shop", "orders"), Role.CLIENT, (), state, reason, "why")
    assert (finding_note(finding, "shop") is not None) is told


@pytest.mark.parametrize("asked", [True, False])
def test_that_a_client_stays_on_dns_is_news_to_who_asked_for_more(asked: bool) -> None:
    finding = Finding(Ref("shop", "orders"), Role.CLIENT, (), "Configured", Reason.STAYS_ON_DNS, "why")
    expected = Note(Reason.STAYS_ON_DNS, "orders: why", warning=False) if asked else None
    assert finding_note(finding, "shop", asked_for_xds=asked) == expected


def cond(kind: str, status: str, reason: str) -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": "m"}


@pytest.mark.parametrize(
    ("before", "now", "warnings"),
    [
        ([], [cond("EndpointsReady", "False", "NoEndpoints")], [True]),
        ([cond("EndpointsReady", "False", "NoEndpoints")], [cond("EndpointsReady", "False", "NoEndpoints")], []),
        ([], [cond("EndpointsReady", "True", "EndpointsReady")], []),
        ([], [cond("Ready", "True", "Ready")], [False]),
        ([cond("Ready", "True", "Ready")], [cond("Ready", "False", "NoEndpoints")], []),
        ([], [cond("ServiceReady", "False", "ServicePending")], []),
    ],
)
def test_conditions_that_changed_are_told(before: list[Any], now: list[Any], warnings: list[bool]) -> None:
    assert [note.warning for note in condition_notes({"conditions": before}, {"conditions": now})] == warnings
