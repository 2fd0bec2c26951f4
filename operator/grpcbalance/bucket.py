"""A token bucket: bounds how fast something is done, such as writing to the API server. Knows nothing of what it is."""

from __future__ import annotations

import asyncio


class TokenBucket:
    """Up to `burst` at once, then `rate` a second, first come first served. Owned by one event loop."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate, self._burst = rate, float(burst)
        # Below zero: so many are waiting, each for its own moment.
        self._tokens = float(burst)
        self._filled: float | None = None
        self._paused_until = float("-inf")

    async def take(self, tokens: float = 1.0) -> bool:
        """Return when one more may go, which takes so many tokens. Answers whether there were too few at first."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._filled is not None:
            self._tokens = min(self._burst, self._tokens + (now - self._filled) * self._rate)
        self._filled = now
        self._tokens -= tokens
        if short := self._tokens < 0:
            await asyncio.sleep(-self._tokens / self._rate)
        # A pause may be prolonged while somebody waits for its end; time is what is waited for, so there is no event.
        while (wait := self._paused_until - loop.time()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(wait)
        return short

    def pause(self, seconds: float) -> None:
        """Let nobody go for so long: the server answered 429 and said for how long."""
        self._paused_until = max(self._paused_until, asyncio.get_running_loop().time() + seconds)
