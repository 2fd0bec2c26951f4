"""Writes everything that helps to understand a failure into a folder. What cannot be had becomes a line of text.

Reads only; never raises for a cluster in any state, since it is called when something is broken already.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from . import kubectl
from .layout import Layout
from .model import LabError

_SECONDS: Final = 30.0
# Listed in their other API group too, or secret.
_LEFT_OUT: Final = frozenset({"events", "events.events.k8s.io", "secrets", "componentstatuses"})


def dump_files(lab: Layout, folder: Path) -> None:
    """Logs of the components and of all pods' containers (ended ones too), and the audit log."""
    folder.mkdir(parents=True, exist_ok=True)
    _copy(lab.folder / "logs", folder / "components")
    for source in (lab.audit_log, lab.folder / "supervisor.log"):
        _copy(source, folder / source.name)
    for logs in sorted(lab.folder.glob("*/pod-logs")):
        _copy(logs, folder / "pods" / logs.parent.name)


def dump_objects(command: Callable[..., list[str]], folder: Path) -> None:
    """All objects of all kinds but Secrets as YAML, the Events in order, and the nodes and pods as a table."""
    folder.mkdir(parents=True, exist_ok=True)
    kinds = _run(command("api-resources", "--verbs=list", "--output=name", "--request-timeout=5s"))
    wanted = ",".join(kind for kind in kinds.split() if kind not in _LEFT_OUT)
    everywhere = ("--all-namespaces", "--request-timeout=20s")
    if wanted and " " not in kinds.strip():
        (folder / "objects.yaml").write_text(_run(command("get", wanted, "--output=yaml", *everywhere)))
    else:
        (folder / "objects.yaml").write_text(kinds)
        return
    (folder / "events.txt").write_text(
        _run(command("get", "events", "--sort-by=.lastTimestamp", "--output=wide", *everywhere))
    )
    (folder / "pods.txt").write_text(_run(command("get", "nodes,pods", "--output=wide", *everywhere)))


def dump_pod_logs(command: Callable[..., list[str]], folder: Path) -> None:
    """Logs of every pod, through the API server: for clusters whose files are elsewhere."""
    template = '{range .items[*]}{.metadata.namespace}{" "}{.metadata.name}{"\\n"}{end}'
    listed = _run(command("get", "pods", "--all-namespaces", f"--output=jsonpath={template}", "--request-timeout=20s"))
    (folder / "pods").mkdir(parents=True, exist_ok=True)
    for line in listed.splitlines():
        namespace, _, pod = line.partition(" ")
        arguments = ("logs", "--namespace", namespace, pod, "--all-containers", "--prefix", "--request-timeout=10s")
        (folder / "pods" / f"{namespace}_{pod}.log").write_text(_run(command(*arguments)))


def _run(command: list[str]) -> str:
    try:
        return kubectl.run(command, None, check=True, timeout=_SECONDS)
    except LabError as error:
        return f"# {error}\n"


def _copy(source: Path, target: Path) -> None:
    try:
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    except (OSError, shutil.Error) as error:
        target.with_name(f"{target.name}.missing").write_text(f"{error}\n")
