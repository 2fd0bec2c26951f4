"""The doing: take a key, read a snapshot, let the pure modules decide, write what they say. Thin on purpose.

Three kinds of work share one queue: a service's headless Services, a workload's variables, a service's status.
Each is level-triggered: it looks at all there is, never at which event brought it.
"""

from __future__ import annotations

from grpcbalance.model import Key, ServiceKey, StatusKey

from .context import Api, Clock, Context
from .dry_run import DryRun
from .services import Services
from .status import Statuses
from .workloads import Workloads

__all__ = ["Api", "Clock", "Context", "DryRun", "Reconciler", "settle_time"]


class Reconciler:
    """`await reconciler(key)` does one key, and answers in how many seconds to look again, or None.

    Raises kube.Retry when the API server is away or busy; everything it refuses ends in status instead.
    """

    def __init__(self, context: Context) -> None:
        self._c = context
        self._services = Services(context)
        self._workloads = Workloads(context)
        self._statuses = Statuses(context, self._workloads)

    async def __call__(self, key: Key) -> float | None:
        """Reconcile one key. While not everything is known nothing is decided, and only that is told."""
        if self._c.blind() and not isinstance(key, StatusKey):
            # All of it is due as soon as everything is known.
            return None
        if isinstance(key, ServiceKey):
            return await self._services(key.ref)
        if isinstance(key, StatusKey):
            return await self._statuses(key.ref)
        return await self._workloads(key.ref)

    def forgive(self) -> list[Key]:
        """Let everything that was refused be tried again at once; answers with the keys to do it by."""
        return [*self._services.forgive(), *self._workloads.forgive(), *self._statuses.forgive()]


def settle_time(key: Key, settle: float) -> float:
    """How long a key waits for more events. Status waits longest, so that it tells of what the others did."""
    return 2 * settle if isinstance(key, StatusKey) else settle
