"""Which resources there are, in which variants, and what of a spec they cannot say."""

from __future__ import annotations

import dataclasses
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpcbalance.api import Client
from grpcbalance.desired import resolve
from grpcbalance.service_config import service_config
from grpcbalance.xds.kinds import Kind
from grpcbalance.xds.resources.catalog import Variant, build, narrowed, variant
from grpcbalance.xds.resources.downgrades import Downgrade, of_client, of_protocol
from grpcbalance.xds.resources.features import BASELINE, FEATURES, Agent, Features, agent
from tests.unit import factories as make
from tests.unit.core.snapshots import snapshot_of
from tests.unit.core.test_service_config import CLIENTS
from tests.unit.xds.client_rules import broken, manager_of, message_of
from tests.unit.xds.states import ALL, NAME, TWO_ZONES, built, served_by

EVERY = [Features(*flags) for flags in product((False, True), repeat=len(FEATURES))]
VARIANTS = [Variant(features, zone) for features in EVERY for zone in ("", "a", "b", "elsewhere")]
SPECS: dict[str, dict[str, Any]] = {
    "default": {},
    "retry": {"retry": {"mode": "Unavailable"}},
    "zones": {"zonePreference": "Prefer"},
    "weighted": {"policy": "WeightedRoundRobin"},
    "least": {"policy": "LeastRequest", "zonePreference": "Prefer", "outlierDetection": {"successRate": {}}},
    "all": {"policy": "LeastRequest", "retry": {"mode": "Unavailable"}, "outlierDetection": {"failurePercentage": {}}},
}


def read(**client: Any) -> Client:
    return Client.model_validate(client)


# -- what there is ---------------------------------------------------------------------------------------


def test_there_is_one_of_each_kind_but_routes_under_one_name() -> None:
    made = build(served_by(), Variant(ALL, ""))
    assert set(made) == {Kind.LISTENER, Kind.CLUSTER, Kind.ENDPOINTS}
    assert [list(named) for named in made.values()] == [[NAME]] * 3


def test_without_any_slice_there_are_no_endpoints_rather_than_none() -> None:
    assert set(build(served_by(slices=()), Variant(ALL, ""))) == {Kind.LISTENER, Kind.CLUSTER}


def test_slices_that_are_empty_say_so() -> None:
    assert message_of(built(Kind.ENDPOINTS, slices=[make.endpoint_slice(ports=())])).endpoints == []


# -- variants --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS.keys())
def test_variants_that_narrow_alike_get_the_same(spec: dict[str, Any]) -> None:
    service = served_by(spec)
    made: dict[Variant, Any] = {}
    for one in VARIANTS:
        resources = build(service, one)
        assert made.setdefault(narrowed(service, one), resources) == resources
        assert [broken(each) for named in resources.values() for each in named.values()] == [[], [], []]
    # Narrowing is no finer than it has to be: each narrowed variant has a resource of its own.
    assert len(
        {tuple(str(each.version) for named in one.values() for each in named.values()) for one in made.values()}
    ) == len(made)


@pytest.mark.parametrize(
    ("spec", "count"), [("default", 2), ("retry", 4), ("zones", 6), ("weighted", 4), ("least", 12), ("all", 8)]
)
def test_variants_are_few(spec: str, count: int) -> None:
    service = served_by(SPECS[spec])
    assert len({narrowed(service, one) for one in VARIANTS}) == count


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS.keys())
def test_what_is_narrowed_once_more_stays_as_it_is(spec: dict[str, Any]) -> None:
    service = served_by(spec)
    for once in {narrowed(service, one) for one in VARIANTS}:
        assert narrowed(service, once) == once
        assert build(service, once) in [build(service, one) for one in VARIANTS if narrowed(service, one) == once]


def test_a_client_that_may_not_know_priorities_prefers_no_zone() -> None:
    service = served_by({"zonePreference": "Prefer"})
    unknown, java, go = (variant(name, "1.85.1", "a") for name in ("gRPC Rust", "gRPC Java", "gRPC Go"))
    assert [narrowed(service, one).zone for one in (unknown, java, go)] == ["", "a", "a"]
    told = of_client(service.client, agent("gRPC Rust", "1.85.1"))
    assert told == (Downgrade("client.zonePreference", "no zone is preferred"),)


@pytest.mark.parametrize("asked", [None, {"successRate": {}}, {"failurePercentage": {}}])
def test_java_hears_nothing_of_outlier_detection_lest_its_calls_hang(asked: dict[str, Any] | None) -> None:
    service = served_by({"outlierDetection": asked})
    made = [build(service, variant(name, "1.85.1", ""))[Kind.CLUSTER][NAME] for name in ("gRPC Java", "gRPC Go")]
    assert [message_of(one).HasField("outlier_detection") for one in made] == [False, True]
    told = of_client(service.client, agent("gRPC Java", "1.85.1"))
    assert told == ((Downgrade("client.outlierDetection", "no endpoint is left out"),) if asked else ())


