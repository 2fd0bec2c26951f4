"""The report as text for people. Pure: `style` colours it, or leaves it as it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from grpcbalance.listed import listed
from grpcbalance.styled import Style, plain

from .report import Balanced, OnDns, Report, Xds, XdsClient

_COLOURS: Final = {"True": "green", "False": "red", "Unknown": "yellow"}
_STATES: Final = {"Refused": "red", "Pending": "yellow"}
# Clients with the same message that are named in its line.
_NAMED: Final = 10
_WORDS: Final = {"True": "Ready", "False": "not Ready", "Unknown": "not known"}


def render(report: Report, style: Style = plain) -> Iterator[str]:
    """Line by line, a block for each object."""
    for note in report.notes:
        yield f"Note: {note}."
    if not report.services:
        yield "There is no GrpcBalancedService here."
    for service in report.services:
        yield from _balanced(service, style)


def _balanced(one: Balanced, style: Style) -> Iterator[str]:
    ready = style(_WORDS[one.ready.status], _COLOURS[one.ready.status])
    why = "" if one.ready.status == "True" else f" ({one.ready.reason}): {one.ready.message}"
    yield f"{style(f'{one.namespace}/{one.name}', None)} is {ready}{why}"
    if one.target:
        yield f"  target     {one.target}"
    if one.endpoints:
        yield f"  endpoints  {one.endpoints} ready; servers {one.servers}, clients {one.clients} configured"
    for condition in one.troubles:
        head = style(f"{condition.type}={condition.status}", _COLOURS[condition.status])
        yield f"  {head} ({condition.reason}): {condition.message}"
    for workload in one.workloads:
        head = style(workload.state, _STATES.get(workload.state, "yellow"))
        why = f": {workload.message}" if workload.message else ""
        yield f"  {workload.role.lower()} {workload.kind} {workload.name} is {head} ({workload.reason}){why}"
    if one.omitted_workloads:
        yield f"  and {one.omitted_workloads} workloads more, with less trouble"
    if one.xds is not None:
        yield from _xds(one.xds, style)


def _xds(xds: Xds, style: Style) -> Iterator[str]:
    connected = "" if xds.clients is None else f"; {len(xds.clients)} connected"
    yield f"  on xDS     {xds.moved} of {xds.moved + xds.on_dns} client workloads{connected}"
    yield from _staying(xds.stays_on_dns)
    for one in xds.downgrades:
        yield f"    {one.client}, {one.feature}: {one.what}"
    for client in xds.clients or ():
        yield _client(client, style)


def _staying(clients: Sequence[OnDns]) -> Iterator[str]:
    """Why clients stay on DNS: no trouble, and mostly the same for many of them."""
    for message in dict.fromkeys(one.message for one in clients):
        names = [f"{one.kind} {one.name}" for one in clients if one.message == message]
        yield f"    {listed(names, _NAMED)}: {message}"


def _client(one: XdsClient, style: Style) -> str:
    who = f"{one.namespace}/{one.pod}" if one.namespace else one.pod or "a client without a name"
    zone = f", zone {one.zone}" if one.zone else ""
    text = f"    {who}: {one.agent} {one.version}{zone}, by {one.replica} since {one.since}"
    if not one.told:
        text += "; " + style("is told nothing", "yellow") + ": it is not let in, or it has just come"
    return text + (f"; {style('refuses', 'red')} {one.refuses}" if one.refuses else "")
