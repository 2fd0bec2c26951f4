"""Tells people at a terminal, or a log, what takes time. Writes to standard error only."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

# Shorter steps leave no line behind in a log.
_WORTH_A_LINE: Final = 1.0
_HEARTBEAT: Final = 30.0


@contextmanager
def step(what: str) -> Iterator[None]:
    """Show that `what` is going on, with the time it takes; a line when it is done, and one if it fails."""
    started = time.monotonic()
    with _animated(what) if sys.stderr.isatty() else _plain(what):
        try:
            yield
        except BaseException:
            say(f"failed after {time.monotonic() - started:.1f} s: {what}")
            raise
    took = time.monotonic() - started
    if took >= _WORTH_A_LINE:
        say(f"{what}: {took:.1f} s")


def say(text: str, style: str = "") -> None:
    """One line for people, as it is: brackets in it mean nothing."""
    Console(stderr=True, highlight=False).print(Text("lab: ", "dim") + Text(text, style), soft_wrap=True)


@contextmanager
def _animated(what: str) -> Iterator[None]:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        progress.add_task(what, total=None)
        yield


@contextmanager
def _plain(what: str) -> Iterator[None]:
    """In a log: a line every half minute, so that nobody takes it for stuck."""
    done, started = threading.Event(), time.monotonic()

    def beat() -> None:
        while not done.wait(_HEARTBEAT):
            say(f"{what}: {time.monotonic() - started:.0f} s so far")

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
