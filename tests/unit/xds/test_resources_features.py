"""What clients can take, by the very words with which they introduce themselves."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpcbalance.xds.resources.features import BASELINE, FEATURES, Agent, Features, agent

C_CORE, JAVA, GO, NODE = "gRPC C-core linux Python", "gRPC Java", "gRPC Go", "gRPC Node Pure JS"
LEAST_REQUEST = ("least_request", "GRPC_EXPERIMENTAL_ENABLE_LEAST_REQUEST")
WEIGHTED = ("weighted_round_robin", "GRPC_EXPERIMENTAL_XDS_WRR_LB")
PICK_FIRST = ("pick_first", "GRPC_EXPERIMENTAL_PICKFIRST_LB_CONFIG")

# name, version, what it has, what of it only behind a switch
KNOWN = [
    (C_CORE, "C-core 58.0.0 Python 1.85.3", "retry outlier_detection weighted_round_robin pick_first priorities", ()),
    ("gRPC C-core linux", "C-core 35.0.0", "retry outlier_detection weighted_round_robin pick_first priorities", ()),
    ("gRPC C-core", "C-core 34.0.0", "retry outlier_detection weighted_round_robin priorities", ()),
    (C_CORE, "C-core 31.0.0 Python 1.54.2", "retry outlier_detection priorities", ()),
    (C_CORE, "C-core 28.0.0 Python 1.50.0", "retry priorities", ()),
    (C_CORE, "C-core 19.0.0 Python 1.41.1", "retry priorities", ()),
    (C_CORE, "C-core 18.0.0", "", ()),
    (JAVA, "1.40.3", "retry", ()),
    (JAVA, "1.41.3", "retry priorities", ()),
    (JAVA, "1.54.9", "retry least_request priorities", ()),
    (JAVA, "1.58.0", "retry least_request weighted_round_robin priorities", ()),
    (JAVA, "1.58.1", "retry least_request weighted_round_robin pick_first priorities", ()),
    (JAVA, "1.85.1", "retry least_request weighted_round_robin pick_first priorities", ()),
    (GO, "1.41.0", "retry priorities", ()),
    (GO, "1.40.0", "", ()),
    (GO, "1.55.1", "retry outlier_detection priorities", ()),
    (GO, "1.56.0", "retry outlier_detection weighted_round_robin pick_first priorities", ()),
    (
        GO,
        "1.71.3",
        "retry outlier_detection weighted_round_robin pick_first least_request priorities",
        (LEAST_REQUEST,),
    ),
    (GO, "1.72.0", "retry outlier_detection weighted_round_robin pick_first least_request priorities", ()),
    (GO, "1.85.0-dev", "retry outlier_detection weighted_round_robin pick_first least_request priorities", ()),
    (NODE, "1.7.3", "outlier_detection priorities", ()),
    (NODE, "1.8.2", "outlier_detection retry priorities", ()),
    (NODE, "1.13.0", "outlier_detection retry pick_first priorities", (PICK_FIRST,)),
    (NODE, "1.14.1", "outlier_detection retry pick_first weighted_round_robin priorities", (PICK_FIRST, WEIGHTED)),
]


@pytest.mark.parametrize(("name", "version", "has", "switches"), KNOWN, ids=[f"{row[0]} {row[1]}" for row in KNOWN])
def test_known_clients(name: str, version: str, has: str, switches: tuple[tuple[str, str], ...]) -> None:
    found = agent(name, version)
    assert found.features == Features(**dict.fromkeys(has.split(), True))
    assert sorted(found.switches) == sorted(switches)


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("", ""),
        ("envoy", "1.36.0"),
        ("gRPC Rust", "1.85.0"),
        ("grpc go", "1.85.0"),
        ("gRPC Go ", "1.85.0"),
        ("gRPC C-corelinux", "C-core 58.0.0"),
        (C_CORE, "58.0.0"),
        (C_CORE, "1.85.3"),
        (GO, ""),
        (GO, "v1.85.0"),
        (GO, "master"),
        (GO, "99999.1"),
        (JAVA, "1"),
    ],
)
def test_a_client_that_is_not_known_takes_what_all_take(name: str, version: str) -> None:
    assert agent(name, version) == Agent(BASELINE, ())


@given(st.text(max_size=30) | st.sampled_from([C_CORE, JAVA, GO, NODE]), st.text(max_size=30))
def test_any_words_are_understood_or_passed_over(name: str, version: str) -> None:
    found = agent(name, version)
    assert all(getattr(found.features, feature) for feature, _ in found.switches)


@pytest.mark.parametrize("name", [JAVA, GO, NODE])
def test_nobody_unlearns(name: str) -> None:
    had: set[str] = set()
    for minor, patch in product(range(100), range(3)):
        now = agent(name, f"1.{minor}.{patch}").features
        has = {feature for feature in FEATURES if getattr(now, feature)}
        assert had <= has
        had = has


def test_only_the_wanted_features_are_kept() -> None:
    everything = Features(**dict.fromkeys(FEATURES, True))
    assert everything.only(frozenset(FEATURES)) == everything
    assert everything.only(frozenset({"retry"})) == Features(retry=True)
    assert BASELINE.only(frozenset(FEATURES)) == BASELINE
