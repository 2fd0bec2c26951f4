"""A running lab for the tests that only look, and what every one of them needs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab import Lab
from lab.rest import Rest


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """One lab for all tests of a module; each leaves it working."""
    with Lab() as running:
        yield running


@pytest.fixture(scope="module")
def api(lab: Lab) -> Iterator[Rest]:
    """Its API, as administrator."""
    with Rest(lab.kubeconfig) as rest:
        yield rest
