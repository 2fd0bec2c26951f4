"""A cluster that somebody else runs: a test of ours works there as it does on the lab."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lab import Lab
from lab.cluster import RUNNING
from lab.install import ROOT

# A lab plays the other cluster: all that is known of it is its kubeconfig.
pytestmark = [pytest.mark.cluster, pytest.mark.needs_lab]

TEST = "tests/cluster/test_service.py::test_deleted_service_is_made_anew"


def test_a_cluster_test_passes_there(cluster: Lab) -> None:
    environment = {**cluster.environment, "USE_EXISTING_CLUSTER": "1"}
    del environment[RUNNING]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", TEST],
        check=False,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "1 passed" in ran.stdout
    assert cluster.component("etcd").alive
