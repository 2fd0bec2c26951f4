"""O4 on made-up histories: a status that claims what is not so is found out, one that cannot know yet is forgiven."""

from __future__ import annotations

import pytest

from tests.faults import honesty
from tests.faults.history import GBS, SERVICES, SLICES, History, Object
from tests.faults.honesty import COUNTS_LATE
from tests.unit.faults.made import balanced, seen, server, service, slice_of


def test_an_honest_history_has_no_complaints() -> None:
    history = History(
        [
            seen(1, "deployments", server(None)),
            seen(2, GBS, balanced(0, ready=False)),
            seen(3, SERVICES, service()),
            seen(4, "deployments", server()),
            seen(5, GBS, balanced()),
            seen(6, GBS, balanced(1, 2, age="2m")),
            seen(7, "deployments", server("120000")),
            seen(8, GBS, balanced(2, 2, age="2m")),
        ]
    )
    assert honesty.dishonest(history) == []


@pytest.mark.parametrize(
    ("steps", "complaint"),
    [
        ([(GBS, balanced()), (SERVICES, service()), ("deployments", server())], "Ready, though"),
        ([(SERVICES, service()), ("deployments", server(None)), (GBS, balanced())], "Ready, though"),
        ([(SERVICES, service(owner="another")), ("deployments", server()), (GBS, balanced())], "Ready, though"),
        ([(SERVICES, service()), ("deployments", server()), (GBS, balanced(2, 2, age="2m"))], "Ready, though"),
        ([(SERVICES, service()), ("deployments", server()), (GBS, balanced(2, 1))], "before it was"),
    ],
    ids=[
        "Service comes later",
        "no variables",
        "another owner's Service",
        "variables of the last spec",
        "a generation to come",
    ],
)
def test_claims_that_are_not_so(steps: list[tuple[str, Object]], complaint: str) -> None:
    found = honesty.dishonest(
        History(seen(number, plural, item) for number, (plural, item) in enumerate(steps, start=1))
    )
    assert len(found) == 1
    assert complaint in found[0]


def test_what_vanished_a_moment_ago_may_be_vouched_for() -> None:
    there = [
        seen(1, SERVICES, service(), time=0),
        seen(2, "deployments", server(), time=0),
        seen(3, GBS, balanced(ready=False), time=1),
    ]
    gone = seen(4, SERVICES, service(), time=10, deleted=True)
    soon, late = seen(5, GBS, balanced(), time=10.5), seen(5, GBS, balanced(), time=20)
    assert honesty.dishonest(History([*there, gone, soon])) == []
    assert len(honesty.dishonest(History([*there, gone, late]))) == 1


def test_wrong_counts_are_forgiven_for_a_while() -> None:
    start = [
        seen(1, GBS, balanced(ready=False), time=0),
        seen(2, SLICES, slice_of("10.0.0.1", "10.0.0.1", "10.0.0.2"), time=1),
    ]

    def told(moment: float) -> History:
        return History([*start, seen(3, GBS, balanced(ready=False, counts=(2, 2)), time=moment)])

    assert honesty.dishonest(told(1 + COUNTS_LATE - 0.1), end=100) == []
    assert honesty.dishonest(told(1 + COUNTS_LATE + 0.1)) == [
        "orders: status tells 0/0 endpoints, 2/2 there are for 5.1 s"
    ]
    assert len(honesty.dishonest(History(start), end=100)) == 1
    assert honesty.dishonest(told(20), excused=[(2, 18)]) == []
