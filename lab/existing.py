"""A cluster that somebody else runs, under the same names as the lab; and the choice between the two.

Needs a KUBECONFIG with the rights of an administrator. Starts, stops and removes nothing of that cluster.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Final, NoReturn, Self

from . import dump, kubectl, parts, preflight
from .audit import AuditRecord
from .cluster import RUNNING, Lab
from .model import Cluster, Component, LabError, Unsupported

_TRUE: Final = frozenset({"1", "true", "yes"})


def is_wanted() -> bool:
    """Whether USE_EXISTING_CLUSTER says so."""
    return os.environ.get("USE_EXISTING_CLUSTER", "").lower() in _TRUE


def open_cluster(nodes: int = 1, *, keep: Path | None = None) -> AbstractContextManager[Cluster]:
    """A cluster for a `with` block: yours with USE_EXISTING_CLUSTER=1, else the one of `lab exec`, else a new one.

    `keep`: as of Lab, for a new one.
    """
    if is_wanted():
        return ExistingCluster()
    running = os.environ.get(RUNNING)
    if running:
        found = Lab.attach(Path(running))
        if found.layout.nodes >= nodes:
            return found
    return Lab(nodes, keep=keep)


class ExistingCluster:
    """The cluster of KUBECONFIG, as a context manager. Implements model.Cluster as far as that can be done.

    Raises LabError when KUBECONFIG is not one readable file, or there is no kubectl.
    """

    takes_images = False

    def __init__(self) -> None:
        given = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
        self._kubeconfig = Path(given)
        if not self._kubeconfig.is_file():
            raise LabError(
                f"USE_EXISTING_CLUSTER is set, and there is no kubeconfig {given}: set KUBECONFIG to one file"
            )
        self._kubectl = _kubectl()
        self.name = kubectl.run(
            self.kubectl_command("config", "current-context"), stdin=None, check=True, timeout=20
        ).strip()

    def __enter__(self) -> Self:
        self.wait_ready()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    @property
    def kubeconfig(self) -> Path:
        """The one of KUBECONFIG."""
        return self._kubeconfig

    def kubectl_command(self, *args: str) -> list[str]:
        """The command line of kubectl against this cluster."""
        return [self._kubectl, f"--kubeconfig={self._kubeconfig}", *args]

    def kubectl(self, *args: str, stdin: str | None = None, check: bool = True, timeout: float = 60) -> str:
        """Run kubectl; its standard output."""
        return kubectl.run(self.kubectl_command(*args), stdin, check, timeout)

    def wait_ready(self, timeout: float = 60) -> None:
        """Wait until the API server answers and every node is Ready."""
        seconds = f"{max(1, int(timeout))}s"
        self.kubectl("wait", "--for=condition=Ready", "nodes", "--all", f"--timeout={seconds}", timeout=timeout + 5)

    def component(self, name: str) -> Component:
        """Raises Unsupported: only the lab's processes can be touched."""
        self._refuse(f"stop or start {name}")

    def import_image(self, archive: Path) -> None:
        """Raises Unsupported: how depends on the cluster (`kind load image-archive`, a registry, ...)."""
        self._refuse(f"import {archive.name}: load it by the cluster's own means")

    def audit(self, since: datetime | None = None) -> Iterator[AuditRecord]:
        """Raises Unsupported: the audit log is a file of the API server."""
        self._refuse(f"read the audit log (since {since})" if since else "read the audit log")

    def writes(self, user: str, since: datetime | None = None) -> list[AuditRecord]:
        """Raises Unsupported, as `audit` does."""
        del since
        self._refuse(f"read the audit log for {user}")

    def pod_pids(self, namespace: str, pod: str, container: str | None = None) -> list[int]:
        """Raises Unsupported: the processes are on another machine."""
        self._refuse(f"touch processes of {namespace}/{pod}" + (f", container {container}" if container else ""))

    def dump(self, folder: Path) -> None:
        """Objects, Events and pod logs into a folder; logs of components are not to be had."""
        dump.dump_objects(self.kubectl_command, folder)
        dump.dump_pod_logs(self.kubectl_command, folder)

    def _refuse(self, what: str) -> NoReturn:
        raise Unsupported(f"an existing cluster ({self.name}) cannot {what}; unset USE_EXISTING_CLUSTER to use the lab")


def _kubectl() -> str:
    """kubectl of KUBEBUILDER_ASSETS, of PATH, or of a lab that is built already."""
    asset = parts.asset_programs().get("kubectl")
    found = asset or preflight.find("kubectl")
    if found is None:
        # Without Go, or with one that is too old, nothing can have been built: then that is not what is to be said.
        with contextlib.suppress(LabError):
            built = parts.location(parts.KUBE) / "kubectl"
            found = built if built.exists() else None
    if found is None:
        raise LabError("there is no kubectl on PATH, and USE_EXISTING_CLUSTER needs one: install it")
    return str(found)
