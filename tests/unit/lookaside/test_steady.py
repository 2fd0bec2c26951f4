"""What clients say changes now and then only, however often they say something else; what counts is told at once."""

from __future__ import annotations

import pytest

from grpcbalance.lookaside.merge import merge
from grpcbalance.lookaside.seen import Downgrade, Node, Rejection, Seen
from grpcbalance.lookaside.steady import HELD, LINGERS, Steady

from .answers import ORDERS, answers, page

EVERY = 2.0


def nacked(words: str, pod: str = "x", kind: str = "cluster") -> Rejection:
    return Rejection(Node("shop", pod), kind, words)


class Watched:
    """One service over time."""

    def __init__(self) -> None:
        self._steady, self.now = Steady(), 0.0

    def __call__(self, *rejections: Rejection, after: float = EVERY, problem: str = "") -> list[str]:
        self.now += after
        told = self._steady({ORDERS: Seen(problem, rejections=rejections)}, self.now)[ORDERS]
        assert told.problem == problem
        return [one.message for one in told.rejections]


def test_a_client_is_quoted_with_its_first_words_until_it_has_accepted() -> None:
    see = Watched()
    assert see(nacked("first")) == ["first"]
    assert see(nacked("second"), after=2 * HELD) == ["first"]
    assert see(nacked("third"), nacked("other", kind="listener"), after=2 * HELD) == ["first", "other"]
    assert see(nacked("other", kind="listener"), after=2 * HELD) == ["other"]
    assert see(nacked("fourth"), after=2 * HELD) == ["fourth"]


def test_two_replicas_are_told_different_words_by_one_client() -> None:
    both = (page(rejected=(("shop", "x", "a"),)), page(rejected=(("shop", "x", "b"),)))
    told = Steady()(merge(answers(a=both[0], b=both[1]), [ORDERS]), 0.0)[ORDERS]
    assert told.rejections == (nacked("a"),)


def test_more_clients_that_refuse_are_held_back_and_that_there_are_any_is_not() -> None:
    see = Watched()
    assert see() == []
    assert see(nacked("a", "a")) == ["a"]
    assert see(nacked("a", "a"), nacked("b", "b")) == ["a"]
    assert see(nacked("b", "b")) == ["a"]
    assert see(nacked("b", "b"), after=HELD) == ["b"]


def test_that_nobody_refuses_any_more_is_held_back_only_right_after_it_was_told() -> None:
    see = Watched()
    see(nacked("a"))
    see(nacked("a"), after=HELD)
    assert see() == []
    see(nacked("a"), after=HELD)
    see(nacked("b", "b"))
    assert see(nacked("b", "b"), after=HELD) == ["b"]
    assert see() == ["b"]
    assert see(after=HELD) == []


def test_when_a_replica_goes_or_comes_back_all_is_told() -> None:
    see = Watched()
    see(nacked("a", "a"))
    assert see(nacked("a", "a"), nacked("b", "b"), after=HELD) == ["a", "b"]
    assert see(nacked("b", "b")) == ["a", "b"]
    assert see(nacked("b", "b"), problem="away") == ["b"]
    assert see() == []


def test_a_service_that_is_not_seen_any_more_is_forgotten() -> None:
    steady, seen = Steady(), {ORDERS: Seen("", rejections=(nacked("a"),))}
    assert steady(seen, 0.0) == seen
    assert steady({}, 1.0) == {}
    assert steady({ORDERS: Seen("", rejections=(nacked("b"),))}, 2.0)[ORDERS].rejections == (nacked("b"),)


def test_a_downgrade_is_told_for_a_while_after_its_last_client() -> None:
    steady, one, two = Steady(), Downgrade("a", "f", "w"), Downgrade("b", "f", "w")

    def told(now: float, *downgrades: Downgrade) -> tuple[Downgrade, ...]:
        return steady({ORDERS: Seen("", downgrades=downgrades)}, now)[ORDERS].downgrades

    assert told(0.0, two) == (two,)
    assert told(10.0, one) == (one, two)
    assert told(LINGERS - 1) == (one, two)
    # Another change of a moment ago is held.
    assert told(LINGERS) == (one, two)
    assert told(10.0 + HELD) == ()


@pytest.mark.parametrize("flips", [False, True], ids=["other words", "now and then"])
def test_a_client_that_never_keeps_still_makes_a_change_twice_a_minute_at_most(flips: bool) -> None:
    steady, changes, before = Steady(), 0, None
    for number in range(300):
        rejections = () if flips and number % 2 else (nacked(f"words {number}", f"pod-{number}"),)
        downgrades = (Downgrade(f"gRPC Go 1.{number}.0", "client.retry", "none"),)
        seen = Seen("", rejections=rejections, downgrades=downgrades)
        told = steady({ORDERS: seen}, number * EVERY)
        changes += told != before
        before = told
    assert 5 <= changes <= 2 * (300 * EVERY / HELD) + 2