def test_each_kind_depends_on_what_concerns_it() -> None:
    service = served_by(SPECS["all"] | {"zonePreference": "Prefer"})
    plain, zone, features = (build(service, Variant(f, z)) for f, z in ((ALL, ""), (ALL, "a"), (BASELINE, "")))
    assert [kind for kind in plain if plain[kind] != zone[kind]] == [Kind.ENDPOINTS]
    assert [kind for kind in plain if plain[kind] != features[kind]] == [Kind.LISTENER, Kind.CLUSTER]


def test_equal_states_are_equal_keys() -> None:
    assert served_by(SPECS["all"]) == served_by(SPECS["all"])
    assert hash(served_by(SPECS["all"])) == hash(served_by(SPECS["all"]))
    assert served_by(slices=TWO_ZONES) == served_by(slices=TWO_ZONES[::-1])


def test_an_update_of_an_endpoint_concerns_the_endpoints_alone() -> None:
    before, after = build(served_by(), Variant(ALL, "")), build(served_by(slices=TWO_ZONES[:1]), Variant(ALL, ""))
    assert [kind for kind in before if before[kind] != after[kind]] == [Kind.ENDPOINTS]


def test_a_client_by_its_own_words() -> None:
    assert variant("gRPC Go", "1.41.0", "a") == Variant(Features(retry=True, priorities=True), "a")


@given(CLIENTS, st.sampled_from(EVERY))
def test_any_client_spec_is_taken_by_every_client(fields: dict[str, Any], features: Features) -> None:
    fields = {key: value for key, value in fields.items() if value is not None}
    for kind in (Kind.LISTENER, Kind.CLUSTER, Kind.ENDPOINTS):
        one = built(kind, fields, features)
        assert broken(one) == []
        assert one == built(kind, fields, features)
        assert len(one.version) == 16


# -- what is said ----------------------------------------------------------------------------------------


def policy_names(client: dict[str, Any], features: Features = ALL) -> list[str]:
    policies = message_of(built(Kind.CLUSTER, client, features)).load_balancing_policy.policies
    return [one.typed_extension_config.name for one in policies]


@pytest.mark.parametrize(
    ("policy", "names"),
    [
        ("RoundRobin", []),
        ("WeightedRoundRobin", ["WrrLocality"]),
        ("LeastRequest", ["WrrLocality"]),
        ("PickFirst", ["PickFirst", "WrrLocality"]),
    ],
)
def test_policies(policy: str, names: list[str]) -> None:
    assert policy_names({"policy": policy}) == names
    assert policy_names({"policy": policy}, BASELINE) == []


def test_pick_first_is_shuffled() -> None:
    message = message_of(built(Kind.CLUSTER, {"policy": "PickFirst"}))
    assert b"\x08\x01" in message.load_balancing_policy.policies[0].typed_extension_config.typed_config.value


@pytest.mark.parametrize(("asked", "told"), [({}, 2**31 - 1), ({"maxRequests": 7}, 7)])
def test_requests_are_limited_only_when_asked(asked: dict[str, int], told: int) -> None:
    [limit] = message_of(built(Kind.CLUSTER, asked, BASELINE)).circuit_breakers.thresholds
    assert limit.max_requests.value == told


@pytest.mark.parametrize(
    ("asked", "enforced"),
    [
        ({"successRate": {"enforcementPercentage": 30}}, (30, 0)),
        ({"failurePercentage": {}}, (0, 100)),
        ({"successRate": {}, "failurePercentage": {}}, (100, 100)),
    ],
)
def test_outlier_detection_does_what_is_asked_and_no_more(asked: dict[str, Any], enforced: tuple[int, int]) -> None:
    found = message_of(built(Kind.CLUSTER, {"outlierDetection": asked})).outlier_detection
    # Both are there even when they are 0: clients take an absent success rate for 100.
    assert found.HasField("enforcing_success_rate")
    assert (found.enforcing_success_rate.value, found.enforcing_failure_percentage.value) == enforced


def test_outlier_detection_is_off_unless_asked_for() -> None:
    found = message_of(built(Kind.CLUSTER)).outlier_detection
    # Said nevertheless, as grpc-js-xds sees changes only of what it had.
    assert found.HasField("enforcing_success_rate")
    assert (found.enforcing_success_rate.value, found.enforcing_failure_percentage.value) == (0, 0)


