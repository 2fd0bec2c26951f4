"""How long a process runs: until it is asked to stop, or until a part of it ends that must not.

Whoever runs it starts it again, and nothing is lost.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Coroutine
from typing import Any

from .probes import Health

logger = logging.getLogger(__name__)


class Lifetime:
    """Starts the parts, which the probes know, and waits for the end. Made inside of the event loop that runs them."""

    def __init__(self, health: Health) -> None:
        self._tasks = health.tasks
        # Set when it is to stop, by a signal or by whoever ends it.
        self.stop = asyncio.Event()

    def listen(self) -> None:
        """Let SIGTERM and SIGINT stop it; again, after somebody else has taken them."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop.set)

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Start a part that must not end."""
        self._tasks[name] = asyncio.create_task(work, name=name)

    async def end(self) -> int:
        """Return the exit status when it is over: 0 when it was asked to stop, else 1 and a line in the log."""
        stop = asyncio.create_task(self.stop.wait(), name="stop")
        try:
            await asyncio.wait({stop, *self._tasks.values()}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
        if self.stop.is_set():
            logger.info("stopping: asked to")
            return 0
        for name, task in self._tasks.items():
            if task.done():
                error = None if task.cancelled() else task.exception()
                logger.critical("stopping: %s ended", name, exc_info=error)
        return 1
