"""Doing: find rollouts that get no further, where Kubernetes has no deadline for them."""

from __future__ import annotations

from grpcbalance.model import Rollout, Workload, WorkloadRef

from .context import Context


class Progress:
    """Watches the counts of unfinished rollouts. Memory only: after a restart a deadline begins anew."""

    def __init__(self, context: Context) -> None:
        self._c = context
        self._seen: dict[WorkloadRef, tuple[tuple[int, ...], float]] = {}

    def look(self, workload: Workload) -> float | None:
        """Tell the view of a rollout that is stuck; answers with the seconds until it would be."""
        if workload.rollout is not Rollout.PROGRESSING or workload.progress is None or workload.paused:
            self.forget(workload.ref)
            return None
        now = self._c.clock.monotonic()
        counts, since = self._seen.get(workload.ref, (None, now))
        if counts != workload.progress:
            since = now
            self._seen[workload.ref] = workload.progress, now
        left = since + self._c.settings.rollout_deadline - now
        if left > 0:
            return left
        self._c.enqueue(self._c.view.mark_stuck(workload.ref))
        return None

    def forget(self, ref: WorkloadRef) -> None:
        """It is gone, or its rollout ended."""
        self._seen.pop(ref, None)
