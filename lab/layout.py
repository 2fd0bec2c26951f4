"""What one lab is made of, decided once: its folder, addresses, nodes and programs. Everything else reads it here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from . import network, sweep
from .network import Link
from .parts import Programs

PAUSE_IMAGE: Final = "docker.io/grpcbalance-lab/pause:1"
_FILE: Final = "lab.json"


@dataclass(frozen=True, slots=True)
class Layout:
    """A lab. `apiserver_args` and `kcm_args` are flags without dashes, and win over the lab's own."""

    id: str
    nodes: int
    link: Link
    programs: Programs
    apiserver_args: Mapping[str, str] = field(default_factory=dict)
    kcm_args: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """All that the lab writes is below it."""
        return sweep.RUN_ROOT / self.id

    @property
    def name(self) -> str:
        """Name of the lab, the same as of its cgroup folders."""
        return sweep.cgroup_name(self.id)

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.folder / "admin.kubeconfig"

    @property
    def pki(self) -> Path:
        """Certificates and keys."""
        return self.folder / "pki"

    @property
    def audit_log(self) -> Path:
        """Written by the API server."""
        return self.folder / "audit.log"

    def node_folder(self, number: int) -> Path:
        """What belongs to one node."""
        return self.folder / node_name(number)

    def containerd_socket(self, number: int) -> Path:
        """Socket of a node's containerd."""
        return self.node_folder(number) / "containerd.sock"

    def save(self) -> None:
        """Write it where `load` finds it."""
        plain = asdict(self) | {
            "programs": {"paths": {k: str(v) for k, v in self.programs.paths.items()}, "cni": str(self.programs.cni)}
        }
        (self.folder / _FILE).write_text(json.dumps(plain))


def load(folder: Path) -> Layout:
    """The lab that has this folder. Raises OSError when there is none."""
    plain = json.loads((folder / _FILE).read_text())
    programs = plain.pop("programs")
    paths = {name: Path(path) for name, path in programs["paths"].items()}
    return Layout(**plain | {"link": Link(**plain["link"]), "programs": Programs(paths, Path(programs["cni"]))})


def node_name(number: int) -> str:
    """Name of a node; the first is node-1."""
    return f"node-{number}"


def on_node(component: str, number: int) -> str:
    """Name of a component of a node: the first node's have no number."""
    return component if number == 1 else f"{component}-{number}"


def zone(number: int) -> str:
    """Zone of a node: a, b, c, and again from a."""
    return "abc"[(number - 1) % 3]


def flags(own: Mapping[str, str], given: Mapping[str, str]) -> tuple[str, ...]:
    """Command line flags; what is given replaces the lab's own."""
    return tuple(f"--{name}={value}" for name, value in {**own, **given}.items())


def apiserver_inside() -> str:
    """Where the lab's own components find the API server."""
    return f"https://{network.node_address(1)}:6443"
