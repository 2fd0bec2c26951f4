from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpcbalance.api import milliseconds, parse_spec
from grpcbalance.variables import Target, VariableClashError, client_variables, server_variables

TARGET = Target("orders-headless.shop.svc.cluster.local.", 5000)


def client(authority: str = "", **fields: Any) -> dict[str, str]:
    spec = parse_spec({"selector": {"a": "b"}, "port": 5000, "client": fields})
    return client_variables("orders", spec.client, TARGET, authority)


def server(**fields: Any) -> dict[str, str]:
    return server_variables(parse_spec({"selector": {"a": "b"}, "port": 5000, "server": fields}).server)


def test_client_defaults() -> None:
    assert client() == {
        "GRPC_ORDERS_TARGET": "dns:///orders-headless.shop.svc.cluster.local.:5000",
        "GRPC_ORDERS_SERVICE_CONFIG": '{"loadBalancingConfig":[{"round_robin":{}}]}',
        "GRPC_ORDERS_MIN_RESOLUTION_INTERVAL_MS": "10000",
    }


def test_server_defaults() -> None:
    assert server() == {
        "GRPC_SERVER_MAX_CONNECTION_AGE_MS": "300000",
        "GRPC_SERVER_MAX_CONNECTION_AGE_GRACE_MS": "30000",
    }


def test_server_with_everything_set() -> None:
    keepalive = {"time": "1m", "timeout": "20s", "minClientInterval": "5s", "permitWithoutCalls": True}
    assert server(maxConnectionIdle="10m", keepalive=keepalive) == {
        "GRPC_SERVER_MAX_CONNECTION_AGE_MS": "300000",
        "GRPC_SERVER_MAX_CONNECTION_AGE_GRACE_MS": "30000",
        "GRPC_SERVER_MAX_CONNECTION_IDLE_MS": "600000",
        "GRPC_SERVER_KEEPALIVE_TIME_MS": "60000",
        "GRPC_SERVER_KEEPALIVE_TIMEOUT_MS": "20000",
        "GRPC_SERVER_MIN_PING_INTERVAL_MS": "5000",
        "GRPC_SERVER_PERMIT_KEEPALIVE_WITHOUT_CALLS": "true",
    }


@pytest.mark.parametrize(
    ("fields", "absent"),
    [
        ({"maxConnectionAge": "Off"}, "GRPC_SERVER_MAX_CONNECTION_AGE_MS"),
        ({"maxConnectionAgeGrace": "Off"}, "GRPC_SERVER_MAX_CONNECTION_AGE_GRACE_MS"),
        ({"maxConnectionIdle": "Off"}, "GRPC_SERVER_MAX_CONNECTION_IDLE_MS"),
        # Refused by the CRD, but a stored object may be older than the rule.
        ({"maxConnectionAge": "0s"}, "GRPC_SERVER_MAX_CONNECTION_AGE_MS"),
        ({"keepalive": {"timeout": "0s"}}, "GRPC_SERVER_KEEPALIVE_TIMEOUT_MS"),
    ],
)
def test_what_is_off_yields_no_variable_and_never_a_zero(fields: dict[str, Any], absent: str) -> None:
    variables = server(**fields)
    assert absent not in variables
    assert "0" not in variables.values()


def test_unmanaged_servers_get_nothing() -> None:
    assert server(mode="Unmanaged", maxConnectionIdle="10m") == {}


@pytest.mark.parametrize(
    ("unit", "name", "value"),
    [
        ("Milliseconds", "GRPC_SERVER_MAX_CONNECTION_AGE_MS", "90500"),
        ("Seconds", "GRPC_SERVER_MAX_CONNECTION_AGE_SECONDS", "91"),
        ("GoDuration", "GRPC_SERVER_MAX_CONNECTION_AGE", "1m30s500ms"),
    ],
)
def test_units(unit: str, name: str, value: str) -> None:
    variables = server(maxConnectionAge="1m30s500ms", env={"maxConnectionAge": {"unit": unit}})
    assert variables[name] == value


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ("URI", "dns:///orders-headless.shop.svc.cluster.local.:5000"),
        ("HostPort", "orders-headless.shop.svc.cluster.local.:5000"),
        ("Host", "orders-headless.shop.svc.cluster.local."),
    ],
)
def test_target_forms_and_renaming(form: str, value: str) -> None:
    assert client(env={"target": {"name": "UPSTREAM", "format": form}})["UPSTREAM"] == value


def test_authority_only_when_there_is_one() -> None:
    assert "GRPC_ORDERS_AUTHORITY" not in client()
    assert client(authority="orders.shop.svc")["GRPC_ORDERS_AUTHORITY"] == "orders.shop.svc"


def test_one_name_for_two_values_is_refused() -> None:
    with pytest.raises(VariableClashError, match="UPSTREAM"):
        client(env={"target": {"name": "UPSTREAM"}, "serviceConfig": {"name": "UPSTREAM"}})


def test_dollar_is_escaped_for_the_kubelet() -> None:
    # service/method names cannot hold it, but a health service name can.
    variables = client(healthCheck={"serviceName": "$(PATH)"})
    assert '"$$(PATH)"' in variables["GRPC_ORDERS_SERVICE_CONFIG"]


DURATIONS = (
    st.lists(st.tuples(st.integers(0, 99999), st.sampled_from(["h", "m", "s", "ms"])), min_size=1, max_size=4)
    .map(lambda parts: "".join(f"{count}{unit}" for count, unit in parts))
    .filter(lambda text: len(text) <= 24)
)


def go_milliseconds(text: str) -> int:
    """What Go's time.ParseDuration makes of our subset, written independently of the code under test."""
    assert re.fullmatch(r"(\d+h)?(\d+m)?(\d+s)?(\d+ms)?", text), text
    assert text
    total = 0
    for count, unit in re.findall(r"(\d+)(h|ms|m|s)", text):
        total += int(count) * {"h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}[unit]
    return total


@given(DURATIONS)
def test_units_all_say_the_same(duration: str) -> None:
    expected = milliseconds(duration)
    assert expected is not None
    rendered = [
        list(
            server(
                maxConnectionAge=duration, maxConnectionAgeGrace="Off", env={"maxConnectionAge": {"unit": u}}
            ).values()
        )
        for u in ("Milliseconds", "Seconds", "GoDuration")
    ]
    if expected == 0:
        assert rendered == [[], [], []]
        return
    (in_ms,), (in_seconds,), (in_go,) = rendered
    assert int(in_ms) == expected
    assert expected <= int(in_seconds) * 1000 < expected + 1000
    assert go_milliseconds(in_go) == expected


@given(DURATIONS)
def test_milliseconds_agrees_with_a_second_reader(duration: str) -> None:
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
    seconds = sum(int(n) * units[u] for n, u in re.findall(r"(\d+)(ms|[hms])", duration))
    assert milliseconds(duration) == round(seconds * 1000)
