"""The programs that a cluster is made of: what each is built from, and where the result is.

Versions stand in the go.mod files and nowhere else. Starts nothing.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from . import cache, preflight, progress
from .gomod import parse_version, required
from .model import LabError

_CONTAINERD: Final = "github.com/containerd/containerd/v2/cmd"
_CNI: Final = "github.com/containernetworking/plugins/plugins"
_BUILD_SECONDS: Final = 3600


@dataclass(frozen=True, slots=True)
class Part:
    """A Go module of lab/go: folder in the result -> packages whose commands go there; `links` -> first command."""

    name: str
    commands: Mapping[str, tuple[str, ...]]
    cold: str
    tags: str = ""
    links: tuple[str, ...] = field(default=())

    @property
    def folder(self) -> Path:
        """Its sources."""
        return preflight.MODULES / self.name


KUBE: Final = Part(
    "kube",
    {"": (".",)},
    "6 min",
    links=(
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-proxy",
        "kube-scheduler",
        "kubectl",
        "kubelet",
    ),
)
CRI: Final = Part(
    "cri",
    {
        "": (f"{_CONTAINERD}/containerd", f"{_CONTAINERD}/containerd-shim-runc-v2", f"{_CONTAINERD}/ctr"),
        "cni": (f"{_CNI}/main/ptp", f"{_CNI}/main/loopback", f"{_CNI}/ipam/host-local"),
    },
    "70 s",
    tags="no_btrfs,no_zfs,no_devmapper,no_aufs",
)
DNS: Final = Part("dns", {"": (".",)}, "50 s")
PAUSE: Final = Part("pause", {"": (".",)}, "1 s")
ALL: Final = (KUBE, CRI, DNS, PAUSE)


@dataclass(frozen=True, slots=True)
class Programs:
    """Where each program is, by name; `cni` is the folder of the network plugins."""

    paths: Mapping[str, Path]
    cni: Path

    def __getitem__(self, name: str) -> str:
        return str(self.paths[name])


def build() -> Programs:
    """Build what is not in the cache yet, and say where all is. Raises LabError."""
    assets = asset_programs()
    paths: dict[str, Path] = {}
    if not assets.keys() >= set(KUBE.links):
        folder = provide(KUBE)
        paths |= {name: folder / name for name in KUBE.links}
    cri, dns, pause = (provide(part) for part in (CRI, DNS, PAUSE))
    paths |= {name: cri / name for name in ("containerd", "containerd-shim-runc-v2", "ctr")}
    paths |= {"coredns": dns / "dns", "pause": pause / "pause"}
    return Programs(paths | assets, cri / "cni")


def asset_programs() -> dict[str, Path]:
    """What KUBEBUILDER_ASSETS holds of Kubernetes. Raises LabError when it is no folder or is too old."""
    given = os.environ.get("KUBEBUILDER_ASSETS")
    if not given:
        return {}
    folder = Path(given).absolute()
    found = {name: folder / name for name in KUBE.links if os.access(folder / name, os.X_OK)}
    if not found:
        raise LabError(f"KUBEBUILDER_ASSETS is {given}, where there is no etcd, kube-apiserver or kubectl: unset it")
    if "kube-apiserver" in found and not found.keys() >= set(KUBE.links):
        _check_skew(found["kube-apiserver"])
    return found


def _check_skew(apiserver: Path) -> None:
    """Kubernetes' rule: no component may be of a newer minor version than the API server."""
    answer = subprocess.run([apiserver, "--version"], check=False, capture_output=True, text=True, timeout=30)
    ours = kubernetes_version()
    try:
        theirs = parse_version(answer.stdout.removeprefix("Kubernetes "))
    except ValueError as error:
        raise LabError(f"{apiserver} --version says {answer.stdout!r}, which is no version") from error
    if theirs[:2] < parse_version(ours)[:2]:
        raise LabError(
            f"the API server of KUBEBUILDER_ASSETS is {'.'.join(map(str, theirs))}, older than the lab's other "
            f"components ({ours}): use assets of {ours} or newer, or unset KUBEBUILDER_ASSETS"
        )


def kubernetes_version() -> str:
    """Version of Kubernetes that the lab builds, as in "v1.2.3"."""
    return required((KUBE.folder / "go.mod").read_text(), "k8s.io/kubernetes")


def location(part: Part) -> Path:
    """Where the result of a part is or will be: it depends on the sources, the flags and the Go version."""
    files = [file for file in part.folder.rglob("*") if file.suffix == ".go" or file.name in ("go.mod", "go.sum")]
    facts = [preflight.go_version(), *_flags(part), repr(sorted(part.commands.items())), *part.links]
    return cache.entry(part.name, cache.key(part.folder, files, *facts))


def provide(part: Part) -> Path:
    """Folder of a part's programs, built if need be. Raises LabError."""
    target = location(part)
    if not target.exists() and part is not PAUSE:
        preflight.check_disk(target)
    return cache.provide(target, lambda folder: _build(part, folder))


def _flags(part: Part) -> list[str]:
    stamp = _version_stamp() if part is KUBE else ""
    return ["-trimpath", "-buildvcs=false", f"-tags={part.tags}", f"-ldflags=-s -w{stamp}"]


def _version_stamp() -> str:
    """Linker flags that give the programs their version; kubectl and Helm fail on the one of an unstamped build."""
    version = kubernetes_version()
    major, minor = parse_version(version)[:2]
    facts = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return "".join(f" -X {package}.{name}={value}" for package in packages for name, value in facts.items())


def _build(part: Part, folder: Path) -> None:
    with progress.step(f"building lab/go/{part.name} (about {part.cold} the first time)"):
        for below, packages in part.commands.items():
            (folder / below).mkdir(parents=True, exist_ok=True)
            go_build(part.folder, f"{folder / below}/", _flags(part), packages)
    for link in part.links:
        (folder / link).symlink_to(part.name)


def go_build(module: Path, output: str, flags: list[str], packages: tuple[str, ...]) -> None:
    """Run `go build`. Raises LabError with the end of what it says."""
    answer = subprocess.run(
        ["nice", "go", "build", *flags, "-o", output, *packages],
        cwd=module,
        check=False,
        capture_output=True,
        text=True,
        env=preflight.go_environment(),
        timeout=_BUILD_SECONDS,
    )
    if answer.returncode != 0:
        raise LabError(f"`go build` failed in {module}:\n{answer.stderr.strip()[-3000:]}")
