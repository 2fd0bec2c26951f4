"""The first process of a lab's namespaces: starts the components, reaps, and ends with the lab's owner.

When it ends, the kernel kills every process of its PID namespace, and the mounts and interfaces of the other
namespaces go with the last of them. Run as a program:
`python -I supervisor.py FOLDER OWNER_PIDFD LOCK_FD CGROUP...`.

Serves requests on the socket FOLDER/control.sock: one JSON object a connection, one JSON object back. Nothing it
does may block: one request waits for the other. Standard library only, and no other module of the package.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import selectors
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

SOCKET = "control.sock"
# Folders of the host that components write to whatever they are told: hidden below an empty file system. What a
# folder held stays visible, save for the names that would show another container engine's state.
HIDDEN = {"/run": None, "/var/log": None, "/var/lib": {"kubelet", "cni", "containerd"}, "/opt": {"cni", "containerd"}}

_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000
_CLONE_NEWCGROUP = 0x02000000
_MAX_REQUEST = 1 << 20
_SECONDS_PER_REQUEST = 5


@dataclass(slots=True)
class Child:
    """A component: its process id in this namespace, and how it ended (None while it runs)."""

    pid: int
    status: int | None = None


class Supervisor:
    """Children by name, and the requests that act on them."""

    def __init__(self) -> None:
        self._children: dict[str, Child] = {}

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Carry out one request: {"do": "start" | "signal" | "status" | "end", "name": ..., ...}."""
        action = {"start": self._start, "signal": self._signal, "status": self._status, "end": self._end}
        return action[request["do"]](request)

    def reap(self) -> None:
        """Collect every child that has ended, orphans of components too."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for child in self._children.values():
                if child.pid == pid:
                    child.status = os.waitstatus_to_exitcode(status)

    def _start(self, request: dict[str, Any]) -> dict[str, Any]:
        with Path(request["log"]).open("ab") as log:
            process = subprocess.Popen(
                request["argv"],
                env=request["env"],
                cwd=request["cwd"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        # Popen would wait for it in its own way: it is reaped above, with all others.
        process.returncode = 0
        self._children[request["name"]] = Child(process.pid)
        return {"pid": process.pid}

    def _signal(self, request: dict[str, Any]) -> dict[str, Any]:
        child = self._children[request["name"]]
        if child.status is None:
            os.kill(child.pid, request["signal"])
        return {}

    def _status(self, _: dict[str, Any]) -> dict[str, Any]:
        return {name: {"pid": child.pid, "status": child.status} for name, child in self._children.items()}

    def _end(self, _: dict[str, Any]) -> NoReturn:
        sys.exit(0)


def mount(source: str, target: str, kind: str, flags: int = 0) -> None:
    """mount(2). Raises OSError that names the target."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(source.encode(), target.encode(), kind.encode(), flags, None) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{os.strerror(code)} (mount of {kind or 'bind'})", target)


def hide(folder: Path, without: set[str] | None) -> None:
    """Put an empty file system over a folder, with what it held bound into it save for the names in `without`.

    `without` None: nothing of it is kept.
    """
    names = [] if without is None else [entry.name for entry in folder.iterdir() if entry.name not in without]
    held = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    mount("none", str(folder), "tmpfs")
    for name in names:
        source = Path(f"/proc/self/fd/{held}/{name}")
        if source.is_symlink():
            (folder / name).symlink_to(source.readlink())
            continue
        if source.is_dir():
            (folder / name).mkdir()
        else:
            (folder / name).touch()
        mount(str(source), str(folder / name), "", _MS_BIND | _MS_REC)
    os.close(held)


def enter_cgroups(folders: list[Path]) -> None:
    """Make the lab's folder in each cgroup hierarchy the root of all that the lab's processes see of it.

    Container runtimes put their cgroups at the root: so they are below the lab's own folder, seen from the host.
    """
    for folder in folders:
        (folder / "cgroup.procs").write_text("0")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWCGROUP) != 0:
        raise OSError(ctypes.get_errno(), "no cgroup namespace")
    for folder in folders:
        root = folder.parent
        mount(str(folder), str(root), "", _MS_BIND)
        # Version 2: a folder that holds processes cannot hand controllers to the folders below it.
        if (root / "cgroup.controllers").exists():
            (root / "components").mkdir()
            (root / "components" / "cgroup.procs").write_text("0")


def settle(cgroups: list[Path]) -> None:
    """Make the namespaces ready: no mount gets out, nothing of the host's state folders is written to."""
    mount("none", "/", "", _MS_REC | _MS_PRIVATE)
    enter_cgroups(cgroups)
    for folder, without in HIDDEN.items():
        if Path(folder).is_dir():
            hide(Path(folder), without)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def serve(folder: Path, owner: int) -> None:
    """Answer requests until the owner has ended or says so."""
    supervisor = Supervisor()
    wake, waker = socket.socketpair()
    for end in (wake, waker):
        end.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / f"{SOCKET}.new"))
    listener.listen(16)
    # Under its own name only when it listens: who sees it may connect.
    (folder / f"{SOCKET}.new").rename(folder / SOCKET)
    with selectors.DefaultSelector() as selector:
        for source in (owner, listener, wake):
            selector.register(source, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if owner in ready:
                return
            if wake in ready:
                wake.recv(4096)
                supervisor.reap()
            if listener in ready:
                _converse(supervisor, listener)


def _converse(supervisor: Supervisor, listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection, contextlib.suppress(OSError):  # whoever asked may have gone
        connection.settimeout(_SECONDS_PER_REQUEST)
        with connection.makefile("rb") as stream:
            line = stream.readline(_MAX_REQUEST)
        supervisor.reap()
        connection.sendall(json.dumps(_answer(supervisor, line)).encode() + b"\n")


def _answer(supervisor: Supervisor, line: bytes) -> dict[str, Any]:
    try:
        return supervisor.answer(json.loads(line))
    except (OSError, KeyError, ValueError) as error:
        return {"error": f"{type(error).__name__}: {error}"}


def main() -> None:
    """Arguments: the lab's folder, a pidfd of its owner, the held lock of the folder, the lab's cgroup folders."""
    # A terminal's Ctrl-C goes to everyone in the foreground: the owner decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    folder, owner, lock = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    os.set_inheritable(owner, False)
    os.set_inheritable(lock, False)
    settle([Path(cgroup) for cgroup in sys.argv[4:]])
    serve(folder, owner)


if __name__ == "__main__":
    main()
