"""Moves this process into namespaces of its own, so that the host sees no interface of a lab and nothing outlives it.

To be called at the start of a program, after what needs the real network (downloads, builds): it starts the same
command again from the beginning. A lab needs none of this; it only makes its owner's side private too.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

from . import preflight, sweep
from .control import start_sweeper
from .model import LabError

# Holds the network namespace that was left: set and different from the present one means "inside".
_LEFT: Final = "GRPCBALANCE_LAB_LEFT_NAMESPACE"
_NAMESPACES: Final = ("--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")


def is_private() -> bool:
    """Whether `enter_private` has been passed."""
    left = os.environ.get(_LEFT)
    return left is not None and left != _network_namespace()


def enter_private(command: Sequence[str] = ()) -> None:
    """Start this command again in namespaces of its own; returns at once when it is in them already.

    `command`: what to start, when it is not the present command line. Raises LabError when not root.
    The process id stays; on SIGTERM the program inside gets SystemExit(143), on SIGKILL everything dies at once.
    """
    if is_private():
        _settle()
        return
    preflight.check_host()
    preflight.ensure(preflight.NODE_PROGRAMS)
    _watch_over_remains()
    argv = list(command) or [sys.executable, *sys.orig_argv[1:]]
    environment = {**os.environ, _LEFT: _network_namespace()}
    sys.stdout.flush()
    sys.stderr.flush()
    os.execvpe("unshare", ["unshare", *_NAMESPACES, *argv], environment)  # noqa: S606 - a list, and no shell is wanted


def run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a command in the foreground; its exit code as a shell gives it. Raises LabError when there is none."""
    try:
        process = subprocess.Popen(command, env=environment)
    except OSError as error:
        raise LabError(f"{command[0]} cannot be run: {error.strerror}") from error
    try:
        while True:
            try:
                code = process.wait()
                break
            except KeyboardInterrupt:
                continue  # the command got it too, and decides what it means
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    return 128 - code if code < 0 else code


def _settle() -> None:
    """Loopback, and an end on SIGTERM: the first process of a PID namespace ignores it unless it has a handler."""
    answer = subprocess.run(["ip", "link", "set", "lo", "up"], check=False, capture_output=True, text=True, timeout=10)
    if answer.returncode != 0:
        raise LabError(f"the private network has no loopback: {answer.stderr.strip()}")
    signal.signal(signal.SIGTERM, _terminate)


def _terminate(number: int, _: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def _watch_over_remains() -> None:
    """Have the remains of labs removed when we are killed: nobody inside can, since all inside die with us."""
    sweep.prepare()
    own = os.pidfd_open(os.getpid())
    start_sweeper(own)
    os.close(own)


def _network_namespace() -> str:
    return str(Path("/proc/self/ns/net").readlink())
