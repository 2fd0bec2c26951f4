"""Fixtures of the cluster tests: one cluster for the session, a namespace for each test."""

from __future__ import annotations

import itertools
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lab import Cluster, Lab, open_cluster
from lab.images import LANGUAGES
from lab.install import install_operator, install_xds, provide_images
from lab.rest import Rest, path
from tests.kit import xds
from tests.kit.failures import folder_of, kept_when_failing
from tests.kit.shop import Shop

# Short, so that tests need not wait a minute for a Service that nobody uses any more.
FLAGS = ("--retire-after=3",)

_numbers = itertools.count(1)
# In a cluster that outlives the run, namespaces of the run before may still be there.
_RUN = secrets.token_hex(2)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What judges the whole run (permissions) comes last; what breaks clusters comes just before it."""
    order = {"test_faults": 1, "test_crd_removal": 1, "test_permissions": 2}
    items.sort(key=lambda item: order.get(item.path.stem, 0))


@pytest.fixture(scope="session")
def bare_cluster() -> Iterator[Cluster]:
    """A cluster with the images in it, but nothing installed."""
    with open_cluster(keep=folder_of("start")) as cluster:
        provide_images(cluster)
        yield cluster


@pytest.fixture(scope="session")
def cluster(bare_cluster: Cluster) -> Cluster:
    """The session's cluster with the operator installed as a user would."""
    with kept_when_failing(bare_cluster, "installation"):
        install_operator(bare_cluster, FLAGS)
    return bare_cluster


@pytest.fixture
def own_lab() -> Iterator[Lab]:
    """A lab of the test's own, to break; the operator is installed in it."""
    with Lab(keep=folder_of("own-lab")) as lab:
        provide_images(lab)
        install_operator(lab, FLAGS)
        yield lab


@pytest.fixture(scope="session")
def api(cluster: Cluster) -> Iterator[Rest]:
    """A client of the session's cluster, as its administrator."""
    with Rest(cluster.kubeconfig) as rest:
        yield rest


@pytest.fixture
def namespace(api: Rest, request: pytest.FixtureRequest) -> Iterator[str]:
    """A fresh namespace, deleted afterwards."""
    name = new_namespace(api, request.node.name)
    yield name
    api.delete(path("v1", "namespaces", "", name))


@pytest.fixture
def shop(cluster: Cluster, api: Rest, namespace: str) -> Shop:
    """The test's namespace with what can be done in it."""
    return Shop(cluster, api, namespace)


@pytest.fixture
def web(cluster: Cluster, api: Rest, request: pytest.FixtureRequest) -> Iterator[Shop]:
    """A second namespace, of clients."""
    with another_shop(cluster, api, f"web-{request.node.name}") as place:
        yield place


@contextmanager
def another_shop(cluster: Cluster, api: Rest, test: str) -> Iterator[Shop]:
    """One more namespace with what can be done in it."""
    name = new_namespace(api, test)
    yield Shop(cluster, api, name)
    api.delete(path("v1", "namespaces", "", name))


def new_namespace(api: Rest, test: str) -> str:
    """Create a namespace whose name tells of the test."""
    stem = re.sub(r"[^a-z0-9]+", "-", test.removeprefix("test_").lower())[:40].strip("-")
    name = f"t{_RUN}-{next(_numbers):03d}-{stem}"
    api.create(path("v1", "namespaces"), {"metadata": {"name": name}})
    return name


@pytest.fixture(scope="session")
def authority(cluster: Cluster, api: Rest) -> bytes:
    """The look-aside balancer is installed, over TLS and in plain text; answers with the certificate of its signer."""
    provide_images(cluster, ("go", "python"))
    signer = xds.make_certificate(api)
    install_xds(cluster, "both")
    return signer


@pytest.fixture(scope="session")
def examples(cluster: Cluster) -> None:
    """The images of the examples in all languages are known to the cluster."""
    provide_images(cluster, LANGUAGES)
