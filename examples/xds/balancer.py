"""The look-aside balancer of the demo: installed as a user does it, and killed as nobody should."""

from __future__ import annotations

import os
import signal
from typing import Final

from lab import Cluster
from lab.install import NAMESPACE, XDS_DEPLOYMENT, install_xds, wait_rolled_out
from lab.model import Unsupported
from lab.rest import Rest, path

FOLDER: Final = "manifests/xds/plaintext"
_SELECTOR: Final = "app.kubernetes.io/component=xds"


def install(cluster: Cluster) -> None:
    """Apply its manifests for plain text and wait until it is ready."""
    install_xds(cluster, "plaintext")


def kill(cluster: Cluster, api: Rest) -> str:
    """SIGKILL for all of its replicas at once; what was done, in words.

    In a cluster whose processes are elsewhere their pods are deleted without any grace, and others come.
    """
    found = api.items(path("v1", "pods", NAMESPACE), _SELECTOR)
    names = [pod["metadata"]["name"] for pod in found if "deletionTimestamp" not in pod["metadata"]]
    try:
        pids = [pid for name in names for pid in cluster.pod_pids(NAMESPACE, name)]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        done = f"SIGKILL for {len(pids)} processes: {', '.join(names)}"
    except Unsupported:
        cluster.kubectl("delete", "pods", "--namespace", NAMESPACE, "--grace-period=0", "--force", *names)
        done = f"deleted without grace: {', '.join(names)}"
    return done


def wait_away(api: Rest) -> None:
    """Wait until it is known that a replica is away: one that was killed counts as ready for a moment."""
    api.wait(
        path("apps/v1", "deployments", NAMESPACE, XDS_DEPLOYMENT),
        lambda d: d["status"].get("readyReplicas", 0) < d["spec"]["replicas"],
        within=30,
        what="a replica of the look-aside balancer is away",
    )


def wait_ready(api: Rest) -> None:
    """Wait until all of its replicas serve again."""
    wait_rolled_out(api, NAMESPACE, XDS_DEPLOYMENT, within=90)
