"""RPCs per pod over time, one row per client language: before, after, scale-out, rollouts. PNG and SVG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_FAILED: Final = "#c62828"
_PANELS: Final = ("before", "after", "scale-out, age 10 s", "naive rollout", "recommended rollout")


def panels(result: dict[str, Any], language: str) -> dict[str, dict[str, Any]]:
    """The timelines of one client language that a result holds, by the title of their panel."""
    steady = result.get("steady", {}).get(language, {}).get("timeline", {})
    scale_out = result.get("pickup", {}).get(language, {}).get("age 10 s, lowered floor", {})
    rollouts = {
        f"{spec} rollout": rows.get(language, {}).get("default floor", {})
        for spec, rows in result.get("rollout", {}).items()
    }
    found = {**steady, "scale-out, age 10 s": scale_out.get("timeline")}
    found |= {title: kind.get("timeline") for title, kind in rollouts.items()}
    return {title: timeline for title, timeline in found.items() if timeline}


def draw(result: dict[str, Any], folder: Path, formats: Sequence[str] = ("png", "svg")) -> list[Path]:
    """Write `dataplane.png` and `dataplane.svg`, or one of them, into a folder."""
    languages = result["languages"]
    titles = [t for t in _PANELS if any(t in panels(result, language) for language in languages)]
    figure = Figure(figsize=(3.6 * len(titles), 2.2 * len(languages)), layout="constrained")
    axes = figure.subplots(len(languages), len(titles), squeeze=False)
    for row, language in zip(axes, languages, strict=True):
        shown = panels(result, language)
        for axis, title in zip(row, titles, strict=True):
            _panel(axis, shown.get(title))
            if language == languages[0]:
                axis.set_title(title, fontsize=10)
            if language == languages[-1]:
                axis.set_xlabel("seconds", fontsize=8)
        row[0].set_ylabel(f"{language}\nRPC/s per pod", fontsize=9)
    figure.suptitle("RPCs per second, one colour per pod, as clients recorded them; failed ones are red", fontsize=10)
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"dataplane.{name}" for name in formats]
    # The same result gives the same file: no date, and no random names in it.
    with mpl.rc_context({"svg.hashsalt": "grpcbalance"}):
        for file in files:
            figure.savefig(file, dpi=110, metadata={"Date": None} if file.suffix == ".svg" else {})
    return files


def _panel(axis: Axes, timeline: dict[str, Any] | None) -> None:
    axis.tick_params(labelsize=7)
    if timeline is None:
        axis.set_axis_off()
        return
    pods = list(timeline["pods"].values())
    seconds = np.arange(len(timeline["failed"]))
    colours = [mpl.colormaps["viridis"](position) for position in np.linspace(0.05, 0.95, max(1, len(pods)))]
    axis.stackplot(seconds, *pods, timeline["failed"], colors=[*colours, _FAILED], linewidth=0)
    axis.set_xlim(0, max(1, len(seconds) - 1))
    axis.set_ylim(bottom=0)