def retry_policy_of(client: dict[str, Any], features: Features = ALL) -> Any:
    manager = manager_of(message_of(built(Kind.LISTENER, client, features)))
    return manager.route_config.virtual_hosts[0].routes[0].route


def test_retries_count_the_first_attempt_out() -> None:
    found = retry_policy_of({"retry": {"mode": "Unavailable", "maxAttempts": 5}}).retry_policy
    assert (found.num_retries.value, found.retry_on) == (4, "unavailable")


def test_no_retry_unless_asked_for_and_known() -> None:
    assert not retry_policy_of({}).HasField("retry_policy")
    assert not retry_policy_of({"retry": {"mode": "Unavailable"}}, BASELINE).HasField("retry_policy")


def test_longest_wait_is_never_below_the_first() -> None:
    asked = {"retry": {"mode": "Unavailable", "initialBackoff": "5s", "maxBackoff": "1s"}}
    back_off = retry_policy_of(asked).retry_policy.retry_back_off
    assert (back_off.base_interval.seconds, back_off.max_interval.seconds) == (5, 5)


def test_no_call_is_given_a_deadline() -> None:
    manager = manager_of(message_of(built(Kind.LISTENER)))
    assert not manager.HasField("common_http_protocol_options")
    assert not retry_policy_of({}).HasField("max_stream_duration")


def test_any_authority_finds_the_route() -> None:
    manager = manager_of(message_of(built(Kind.LISTENER)))
    assert [list(host.domains) for host in manager.route_config.virtual_hosts] == [["*"]]


# -- what cannot be said ---------------------------------------------------------------------------------

RETRY = {"mode": "Unavailable"}
OFF = {"mode": "Off"}


@pytest.mark.parametrize(
    ("client", "fields"),
    [
        ({}, []),
        ({"retry": {"throttling": {"maxTokens": 5}, "backoffMultiplier": 3}}, []),
        ({"retry": RETRY}, ["client.retry.throttling"]),
        ({"retry": RETRY | {"throttling": OFF}}, []),
        ({"retry": RETRY | {"throttling": OFF, "backoffMultiplier": 3}}, ["client.retry.backoffMultiplier"]),
        ({"waitForReady": True}, ["client.waitForReady"]),
        ({"healthCheck": {}}, ["client.healthCheck"]),
        ({"serviceConfig": " \n"}, []),
        ({"serviceConfig": "{}"}, ["client.serviceConfig"]),
    ],
)
def test_what_xds_has_no_words_for(client: dict[str, Any], fields: list[str]) -> None:
    assert [one.feature for one in of_protocol(read(**client))] == fields


@pytest.mark.parametrize(
    ("client", "name", "version", "told"),
    [
        ({}, "envoy", "1", ()),
        ({"policy": "LeastRequest"}, "gRPC C-core linux", "C-core 58.0.0", (Downgrade("client.policy", "RoundRobin"),)),
        (
            {"policy": "LeastRequest"},
            "gRPC Go",
            "1.60.0",
            (
                Downgrade(
                    "client.policy",
                    "RoundRobin, unless the client has GRPC_EXPERIMENTAL_ENABLE_LEAST_REQUEST=true",
                ),
            ),
        ),
        ({"policy": "LeastRequest"}, "gRPC Go", "1.85.0", ()),
        (
            {"retry": RETRY, "outlierDetection": {"successRate": {}}},
            "gRPC Rust",
            "1.0",
            (
                Downgrade("client.retry", "no retries"),
                Downgrade("client.outlierDetection", "no endpoint is left out"),
            ),
        ),
    ],
)
def test_what_a_client_cannot_do(client: dict[str, Any], name: str, version: str, told: tuple[Downgrade, ...]) -> None:
    assert of_client(read(**client), agent(name, version)) == told


@given(st.sampled_from(list(SPECS.values())), st.sampled_from(EVERY))
def test_who_is_told_nothing_gets_everything(spec: dict[str, Any], features: Features) -> None:
    if not of_client(read(**spec), Agent(features)):
        service = served_by(spec)
        # That outlier detection is off is said only to those who know it.
        everything = dataclasses.replace(ALL, outlier_detection=features.outlier_detection)
        assert build(service, Variant(features, "")) == build(service, Variant(everything, ""))


# -- clients on DNS --------------------------------------------------------------------------------------


def test_what_is_new_for_xds_changes_nothing_for_clients_on_dns() -> None:
    new = {"zonePreference": "Prefer", "maxRequests": 7, "outlierDetection": {"successRate": {}}}
    assert service_config(read(**new)) == service_config(read())
    found = [resolve(snapshot_of(raw), make.balanced(raw), make.DOMAIN) for raw in (make.gbs(), make.gbs(client=new))]
    assert found[0] == found[1]
