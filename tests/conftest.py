"""For all tests: what needs the lab says so elsewhere, and what failed on a cluster is kept."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

from lab import LabError
from lab.existing import is_wanted
from tests.kit.failures import folder_of

# What takes long on a busy machine is not wrong: speed is measured in benchmarks.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# Fixtures whose value is a cluster, the one that a test breaks first.
CLUSTERS = ("own_lab", "lab", "cluster", "bare_cluster")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Neither skipped in silence nor run on a lab, which is not what was asked for."""
    if is_wanted() and item.get_closest_marker("needs_lab"):
        text = (
            "this test needs the lab: it touches its processes, files or audit log. Unset USE_EXISTING_CLUSTER, or "
            'leave such tests out: -m "cluster and not needs_lab"'
        )
        pytest.fail(text, pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep logs, audit log and objects of the cluster when a test fails, and say where."""
    report = yield
    if report.failed:
        fixtures = getattr(item, "funcargs", {})
        found = next((fixtures[name] for name in CLUSTERS if name in fixtures), None)
        if found is not None:
            try:
                found.dump(folder_of(item.nodeid))
                said = f"logs, audit log and objects are in {folder_of(item.nodeid)}"
            except LabError as error:
                said = f"nothing could be kept: {error}"  # it is no more, since its fixture has ended
            report.sections.append(("cluster", said))
    return report
