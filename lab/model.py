"""What a cluster offers to tests, demo and benchmarks, whoever runs it, and how it fails.

Only names and types: nothing here starts, reads or waits for anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Protocol

from .audit import AuditRecord


class LabError(Exception):
    """Something the lab needs is missing, or did not happen in time. The message names what to do or where to look."""


class Unsupported(LabError):  # noqa: N818 - it says what the caller may react to, as io.UnsupportedOperation does
    """Asked of a cluster that the lab does not run, and that only the one it runs can do."""


class Component(Protocol):
    """One process of the cluster, such as kube-apiserver."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def log(self) -> Path:
        """What it wrote."""

    @property
    def pid(self) -> int:
        """Process id as the caller's /proc shows it. Raises LabError when it does not run."""

    @property
    def alive(self) -> bool:
        """Whether the process exists; a paused one does."""

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""

    def pause(self) -> None:
        """SIGSTOP: it keeps its connections and answers nothing."""

    def resume(self) -> None:
        """SIGCONT."""

    def start(self) -> None:
        """Start it again, with the flags it had. Does not wait until it serves: Cluster.wait_ready does."""

    def restart(self) -> None:
        """Kill and start."""


class Cluster(Protocol):
    """A Kubernetes cluster with an administrator's kubeconfig.

    Members that only the lab can offer raise Unsupported elsewhere: `component`, `audit`, `writes`, `pod_pids`,
    and `import_image` (see `takes_images`).
    """

    @property
    def name(self) -> str:
        """Name for messages."""

    @property
    def kubeconfig(self) -> Path:
        """Kubeconfig of an administrator."""

    @property
    def takes_images(self) -> bool:
        """Whether `import_image` works; if not, the images have to be known to the cluster already."""

    def kubectl_command(self, *args: str) -> list[str]:
        """The command line of kubectl against this cluster."""

    def kubectl(self, *args: str, stdin: str | None = None, check: bool = True, timeout: float = 60) -> str:
        """Run kubectl; its standard output. Raises LabError with its standard error, unless `check` is false."""

    def component(self, name: str) -> Component:
        """A process of the control plane or of a node: "etcd", "kubelet", "kubelet-2" on the second node, ..."""

    def wait_ready(self, timeout: float = 60) -> None:
        """Wait until the API server is ready, every node is, and pods can be created. Raises LabError."""

    def import_image(self, archive: Path) -> None:
        """Make the images of an OCI archive known to every node."""

    def audit(self, since: datetime | None = None) -> Iterator[AuditRecord]:
        """What was asked of the API server, oldest first."""

    def writes(self, user: str, since: datetime | None = None) -> list[AuditRecord]:
        """What one user wrote with success: "system:serviceaccount:<namespace>:<name>" or another user name."""

    def pod_pids(self, namespace: str, pod: str, container: str | None = None) -> list[int]:
        """Process ids, as the caller's /proc shows them, of a pod's containers (or of one of them)."""

    def dump(self, folder: Path) -> None:
        """Write all that helps to understand a failure into a folder. Never raises for what cannot be had."""
