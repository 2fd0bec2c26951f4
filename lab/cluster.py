"""The lab: starts a whole cluster, offers it to tests, and leaves nothing of it.

The order of starting and stopping is decided here; how a component is run is decided in controlplane and node.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from . import control, controlplane, cri, dump, kubectl, layout, network, node, parts, preflight, progress, ready, sweep
from .audit import AuditRecord, records, written_by
from .control import Keeper, Process, Spec, tail
from .layout import Layout, on_node
from .model import LabError

# Set for commands that run inside a lab: its folder. open_cluster() then uses that lab.
RUNNING: Final = "GRPCBALANCE_LAB_RUN"
_START_SECONDS: Final = 60.0
# How each component was started, for those who attach: making the specs anew would write the configurations anew.
_SPECS: Final = "components.json"


class Lab:
    """A cluster of its own, as a context manager. Implements model.Cluster; see there for what members mean.

    `nodes`: 1 to 9, in the zones a, b, c in turn. `apiserver_args`, `kcm_args`: flags without dashes, such as
    {"v": "4"}. `keep`: folder into which everything is dumped when the `with` block or the start fails.
    """

    takes_images = True

    def __init__(
        self,
        nodes: int = 1,
        *,
        apiserver_args: Mapping[str, str] | None = None,
        kcm_args: Mapping[str, str] | None = None,
        keep: Path | None = None,
    ) -> None:
        if not 1 <= nodes <= network.MAX_NODES:
            raise ValueError(f"nodes is {nodes}, and has to be 1 to {network.MAX_NODES}")
        self._wanted, self._keep = nodes, keep
        self._args = (dict(apiserver_args or {}), dict(kcm_args or {}))
        self._keeper: Keeper | None = None
        self._lab: Layout | None = None
        self._components: dict[str, Process] = {}

    @classmethod
    def attach(cls, folder: Path) -> Self:
        """A lab that another process has started and goes on to own. Raises LabError when it has ended."""
        try:
            found = layout.load(folder)
        except OSError as error:
            raise LabError(f"there is no lab in {folder} any more; unset {RUNNING}") from error
        lab = cls(found.nodes)
        lab._lab = found
        lab._prepare(_load_specs(folder))
        lab.wait_ready()
        return lab

    def __enter__(self) -> Self:
        if self._lab is None:
            self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is not None:
                self._keep_all()
        finally:
            self.stop()

    def start(self) -> None:
        """Build what is missing, and start. Raises LabError; nothing is left then."""
        preflight.check_host()
        preflight.ensure(preflight.NODE_PROGRAMS)
        programs = parts.build()
        sweep.prepare()
        sweep.sweep()
        try:
            with progress.step(f"starting a cluster of {self._wanted} node{'s' * (self._wanted > 1)}"):
                self._start(programs)
        except BaseException:
            try:
                self._keep_all()
            finally:
                self.stop()
            raise

    def _start(self, programs: parts.Programs) -> None:
        number = secrets.token_hex(3)
        self._keeper = Keeper(number)
        link = network.connect(number, self._keeper.pid, self._wanted)
        apiserver_args, kcm_args = self._args
        self._lab = Layout(number, self._wanted, link, programs, apiserver_args, kcm_args)
        (self._lab.folder / "logs").mkdir()
        controlplane.write_files(self._lab)
        specs = _specs(self._lab)
        self._prepare(specs)
        (self._lab.folder / _SPECS).write_text(json.dumps([asdict(spec) for spec in specs]))
        self._lab.save()
        nodes = range(1, self._wanted + 1)
        early = ["etcd", "kube-apiserver", *(on_node("containerd", number) for number in nodes)]
        for name in early:
            self._components[name].start()
        with ThreadPoolExecutor(1) as pool:
            images = pool.submit(cri.prepare, self._lab)
            self._start_rest(early)
            images.result()

    def _start_rest(self, early: list[str]) -> None:
        lab = self.layout
        server = ready.ApiServer(lab.link.url, lab.pki)
        ready.await_all({"API server": server.ready}, _START_SECONDS, self._check_alive)
        for name in self._components.keys() - set(early):
            self._components[name].start()
        self.wait_ready(_START_SECONDS)

    def _prepare(self, specs: list[Spec]) -> None:
        self._components = {spec.name: Process(self.run_dir, spec) for spec in specs}

    def stop(self) -> None:
        """Kill everything and remove every trace. Does nothing to a lab that another process owns."""
        if self._keeper is None:
            return
        if self._lab is not None:
            network.disconnect(self._lab.link)
        self._keeper.end()
        self._keeper, self._lab = None, None

    def _keep_all(self) -> None:
        if self._keep is not None and self._lab is not None:
            self.dump(self._keep)
            progress.say(f"logs, audit log and objects are in {self._keep}")

    def _check_alive(self) -> None:
        """Raise LabError with the end of its log when a component has ended by itself."""
        for process in self._components.values():
            code = process.exit_code
            if code is not None:
                raise LabError(f"{process.name} has ended (exit code {code}). The end of its log:\n{tail(process.log)}")

    @property
    def layout(self) -> Layout:
        """What the lab is made of. Raises LabError unless it runs."""
        if self._lab is None:
            raise LabError("the lab does not run: use it in a `with` block")
        return self._lab

    @property
    def name(self) -> str:
        """Unique among the labs of this machine; also the name of its cgroup folders."""
        return self.layout.name

    @property
    def run_dir(self) -> Path:
        """All files of the lab; gone when it stops."""
        return self.layout.folder

    @property
    def kubeconfig(self) -> Path:
        """Kubeconfig of an administrator."""
        return self.layout.kubeconfig

    @property
    def environment(self) -> dict[str, str]:
        """Environment for commands that are to use this lab: kubectl on PATH, KUBECONFIG, open_cluster() attaches."""
        folder = self.run_dir / "bin"
        folder.mkdir(exist_ok=True)
        if not (folder / "kubectl").exists():
            (folder / "kubectl").symlink_to(self.layout.programs["kubectl"])
        path = f"{folder}:{os.environ.get('PATH', '/usr/bin:/bin')}"
        own = {"PATH": path, "KUBECONFIG": str(self.kubeconfig), RUNNING: str(self.run_dir)}
        # Else kubectl would leave what it knows of a cluster that is gone in the home folder.
        return {**os.environ, **own, "KUBECACHEDIR": str(self.run_dir / "kubectl-cache")}

    def component(self, name: str) -> Process:
        """A process of the control plane or of a node."""
        if name not in self._components:
            raise LabError(f"the lab has no {name}; it has {', '.join(sorted(self._components))}")
        return self._components[name]

    def wait_ready(self, timeout: float = _START_SECONDS) -> None:
        """Wait until API server, nodes, DNS and Service addresses work and pods can be created."""
        lab = self.layout
        server = ready.ApiServer(lab.link.url, lab.pki)
        questions: dict[str, ready.Question] = {
            "API server": server.ready,
            "nodes": lambda: server.nodes_ready(lab.nodes),
            "default ServiceAccount": server.takes_pods,
            "kube-proxy": lambda: ready.serves(f"http://{lab.link.lab}:{node.PROXY_HEALTH_PORT}/healthz"),
            "coredns": lambda: ready.serves(f"http://{lab.link.lab}:{node.DNS_READY_PORT}/ready"),
        }
        ready.await_all(questions, timeout, self._check_alive)

    def kubectl_command(self, *args: str) -> list[str]:
        """The command line of kubectl against this cluster."""
        cache = self.run_dir / "kubectl-cache"
        binary = self.layout.programs["kubectl"]
        return [binary, f"--kubeconfig={self.kubeconfig}", f"--cache-dir={cache}", *args]

    def kubectl(self, *args: str, stdin: str | None = None, check: bool = True, timeout: float = 60) -> str:
        """Run kubectl; its standard output."""
        return kubectl.run(self.kubectl_command(*args), stdin, check, timeout)

    def import_image(self, archive: Path) -> None:
        """Make the images of an OCI archive known to every node."""
        cri.import_archive(self.layout, archive)

    def audit(self, since: datetime | None = None) -> Iterator[AuditRecord]:
        """What was asked of the API server, oldest first."""
        with self.layout.audit_log.open() as lines:
            yield from records(lines, since)

    def writes(self, user: str, since: datetime | None = None) -> list[AuditRecord]:
        """What one user wrote with success, oldest first."""
        with self.layout.audit_log.open() as lines:
            return written_by(user, lines, since)

    def pod_pids(self, namespace: str, pod: str, container: str | None = None) -> list[int]:
        """Process ids, as the caller's /proc shows them, of a pod's containers (or of one of them)."""
        found = kubectl.get(self.kubectl_command("get", "pod", "--namespace", namespace, pod, "--output=json"))
        return cri.pids(self.name, cri.container_ids(found, container))

    def lose_node(self, number: int) -> None:
        """Let a node go as if its power had failed, for good: nothing of it answers, nor says that it ends."""
        if not 2 <= number <= self.layout.nodes:
            raise LabError(f"node {number} cannot be lost: the lab has {self.layout.nodes}, and the first carries it")
        network.cut_off(control.first_pid(self.run_dir), number)
        for name in ("kubelet", "containerd"):
            self.component(on_node(name, number)).kill()

    def dump(self, folder: Path) -> None:
        """Write all that helps to understand a failure into a folder."""
        dump.dump_files(self.layout, folder)
        dump.dump_objects(self.kubectl_command, folder)


def _load_specs(folder: Path) -> list[Spec]:
    plain = json.loads((folder / _SPECS).read_text())
    return [Spec(spec["name"], tuple(spec["argv"]), spec["env"]) for spec in plain]


def _specs(lab: Layout) -> list[Spec]:
    """All components, the first ones to start first."""
    nodes = range(1, lab.nodes + 1)
    return [
        controlplane.etcd(lab),
        controlplane.apiserver(lab),
        *(node.containerd(lab, number) for number in nodes),
        controlplane.controller_manager(lab),
        controlplane.scheduler(lab),
        *(node.kubelet(lab, number) for number in nodes),
        node.proxy(lab),
        node.coredns(lab),
    ]
