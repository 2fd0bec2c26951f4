"""What a client answers, and what is known of it. Nonces are s.1, s.2, … in the order of responses."""

from __future__ import annotations

import pytest

from grpcbalance.xds.kinds import Kind
from grpcbalance.xds.session import Outcome, Rejection, Request, Subscription

from .lookups import ALL, CDS, COMPLETE, EDS, LDS, RDS, World, ask, push, told, two, view

# -- answers ---------------------------------------------------------------------------------------------


def test_responses_go_out_in_the_order_make_before_break() -> None:
    world = World()
    for kind in ALL:
        world.put(kind, a="1")
    session = world.session()
    for number, kind in enumerate(ALL, 1):
        ask(session, kind, "a")
        ask(session, kind, "a", f"s.{number}")
        world.put(kind, a="2")
    assert [response.kind for response in session.push()] == [CDS, EDS, LDS, RDS]


def test_changes_gather_until_the_response_is_answered() -> None:
    world = two(EDS)
    session = world.session()
    ask(session, EDS, "a b")
    world.put(EDS, a="2")
    assert push(session) == []
    world.put(EDS, a="3", b="2")
    assert push(session) == []
    assert ask(session, EDS, "a b", "s.1") == ["ENDPOINTS s.2 a=3 b=2"]


def test_a_change_that_is_taken_back_before_the_answer_is_not_sent() -> None:
    world = two(EDS)
    session = world.session()
    ask(session, EDS, "a b")
    world.put(EDS, a="2")
    push(session)
    world.put(EDS, a="1")
    assert ask(session, EDS, "a b", "s.1") == []


@pytest.mark.parametrize("kind", ALL)
def test_what_was_rejected_is_not_sent_again_until_it_changes(kind: Kind) -> None:
    world = two(kind)
    session = world.session()
    ask(session, kind, "a")
    assert ask(session, kind, "a", "s.1", "bad") == []
    assert push(session) == []
    world.put(kind, a="2")
    assert push(session) == [f"{kind.name} s.2 a=2"]


def test_a_rejection_is_told_with_the_names_that_were_sent() -> None:
    session = two(EDS).session()
    ask(session, EDS, "a b c")
    outcome = session.receive(Request(EDS, ("a", "b", "c"), nonce="s.1", error="bad\n weights"))
    assert outcome == Outcome(rejections=(Rejection(EDS, ("a", "b"), "bad weights"),))


def test_what_does_not_exist_was_not_rejected() -> None:
    session = two(CDS).session()
    ask(session, CDS, "a x")
    assert session.receive(Request(CDS, ("a", "x"), nonce="s.1", error="bad")).rejections[0].names == ("a",)


def test_an_error_without_a_text_is_a_rejection() -> None:
    session = two(EDS).session()
    ask(session, EDS, "a")
    assert session.receive(Request(EDS, ("a",), nonce="s.1", error="")).rejections == (Rejection(EDS, ("a",), ""),)


def test_a_rejection_may_name_more() -> None:
    session = two(EDS).session()
    ask(session, EDS, "a")
    outcome = session.receive(Request(EDS, ("a", "b"), nonce="s.1", error="bad"))
    assert outcome.rejections == (Rejection(EDS, ("a",), "bad"),)
    assert told(outcome.responses) == ["ENDPOINTS s.2 b=1"]


def test_a_message_is_bounded() -> None:
    session = two(EDS).session()
    ask(session, EDS, "a")
    (rejection,) = session.receive(Request(EDS, ("a",), nonce="s.1", error="x" * 5000)).rejections
    assert rejection.message == "x" * 1024


def test_an_error_that_is_repeated_is_one_rejection() -> None:
    # grpc-js-xds has it in every request until all is well.
    session = two(EDS).session()
    ask(session, EDS, "a")
    ask(session, EDS, "a", "s.1", "bad")
    outcome = session.receive(
        Request(EDS, ("a", "b"), nonce="s.1", error="bad"), Request(EDS, ("a", "b"), nonce="s.1", error="bad")
    )
    assert outcome.rejections == ()
    assert told(outcome.responses) == ["ENDPOINTS s.2 b=1"]


