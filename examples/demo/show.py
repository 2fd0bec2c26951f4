"""What the demo prints: headings, commands as a person would type them, bars, and promises kept or broken."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from rich import box
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

_BAR: Final = 40
# Wide enough for every line where no terminal says otherwise, such as a log file.
_WIDTH: Final = 120


class Show:
    """Prints as things happen. Colours and highlighting only on a terminal."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        if not self.console.is_terminal:
            self.console.width = _WIDTH
        self._started = time.monotonic()

    def heading(self, text: str) -> None:
        """Begin a part of the demo."""
        self.console.print()
        self.console.rule(f"[bold]{text}[/bold]", align="left")

    def command(self, text: str) -> None:
        """A command, as one would type it."""
        self.console.print(Text(f"$ {text}", style="cyan"))

    def say(self, text: str) -> None:
        """One line, with the seconds since the start."""
        seconds = f"{time.monotonic() - self._started:6.1f}s"
        self.console.print(Text.assemble((seconds, "dim"), f"  {text}"), soft_wrap=True)

    def output(self, text: str) -> None:
        """Output of a command."""
        self.console.print(Text(text.rstrip(), style="dim"), soft_wrap=True)

    def distribution(self, counts: Mapping[str, int], pods: list[str]) -> None:
        """RPCs per pod as bars; pods that answered none are shown too."""
        total = sum(counts.values()) or 1
        for pod in sorted({*pods, *counts}):
            share = counts.get(pod, 0) / total
            bar = Text("█" * round(share * _BAR) or "·", style="green" if share else "red")
            self.console.print(Text(f"        {pod:<26}{counts.get(pod, 0):>4} "), bar, sep="", soft_wrap=True)

    def table(self, what: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A small table under what it tells of; the first two columns are words, the others numbers."""
        self.say(f"{what}:")
        made = Table(box=box.SIMPLE_HEAD, padding=(0, 2))
        for number, column in enumerate(columns):
            made.add_column(column, justify="right" if number > 1 else "left")
        for row in rows:
            made.add_row(*row)
        self.console.print(made)

    @contextmanager
    def busy(self) -> Iterator[None]:
        """A terminal shows that something goes on, below what is printed meanwhile; not within itself."""
        if not self.console.is_terminal:
            yield
            return
        columns = (TextColumn("       "), SpinnerColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self.console, transient=True) as progress:
            progress.add_task("", total=None)
            yield

    def promise(self, text: str, kept: bool) -> None:
        """A promise and whether it was kept."""
        mark = Text("  ✔ ", style="bold green") if kept else Text("  ✘ ", style="bold red")
        self.console.print(mark + Text(text))
