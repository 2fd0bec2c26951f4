"""Rollouts in flight, and who waits for one to end: how `--max-concurrent-rollouts` is kept count of.

Counted from the cluster, so that a restart forgets nothing: a workload is in flight while its rollout is unfinished,
whoever began it. Only the order of those who wait is memory.
"""

from __future__ import annotations

import itertools

from .model import Rollout, Workload, WorkloadRef


class Slots:
    """Owned by the view's event loop; no method awaits."""

    def __init__(self) -> None:
        self.in_flight: set[WorkloadRef] = set()
        # Who waits for a slot, oldest first; True: a client, whose servers are done.
        self.waiting: dict[WorkloadRef, bool] = {}

    def changed(self, ref: WorkloadRef, old: Workload | None, new: Workload | None) -> list[WorkloadRef]:
        """Take note of a workload that is another now; answers with those that a freed slot wakes."""
        if new is None:
            self.waiting.pop(ref, None)
        # One that we just un-injected has no annotation left, but its rollout was ours too.
        concerns_us = ref in self.in_flight or any(w and w.annotations for w in (old, new))
        if concerns_us and new is not None and new.rollout is Rollout.PROGRESSING and not new.paused:
            self.in_flight.add(ref)
            return []
        # What the controller has not seen yet may roll, if we wrote it, or be an annotation only.
        if ref not in self.in_flight or (new is not None and new.rollout is Rollout.UNSEEN and not new.paused):
            return []
        self.in_flight.discard(ref)
        return self.following(1)

    def wait(self, ref: WorkloadRef, *, client: bool) -> None:
        """Put a workload in the line, if it is not in it."""
        self.waiting.setdefault(ref, client)

    def following(self, count: int) -> list[WorkloadRef]:
        """Take the next so many of those that wait.

        Clients go first: services that were begun are finished before others are begun.
        """
        found = [*itertools.islice((ref for ref, client in self.waiting.items() if client), count)]
        found += itertools.islice((ref for ref in self.waiting if ref not in found), count - len(found))
        for ref in found:
            del self.waiting[ref]
        return found
