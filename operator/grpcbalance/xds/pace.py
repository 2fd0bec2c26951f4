"""How fast the requests of one client are read: one that sends without end costs others nothing but a share.

Who sends more is read later, and nothing else happens to it: what it has asked for it still gets. What is not read
fills its own window of the connection, so that its library, in the end, waits with what it sends.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from grpcbalance.bucket import TokenBucket

from .clients import Stream

logger = logging.getLogger(__name__)

# Seconds for which a client may have sent nothing, and send as much at once afterwards: it begins with all it wants.
_SAVED: Final = 20.0
# Bytes of a request that count like another one: names take time, each some microseconds.
_COUNTED: Final = 256


class Pace:
    """That of one stream. Owned by one event loop."""

    def __init__(self, stream: Stream, rate: float, slowed: Callable[[], None]) -> None:
        """`rate`: requests a second; `slowed` is called for each that had to wait."""
        self._stream, self._slowed = stream, slowed
        self._bucket = TokenBucket(rate, max(1, round(rate * _SAVED)))

    async def wait(self, size: int) -> None:
        """Return when a request of so many bytes may be looked at."""
        if not await self._bucket.take(1 + size / _COUNTED):
            return
        self._slowed()
        self._stream.slowed += 1
        if self._stream.slowed == 1:
            logger.warning("%s (%s) sends so many requests that they wait", self._stream.peer, self._stream.node.id)
