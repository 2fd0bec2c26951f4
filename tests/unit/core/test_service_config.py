from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpcbalance.api import Client
from grpcbalance.service_config import ServiceConfigError, parse_user_config, service_config

METHOD: dict[str, Any] = {"name": [{"service": "shop.Orders"}]}
RETRY = {
    "maxAttempts": 3,
    "initialBackoff": "0.1s",
    "maxBackoff": "1s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}


def client(**fields: Any) -> Client:
    return Client.model_validate(fields)


def user(**config: Any) -> str:
    return json.dumps(config)


def methods(**fields: Any) -> str:
    return user(methodConfig=[METHOD | fields])


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("RoundRobin", ["round_robin"]),
        ("PickFirst", ["pick_first", "round_robin"]),
        ("WeightedRoundRobin", ["weighted_round_robin", "round_robin"]),
        ("LeastRequest", ["least_request_experimental", "round_robin"]),
    ],
)
def test_policy_list_ends_in_round_robin(policy: str, expected: list[str]) -> None:
    config = json.loads(service_config(client(policy=policy)))
    assert config["loadBalancingConfig"] == [{name: {}} for name in expected]


def test_retry_wait_and_health() -> None:
    fields = {"retry": {"mode": "Unavailable"}, "waitForReady": True, "healthCheck": {"serviceName": "orders"}}
    assert json.loads(service_config(client(**fields))) == {
        "loadBalancingConfig": [{"round_robin": {}}],
        "methodConfig": [
            {
                "name": [{}],
                "waitForReady": True,
                "retryPolicy": RETRY
                | {
                    "initialBackoff": "0.100000000s",
                    "maxBackoff": "1.000000000s",
                    "backoffMultiplier": 2.0,
                },
            }
        ],
        "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
        "healthCheckConfig": {"serviceName": "orders"},
    }


def test_no_timeout_and_no_retry_unless_asked_for() -> None:
    assert service_config(client()) == '{"loadBalancingConfig":[{"round_robin":{}}]}'


def test_throttling_is_only_written_with_retries() -> None:
    assert "retryThrottling" not in service_config(client(retry={"mode": "Unavailable", "throttling": {"mode": "Off"}}))
    assert "retryThrottling" not in service_config(client(retry={"mode": "Off"}))


def test_users_top_level_key_replaces_the_generated_one() -> None:
    text = service_config(client(waitForReady=True, serviceConfig=methods(timeout="1.5s")))
    assert json.loads(text)["methodConfig"] == [METHOD | {"timeout": "1.500000000s"}]


@pytest.mark.parametrize(
    ("duration", "nine"),
    [("1s", "1.000000000s"), ("0.1s", "0.100000000s"), ("001.5s", "1.500000000s"), ("0.000000001s", "0.000000001s")],
)
def test_durations_get_nine_digits(duration: str, nine: str) -> None:
    config = parse_user_config(methods(timeout=duration))
    assert config["methodConfig"][0]["timeout"] == nine


REFUSED = {
    "not json": ("{", "not JSON"),
    "not an object": ("[]", "object"),
    "empty text in quotes": ('""', "object"),
    "deep nesting": ("[" * 9000, "not JSON"),
    "huge integer": ('{"retryThrottling":{"maxTokens":' + "1" * 5000 + ',"tokenRatio":1}}', "not JSON"),
    "NaN": ('{"retryThrottling":{"maxTokens":1,"tokenRatio":NaN}}', "not JSON"),
    "Infinity": ('{"retryThrottling":{"maxTokens":1,"tokenRatio":Infinity}}', "not JSON"),
    "float overflow": ('{"retryThrottling":{"maxTokens":1,"tokenRatio":1e999}}', "tokenRatio"),
    "key twice": ('{"methodConfig":[],"methodConfig":[]}', "twice"),
    "nested key twice": ('{"methodConfig":[{"name":[{}],"name":[{}]}]}', "twice"),
    "null": ('{"methodConfig":null}', "null"),
    "nested null": (methods(timeout=None), "null"),
    "policy": (user(loadBalancingConfig=[]), "loadBalancingConfig"),
    "old policy": (user(loadBalancingPolicy="round_robin"), "loadBalancingPolicy"),
    "unknown key": (user(methodconfig=[]), "methodconfig"),
    "snake case": (user(method_config=[]), "method_config"),
    "no name": (user(methodConfig=[{"timeout": "1s"}]), "name"),
    "empty names": (user(methodConfig=[{"name": []}]), "name"),
    "method without service": (user(methodConfig=[{"name": [{"method": "Get"}]}]), "service"),
    "name twice": (user(methodConfig=[METHOD, METHOD]), "once"),
    "zero backoff": (methods(retryPolicy=RETRY | {"initialBackoff": "0s"}), "initialBackoff"),
    "duration as number": (methods(timeout=1), "timeout"),
    "duration in ms": (methods(timeout="100ms"), "timeout"),
    "negative duration": (methods(timeout="-1s"), "timeout"),
    "duration with newline": (methods(timeout="1s\n"), "timeout"),
    "ten digits": (methods(timeout="1.0000000001s"), "timeout"),
    "attempts as text": (methods(retryPolicy=RETRY | {"maxAttempts": "3"}), "maxAttempts"),
    "attempts as float": (methods(retryPolicy=RETRY | {"maxAttempts": 3.5}), "maxAttempts"),
    "one attempt": (methods(retryPolicy=RETRY | {"maxAttempts": 1}), "maxAttempts"),
    "six attempts": (methods(retryPolicy=RETRY | {"maxAttempts": 6}), "maxAttempts"),
    "multiplier as text": (methods(retryPolicy=RETRY | {"backoffMultiplier": "2"}), "backoffMultiplier"),
    "multiplier as boolean": (methods(retryPolicy=RETRY | {"backoffMultiplier": True}), "backoffMultiplier"),
    "multiplier zero": (methods(retryPolicy=RETRY | {"backoffMultiplier": 0}), "backoffMultiplier"),
    "code in lower case": (methods(retryPolicy=RETRY | {"retryableStatusCodes": ["unavailable"]}), "retryable"),
    "code as number": (methods(retryPolicy=RETRY | {"retryableStatusCodes": [14]}), "retryable"),
    "code OK": (methods(retryPolicy=RETRY | {"retryableStatusCodes": ["OK"]}), "retryable"),
    "no codes": (methods(retryPolicy=RETRY | {"retryableStatusCodes": []}), "retryable"),
    "retry and hedging": (
        methods(retryPolicy=RETRY, hedgingPolicy={"maxAttempts": 2, "hedgingDelay": "1s"}),
        "grpc-js",
    ),
    "hedging without delay": (methods(hedgingPolicy={"maxAttempts": 2}), "hedgingDelay"),
    "waitForReady as text": (methods(waitForReady="true"), "waitForReady"),
    "tokens 0": (user(retryThrottling={"maxTokens": 0, "tokenRatio": 0.1}), "maxTokens"),
    "tokens 1001": (user(retryThrottling={"maxTokens": 1001, "tokenRatio": 0.1}), "maxTokens"),
    "ratio too small": (user(retryThrottling={"maxTokens": 10, "tokenRatio": 0.0001}), "tokenRatio"),
}


