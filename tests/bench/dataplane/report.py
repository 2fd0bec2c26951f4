"""What of a run are gates, and the tables that a person reads. Pure: a result goes in, rows come out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

Result = dict[str, Any]

# Fewer events than this say little of a p99.
EVENTS: Final = 20

# Failed RPCs, of thousands, that servers of a language cause while connections end after seconds: Node.js closes one
# that has reached its age without asking first, and refuses what is on its way (docs/howto/node.md).
_UNAVOIDABLE: Final = {"node": 3}


@dataclass(frozen=True, slots=True)
class Gate:
    """A promise, what was measured, and whether it was kept."""

    what: str
    measured: str
    kept: bool


@dataclass(frozen=True, slots=True)
class Table:
    """A table: title, head, rows of text."""

    title: str
    head: list[str]
    rows: list[list[str]]


def gates(result: Result) -> list[Gate]:
    """All gates of the scenarios that a result holds."""
    return [
        *(Gate(f"scenario {name}", error, kept=False) for name, error in result.get("failed", {}).items()),
        *_steady_gates(result.get("steady", {})),
        *_pickup_gates(result.get("pickup", {}), result["events"]),
        *_rollout_gates(result.get("rollout", {}).get("recommended", {})),
    ]


def _steady_gates(steady: Result) -> Iterator[Gate]:
    for language, row in steady.items():
        after = row["after"]
        text = f"off the mean by {after['one']['off_mean']:g}, Jain {after['all']['jain']:g}"
        yield Gate(f"{language}: even load", text, after["passes"] and after["failed"] == 0)
        for control in ("before", "pick_first"):
            share = row[control]["one"]["counts"][0]
            text = f"{share} of {row[control]['one']['rpcs']} on one pod"
            yield Gate(f"{language}: {control} fails the same gate", text, not row[control]["passes"])


def _pickup_gates(pickup: Result, events: int) -> Iterator[Gate]:
    for language, kind, found in _kinds(pickup):
        seen, most = found["added"]["n"], _UNAVOIDABLE.get(pickup[language]["server"], 0)
        kept = seen == found["expected"] >= events and found["failed"] <= most
        yield Gate(f"{language}, {kind}: new pods used", f"{seen} events, {_failures(found['failed'], most)}", kept)
        failed = found["removed"]["failed"]
        yield Gate(f"{language}, {kind}: orderly scale-in", _failures(failed, most), failed <= most)


def _failures(count: int, most: int) -> str:
    return f"{count} failed RPCs" + (f" (of thousands; {most} allowed)" if most else "")


def _rollout_gates(recommended: Result) -> Iterator[Gate]:
    for language, kind, found in _kinds(recommended):
        if "failed" in found:
            text = f"{found['failed']} of {found['rpcs']} RPCs failed"
            yield Gate(f"{language}, {kind}: recommended rollout", text, found["failed"] == 0)


def _kinds(rows: Result) -> Iterator[tuple[str, str, Result]]:
    for language, row in rows.items():
        for kind, found in row.items():
            if isinstance(found, dict):
                yield language, kind, found


def tables(result: Result) -> list[Table]:
    """All tables of the scenarios that a result holds."""
    made = [
        _steady_table(result.get("steady", {})),
        _pickup_table(result.get("pickup", {})),
        _removed_table(result.get("pickup", {})),
        _unready_table(result.get("unready", {})),
        *(_rollout_table(f"Rolling update, {spec} servers", rows) for spec, rows in result.get("rollout", {}).items()),
        *(_outage_table(title, key, result.get("outages", {})) for key, title in _OUTAGES.items()),
    ]
    return [table for table in made if table.rows]


def _steady_table(steady: Result) -> Table:
    rows = [
        [
            f"{language} → {row['server']}",
            _counts(row["before"]["one"]),
            _counts(row["pick_first"]["one"]),
            _counts(row["after"]["one"]),
            f"{row['after']['one']['off_mean']:g}",
            f"{row['after']['all']['jain']:.4f}",
            f"{row['after']['all']['max_over_mean']:.3f}",
        ]
        for language, row in steady.items()
    ]
    head = ["client → server", "before", "pick_first", "after", "off mean", "Jain", "max/mean"]
    return Table("100 RPCs of one client on 3 pods; Jain and max/mean of all clients together", head, rows)


def _pickup_table(pickup: Result) -> Table:
    rows = [
        [language, kind, *_times(found["added"]), *_times(found["predicted"], "p50", "p99"), f"{found['bound']:g}"]
        for language, kind, found in _kinds(pickup)
    ]
    head = ["client", "kind", "n", "p50", "p99", "max", "model p50", "model p99", "bound"]
    return Table("New pod Ready → first RPC, seconds", head, rows)


def _removed_table(pickup: Result) -> Table:
    rows = [
        [language, kind, *_times(found["removed"]["last_rpc"]), str(found["removed"]["failed"])]
        for language, kind, found in _kinds(pickup)
    ]
    return Table("Pod removed (preStop 35 s) → last RPC, seconds", ["client", "kind", *_TIMES, "failed RPCs"], rows)


def _unready_table(unready: Result) -> Table:
    rows = [
        [language, kind, *_times(found["last_rpc"]), f"{found['bound']:g}", str(found["failed"])]
        for language, kind, found in _kinds(unready)
    ]
    head = ["client", "kind", *_TIMES, "bound", "failed RPCs"]
    return Table("Readiness lost, pod goes on → last RPC, seconds; age 10 s", head, rows)


def _rollout_table(title: str, rollout: Result) -> Table:
    rows = []
    for language, row in rollout.items():
        for kind, found in row.items():
            if isinstance(found, dict) and "failed" in found:
                counted = row["servers b" if "retries" in kind else "servers a"]
                gap, codes = f"{found['longest_gap_s']:g}", " ".join(found["codes"])
                attempts = [str(found["rpcs"]), str(found["failed"]), gap, codes, str(counted["retries"])]
                rows.append([f"{language} → {row['server']}", kind, *attempts])
    head = ["client → server", "kind", "RPCs", "failed", "longest gap, s", "codes", "repetitions at the servers"]
    return Table(title, head, rows)


_OUTAGES: Final = {
    "kill": "One of 4 servers killed (SIGKILL)",
    "zero": "Scaled to zero for 20 s, and back",
    "node": "A node gone without a word, with half of the servers",
}


def _outage_table(title: str, key: str, outages: Result) -> Table:
    rows = [
        [
            language,
            kind,
            str(found["rpcs"]),
            str(found["failed"]),
            f"{found['longest_gap_s']:g}",
            f"{found['last_failure_s']:g}",
            " ".join(found["codes"]),
            f"{found['back_s']['max']:g}" if "back_s" in found else "",
        ]
        for language, row in outages.items()
        for kind, found in row.get(key, {}).items()
    ]
    head = ["client", "kind", "RPCs", "failed", "longest gap, s", "last failure after, s", "codes", "ready → RPC, s"]
    return Table(title, head, rows)


_TIMES: Final = ["n", "p50", "p99", "max"]


def _times(found: Result, *keys: str) -> list[str]:
    return [f"{found[key]:g}" if key in found else "-" for key in keys or _TIMES]


def _counts(found: Result) -> str:
    return "/".join(str(count) for count in found["counts"])
