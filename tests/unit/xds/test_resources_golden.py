"""Golden files: what each kind of client is given, to the last field. `golden_cases` writes them anew."""

from __future__ import annotations

import pytest

from grpcbalance.xds.resources.catalog import Variant, build
from tests.unit.xds.client_rules import broken
from tests.unit.xds.golden_cases import CASES, FOLDER, path, rendered
from tests.unit.xds.states import served_by


@pytest.mark.parametrize("case", CASES)
def test_resources_are_as_committed(case: str) -> None:
    assert rendered(case) == path(case).read_text()


@pytest.mark.parametrize("case", CASES)
def test_every_client_takes_them(case: str) -> None:
    client, slices, features, zone = CASES[case]
    resources = build(served_by(client, slices), Variant(features, zone))
    assert [(kind, broken(one)) for kind, named in resources.items() for one in named.values()] == [
        (kind, []) for kind in resources
    ]


def test_there_is_no_file_without_a_case() -> None:
    assert {file.stem for file in FOLDER.iterdir()} == set(CASES)
