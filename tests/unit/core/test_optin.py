from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpcbalance.api import Reason
from grpcbalance.model import Ref
from grpcbalance.names import ANNOTATION_CLIENT, ANNOTATION_CONTAINERS, ANNOTATION_PAUSED, ANNOTATION_SERVER
from grpcbalance.optin import OptIn, read_opt_in
from tests.unit import factories as make
from tests.unit.core.snapshots import decide_in


def read(**annotations: str) -> OptIn:
    return read_opt_in(
        make.workload(make.deployment(annotations={f"grpcbalance.dev/{k}": v for k, v in annotations.items()}))
    )


def test_full_opt_in() -> None:
    opt_in = read(server="orders", client="payments, stock,payments", containers="app, web", paused="true", xds="ready")
    assert opt_in == OptIn(
        server=Ref("shop", "orders"),
        clients=(Ref("shop", "payments"), Ref("shop", "stock")),
        containers=("app", "web"),
        paused=True,
        keep=False,
        xds="ready",
        problems=(),
    )


def test_other_namespace_is_read() -> None:
    assert read(client="bank/payments").clients == (Ref("bank", "payments"),)


def test_own_namespace_may_be_written_out() -> None:
    opt_in = read(server="shop/orders", client="shop/orders,orders")
    assert (opt_in.server, opt_in.clients, opt_in.problems) == (Ref("shop", "orders"), (Ref("shop", "orders"),), ())


def test_server_and_client_of_the_same_service_is_one_ref() -> None:
    assert read(server="orders", client="orders").refs == (Ref("shop", "orders"),)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("server", ""),
        ("server", " , "),
        ("server", "Orders"),
        ("server", "orders,payments"),
        ("server", "a" * 55),
        ("server", "orders\n"),
        ("server", "bank/orders"),
        ("client", "orders;payments"),
        ("client", "a/b/c"),
        ("client", "../orders"),
        ("client", "orders," * 1000),
        ("containers", "App"),
        ("containers", ""),
        ("paused", "True"),
        ("paused", ""),
        ("paused", "yes"),
        ("on-remove", ""),
        ("on-remove", "keep"),
    ],
)
def test_bad_values_are_problems(key: str, value: str) -> None:
    (problem, *_) = read(**{key: value}).problems
    assert problem.reason is Reason.INVALID_ANNOTATION
    assert f"grpcbalance.dev/{key}" in problem.message


@pytest.mark.parametrize(("value", "keep"), [("Keep", True), ("Remove", False)])
def test_on_remove(value: str, keep: bool) -> None:
    opt_in = read(**{"on-remove": value})
    assert (opt_in.keep, opt_in.problems) == (keep, ())


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("clients", "client"),
        ("sever", "server"),
        ("container", "containers"),
        ("pause", "paused"),
        ("Client", "client"),
    ],
)
def test_misspelt_annotations_get_a_suggestion(wrong: str, right: str) -> None:
    (problem,) = read(**{wrong: "orders"}).problems
    assert problem.reason is Reason.UNKNOWN_ANNOTATION
    assert f"did you mean grpcbalance.dev/{right}?" in problem.message


TEXTS = st.text(max_size=40) | st.sampled_from(
    ["orders", "orders,payments", "true", "false", "app", "shop/orders", "x y"]
)


@given(TEXTS, TEXTS, TEXTS, TEXTS)
def test_any_text_never_raises_and_bad_values_are_never_acted_on(
    server: str, client: str, containers: str, paused: str
) -> None:
    raw = make.deployment(
        annotations={
            ANNOTATION_SERVER: server,
            ANNOTATION_CLIENT: client,
            ANNOTATION_CONTAINERS: containers,
            ANNOTATION_PAUSED: paused,
        },
        containers=[make.container(ports=[5000])],
    )
    opt_in = read_opt_in(make.workload(raw))
    others = (make.gbs("orders"), make.gbs("payments"), make.serving("orders"), make.serving("payments"))
    decision = decide_in("checkout", raw, *others)
    if opt_in.problems:
        assert decision.patch is None
        assert {finding.state for finding in decision.findings} == {"Refused"}