@pytest.mark.parametrize(("text", "place"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(text: str, place: str) -> None:
    with pytest.raises(ServiceConfigError, match=re.escape(place)):
        parse_user_config(text)


def test_a_config_that_would_not_fit_into_status_is_refused() -> None:
    # Every character grows sixfold in ASCII JSON.
    many = [{"name": [{"service": f"{i}" + "é" * 200}]} for i in range(60)]
    text = json.dumps({"methodConfig": many}, ensure_ascii=False)
    assert len(text) <= 16384
    with pytest.raises(ServiceConfigError, match="long"):
        service_config(client(serviceConfig=text))


@pytest.mark.parametrize(
    "text", ['{"a\\n\\u001b": 1}', '{"\\u00e9": null}', '{"a\\ud800": 1}', '{"\\u001b":1,"\\u001b":1}']
)
def test_messages_have_no_raw_characters_of_the_config(text: str) -> None:
    with pytest.raises(ServiceConfigError) as caught:
        parse_user_config(text)
    assert str(caught.value).isascii()
    assert str(caught.value).isprintable()


CLIENTS = st.fixed_dictionaries(
    {
        "policy": st.sampled_from(["RoundRobin", "PickFirst", "WeightedRoundRobin", "LeastRequest"]),
        "waitForReady": st.booleans(),
        "retry": st.fixed_dictionaries(
            {
                "mode": st.sampled_from(["Off", "Unavailable"]),
                "maxAttempts": st.integers(2, 5),
                "initialBackoff": st.integers(1, 99999).map(lambda n: f"{n}ms"),
                "maxBackoff": st.integers(1, 99999).map(lambda n: f"{n}s"),
                "backoffMultiplier": st.floats(1, 10),
                "throttling": st.fixed_dictionaries(
                    {
                        "mode": st.sampled_from(["Enabled", "Off"]),
                        "maxTokens": st.integers(1, 1000),
                        "tokenRatio": st.floats(0.001, 1),
                    }
                ),
            }
        ),
        "healthCheck": st.none() | st.fixed_dictionaries({"serviceName": st.text(max_size=20)}),
    }
)


def strings_in(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in strings_in(item)]
    if isinstance(value, list):
        return [text for item in value for text in strings_in(item)]
    return [value] if isinstance(value, str) else []


@given(CLIENTS)
def test_what_is_generated_passes_our_own_check(fields: dict[str, Any]) -> None:
    text = service_config(client(**{key: value for key, value in fields.items() if value is not None}))
    assert "\n" not in text
    assert text.isascii()
    config = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    policies = config.pop("loadBalancingConfig")
    assert policies[-1] == {"round_robin": {}}
    assert parse_user_config(json.dumps(config)) == config


@given(CLIENTS)
def test_generated_durations_have_nine_digits(fields: dict[str, Any]) -> None:
    fields = {key: value for key, value in fields.items() if key != "healthCheck"}
    found = [t for t in strings_in(json.loads(service_config(client(**fields)))) if re.match(r"[0-9]", t)]
    assert len(found) == (2 if fields["retry"]["mode"] == "Unavailable" else 0)
    assert all(re.fullmatch(r"[0-9]+\.[0-9]{9}s", t) for t in found)


@given(st.text(max_size=60) | st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["methodConfig", "name", "retryThrottling", "timeout", "maxTokens"]), inner, max_size=3),
    max_leaves=10,
).map(json.dumps))  # fmt: skip
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        config = parse_user_config(text)
    except ServiceConfigError:
        return
    assert parse_user_config(json.dumps(config, allow_nan=False)) == config
