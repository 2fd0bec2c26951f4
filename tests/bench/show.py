"""How benchmarks speak to a person: lines of progress, tables, gates."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Final

from rich import table as rich_table
from rich.console import Console

from .dataplane.report import Gate, Table

# Wide enough for every table where no terminal says otherwise, such as a log file.
_WIDTH: Final = 140
Say = Callable[[str], None]


def begin() -> tuple[Console, Say]:
    """A console, and what writes a line on it with the time since now."""
    console, begun = Console(highlight=False), time.monotonic()
    if not console.is_terminal:
        console.width = _WIDTH

    def say(text: str) -> None:
        console.print(f"[dim]{time.monotonic() - begun:7.1f}s[/dim]  {text}")

    return console, say


def show(console: Console, tables: Iterable[Table], gates: Iterable[Gate]) -> list[str]:
    """Print tables and gates; the gates that were broken."""
    for made in tables:
        _print(console, made)
    rows, broken = [], []
    for gate in gates:
        rows.append([gate.what, gate.measured, "✔" if gate.kept else "✘ gate"])
        broken += [] if gate.kept else [gate.what]
    _print(console, Table("Gates", ["gate", "measured", ""], rows))
    return broken


def _print(console: Console, made: Table) -> None:
    table = rich_table.Table(*made.head, title=made.title, title_justify="left")
    for row in made.rows:
        table.add_row(*row)
    console.print(table)
