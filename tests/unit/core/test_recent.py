"""A memory that cannot grow for ever."""

from __future__ import annotations

from grpcbalance.recent import Recent


def test_what_was_set_longest_ago_is_forgotten_first() -> None:
    memory: Recent[str, int] = Recent(3)
    for number, key in enumerate("abc"):
        memory[key] = number
    memory["a"] = 9
    memory["d"] = 3
    assert list(memory.items()) == [("c", 2), ("a", 9), ("d", 3)]
