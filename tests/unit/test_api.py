"""Types of the API as they read live objects: durations, names of variables, unknown fields."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from grpcbalance.api import Spec, milliseconds, parse_spec
from grpcbalance.api.scalars import FORBIDDEN_VARIABLES, Authority, Duration, DurationOrOff, VariableName

UNITS = {
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}
PARTS = st.lists(st.tuples(st.integers(0, 99_999), st.sampled_from(sorted(UNITS))), min_size=1, max_size=4)
MINIMAL: dict[str, Any] = {"selector": {"app": "orders"}, "port": 5000}


def _accepts(kind: Any, value: object) -> bool:
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True


@given(PARTS)
def test_milliseconds_of_any_duration(parts: list[tuple[int, str]]) -> None:
    text = "".join(f"{number}{unit}" for number, unit in parts)
    expected = sum((number * UNITS[unit] for number, unit in parts), timedelta())
    assert milliseconds(text) == expected // timedelta(milliseconds=1)
    assert _accepts(Duration, text) == (len(text) <= 24)
    assert _accepts(DurationOrOff, text) == (len(text) <= 24)


def test_off_is_no_duration() -> None:
    assert milliseconds("Off") is None
    assert _accepts(DurationOrOff, "Off")
    assert not _accepts(Duration, "Off")


@pytest.mark.parametrize(
    "text", ["", "5", "5 s", "-5s", "1.5s", "5S", "5d", "1us", "123456s", "1s1s1s1s1s", "5s\n", "off"]
)
def test_what_is_no_duration(text: str) -> None:
    assert not _accepts(DurationOrOff, text)


# Written anew, in another way than the expression under test.
FORBIDDEN_WORDS = {
    "PATH", "HOME", "HOSTNAME", "SHELL", "IFS", "ENV", "TMPDIR", "CLASSPATH", "PROMPT_COMMAND", "GCONV_PATH", "LOCPATH",
    "GLIBC_TUNABLES", "LOCALDOMAIN", "RES_OPTIONS", "HOSTALIASES", "NODE_OPTIONS", "NODE_PATH", "NODE_EXTRA_CA_CERTS",
    "GODEBUG", "GOTRACEBACK", "GRPC_PROXY_EXP", "PROXY",
}  # fmt: skip
FORBIDDEN_STARTS = (
    "BASH_", "LD_", "DYLD_", "MALLOC_", "PYTHON", "PERL", "RUBY", "GEM_", "BUNDLE_", "PHP", "LUA_", "NODE_TLS_", "JAVA_",
    "_JAVA_", "JDK_", "JVM_", "MAVEN_", "CATALINA_", "DOTNET_", "CORECLR_", "COMPLUS_", "ASPNETCORE_", "SSL_CERT_",
    "OPENSSL_", "KUBERNETES_", "GRPC_XDS_BOOTSTRAP", "GRPC_DEFAULT_SSL_ROOTS_",
    "GRPC_EXPERIMENTAL_XDS_BOOTSTRAP", "GRPCBALANCE_",
)  # fmt: skip
FORBIDDEN_ENDS = ("_PROXY",)
TAILS = st.text("ABCXYZ019_", max_size=12)
NAMES = st.one_of(
    st.from_regex(re.compile("[A-Z][A-Z0-9_]{0,62}", re.ASCII), fullmatch=True),
    st.builds(str.__add__, st.sampled_from((*sorted(FORBIDDEN_WORDS), *FORBIDDEN_STARTS)), TAILS),
    st.builds(str.__add__, TAILS, st.sampled_from((*sorted(FORBIDDEN_WORDS), *FORBIDDEN_ENDS))),
)


@given(NAMES)
def test_forbidden_variables(name: str) -> None:
    expected = name in FORBIDDEN_WORDS or name.startswith(FORBIDDEN_STARTS) or name.endswith(FORBIDDEN_ENDS)
    assert bool(re.search(FORBIDDEN_VARIABLES, name)) == expected


@pytest.mark.parametrize(
    "name",
    ["GRPC_ORDERS_TARGET", "GRPC_SERVER_MAX_CONNECTION_AGE_MS", "GRPC_MAX_CONN_AGE", "BACKEND_ADDR", "NODE_ADDR"],
)
def test_names_that_are_wanted_are_not_forbidden(name: str) -> None:
    assert _accepts(VariableName, name)
    assert not re.search(FORBIDDEN_VARIABLES, name)


@pytest.mark.parametrize("name", ["", "lower", "1ST", "_A", "A-B", "A.B", "A" * 64, "A\n", "Ä"])
def test_what_is_no_name_of_a_variable(name: str) -> None:
    assert not _accepts(VariableName, name)


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("", True), ("orders", True), ("orders.shop.svc", True), ("orders.example.org:443", True), ("10.0.0.1:80", True),
        (":443", False), ("-a", False), ("a/b", False), ("a b", False), ("a:", False), ("a:123456", False),
    ],
)  # fmt: skip
def test_authority(text: str, good: bool) -> None:
    assert _accepts(Authority, text) is good


def test_unknown_fields_of_a_newer_release_are_ignored() -> None:
    newer = {**MINIMAL, "later": {"x": 1}, "client": {"later": True}}
    assert parse_spec(newer) == parse_spec(MINIMAL)


def test_wire_names_are_camel_case_and_from_is_from() -> None:
    spec = parse_spec({**MINIMAL, "allowedClients": {"namespaces": {"from": "All"}}, "serviceName": "o"})
    assert (spec.allowed_clients.namespaces.from_, spec.service_name) == ("All", "o")
    dumped = spec.model_dump(by_alias=True)
    assert dumped["allowedClients"]["namespaces"]["from"] == "All"


@pytest.mark.parametrize(("port", "kind"), [(5000, int), ("grpc", str)])
def test_port_keeps_its_kind(port: object, kind: type) -> None:
    assert isinstance(parse_spec({**MINIMAL, "port": port}).port, kind)


@pytest.mark.parametrize("port", [0, 65536, "", "UP", "a" * 16, 1.5])
def test_ports_that_cannot_be(port: object) -> None:
    with pytest.raises(ValidationError, match="port"):
        parse_spec({**MINIMAL, "port": port})


def test_specs_are_values() -> None:
    assert Spec.model_validate(MINIMAL) == parse_spec(dict(MINIMAL))
    field = "port"
    with pytest.raises(ValidationError, match="frozen"):
        setattr(parse_spec(MINIMAL), field, 1)
