"""What is kept of a spec tells clients the same as the spec itself, and what nobody could have kept counts for nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpcbalance.allowed import admits
from grpcbalance.api import Client, Spec, parse_spec
from grpcbalance.desired import headless_service
from grpcbalance.kept import LONGEST, kept_spec, kept_text, next_text
from grpcbalance.model import Namespace
from grpcbalance.names import ANNOTATION_KEPT
from grpcbalance.xds.resources.catalog import Served, Variant, build
from grpcbalance.xds.resources.endpoints import Host, Zone
from grpcbalance.xds.resources.features import FEATURES, Features
from grpcbalance.xds.resources.names import Name
from tests.unit import factories as make
from tests.unit.core.snapshots import resolved_in
from tests.unit.core.test_service_config import CLIENTS as BASIC

Raw = dict[str, Any]

ZONES = (Zone("a", (Host("10.1.0.1", True),)), Zone("b", (Host("10.1.0.2", True),)))
DEFAULT = parse_spec({})
OUTLIERS = st.fixed_dictionaries(
    {"failurePercentage": st.fixed_dictionaries({}, optional={"threshold": st.integers(1, 100)})},
    optional={"interval": st.integers(1, 99_999).map(lambda n: f"{n}ms"), "successRate": st.just({})},
)
MORE = st.fixed_dictionaries(
    {},
    optional={
        "zonePreference": st.sampled_from(["None", "Prefer"]),
        "maxRequests": st.none() | st.integers(1, 1_000_000),
        "outlierDetection": st.none() | OUTLIERS,
    },
)
CLIENTS = st.builds(lambda one, more: {**one, **more}, BASIC, MORE)
KEYS = st.sampled_from(["team", "example.org/stage"])
VALUES = st.sampled_from(["web", "prod", ""])
EXPRESSIONS = st.one_of(
    st.builds(
        lambda key, operator, values: {"key": key, "operator": operator, "values": values},
        KEYS,
        st.sampled_from(["In", "NotIn"]),
        st.lists(VALUES, min_size=1, max_size=3),
    ),
    st.builds(
        lambda key, operator: {"key": key, "operator": operator}, KEYS, st.sampled_from(["Exists", "DoesNotExist"])
    ),
)
SELECTORS = st.fixed_dictionaries(
    {}, optional={"matchLabels": st.dictionaries(KEYS, VALUES), "matchExpressions": st.lists(EXPRESSIONS, max_size=3)}
)
ALLOWED = st.one_of(
    st.sampled_from([{}, {"from": "Same"}, {"from": "All"}]),
    st.builds(lambda selector: {"from": "Selector", "selector": selector}, SELECTORS),
)
NAMESPACES = st.builds(
    lambda labels: Namespace("web", tuple(sorted(labels.items())), ()), st.dictionaries(KEYS, VALUES)
)


def raw(**spec: Any) -> Raw:
    return {"selector": {"app": "orders"}, "port": 5000, "discovery": "XDS", **spec}


def text_of(**spec: Any) -> str:
    """Of a spec as it is observed."""
    return make.balanced(make.gbs(**raw(**spec))).spec


def kept(**spec: Any) -> Spec:
    """What a balancer that starts anew makes of what was kept."""
    text = kept_text(text_of(**spec))
    found = DEFAULT if text is None else kept_spec(text)
    assert found is not None
    return found


def resources(client: Client) -> list[Any]:
    service = Served(Name("orders", "shop", 5000), client, ZONES)
    every = [Features(**dict.fromkeys(FEATURES, flag)) for flag in (True, False)]
    return [build(service, Variant(features, zone)) for features in every for zone in ("", "a")]


@given(CLIENTS)
def test_clients_are_told_the_same(client: Raw) -> None:
    assert resources(kept(client=client).client) == resources(Client.model_validate(client))


@given(ALLOWED, st.none() | NAMESPACES)
def test_the_same_are_let_in(allowed: Raw, namespace: Namespace | None) -> None:
    spec = raw(allowedClients={"namespaces": allowed})
    assert admits(kept(**spec), namespace) is admits(parse_spec(spec), namespace)


@given(CLIENTS, ALLOWED)
def test_of_what_is_kept_the_same_is_kept(client: Raw, allowed: Raw) -> None:
    text = kept_text(text_of(client=client, allowedClients={"namespaces": allowed}))
    if text is not None:
        assert kept_text(text_of(**json.loads(text))) == text
        assert len(text) <= LONGEST


def test_only_what_matters_and_differs_is_kept_in_one_form() -> None:
    client = {
        "waitForReady": True,
        "serviceConfig": "{}",
        "policy": "LeastRequest",
        "retry": {"mode": "Off", "maxAttempts": 5},
    }
    text = kept_text(
        text_of(client=client, allowedClients={"namespaces": {"from": "All"}}, server={"mode": "Unmanaged"})
    )
    assert (
        text
        == '{"allowedClients":{"namespaces":{"from":"All"}},"client":{"policy":"LeastRequest","retry":{"maxAttempts":5}}}'
    )


@pytest.mark.parametrize(
    "text",
    [
        text_of(),
        text_of(client={"policy": "RoundRobin", "waitForReady": True, "tls": True}),
        text_of(discovery="DNS", client={"policy": "PickFirst"}, allowedClients={"namespaces": {"from": "All"}}),
        text_of(discovery=None, client={"policy": "PickFirst"}),
        text_of(client={"policy": "Best"}),
    ],
    ids=["defaults", "nothing that clients are told", "DNS", "DNS by default", "cannot be read"],
)
def test_nothing_is_kept_where_nothing_is_to_keep(text: str) -> None:
    assert kept_text(text) is None


def test_the_longest_that_an_object_can_have_is_kept() -> None:
    key = "a" * 253 + "/" + "b" * 63
    values = [f"{number:02}" + "v" * 61 for number in range(20)]
    selector = {
        "matchLabels": {f"{number}{key[1:]}": "v" * 63 for number in range(4)},
        "matchExpressions": [{"key": key, "operator": "NotIn", "values": values}] * 3,
    }
    most = {"threshold": 100, "enforcementPercentage": 99, "minimumHosts": 1000, "requestVolume": 1_000_000}
    rate = {"stdevFactor": 100_000, "enforcementPercentage": 99, "minimumHosts": 1000, "requestVolume": 1_000_000}
    times = dict.fromkeys(("interval", "baseEjectionTime", "maxEjectionTime"), "00011h00011m00011s0011ms")
    client = {
        "policy": "WeightedRoundRobin",
        "zonePreference": "Prefer",
        "maxRequests": 1_000_000,
        "retry": {"mode": "Unavailable", "maxAttempts": 5, "initialBackoff": "00011h00011m00011s001ms"},
        "outlierDetection": {
            **times,
            "successRate": rate,
            "failurePercentage": most,
        },
    }
    allowed = {"namespaces": {"from": "Selector", "selector": selector}}
    text = kept_text(text_of(client=client, allowedClients=allowed))
    assert text is not None
    assert len(text) < LONGEST / 2
    found = kept_spec(text)
    assert found is not None
    assert found.allowed_clients == parse_spec(raw(allowedClients=allowed)).allowed_clients


@pytest.mark.parametrize(
    "text",
    [
        "",
        "All",
        "null",
        "[]",
        "[" * LONGEST,
        '{"client":{"policy":"Best"}}',
        '{"allowedClients":{"namespaces":{"from":"Everybody"}}}',
        '{"client":{"retry":{"maxAttempts":500}}}',
        '{"client":{"retry":{"backoffMultiplier":NaN}}}',
        '{"client":{"maxRequests":-1}}',
        '{"client":null}',
        json.dumps({"client": {"policy": "PickFirst"}, "x": "x" * LONGEST}),
    ],
)
def test_what_no_object_could_have_counts_for_nothing(text: str) -> None:
    assert kept_spec(text) is None


@given(
    st.text()
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.text() | st.sampled_from(["client", "allowedClients", "namespaces"]), inner)
        ),
    ).map(json.dumps)
)
def test_whatever_stands_there_does_no_harm(text: str) -> None:
    found = kept_spec(text)
    assert found is None or not admits(found, None)


@pytest.mark.parametrize(
    ("live", "wanted", "following"),
    [
        (None, None, []),
        (None, "a", ["a"]),
        ("a", "b", ["b"]),
        ("a", "a", []),
        ("a", None, ["", None]),
        ("", None, [None]),
    ],
)
def test_it_is_emptied_before_it_is_dropped(live: str | None, wanted: str | None, following: list[str | None]) -> None:
    seen: list[str | None] = []
    while live != wanted:
        live = next_text(live, wanted)
        seen.append(live)
    assert seen == following


def test_it_stands_on_the_service_of_an_object_with_xds_only() -> None:
    open_to_all: Raw = {"allowedClients": {"namespaces": {"from": "All"}}}
    found = {}
    for discovery in ("DNS", "XDS"):
        one = make.gbs(discovery=discovery, **open_to_all)
        found[discovery] = headless_service(make.balanced(one), resolved_in(one))
    assert found["XDS"]["metadata"]["annotations"].pop(ANNOTATION_KEPT) == json.dumps(
        open_to_all, separators=(",", ":")
    )
    assert found["XDS"] == found["DNS"]
