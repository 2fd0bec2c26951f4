from __future__ import annotations

from ipaddress import ip_address

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from grpcbalance.devdns.configs import canonical
from grpcbalance.devdns.hosts import Endpoint, Host, Port
from grpcbalance.devdns.names_file import NamesFileError, read
from grpcbalance.service_config import ServiceConfigError

FULL = """
Orders-headless.shop.svc.cluster.local.:
  addresses: [127.0.0.1, "::1"]
  ports: {grpc: 5000, metrics: 9090}
  ttl: 60
  serviceConfig: '{"loadBalancingConfig": [{"round_robin": {}}]}'
bare.test: {addresses: []}
"""


def test_what_a_file_can_say() -> None:
    ports = (Port("grpc", 5000), Port("metrics", 9090))
    name = "orders-headless.shop.svc.cluster.local"
    endpoints = (Endpoint(ip_address("127.0.0.1"), "127-0-0-1", ports), Endpoint(ip_address("::1"), "--1", ports))
    assert read(FULL) == {
        name: Host(name, endpoints, 60, '{"loadBalancingConfig":[{"round_robin":{}}]}'),
        "bare.test": Host("bare.test", (), 5, None),
    }


def test_default_service_config_is_for_names_without_one() -> None:
    found = read(FULL, '{"loadBalancingConfig":[{"pick_first":{}}]}')
    assert [host.service_config for host in found.values()] == [
        '{"loadBalancingConfig":[{"round_robin":{}}]}',
        '{"loadBalancingConfig":[{"pick_first":{}}]}',
    ]


def test_no_names() -> None:
    assert read("{}") == {}


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("", 1, "the file is empty; write {} for no names"),
        ("# only this\n", 1, "the file is empty"),
        ("[]", 1, "a mapping of names must stand here"),
        ("a.b:\n", 1, "a mapping of fields must stand here"),
        ("a.b: {addresses: []}\nc.d: [1.2.3.4]", 2, "a mapping of fields must stand here"),
        ("a.b:\n  addresses: [1.2.3.4\n  ttl: 3", 3, "no YAML: expected ',' or ']'"),
        ("a.b: {addresses: [::1]}", 1, "no YAML: "),
        ("a: {addresses: []}\n---\nb: {}", 2, "no YAML: but found another document"),
        ("a.b: {addresses: " + "[" * 3000, 1, "no YAML: "),
        ("\x00", 1, "no YAML: "),
        ("a: !!python/object:os.system {}", 1, "a: no YAML: could not determine a constructor"),
        ("a: {addresses: [], ttl: 2001-99-99}", 1, "a: no YAML: month must be in 1..12"),
        ("a: &x {? *x : *x}", 1, "a: no YAML: "),
        ("a_b: {addresses: []}", 1, "'a_b' must be a DNS name"),
        ("-a.b: {addresses: []}", 1, "'-a.b' must be a DNS name"),
        ("a..b: {addresses: []}", 1, "'a..b' must be a DNS name"),
        ("? [a]\n: {addresses: []}", 1, "'' must be a DNS name"),
        (
            "a." * 100 + "b: {addresses: []}",
            1,
            "must be a DNS name of letters, digits, dashes and dots, at most 189 long",
        ),
        ("x" * 64 + ": {addresses: []}", 1, "must be a DNS name"),
        ("a.b: {addresses: []}\n\nA.b.: {addresses: []}", 3, "a.b stands twice"),
        ("a.b:\n  addresses: []\n  ttl: 1\n  ttl: 2", 4, "ttl stands twice"),
        ("a.b:\n  addresses: []\n  ports:\n    grpc: 1\n    grpc: 2", 5, "grpc stands twice"),
        ("a.b:\n  ttl: 3", 1, "a.b: addresses: Field required"),
        ("a.b:\n  addresses: []\n  port: {}", 3, "a.b: port: Extra inputs are not permitted"),
        (
            "a.b:\n  addresses:\n  - 1.2.3.4\n  - 1.2.3.400",
            4,
            "a.b: addresses.1: '1.2.3.400' does not appear to be an IPv4",
        ),
        ("a.b:\n  addresses: [1.2]", 2, "a.b: addresses.0: must be an IP address in quotes"),
        ("a.b:\n  addresses: [1.2.3.4, 1.2.3.4]", 2, "a.b: addresses: stands twice: 1.2.3.4"),
        ("a.b:\n  addresses: ['fe80::1%eth0']", 2, "cannot hold an address with a zone"),
        (
            "a.b:\n  addresses: []\n  ports:\n    grpc: 70000",
            4,
            "a.b: ports.grpc: Input should be less than or equal to 65535",
        ),
        ("a.b:\n  addresses: []\n  ports: {Grpc: 1}", 3, "a.b: ports.Grpc: String should match pattern"),
        ("a.b:\n  addresses: []\n  ports: {80: 1}", 3, "a.b: ports.80: Input should be a valid string"),
        ("a.b:\n  addresses: []\n  ttl: -1", 3, "a.b: ttl: Input should be greater than or equal to 0"),
        ("a.b:\n  addresses: []\n  ttl: yes", 3, "a.b: ttl: Input should be a valid integer"),
        ("a.b:\n  addresses: []\n  serviceConfig: '{'", 3, "a.b: serviceConfig: not JSON: "),
        (
            "a.b:\n  addresses: []\n  serviceConfig: '{\"x\":1}'",
            3,
            "a.b: serviceConfig: x: Extra inputs are not permitted",
        ),
        ("x" * 1_048_577, 1, "the file is longer than 1048576 characters"),
        ("".join(f"n{number}: {{addresses: []}}\n" for number in range(1001)), 1, "1001 names; 1000 at most"),
    ],
)
def test_line_and_reason_of_a_mistake(text: str, line: int, reason: str) -> None:
    with pytest.raises(NamesFileError) as caught:
        read(text)
    assert str(caught.value).startswith(f"line {line}: ")
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    check(text)


TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["addresses", "ports", "ttl", "a"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["a.b", "c"]), TREES, max_size=2))
def test_no_structure_breaks_it(tree: object) -> None:
    check(yaml.safe_dump(tree))


def check(text: str) -> None:
    try:
        found = read(text)
    except NamesFileError:
        return
    assert all(name == host.name for name, host in found.items())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", "{}"),
        (
            '{"loadBalancingConfig": [{"weighted_round_robin": {}}, {"round_robin": {}}]}',
            '{"loadBalancingConfig":[{"weighted_round_robin":{}},{"round_robin":{}}]}',
        ),
        (
            '{"methodConfig":[{"name":[{}],"timeout":"1.5s"}]}',
            '{"methodConfig":[{"name":[{}],"timeout":"1.500000000s"}]}',
        ),
        ('{"healthCheckConfig":{"serviceName":"ü"}}', '{"healthCheckConfig":{"serviceName":"\\u00fc"}}'),
    ],
)
def test_service_config(text: str, expected: str) -> None:
    assert canonical(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not JSON"),
        ("[" * 100_000, "16384 at most"),
        ("[" * 16_000, "not JSON"),
        ("[]", "must be a JSON object"),
        ('{"loadBalancingConfig":[]}', "must be a list of objects with one key each"),
        ('{"loadBalancingConfig":{"round_robin":{}}}', "must be a list of objects with one key each"),
        ('{"loadBalancingConfig":[{"round_robin":null}]}', "must be a list of objects with one key each"),
        ('{"loadBalancingConfig":[{"round_robin":{},"pick_first":{}}]}', "must be a list of objects with one key each"),
        ('{"loadBalancingConfig":[{"ring_hash":{}}]}', "must have round_robin or pick_first in it"),
        ('{"loadBalancingPolicy":"round_robin"}', "loadBalancingPolicy"),
        ('{"methodConfig":[{"name":[{}],"timeout":"5"}]}', "methodConfig.0.timeout"),
        ('{"healthCheckConfig":null}', "is null"),
    ],
)
def test_service_config_that_some_library_refuses(text: str, reason: str) -> None:
    with pytest.raises(ServiceConfigError, match=reason):
        canonical(text)
