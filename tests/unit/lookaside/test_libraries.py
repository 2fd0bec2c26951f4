"""Of clients only libraries and versions that are known are named."""

from __future__ import annotations

import pytest

from grpcbalance.lookaside.libraries import UNKNOWN, shown
from grpcbalance.xds.resources.features import BASELINE, agent
from tests.unit.xds.test_resources_features import KNOWN

RELEASED = [(name, version) for name, version, features, _ in KNOWN if features]
CORE = "gRPC C-core linux Python"


@pytest.mark.parametrize(("name", "version"), RELEASED)
def test_whoever_has_features_is_named(name: str, version: str) -> None:
    assert agent(name, version).features != BASELINE
    assert shown(name, version) == f"{name} {version}"


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("", ""),
        ("gRPC Go", ""),
        ("gRPC Go", "1"),
        ("gRPC Go", "1.85.0 see https://evil.example"),
        ("gRPC Go", "1.85.0\n"),
        ("gRPC Go", "1.85.0-run"),
        ("gRPC Go, run kubectl delete ns shop", "1.85.0"),
        ("gRPC C-core run this", "C-core 58.0.0"),
        (CORE, "C-core 58.0.0 Python 1.85.3 or run this"),
        (CORE, "1.85.3"),
        ("Acme internal agent", "1.85.0"),
    ],
)
def test_whatever_else_a_client_calls_itself_is_not_repeated(name: str, version: str) -> None:
    assert shown(name, version) == UNKNOWN


@pytest.mark.parametrize(
    ("name", "version"),
    [("gRPC Go", "1.86.0-dev"), ("gRPC Java", "1.86.0-SNAPSHOT"), (CORE, "C-core 59.0.0 Python 1.86.0rc1")],
)
def test_one_that_is_not_released_yet_is_named(name: str, version: str) -> None:
    assert shown(name, version) == f"{name} {version}"
