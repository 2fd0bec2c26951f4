"""What is different between two moments, host by host. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

from .hosts import Host, Hosts


class Change(NamedTuple):
    """One host that came, went or is another now. `addresses` are those that it has now; None: the host is gone."""

    name: str
    addresses: tuple[str, ...] | None
    added: tuple[str, ...]
    removed: tuple[str, ...]
    other: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values, under the names of the reference page."""
        return {
            "name": self.name,
            "gone": self.addresses is None,
            "addresses": list(self.addresses or ()),
            "added": list(self.added),
            "removed": list(self.removed),
            "changed": list(self.other),
        }

    def as_text(self) -> str:
        """One line for a person."""
        if self.addresses is None:
            return f"{self.name}: gone"
        parts = [f"{sign} {address}" for sign, found in (("+", self.added), ("-", self.removed)) for address in found]
        parts += [f"{name} changed" for name in self.other]
        count = len(self.addresses)
        now = f"now {count} address{'es' * (count != 1)}" if count else "no address left: NXDOMAIN"
        return f"{self.name}: {', '.join([*parts, now])}"


def changes(old: Hosts, new: Hosts) -> list[Change]:
    """Differences by name, in their order; none for a host that is as it was."""
    found = []
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        if before != after and (change := _change(name, before, after)):
            found.append(change)
    return found


def _change(name: str, before: Host | None, after: Host | None) -> Change | None:
    had, has = _addresses(before), _addresses(after)
    other = _other(before, after) if before and after else ()
    added, removed = tuple(a for a in has if a not in had), tuple(a for a in had if a not in has)
    if before and after and not (added or removed or other):
        # Only the order of endpoints differs, and no reply tells that.
        return None
    return Change(name, tuple(has) if after else None, added, removed, other)


def _addresses(host: Host | None) -> dict[str, None]:
    return {str(endpoint.address): None for endpoint in host.endpoints} if host else {}


def _other(before: Host, after: Host) -> tuple[str, ...]:
    """What else a names file can say: under its names there."""
    was, now = set(before.ports()), set(after.ports())
    pairs = {
        # A host without endpoints has no ports, whatever else is said about it.
        "ports": (was, now) if before.endpoints and after.endpoints else (was, was),
        "ttl": (before.ttl, after.ttl),
        "serviceConfig": (before.service_config, after.service_config),
    }
    return tuple(name for name, (one, other) in pairs.items() if one != other)
