from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpcbalance.names import xds_target
from grpcbalance.xds.resources.names import Name, cluster_name, listener_name, parse

ENDS = string.ascii_lowercase + string.digits
MIDDLE = st.text(ENDS + "-", max_size=52)
SERVICES = st.tuples(st.sampled_from(string.ascii_lowercase), MIDDLE, st.sampled_from(ENDS)).map("".join)
NAMESPACES = st.tuples(st.sampled_from(ENDS), st.text(ENDS + "-", max_size=61), st.sampled_from(ENDS)).map("".join)
NAMES = st.builds(Name, SERVICES | st.just("o"), NAMESPACES | st.just("7"), st.integers(1, 65535))


@given(NAMES)
def test_a_name_is_read_as_it_was_written(name: Name) -> None:
    assert parse(str(name)) == name


@given(st.text(string.ascii_lowercase + string.digits + ".:-\n A", max_size=40) | NAMES.map(lambda name: f"{name}0"))
def test_what_is_read_is_written_the_same(text: str) -> None:
    name = parse(text)
    assert name is None or str(name) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "orders",
        "orders.shop",
        "orders:5000",
        "orders.shop:",
        "orders.shop:0",
        "orders.shop:05000",
        "orders.shop:65536",
        "orders.shop:99999",
        "orders.shop:+5000",
        "orders.shop:５０００",  # noqa: RUF001 - digits that are not ASCII
        "orders.shop:5000\n",
        " orders.shop:5000",
        "orders.shop.svc:5000",
        "Orders.shop:5000",
        "0rders.shop:5000",
        "orders-.shop:5000",
        "orders.-shop:5000",
        "orders.shop:5000/x",
        f"{'o' * 55}.shop:5000",
        f"orders.{'s' * 64}:5000",
        "o" * 1_000_000,
    ],
    ids=lambda text: text[:30],
)
def test_what_is_no_name(text: str) -> None:
    assert parse(text) is None


def test_all_is_named_as_the_client_calls_it() -> None:
    name = Name("orders", "shop", 5000)
    assert xds_target(name.service, name.namespace, name.port) == "xds:///orders.shop:5000"
    assert listener_name(name) == cluster_name(name) == "orders.shop:5000"
