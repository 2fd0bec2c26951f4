"""The programs of the local demo: built, started, listened to, and ended with it."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Generic, Self, TypeVar

T = TypeVar("T")

ROOT: Final = Path(__file__).resolve().parents[2]


class ProgramError(Exception):
    """A program could not be built or started, or did not do its part; the message says what to do."""


def build_example(folder: Path) -> Path:
    """The Go example, server and client in one. Raises ProgramError."""
    program = folder / "app"
    command = ["go", "build", "-o", str(program), "."]
    try:
        done = subprocess.run(command, cwd=ROOT / "examples" / "go", check=False, capture_output=True, text=True)
    except OSError as error:
        raise ProgramError(f"Go is needed, as new as examples/go/go.mod says: {error}") from error
    if done.returncode != 0:
        raise ProgramError(f"examples/go cannot be built: {done.stderr.strip()}")
    return program


def check_free(host: str, port: int, option: str) -> None:
    """Whether a program can listen there. Raises ProgramError, which says what else to do."""
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host, port))
        except OSError as error:
            raise ProgramError(f"{host}:{port}: {_advice(error, host, option)}") from error


def _advice(error: OSError, host: str, option: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f'another program listens there; choose another: make demo-local ARGS="{option}"'
    if error.errno == errno.EADDRNOTAVAIL:
        return f"this machine does not have that address; on macOS: sudo ifconfig lo0 alias {host} up"
    return error.strerror or str(error)


class Program(Generic[T]):
    """A running program and what it tells. Use as a context manager: at the end it is asked to end, then made to."""

    def __init__(
        self, command: list[str], environment: Mapping[str, str], log: Path, read: Callable[[str], T | None]
    ) -> None:
        """`environment` is all that it gets beside PATH; standard error goes to `log`; `read` understands a line."""
        self._command, self._log, self._read_line = command, log, read
        self._environment = {"PATH": os.environ.get("PATH", ""), **environment}
        self._told: list[T] = []
        self._grown = threading.Condition()

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdout=subprocess.PIPE, stderr=log, text=True
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it, and wait until all that it told is read."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()

    def told(self, since: int = 0) -> list[T]:
        """What it has told, without the first `since`."""
        with self._grown:
            return self._told[since:]

    def wait(self, accept: Callable[[list[T]], bool], *, since: int = 0, within: float, what: str) -> list[T]:
        """Wait until what it has told since then is accepted, and give that. Raises ProgramError."""
        with self._grown:
            self._grown.wait_for(lambda: accept(self._told[since:]) or self._process.poll() is not None, within)
            if accept(self._told[since:]):
                return self._told[since:]
        name = self._log.stem
        if self._process.poll() is not None:
            raise ProgramError(f"{name} ended: {self._log.read_text(errors='replace').strip()[-500:]}")
        raise ProgramError(f"{name}: {what}: not within {within:g} s")

    def wait_listening(self, host: str, port: int, within: float = 10.0) -> None:
        """Wait until it accepts connections. Raises ProgramError."""
        deadline = time.monotonic() + within
        while True:
            try:
                socket.create_connection((host, port), 1).close()
            except OSError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    complaint = self._log.read_text(errors="replace").strip()[-500:]
                    raise ProgramError(f"{self._log.stem} does not listen: {complaint or error}") from error
                time.sleep(0.05)
            else:
                return

    def _read(self) -> None:
        with self._process.stdout or contextlib.nullcontext(()) as lines:
            for line in lines:
                told = self._read_line(line)
                if told is not None:
                    self._add(told)
        with self._grown:
            self._grown.notify_all()

    def _add(self, told: T) -> None:
        with self._grown:
            self._told.append(told)
            self._grown.notify_all()
