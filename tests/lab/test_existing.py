"""Somebody else's cluster under the lab's interface: what can be done there, and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lab import LabError, Unsupported, open_cluster
from lab.existing import ExistingCluster
from lab.install import ROOT

from .conftest import Install

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def existing(programs: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ExistingCluster:
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setenv("USE_EXISTING_CLUSTER", "1")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    (tmp_path / "config").touch()
    programs(
        "kubectl",
        'case "$*" in *current-context) echo kind-kind;; *boom*) echo no such thing >&2; exit 1;; *) echo "$@";; esac',
    )
    opened = open_cluster()
    assert isinstance(opened, ExistingCluster)
    return opened


def test_an_existing_cluster_is_reached_by_its_kubeconfig(existing: ExistingCluster, tmp_path: Path) -> None:
    assert existing.name == "kind-kind"
    assert existing.kubectl("get", "pods").strip() == f"--kubeconfig={tmp_path / 'config'} get pods"
    assert not existing.takes_images
    with existing as entered:
        assert entered is existing


def test_kubectl_that_fails_says_what_and_why(existing: ExistingCluster) -> None:
    with pytest.raises(LabError, match=r"^`kubectl get boom` failed: no such thing$"):
        existing.kubectl("get", "boom")
    assert existing.kubectl("get", "boom", check=False) == ""


@pytest.mark.parametrize(
    "act",
    [
        lambda cluster: cluster.component("etcd"),
        lambda cluster: cluster.import_image(Path("x.tar")),
        lambda cluster: cluster.audit(),
        lambda cluster: cluster.writes("jane"),
        lambda cluster: cluster.pod_pids("ns", "pod"),
    ],
)
def test_what_only_the_lab_can_do_is_refused(
    existing: ExistingCluster, act: Callable[[ExistingCluster], object]
) -> None:
    with pytest.raises(Unsupported, match=r"existing cluster \(kind-kind\) cannot .*unset USE_EXISTING_CLUSTER"):
        act(existing)


def test_an_existing_cluster_needs_a_kubeconfig(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(LabError, match="set KUBECONFIG"):
        ExistingCluster()


def test_tests_that_need_the_lab_say_so_on_an_existing_cluster() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/cluster/test_permissions.py"]
    environment = {**os.environ, "USE_EXISTING_CLUSTER": "1", "KUBECONFIG": "/nowhere"}
    ran = subprocess.run(command, check=False, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 1
    assert "this test needs the lab" in ran.stdout
    assert '-m "cluster and not needs_lab"' in ran.stdout
    assert "passed" not in ran.stdout
    assert "skipped" not in ran.stdout