def test_a_rejection_of_the_earlier_of_two_responses_is_told() -> None:
    session = two(EDS).session()
    ask(session, EDS, "a")
    assert ask(session, EDS, "a b") == ["ENDPOINTS s.2 b=1"]
    outcome = session.receive(Request(EDS, ("a", "b"), nonce="s.1", error="bad"))
    assert outcome == Outcome(rejections=(Rejection(EDS, ("a",), "bad"),))
    assert view(session, EDS).in_flight
    assert ask(session, EDS, "a b", "s.2") == []
    assert view(session, EDS).refused == ("a",)


@pytest.mark.parametrize("first", [True, False])
def test_a_rejection_with_the_nonce_before_is_of_the_newest(first: bool) -> None:
    # grpc-js-xds up to 1.8.
    world, nonce = two(EDS), ""
    session = world.session()
    ask(session, EDS, "a")
    if not first:
        ask(session, EDS, "a", "s.1")
        world.put(EDS, a="2")
        push(session)
        nonce = "s.1"
    request = Request(EDS, ("a",), nonce=nonce, error="bad")
    assert session.receive(request) == Outcome(rejections=(Rejection(EDS, ("a",), "bad"),))
    assert session.receive(request) == Outcome()
    world.put(EDS, a="3")
    (response,) = push(session)
    assert response.endswith("a=3")


def test_of_two_responses_the_newest_is_rejected_with_the_nonce_before() -> None:
    session = two(EDS).session()
    ask(session, EDS, "a")
    ask(session, EDS, "a b")
    outcome = session.receive(Request(EDS, ("a", "b"), error="bad"))
    assert outcome.rejections == (Rejection(EDS, ("b",), "bad"),)


# -- what is known of a client ---------------------------------------------------------------------------


def test_nothing_is_known_of_a_client_that_asked_nothing() -> None:
    assert World().session().snapshot() == ()


def test_what_is_known_of_a_client() -> None:
    world = two(EDS)
    session = world.session()
    ask(session, EDS, "a b")
    one = view(session, EDS).sent
    assert one
    assert session.snapshot() == (Subscription(EDS, ("a", "b"), one, None, True, None, ()),)
    ask(session, EDS, "a b", "s.1")
    assert session.snapshot() == (Subscription(EDS, ("a", "b"), one, one, False, None, ()),)
    world.put(EDS, a="2")
    (response,) = session.push()
    assert response.version != one
    ask(session, EDS, "a b", "s.2", "bad")
    rejection = Rejection(EDS, ("a",), "bad")
    assert session.snapshot() == (Subscription(EDS, ("a", "b"), response.version, one, False, rejection, ("a",)),)


@pytest.mark.parametrize("kind", ALL)
def test_all_is_well_again_when_what_replaces_it_is_accepted(kind: Kind) -> None:
    world = two(kind)
    session = world.session()
    ask(session, kind, "a b")
    ask(session, kind, "a b", "s.1", "bad")
    assert view(session, kind).refused == ("a", "b")
    world.put(kind, a="2")
    push(session)
    ask(session, kind, "a b", "s.2")
    # A partial response said nothing of b, so b is still as bad as it was.
    assert view(session, kind).refused == (() if kind in COMPLETE else ("b",))
    ask(session, kind, "a", "s.2")
    assert view(session, kind).refused == ()
    assert view(session, kind).rejection == Rejection(kind, ("a", "b"), "bad")


def test_a_deletion_that_is_accepted_ends_a_rejection() -> None:
    world = two(CDS)
    session = world.session()
    ask(session, CDS, "a")
    ask(session, CDS, "a", "s.1", "bad")
    world.put(CDS, a=None)
    push(session)
    ask(session, CDS, "a", "s.2")
    assert view(session, CDS).refused == ()


@pytest.mark.parametrize("kind", ALL)
def test_equal_content_has_an_equal_version_on_every_stream(kind: Kind) -> None:
    one, other = two(kind).session(), two(kind).session()
    ask(one, kind, "a")
    ask(one, kind, "a b")
    ask(other, kind, "b a c")
    assert view(one, kind).sent == view(other, kind).sent
    ask(other, kind, "b")
    ask(other, kind, "a")
    assert view(one, kind).sent != view(other, kind).sent
