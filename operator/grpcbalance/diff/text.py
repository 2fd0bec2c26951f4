"""The report as text for people. Pure: `style` colours it, or leaves it as it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from grpcbalance.styled import Style, plain

from .report import BalancedTold, Report, ServiceChange, VariableChange, WorkloadChange

_COLOURS: Final = {"+": "green", "-": "red", "~": "yellow"}
_SIGNS: Final = {"Add": "+", "Remove": "-", "Change": "~"}
_VERBS: Final = {"Create": "is created", "Change": "is changed", "Retire": "is retired"}


def render(report: Report, style: Style = plain) -> Iterator[str]:
    """Line by line."""
    for assumption in report.assumptions:
        yield f"Note: {assumption}."
    for service in report.services:
        yield from _service(service, style)
    for workload in report.workloads:
        yield from _workload(workload, style)
    for balanced in report.balanced:
        yield from _balanced(balanced, style)
    yield _summary(report)


def _service(change: ServiceChange, style: Style) -> Iterator[str]:
    yield style(f"Service {change.namespace}/{change.name} {_VERBS[change.action]}", None) + (
        f" for GrpcBalancedService {change.balanced}" + (f": {change.message}" if change.message else "")
    )
    for field in change.fields:
        if field.old is None:
            yield _line("+", f"{field.path}: {_value(field.new)}", style)
        elif field.new is None:
            yield _line("-", f"{field.path}: {_value(field.old)}", style)
        else:
            yield _line("~", f"{field.path}: {_value(field.old)} -> {_value(field.new)}", style)


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _workload(change: WorkloadChange, style: Style) -> Iterator[str]:
    head = style(f"{change.kind} {change.namespace}/{change.name}", None)
    verb = {"Write": " is changed", "Wait": " would be changed, but waits", "None": " is not changed"}[change.action]
    yield head + verb + _restart(change)
    for told in change.findings:
        about = " ".join(
            part for part in (told.role and told.role.lower(), told.service and f"of {told.service}") if part
        )
        colour = "red" if told.state == "Refused" else "yellow"
        yield "  " + style(told.reason, colour) + (f" ({about})" if about else "") + f": {told.message}"
    if change.note:
        yield f"  Note: {change.note}"
    for container in change.containers:
        yield f"  container {container.name}"
        for variable in container.variables:
            yield "  " + _variable(variable, style)


def _restart(change: WorkloadChange) -> str:
    if change.action != "Write":
        return ""
    restart = change.restart
    if restart is None:
        return ", restarts nothing"
    names = f": {', '.join(restart.names)}" if restart.names else ""
    return f", restarts {_count(restart.pods, 'pod')}{names}"


def _variable(variable: VariableChange, style: Style) -> str:
    values = [value for value in (variable.old, variable.new) if value is not None]
    return _line(_SIGNS[variable.change], f"{variable.name}={' -> '.join(values)}", style)


def _line(sign: str, text: str, style: Style) -> str:
    return "  " + style(f"{sign} {text}", _COLOURS[sign])


def _balanced(told: BalancedTold, style: Style) -> Iterator[str]:
    for c in told.conditions:
        head = style(f"GrpcBalancedService {told.namespace}/{told.name}", None)
        yield f"{head} {style(f'{c.type}={c.status}', 'yellow')} {c.reason}: {c.message}"


def _summary(report: Report) -> str:
    counts = report.summary
    if not report.changed:
        parts = ["Nothing would be written"]
    else:
        written = " and ".join((_count(counts.services, "Service"), _count(counts.workloads, "workload")))
        parts = [f"{written} would be written, {_count(counts.pods, 'pod')} replaced"]
    parts += [
        f"{number} {word}" for number, word in ((counts.waiting, "waiting"), (counts.refused, "refused")) if number
    ]
    return ", ".join(parts) + "."


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
