"""A many-to-many index that forgets empty entries, so that it never outgrows what it indexes."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V", bound=Hashable)


class Index(Generic[K, V]):
    """key -> set of values. Reading an absent key gives an empty set and stores nothing."""

    def __init__(self) -> None:
        self._values: dict[K, set[V]] = {}

    def __getitem__(self, key: K) -> frozenset[V]:
        return frozenset(self._values.get(key, ()))

    def __iter__(self) -> Iterator[K]:
        return iter(self._values)

    def mark(self, key: K, value: V, present: bool) -> None:
        """Put `value` under `key`, or take it away."""
        if present:
            self._values.setdefault(key, set()).add(value)
        elif key in self._values:
            self._values[key].discard(value)
            if not self._values[key]:
                del self._values[key]

    def move(self, value: V, old: set[K], new: set[K]) -> None:
        """Make `value` stand under the keys `new` instead of `old`."""
        for key in old - new:
            self.mark(key, value, False)
        for key in new - old:
            self.mark(key, value, True)
