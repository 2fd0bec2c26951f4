"""The containers of a lab: images into each node's containerd, and the processes that run in containers."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from . import oci
from .layout import PAUSE_IMAGE, Layout
from .model import LabError

_SOCKET_SECONDS: Final = 30.0
_IMPORT_SECONDS: Final = 300.0
# Where the kubelet keeps images and containers, among other users of a containerd.
_NAMESPACE: Final = "k8s.io"


def prepare(lab: Layout) -> None:
    """Give every node the image of the pod sandbox as soon as its containerd serves."""
    archive = lab.folder / "pause.tar"
    oci.write_archive(archive, PAUSE_IMAGE, {"/pause": lab.programs.paths["pause"]}, ["/pause"])
    import_archive(lab, archive)


def import_archive(lab: Layout, archive: Path) -> None:
    """Import an OCI archive into each node's containerd, all at once. Raises LabError."""
    with ThreadPoolExecutor(lab.nodes) as pool:
        for _ in pool.map(lambda number: _import(lab, number, archive), range(1, lab.nodes + 1)):
            pass


def _import(lab: Layout, number: int, archive: Path) -> None:
    address = lab.containerd_socket(number)
    deadline = time.monotonic() + _SOCKET_SECONDS
    while not _listens(address):
        if time.monotonic() > deadline:
            raise LabError(f"containerd of node {number} does not listen after {_SOCKET_SECONDS:g} s")
        time.sleep(0.01)
    command = [lab.programs["ctr"], "--address", str(address), "--namespace", _NAMESPACE, "images", "import"]
    answer = subprocess.run(
        [*command, str(archive)], check=False, capture_output=True, text=True, timeout=_IMPORT_SECONDS
    )
    if answer.returncode != 0:
        raise LabError(f"{archive} could not be imported into node {number}: {answer.stderr.strip()}")


def _listens(path: Path) -> bool:
    """Whether somebody accepts connections: the file is there a moment earlier."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(path))
        except OSError:
            return False
    return True


def container_ids(pod: dict[str, Any], container: str | None) -> list[str]:
    """Ids of a pod's running containers, or of the one of that name. Raises LabError when none runs."""
    status = pod["status"]
    found = [
        entry["containerID"].partition("://")[2]
        for kind in ("containerStatuses", "initContainerStatuses")
        for entry in status.get(kind, [])
        if "running" in entry.get("state", {}) and container in (None, entry["name"])
    ]
    if not found:
        raise LabError(f"no container {container or ''} of pod {pod['metadata']['name']} runs".replace("  ", " "))
    return found


def pids(lab: str, containers: Collection[str], proc: Path = Path("/proc")) -> list[int]:
    """Processes in the cgroups of containers of a lab, sorted, by the numbers that `proc` shows."""
    found = []
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            groups = (entry / "cgroup").read_text()
        except OSError:
            continue  # it has ended meanwhile
        if f"/{lab}/" in groups and any(container in groups for container in containers):
            found.append(int(entry.name))
    return sorted(found)
