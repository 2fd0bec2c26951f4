"""Whom an object lets in: label selectors as Kubernetes reads them, and who is never let in."""

from __future__ import annotations

from typing import Any

import pytest

from grpcbalance import observe
from grpcbalance.allowed import lets_in
from tests.unit import factories as make

WEB = observe.namespace(make.namespace("web"))
LABELS = {"team": "web", "tier": "front", "empty": ""}


def requirement(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


def allowing(**namespaces: Any) -> Any:
    return make.balanced(make.gbs(allowedClients={"namespaces": namespaces}))


def selects(selector: dict[str, Any] | None, labels: dict[str, str]) -> bool:
    balanced = allowing(**{"from": "Selector"}, selector=selector)
    return lets_in(balanced, "web", observe.namespace(make.namespace("web", labels)))


@pytest.mark.parametrize(
    ("selector", "met"),
    [
        ({"matchLabels": {"team": "web"}}, True),
        ({"matchLabels": {"team": "web", "tier": "front"}}, True),
        ({"matchLabels": {"team": "web", "tier": "back"}}, False),
        ({"matchLabels": {"missing": ""}}, False),
        ({"matchLabels": {"empty": ""}}, True),
        (requirement("team", "In", "app", "web"), True),
        (requirement("team", "In", "app"), False),
        (requirement("missing", "In", "web"), False),
        (requirement("team", "NotIn", "app"), True),
        (requirement("team", "NotIn", "app", "web"), False),
        (requirement("missing", "NotIn", "web"), True),
        (requirement("empty", "Exists"), True),
        (requirement("missing", "Exists"), False),
        (requirement("missing", "DoesNotExist"), True),
        (requirement("empty", "DoesNotExist"), False),
        ({"matchLabels": {"team": "web"}, **requirement("tier", "In", "front")}, True),
        ({"matchLabels": {"team": "web"}, **requirement("tier", "In", "back")}, False),
        ({"matchExpressions": [{"key": k, "operator": "Exists"} for k in ("team", "missing")]}, False),
        ({}, True),
        (None, False),
    ],
)
def test_selectors_are_read_as_kubernetes_does(selector: dict[str, Any] | None, met: bool) -> None:
    assert selects(selector, LABELS) is met


@pytest.mark.parametrize("spec", [{}, {"namespaces": {}}, {"namespaces": {"from": "Same"}}])
def test_same_lets_in_nobody_else(spec: dict[str, Any]) -> None:
    balanced = make.balanced(make.gbs(allowedClients=spec))
    assert not lets_in(balanced, "web", WEB)
    assert lets_in(balanced, "shop", None)


def test_all_lets_in_every_namespace_known_or_not() -> None:
    assert lets_in(allowing(**{"from": "All"}), "web", None)


def test_selector_lets_in_no_namespace_whose_labels_are_unknown() -> None:
    anything = allowing(**{"from": "Selector"}, selector={})
    assert not lets_in(anything, "web", None)
    # Its own needs no label.
    assert lets_in(allowing(**{"from": "Selector"}, selector=requirement("x", "Exists")), "shop", None)


def test_a_spec_that_cannot_be_read_lets_in_nobody_else() -> None:
    balanced = make.balanced(make.gbs(port="NOT-A-PORT", allowedClients={"namespaces": {"from": "All"}}))
    assert not lets_in(balanced, "web", WEB)
    assert lets_in(balanced, "shop", None)
