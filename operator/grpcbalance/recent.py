"""A memory of bounded size. Pure."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, TypeVar

K = TypeVar("K")
V = TypeVar("V")

# More objects than anybody has had changed at the same time; some 10 MB.
REMEMBERED: Final = 20_000


class Recent(OrderedDict[K, V]):
    """A dictionary that forgets what was set longest ago when it has more than `limit` entries."""

    def __init__(self, limit: int = REMEMBERED) -> None:
        super().__init__()
        self._limit = limit

    def __setitem__(self, key: K, value: V) -> None:
        """Remember, as the newest."""
        super().__setitem__(key, value)
        self.move_to_end(key)
        if len(self) > self._limit:
            self.popitem(last=False)
