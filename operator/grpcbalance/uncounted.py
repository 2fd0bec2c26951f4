"""For tools on a developer's machine: a connection whose requests nobody counts, and that never writes."""

from __future__ import annotations


class Uncounted:
    """`kube.Counts` that keeps no count."""

    def requested(self, method: str, code: int) -> None:
        """A request was answered."""

    def wrote(self, resource: str, verb: str) -> None:
        """Nothing is ever written."""

    def event_dropped(self) -> None:
        """No Event is ever posted."""
