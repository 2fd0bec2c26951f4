"""When pods became ready endpoints, and when they ceased to be."""

from __future__ import annotations

from typing import Any, cast

import pytest

from lab import Cluster
from lab.endpoints import EndpointWatch, ready_pods


def endpoint(pod: str, ready: bool | None) -> dict[str, Any]:
    return {"targetRef": {"name": pod}, "conditions": {} if ready is None else {"ready": ready}}


@pytest.fixture
def watch() -> EndpointWatch:
    return EndpointWatch(cast("Cluster", None), "shop")


def test_a_slice_tells_its_ready_pods() -> None:
    found = {"endpoints": [endpoint("a", True), endpoint("b", False), endpoint("c", None)]}
    assert ready_pods(found) == {"a", "c"}
    assert ready_pods({"endpoints": None}) == set()


def test_a_pod_comes_and_goes_once_though_several_slices_have_it(watch: EndpointWatch) -> None:
    watch.note("one", {"a"}, 1.0)
    watch.note("two", {"a", "b"}, 2.0)
    watch.note("one", set(), 3.0)
    assert (watch.ready, watch.ready_at, watch.left_at) == ({"a", "b"}, {"a": 1.0, "b": 2.0}, {})
    watch.note("two", {"b"}, 4.0)
    assert (watch.ready, watch.left_at) == ({"b"}, {"a": 4.0})


def test_what_does_not_come_is_told(watch: EndpointWatch) -> None:
    watch.note("one", {"a"}, 1.0)
    watch.wait(lambda seen: "a" in seen.ready, 0.0, "a")
    with pytest.raises(AssertionError, match=r"b: not within 0 s; ready are \['a'\]"):
        watch.wait(lambda seen: "b" in seen.ready, 0.0, "b")
