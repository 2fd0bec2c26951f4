"""Fixtures of the fault tests: one cluster for all of them, with the proxy between the operator and its API server."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest

from lab import Lab
from lab.install import provide_images
from lab.rest import Rest
from tests.faults.proxy import Proxy
from tests.faults.recorder import Recorder
from tests.faults.runner import Runner
from tests.faults.world import World
from tests.kit.failures import folder_of, kept_when_failing


@pytest.fixture(scope="package")
def lab() -> Iterator[Lab]:
    """A cluster that only these tests use: they break the API server and the operator in it."""
    with Lab(keep=folder_of("faults")) as lab:
        provide_images(lab)
        yield lab


@pytest.fixture(scope="package")
def world(lab: Lab) -> Iterator[World]:
    """The operator installed behind the proxy, and everything recorded."""
    with Rest(lab.kubeconfig) as api, Proxy(lab) as proxy, Recorder(lab.kubeconfig) as recorder:
        world = World(lab, api, proxy, recorder)
        with kept_when_failing(lab, "faults-installation"):
            world.deploy()
        yield world


@pytest.fixture(scope="package")
def runner(world: World) -> Runner:
    """References are made once for all tests."""
    return Runner(world)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep the proxy's log and the recorded history when a test fails, beside what is kept of the cluster."""
    report = yield
    found = getattr(item, "funcargs", {})
    world = found.get("world") or getattr(found.get("runner"), "world", None)
    if report.failed and world is not None:
        world.dump(folder_of(item.nodeid))
    return report
