"""Which requests a rule of the fault proxy hits."""

from __future__ import annotations

import pytest

from tests.faults.rules import READS, WRITES, Drop, Rule, Rules

URL = "/api/v1/namespaces/shop/services/orders"


@pytest.mark.parametrize(
    ("rule", "hits"),
    [
        (Rule(Drop(), WRITES), [True, True, True, True]),
        (Rule(Drop(), READS), [False] * 4),
        (Rule(Drop(), WRITES, path="/shop/"), [True] * 4),
        (Rule(Drop(), WRITES, path="/stall/"), [False] * 4),
        (Rule(Drop(), WRITES, agent="^kopf"), [False] * 4),
        (Rule(Drop(), WRITES, content="needle"), [True] * 4),
        (Rule(Drop(), WRITES, content="haystack"), [False] * 4),
        (Rule(Drop(), WRITES, skip=2), [False, False, True, True]),
        (Rule(Drop(), WRITES, times=1), [True, False, False, False]),
        (Rule(Drop(), WRITES, every=2), [False, True, False, True]),
        (Rule(Drop(), WRITES, skip=1, every=2, times=1), [False, False, True, False]),
    ],
)
def test_what_is_hit(rule: Rule, hits: list[bool]) -> None:
    assert [rule.takes("PATCH", URL, "grpcbalance/1", "a needle") for _ in hits] == hits
    assert rule.hits == sum(hits)


def test_the_first_rule_that_hits_counts_until_it_ends() -> None:
    rules, first, second = Rules(), Rule(Drop(), WRITES, times=2), Rule(Drop(), WRITES)
    rules.add([first, second])
    assert rules.take("PUT", URL, "") is first
    rules.remove([first])
    assert rules.take("PUT", URL, "") is second
    assert rules.take("GET", URL, "") is None
    assert (first.hits, second.hits) == (1, 1)
