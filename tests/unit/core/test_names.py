from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpcbalance import names

SERVICE_NAMES = st.from_regex(r"[a-z]([-a-z0-9]{0,52}[a-z0-9])?", fullmatch=True)


@pytest.mark.parametrize(
    ("service", "prefix"),
    [
        ("orders", "GRPC_ORDERS"),
        ("orders-v2", "GRPC_ORDERS_V2"),
        ("a", "GRPC_A"),
        ("a--b", "GRPC_A__B"),
    ],
)
def test_client_prefix(service: str, prefix: str) -> None:
    assert names.client_prefix(service) == prefix


@given(SERVICE_NAMES)
def test_every_service_name_gives_valid_variable_names(service: str) -> None:
    assert re.fullmatch(r"[A-Z][A-Z0-9_]*", names.client_prefix(service))


@given(SERVICE_NAMES)
def test_default_headless_name_is_always_a_valid_service_name(service: str) -> None:
    assert re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", names.headless_name(service))


def test_stem_of_names_that_differ_in_punctuation_only_is_the_same() -> None:
    # Two such services in one workload are refused as VariableClash, never merged.
    assert names.variable_stem("a-b") == names.variable_stem("a_b")


@given(st.text(), st.text())
def test_value_hash_tells_values_apart(one: str, other: str) -> None:
    texts = [text.encode("utf-8", "replace").decode() for text in (one, other)]
    assert (names.value_hash(texts[0]) == names.value_hash(texts[1])) is (texts[0] == texts[1])
