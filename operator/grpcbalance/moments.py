"""Moments as text, the way the Kubernetes API writes them (RFC 3339 in UTC, with a Z). Pure."""

from __future__ import annotations

from datetime import UTC, datetime


def to_text(moment: datetime, timespec: str = "seconds") -> str:
    """An aware moment as text; `timespec` as in `datetime.isoformat`."""
    return moment.astimezone(UTC).isoformat(timespec=timespec).replace("+00:00", "Z")


def from_text(text: str | None) -> datetime | None:
    """A moment that is stored somewhere, in UTC. None when it is none, or names no time zone: anybody may write it."""
    try:
        moment = datetime.fromisoformat(text) if text else None
        return moment.astimezone(UTC) if moment is not None and moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
