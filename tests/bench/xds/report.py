"""What of a run are gates, what has a budget, and the tables that a person reads. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from tests.bench.dataplane.report import Gate, Table

Result = dict[str, Any]

# Fewer events than this say little of a p99.
EVENTS: Final = 30
# Of a cell, whatever the replicas: the p99 from before the API write to receipt, ms.
_RECEIPT: Final = {(300, 100): 100.0, (1000, 100): 500.0}
# Of each replica in each cell, MiB.
_RSS: Final = 150.0
# Of clients of grpc-go: from the EndpointSlice event to the first RPC, ms.
_FIRST_RPC: Final = {"p50": 25.0, "p99": 60.0}


def gates(result: Result) -> Iterator[Gate]:
    """All gates of what a result holds."""
    for what, error in result.get("failed", {}).items():
        yield Gate(what, error, kept=False)
    for name, cell in result.get("fan_out", {}).items():
        text = f"{cell['delivered']} of {cell['expected']}"
        yield Gate(f"{name}: delivered", text, cell["delivered"] == cell["expected"])
        text = f"{cell['least']} to {cell['most']}, {cell['other'] - cell['streams']} others"
        kept = cell["least"] == cell["most"] == 1 and cell["other"] == cell["streams"]
        yield Gate(f"{name}: responses for each change and stream", text, kept)
    for name, kind in result.get("pickup", {}).get("kinds", {}).items():
        if kind["xds"]:
            used, expected = kind["added_ms"]["n"], kind["expected"]
            yield Gate(f"{name}: new pods used", f"{used} of {expected}", used == expected >= result["events"])
        yield Gate(f"{name}: orderly scale-in", f"{kind['failed']} RPCs failed", kind["failed"] == 0)
        failed = kind["rollout"]["failed"]
        yield Gate(f"{name}: rolling update", f"{failed} RPCs failed", failed == 0)


def budgets(result: Result) -> Iterator[tuple[str, float, float]]:
    """(what, measured, budget) of times and memory, which are trends of a machine."""
    for name, cell in result.get("fan_out", {}).items():
        most = _RECEIPT.get((cell["streams"], cell["endpoints"]))
        if most is not None and "p99" in cell["receipt_ms"]:
            yield f"{name}: receipt p99, ms", cell["receipt_ms"]["p99"], most
        yield f"{name}: RSS, MiB", cell["rss_mb"], _RSS
    for name, kind in result.get("pickup", {}).get("kinds", {}).items():
        if kind["xds"] and kind["language"] == "go":
            for key, most in _FIRST_RPC.items():
                if key in kind["added_ms"]:
                    yield f"{name}: first RPC {key}, ms", kind["added_ms"][key], most


def tables(result: Result) -> list[Table]:
    """All tables of what a result holds."""
    kinds = result.get("pickup", {}).get("kinds", {})
    made = [_fan_out(result.get("fan_out", {})), _pickup(kinds), _failures(kinds), _budgets(result)]
    return [table for table in made if table.rows]


def _fan_out(cells: Result) -> Table:
    rows = [
        [
            name,
            *_times(cell["receipt_ms"], "p50", "p99", "max"),
            *_times(cell["last_ms"], "p50", "max"),
            *_times(cell["write_ms"], "p50"),
            f"{cell['delivered']}/{cell['expected']}",
            f"{cell['cpu_ms']:g}",
            f"{cell['clients_cpu_ms']:g}",
            f"{cell['rss_mb']:g}",
            f"{cell['connect_s']:g}",
            f"{cell['machine_busy']:.0%}",
        ]
        for name, cell in cells.items()
    ]
    title = (
        "Fan-out, streams x endpoints x replicas: from before the API write to receipt, ms, over all streams; to the "
        "last stream; CPU ms of all replicas and of the clients for each change; RSS MiB of the largest replica; how "
        "busy the whole machine was"
    )
    head = ["case", "p50", "p99", "max", "last p50", "last max", "write", "delivered", "CPU", "clients", "RSS"]
    return Table(title, [*head, "connect, s", "machine"], rows)


def _pickup(kinds: Result) -> Table:
    rows = [
        [
            name,
            f"{kind['rate_made']:g}",
            *_times(kind["added_ms"], *_TIMES),
            *_times(kind["pace_ms"], "mean", "most"),
            *_times(kind["removed_ms"], *_TIMES),
        ]
        for name, kind in kinds.items()
    ]
    title = "EndpointSlice event → first RPC on a new pod, with what the client's pace adds; terminating → last RPC; ms"
    return Table(title, ["client", "RPC/s", *_TIMES, "pace mean", "most", *(f"last {key}" for key in _TIMES)], rows)


def _failures(kinds: Result) -> Table:
    rows = [
        [
            name,
            str(kind["rpcs"]),
            str(kind["failed"]),
            str(kind["rollout"]["rpcs"]),
            str(kind["rollout"]["failed"]),
            kind["first_error"] or kind["rollout"]["first_error"],
        ]
        for name, kind in kinds.items()
    ]
    head = ["client", "RPCs scaling", "failed", "RPCs rolling update", "failed", "error"]
    return Table("Failed RPCs, retries off", head, rows)


def _budgets(result: Result) -> Table:
    rows = [
        [what, f"{measured:g}", f"{most:g}", "✔" if measured <= most else f"{measured / most:.1f}x"]
        for what, measured, most in budgets(result)
    ]
    return Table("Budgets", ["what", "measured", "budget", ""], rows)


_TIMES: Final = ("n", "p50", "p99", "max")


def _times(found: Result, *keys: str) -> list[str]:
    return [f"{found[key]:g}" if key in found else "-" for key in keys]
