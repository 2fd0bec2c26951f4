"""The owner's side of a lab's first process: starts it in namespaces of its own, and talks to it.

Knows processes and signals, nothing of Kubernetes.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from . import supervisor, sweep
from .model import LabError

_SECONDS_TO_START: Final = 20.0
_SECONDS_TO_DIE: Final = 20.0
_TAIL: Final = 4000
_PEER: Final = struct.Struct("iII")


@dataclass(frozen=True, slots=True)
class Spec:
    """How a component is started: its command, and its environment beside PATH."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]


class Keeper:
    """The processes that keep a lab: its first process, and the one that sweeps when the owner is killed."""

    def __init__(self, lab: str) -> None:
        """Start both for a new lab of that id. Raises LabError, and leaves nothing then."""
        self._lab, self.folder = lab, sweep.RUN_ROOT / lab
        self._processes: list[subprocess.Popen[bytes]] = []
        lock, owner = sweep.claim(lab), os.pidfd_open(os.getpid())
        log = self.folder / "supervisor.log"
        try:
            self._processes.append(start_sweeper(owner))
            self._processes.append(_start_first(self.folder, owner, lock, sweep.make_cgroups(lab), log))
            self._await_socket(log)
        except OSError as error:
            self.end()
            raise LabError(f"the lab's cgroups could not be made: {error}") from error
        except BaseException:
            self.end()
            raise
        finally:
            os.close(owner)
            os.close(lock)
        self.pid = first_pid(self.folder)

    def _await_socket(self, log: Path) -> None:
        deadline = time.monotonic() + _SECONDS_TO_START
        while not (self.folder / supervisor.SOCKET).exists():
            if self._processes[-1].poll() is not None or time.monotonic() > deadline:
                raise LabError(f"the lab's namespaces could not be made:\n{tail(log)}")
            time.sleep(0.005)

    def end(self) -> None:
        """Kill every process of the lab, wait until all are gone, and remove what they leave. Can be called again."""
        if (self.folder / supervisor.SOCKET).exists():
            with contextlib.suppress(LabError):
                ask(self.folder, {"do": "end"})
        while self._processes:
            process = self._processes.pop()
            try:
                # The kernel ends the first process of a PID namespace only after all others in it, and unshare
                # after that: so there is nothing left when it has ended. The sweeper would wait for us.
                process.wait(_SECONDS_TO_DIE if self._processes else 0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        sweep.remove(self._lab)


def _start_first(folder: Path, owner: int, lock: int, cgroups: Sequence[Path], log: Path) -> subprocess.Popen[bytes]:
    arguments = [str(folder), str(owner), str(lock), *map(str, cgroups)]
    with log.open("wb") as output:
        return subprocess.Popen(
            [*_UNSHARE, sys.executable, "-I", supervisor.__file__, *arguments],
            pass_fds=(owner, lock),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


_UNSHARE: Final = (
    "unshare",
    "--net",
    "--mount",
    "--pid",
    "--ipc",
    "--uts",
    "--fork",
    "--kill-child",
    "--mount-proc",
)


def start_sweeper(watched: int) -> subprocess.Popen[bytes]:
    """Start the process that removes what dead labs left, as soon as the one behind the pidfd has ended."""
    return subprocess.Popen(
        [sys.executable, "-I", sweep.__file__, str(watched)],
        pass_fds=(watched,),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    )


def ask(folder: Path, request: Mapping[str, Any]) -> dict[str, Any]:
    """One request to the first process of the lab in `folder`. Raises LabError."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(str(folder / supervisor.SOCKET))
            with connection.makefile("rwb") as stream:
                stream.write(json.dumps(request).encode() + b"\n")
                stream.flush()
                line = stream.readline()
    except OSError as error:
        raise LabError(f"the lab in {folder} does not answer, so it has ended: {error}") from error
    answer: dict[str, Any] = json.loads(line or b"{}")
    if "error" in answer:
        raise LabError(f"the lab could not {request['do']} {request.get('name', '')}: {answer['error']}")
    return answer


class Process:
    """A component of a running lab. See model.Component for what its members mean."""

    def __init__(self, folder: Path, spec: Spec) -> None:
        self.name = spec.name
        self.log = folder / "logs" / f"{spec.name}.log"
        self._folder, self._spec = folder, spec

    def start(self) -> None:
        """Start it. Raises LabError when it runs already."""
        if self.alive:
            raise LabError(f"{self.name} runs already")
        path = os.environ.get("PATH", "/usr/bin:/bin")
        env = {"PATH": f"{path}:/usr/sbin:/sbin", "HOME": str(self._folder), **self._spec.env}
        request = {"do": "start", "name": self.name, "argv": self._spec.argv, "env": env, "log": str(self.log)}
        ask(self._folder, {**request, "cwd": str(self._folder)})

    @property
    def alive(self) -> bool:
        """Whether the process exists; a paused one does."""
        state = self._state()
        return state is not None and state["status"] is None

    @property
    def exit_code(self) -> int | None:
        """How it ended; minus the signal when one killed it. None while it runs or before it was started."""
        state = self._state()
        return None if state is None else state["status"]

    @property
    def pid(self) -> int:
        """Process id as the caller's /proc shows it. Raises LabError when it does not run."""
        state = self._state()
        if state is None or state["status"] is not None:
            raise LabError(f"{self.name} does not run")
        return outer_pid(self._folder, state["pid"])

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self._signal(signal.SIGKILL)
        self._await(lambda: not self.alive, "is still there")

    def pause(self) -> None:
        """SIGSTOP, and wait until all its threads stand: it keeps its connections and answers nothing."""
        pid = self.pid
        self._signal(signal.SIGSTOP)
        # The signal takes effect a moment later, in which a thread may still answer somebody.
        self._await(lambda: set(thread_states(pid)) <= {"T"}, "still runs")

    def resume(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def restart(self) -> None:
        """Kill and start."""
        self.kill()
        self.start()

    def _await(self, done: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + _SECONDS_TO_DIE
        while not done():
            if time.monotonic() > deadline:
                raise LabError(f"{self.name} {otherwise} {_SECONDS_TO_DIE:g} s after the signal")
            time.sleep(0.005)

    def _signal(self, number: signal.Signals) -> None:
        if not self.alive:
            raise LabError(f"{self.name} does not run, so it cannot get {number.name}")
        ask(self._folder, {"do": "signal", "name": self.name, "signal": int(number)})

    def _state(self) -> Any:
        return ask(self._folder, {"do": "status"}).get(self.name)


def thread_states(pid: int) -> list[str]:
    """The state of each thread of a process, as one letter: R, S, D, T (stopped), ... Empty when it has ended."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/stat"):
        with contextlib.suppress(OSError):  # the thread has ended meanwhile
            # The name before it is in brackets and may hold anything.
            found.append(task.read_text().rpartition(") ")[2][0])
    return found


def outer_pid(folder: Path, inner: int) -> int:
    """The caller's number of a process that the lab in `folder` knows as `inner`. Raises LabError."""
    namespace = os.readlink(f"/proc/{first_pid(folder)}/ns/pid")
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if os.readlink(entry / "ns/pid") == namespace and inner_pid((entry / "status").read_text()) == inner:
                return int(entry.name)
        except OSError:
            continue  # it has ended meanwhile
    raise LabError(f"process {inner} of the lab in {folder} has ended")


def inner_pid(status: str) -> int:
    """A process's number in its own PID namespace, from the text of its /proc/<pid>/status."""
    line = next(line for line in status.splitlines() if line.startswith("NSpid:"))
    return int(line.split()[-1])


def first_pid(folder: Path) -> int:
    """The caller's number of the first process of the lab in `folder`: whom the kernel names as its socket's owner."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(folder / supervisor.SOCKET))
            packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    except OSError as error:
        raise LabError(f"the lab in {folder} does not answer, so it has ended: {error}") from error
    number, _, _ = _PEER.unpack(packed)
    return int(number)


def tail(log: Path, size: int = _TAIL) -> str:
    """The last lines of a log, at most `size` characters."""
    if not log.exists():
        return f"({log.name} does not exist)"
    text = log.read_text(errors="replace")
    if len(text) <= size:
        return text
    cut = text[-size:]
    # Whole lines, unless there is only one.
    return cut.partition("\n")[2] or cut
