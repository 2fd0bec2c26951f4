"""What a client asks for, and what there is of it. Nonces are s.1, s.2, … in the order of responses."""

from __future__ import annotations

import pytest

from grpcbalance.xds.kinds import Kind
from grpcbalance.xds.session import LimitExceeded, Limits, Request

from .lookups import ALL, CDS, COMPLETE, EDS, PARTIAL, World, ask, push, told, two, view

# -- subscriptions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ALL)
def test_what_is_named_is_answered_once(kind: Kind) -> None:
    session = two(kind).session()
    assert ask(session, kind, "a") == [f"{kind.name} s.1 a=1"]
    assert ask(session, kind, "a", "s.1") == []
    assert push(session) == []


@pytest.mark.parametrize("kind", ALL)
def test_only_what_is_named_is_pushed(kind: Kind) -> None:
    world = two(kind)
    session = world.session()
    ask(session, kind, "a")
    ask(session, kind, "a", "s.1")
    world.put(kind, b="2")
    assert push(session) == []
    world.put(kind, a="2")
    assert push(session) == [f"{kind.name} s.2 a=2"]


@pytest.mark.parametrize("kind", COMPLETE)
def test_a_name_more_lists_all_of_a_complete_kind(kind: Kind) -> None:
    session = two(kind).session()
    ask(session, kind, "a")
    assert ask(session, kind, "a b", "s.1") == [f"{kind.name} s.2 a=1 b=1"]


@pytest.mark.parametrize("kind", PARTIAL)
def test_a_name_more_lists_only_that_of_a_partial_kind(kind: Kind) -> None:
    session = two(kind).session()
    ask(session, kind, "a")
    assert ask(session, kind, "a b", "s.1") == [f"{kind.name} s.2 b=1"]


@pytest.mark.parametrize("kind", ALL)
def test_names_dropped_need_no_answer_and_get_no_more_changes(kind: Kind) -> None:
    world = two(kind)
    session = world.session()
    ask(session, kind, "a b")
    assert ask(session, kind, "a", "s.1") == []
    world.put(kind, b="2")
    assert push(session) == []
    assert ask(session, kind, "", "s.1") == []
    world.put(kind, a="2")
    assert push(session) == []


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("between", ["", "b"], ids=["all dropped", "one dropped"])
def test_a_name_that_was_dropped_and_is_named_again_is_answered_unchanged(kind: Kind, between: str) -> None:
    session = two(kind).session()
    ask(session, kind, "a b")
    ask(session, kind, between, "s.1")
    (again,) = ask(session, kind, "a b", "s.1")
    assert "a=1" in again


def test_order_and_repetition_of_names_mean_nothing() -> None:
    session = two(EDS).session()
    ask(session, EDS, "a b")
    assert ask(session, EDS, "b a b", "s.1") == []
    assert view(session, EDS).names == ("b", "a")


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("names", ["", "*"])
def test_nobody_gets_everything(kind: Kind, names: str) -> None:
    session = two(kind).session()
    assert not any("=" in response for response in ask(session, kind, names))
    assert not any("=" in response for response in push(session))


def test_kinds_do_not_disturb_each_other() -> None:
    world = two(CDS).put(EDS, a="1")
    session = world.session()
    assert ask(session, CDS, "a") == ["CLUSTER s.1 a=1"]
    assert ask(session, EDS, "a") == ["ENDPOINTS s.2 a=1"]
    assert ask(session, EDS, "", "s.2") == []
    world.put(CDS, a="2")
    assert ask(session, CDS, "a", "s.1") == ["CLUSTER s.3 a=2"]


def test_requests_at_hand_are_answered_together() -> None:
    session = two(CDS).put(EDS, a="1").session()
    outcome = session.receive(Request(EDS, ("a",)), Request(CDS, ("a",)), Request(CDS, ("a", "b")))
    assert told(outcome.responses) == ["CLUSTER s.1 a=1 b=1", "ENDPOINTS s.2 a=1"]


def test_dropped_and_named_again_within_one_batch_is_answered() -> None:
    session = two(EDS).session()
    ask(session, EDS, "a")
    outcome = session.receive(Request(EDS, ("a",), nonce="s.1"), Request(EDS, (), nonce="s.1"), Request(EDS, ("a",)))
    assert told(outcome.responses) == ["ENDPOINTS s.2 a=1"]


# -- what does not exist ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", COMPLETE)
def test_what_does_not_exist_is_told_once_of_a_complete_kind(kind: Kind) -> None:
    session = World().session()
    assert ask(session, kind, "a") == [f"{kind.name} s.1"]
    assert ask(session, kind, "a", "s.1") == []
    assert push(session) == []


@pytest.mark.parametrize("kind", PARTIAL)
def test_of_what_does_not_exist_a_partial_kind_says_nothing(kind: Kind) -> None:
    session = World().put(kind, b="1").session()
    assert ask(session, kind, "a") == []
    assert ask(session, kind, "a b") == [f"{kind.name} s.1 b=1"]


@pytest.mark.parametrize("kind", ALL)
def test_what_comes_into_being_does_not_wait_for_an_answer(kind: Kind) -> None:
    world = World().put(kind, b="1")
    session = world.session()
    ask(session, kind, "a b")
    world.put(kind, a="1")
    (found,) = push(session)
    assert "s.2 a=1" in found


@pytest.mark.parametrize("kind", COMPLETE)
def test_a_deletion_is_told_by_leaving_it_out(kind: Kind) -> None:
    world = two(kind)
    session = world.session()
    ask(session, kind, "a b")
    ask(session, kind, "a b", "s.1")
    world.put(kind, a=None)
    assert push(session) == [f"{kind.name} s.2 b=1"]
    assert ask(session, kind, "a b", "s.2") == []
    world.put(kind, b=None)
    assert push(session) == [f"{kind.name} s.3"]
    assert push(session) == []


@pytest.mark.parametrize("kind", PARTIAL)
def test_of_a_deletion_a_partial_kind_says_nothing(kind: Kind) -> None:
    world = two(kind)
    session = world.session()
    ask(session, kind, "a b")
    ask(session, kind, "a b", "s.1")
    world.put(kind, a=None)
    assert push(session) == []
    # The client still has it.
    world.put(kind, a="1")
    assert push(session) == []
    world.put(kind, a=None)
    push(session)
    world.put(kind, a="2")
    assert push(session) == [f"{kind.name} s.2 a=2"]


# -- limits, and what is not known -----------------------------------------------------------------------


def test_too_many_names_are_refused() -> None:
    session = two(EDS).session(limits=Limits(names=2))
    ask(session, EDS, "a b a b")
    with pytest.raises(
        LimitExceeded, match=r"^3 names of kind ENDPOINTS in one request, and the limit is 2: spread .*--max-names"
    ):
        ask(session, EDS, "a b c")


def test_long_names_are_refused() -> None:
    session = two(EDS).session(limits=Limits(length=3))
    ask(session, EDS, "abc")
    with pytest.raises(LimitExceeded, match="a name of kind ENDPOINTS has 4 characters, and the limit is 3: correct"):
        ask(session, EDS, "abcd")


def test_unknown_kinds_are_told_and_ignored() -> None:
    session = two(EDS).session()
    outcome = session.receive(Request("type.googleapis.com/x\ny", ("a",)), Request(EDS, ("a",)), Request("", ()))
    assert outcome.unknown == ("type.googleapis.com/x y", "")
    assert told(outcome.responses) == ["ENDPOINTS s.1 a=1"]
    assert [found.kind for found in session.snapshot()] == [EDS]
