"""What comes of a demo: its numbers, as JSON, and the promises that were broken."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .show import Show


@dataclass(slots=True)
class Result:
    """Numbers, and promises that were broken."""

    data: dict[str, Any] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def promise(self, show: Show, text: str, kept: bool) -> None:
        """Show a promise; a broken one makes the demo fail."""
        show.promise(text, kept)
        if not kept:
            self.broken.append(text)

    def finish(self, show: Show, output: Path) -> int:
        """Write the numbers and show what was broken; the exit code."""
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(self.data, indent=2) + "\n")
        show.heading("Result")
        show.say(f"numbers are in {output}")
        for broken in self.broken:
            show.promise(broken, kept=False)
        if not self.broken:
            show.promise("all promises kept", kept=True)
        return 1 if self.broken else 0
