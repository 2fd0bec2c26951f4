"""What several replicas tell, put together: nobody is moved unless each of them serves, and nothing else is lost."""

from __future__ import annotations

from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpcbalance.api import MAX_DOWNGRADES
from grpcbalance.lookaside.merge import Answers, merge, trouble
from grpcbalance.lookaside.page import MAX_REJECTIONS, Page
from grpcbalance.lookaside.seen import Downgrade, Node, Rejection
from grpcbalance.model import Ref

from .answers import ORDERS, A, B, answers, page

CASES = [
    pytest.param(answers(a=page(), b=page()), "", id="both serve"),
    pytest.param(Answers(unresolved="no address"), "no address", id="unresolved"),
    pytest.param(Answers(), "kubectl apply -k manifests/xds", id="nobody"),
    pytest.param(answers(a=page(), b="is away"), f"replica {B} of the look-aside balancer is away", id="one is silent"),
    pytest.param(answers(a="is away", b="is away"), f"replica {A} of the look-aside balancer is away, nor do 1 more", id="both are"),
    pytest.param(answers(a=page(), b=page(known=False)), f"replica {B} of the look-aside balancer does not know the service", id="unknown to one"),
    pytest.param(answers(a=page(ready=False), b=page()), f"replica {A} of the look-aside balancer knows no ready endpoint", id="no endpoint at one"),
    pytest.param(answers(a=page(ports=(True, False)), b=page(ports=(False, True))), "serve clients in different ways", id="no port at all"),
    pytest.param(answers(a=page(), b=page(ports=(False, False))), f"replica {B} of the look-aside balancer serves no clients", id="no port at one"),
    pytest.param(answers(a=page(ports=(False, False, True))), f"replica {A} of the look-aside balancer serves over mutual TLS only; the operator moves nobody over that", id="mutual TLS only"),
    pytest.param(answers(a=page(), b=page(ports=(False, False, True))), f"replica {B} of the look-aside balancer serves over mutual TLS only;", id="one over mutual TLS only"),
    pytest.param(answers(a=page(ports=(True, False, True))), "", id="mutual TLS beside plain text"),
]  # fmt: skip


@pytest.mark.parametrize(("told", "problem"), CASES)
def test_a_problem_names_the_replica_and_there_is_none_only_if_all_serve(told: Answers, problem: str) -> None:
    found = merge(told, [ORDERS])[ORDERS].problem
    assert problem in found
    assert bool(problem) == bool(found)


@pytest.mark.parametrize(
    ("ports", "both"), [((True, True), (True, False)), ((True, False), (True, False)), ((False, True), (False, False))]
)
def test_a_port_counts_if_all_have_it(ports: tuple[bool, bool], both: tuple[bool, bool]) -> None:
    seen = merge(answers(a=page(ports=ports), b=page(ports=(True, False))), [ORDERS])[ORDERS]
    assert (seen.plaintext, seen.tls) == both
    nobody = merge(Answers(unresolved="x"), [ORDERS])[ORDERS]
    assert (nobody.plaintext, nobody.tls) == (False, False)


def test_clients_rejections_and_downgrades_are_united() -> None:
    one = page("x", "y", rejected=(("shop", "x", "no"),), downgraded=(("gRPC Go", "client.retry", "none"),))
    other = page(
        "y", "z", rejected=(("web", "w", "why"), ("shop", "x", "no")), downgraded=(("gRPC Go", "client.retry", "none"),)
    )
    seen = merge(answers(a=one, b=other), [ORDERS])[ORDERS]
    assert seen.connected == {Node("shop", "x"), Node("shop", "y"), Node("shop", "z")}
    assert seen.rejections == (
        Rejection(Node("shop", "x"), "cluster", "no"),
        Rejection(Node("web", "w"), "cluster", "why"),
    )
    assert seen.downgrades == (Downgrade("gRPC Go 1.85.0", "client.retry", "none"),)


def test_what_is_known_counts_although_a_replica_is_silent() -> None:
    seen = merge(answers(a=page("x"), b="is away"), [ORDERS])[ORDERS]
    assert seen.connected == {Node("shop", "x")}


def test_only_what_is_wanted_is_there() -> None:
    other = Ref("shop", "other")
    assert set(merge(answers(a=page()), [other])) == {other}
    assert merge(answers(a=page()), []) == {}


def test_what_clients_tell_is_bounded() -> None:
    much = page(
        rejected=tuple(("shop", f"p{n}", "no") for n in range(20)),
        downgraded=tuple(("gRPC Go", f"f{n}", "w") for n in range(MAX_DOWNGRADES)),
    )
    more = page(
        rejected=tuple(("shop", f"q{n}", "no") for n in range(20)),
        downgraded=tuple(("gRPC Java", f"f{n}", "w") for n in range(MAX_DOWNGRADES)),
    )
    seen = merge(answers(a=much, b=more), [ORDERS])[ORDERS]
    assert (len(seen.rejections), len(seen.downgrades)) == (MAX_REJECTIONS, MAX_DOWNGRADES)


def test_libraries_that_are_not_known_are_one() -> None:
    downgraded = tuple((f"see https://evil.example/{n}", "client.retry", "none") for n in range(5))
    seen = merge(answers(a=page(downgraded=downgraded), b=page(downgraded=(("", "client.retry", "none"),))), [ORDERS])
    assert seen[ORDERS].downgrades == (Downgrade("another library", "client.retry", "none"),)


def test_trouble_is_what_is_wrong_for_all() -> None:
    assert trouble(answers(a=page(known=False))) == ""
    assert trouble(answers(a="is away")) == f"replica {A} of the look-aside balancer is away"


PAGES = st.builds(
    page,
    *[st.sampled_from("uvw")] * 2,
    ready=st.booleans(),
    known=st.booleans(),
    ports=st.tuples(st.booleans(), st.booleans()),
    rejected=st.lists(st.tuples(st.sampled_from("st"), st.sampled_from("uvw"), st.sampled_from("xy")), max_size=3).map(
        tuple
    ),
)
ANSWERS = st.dictionaries(st.sampled_from("ab"), PAGES | st.just("is away"), max_size=2)


@given(ANSWERS)
def test_whatever_they_answer_nobody_is_forgotten_and_no_problem_is_overlooked(told: dict[str, Page | str]) -> None:
    seen = merge(answers(**told), [ORDERS])[ORDERS]
    services = [(one, service) for one in told.values() if isinstance(one, Page) for service in one.services]
    listed = chain.from_iterable(
        ((one.clients[n].cluster, one.clients[n].node) for n in s.clients) for one, s in services
    )
    assert set(seen.connected) == set(listed)
    assert {(r.client.namespace, r.client.pod, r.message) for r in seen.rejections} == {
        (r.cluster, r.node, r.message) for _, service in services for r in service.rejections
    }
    pages = [one for one in told.values() if isinstance(one, Page)]
    common = any(pages and all(getattr(one.ports, name) for one in pages) for name in ("plaintext", "tls"))
    serve = len(pages) == len(told) and all(one.services and one.services[0].ready for one in pages)
    assert (seen.problem == "") == (common and serve) == (serve and (seen.plaintext or seen.tls))
    # The order in which they answer means nothing.
    assert merge(answers(**dict(reversed(told.items()))), [ORDERS])[ORDERS] == seen
