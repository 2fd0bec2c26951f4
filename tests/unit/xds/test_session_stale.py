"""Stale nonces, and clients that forget. Nonces are s.1, s.2, … in the order of responses."""

from __future__ import annotations

import pytest

from grpcbalance.xds.kinds import Kind
from grpcbalance.xds.session import Request

from .lookups import ALL, COMPLETE, EDS, World, ask, push, told, two, view


@pytest.mark.parametrize("nonce", ["", "s.1", "other.2", "2"])
@pytest.mark.parametrize("error", [None, "bad"])
def test_a_stale_nonce_is_no_answer_but_its_names_count(nonce: str, error: str | None) -> None:
    world = two(EDS)
    session = world.session()
    ask(session, EDS, "a")
    ask(session, EDS, "a", "s.1")
    world.put(EDS, a="2")
    push(session)
    before = view(session, EDS)
    outcome = session.receive(Request(EDS, ("a", "b"), nonce=nonce, error=error))
    (response,) = told(outcome.responses)
    assert response.endswith("b=1")
    assert outcome.rejections == ()
    after = view(session, EDS)
    assert after.names == ("a", "b")
    assert (after.acknowledged, after.rejection, after.in_flight) == (before.acknowledged, None, True)


def test_a_nonce_never_sent_with_the_same_names_gets_no_response() -> None:
    session = two(EDS).session()
    ask(session, EDS, "a")
    ask(session, EDS, "a", "s.1")
    assert ask(session, EDS, "a", "other.1") == []


@pytest.mark.parametrize("kind", ALL)
def test_dropped_and_named_again_with_stale_nonces_is_answered(kind: Kind) -> None:
    world = two(kind)
    session = world.session()
    ask(session, kind, "a")
    ask(session, kind, "a", "s.1")
    world.put(kind, a="2")
    push(session)
    assert ask(session, kind, "", "s.1") == []
    assert ask(session, kind, "a", "s.1") == [f"{kind.name} s.3 a=2"]
    assert ask(session, kind, "a", "s.2") == []
    assert ask(session, kind, "a", "s.3") == []


@pytest.mark.parametrize("kind", ALL)
def test_names_that_were_forgotten_without_a_word_are_answered_again(kind: Kind) -> None:
    # grpc-java up to 1.65; it did not answer s.2, which came while it had no names.
    world = two(kind)
    session = world.session()
    ask(session, kind, "a")
    ask(session, kind, "a", "s.1")
    world.put(kind, a="2")
    push(session)
    assert ask(session, kind, "a", "s.1") == [f"{kind.name} s.3 a=2"]
    assert ask(session, kind, "a", "s.3") == []
    world.put(kind, a="3")
    assert push(session) == [f"{kind.name} s.4 a=3"]


@pytest.mark.parametrize("kind", ALL)
def test_a_client_that_forgot_its_nonce_has_forgotten_all(kind: Kind) -> None:
    # grpc-js-xds up to 1.12.1, grpc-java 1.66 to 1.69.
    session = two(kind).put(kind, c="1").session()
    ask(session, kind, "a")
    ask(session, kind, "a", "s.1")
    assert ask(session, kind, "a b") == [f"{kind.name} s.2 a=1 b=1"]
    # It began anew once: this may have been on its way together with the request before.
    assert ask(session, kind, "a b c") == [f"{kind.name} s.3 " + ("a=1 b=1 c=1" if kind in COMPLETE else "c=1")]


def test_requests_on_their_way_together_at_the_start_do_not_repeat_anything() -> None:
    session = two(EDS).session()
    assert ask(session, EDS, "a") == ["ENDPOINTS s.1 a=1"]
    assert ask(session, EDS, "a b") == ["ENDPOINTS s.2 b=1"]
    assert ask(session, EDS, "a b", "s.1") == []
    assert ask(session, EDS, "a b", "s.2") == []


def test_the_first_request_may_have_the_nonce_of_another_stream() -> None:
    session = two(EDS).session()
    assert ask(session, EDS, "a", "r.7") == ["ENDPOINTS s.1 a=1"]


def test_a_client_that_never_answers_gets_what_it_names() -> None:
    world = World()
    names = [f"n{number}" for number in range(50)]
    session = world.put(EDS, **dict.fromkeys(names, "1")).session()
    for number, name in enumerate(names, 1):
        assert ask(session, EDS, " ".join(names[:number])) == [f"ENDPOINTS s.{number} {name}=1"]
    # The last answer counts, whatever was not answered before it.
    assert ask(session, EDS, " ".join(names), "s.50") == []
    world.put(EDS, n7="2")
    assert push(session) == ["ENDPOINTS s.51 n7=2"]


def test_late_answers_to_responses_that_are_remembered_no_more_do_nothing() -> None:
    names = [f"n{number}" for number in range(50)]
    session = World().put(EDS, **dict.fromkeys(names, "1")).session()
    for number in range(1, 51):
        ask(session, EDS, " ".join(names[:number]))
    for number in range(1, 51):
        outcome = session.receive(Request(EDS, tuple(names), nonce=f"s.{number}", error="bad"))
        assert outcome.responses == ()
        assert len(outcome.rejections) == (number > 34)
    assert not view(session, EDS).in_flight
