"""29: whatever somebody writes into an object is refused with a message, or means something to us."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from grpcbalance import observe
from grpcbalance.allowed import lets_in
from grpcbalance.desired import Resolution, resolve
from grpcbalance.model import Namespace
from grpcbalance.names import PLURAL
from grpcbalance.optin import Problem
from grpcbalance.view import View
from lab.rest import Object, RestError
from tests.faults.fuzz import Json, spec_schema, values
from tests.faults.runner import Runner
from tests.kit import objects
from tests.kit.shop import Shop

pytestmark = [pytest.mark.cluster, pytest.mark.needs_lab, pytest.mark.full]


@pytest.fixture
def shop(runner: Runner) -> Iterator[Shop]:
    """A namespace in which nothing is ever stored."""
    made = runner.world.shop("fuzz")
    yield made
    runner.world.remove(made)


def specs() -> Json:
    """Mostly one field of a sound object is another one; at times everything is."""
    fields = spec_schema()["properties"]
    one = st.sampled_from(sorted(fields)).flatmap(
        lambda name: values(fields[name]).map(lambda value: objects.balanced()["spec"] | {name: value})
    )
    return st.one_of(one, one, one, values(spec_schema()))


def test_odd_objects_are_refused_with_a_message_or_understood(shop: Shop) -> None:
    outcomes: Counter[str] = Counter()

    @settings(max_examples=400, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(spec=specs())
    def each(spec: Object) -> None:
        answer = tried(shop, objects.balanced() | {"spec": spec})
        if isinstance(answer, RestError):
            outcomes["refused"] += 1
            assert answer.code in (400, 413, 422), str(answer)
            assert "spec" in answer.message, str(answer)
        else:
            outcomes["stored"] += 1
            understood(answer)

    each()
    assert min(outcomes["refused"], outcomes["stored"]) > 40, outcomes


def tried(shop: Shop, body: Object) -> Object | RestError:
    """What the API server would store, or why it would not."""
    try:
        return shop.api.request("POST", shop.url("GrpcBalancedService"), body, query={"dryRun": "All"})
    except RestError as error:
        return error


def understood(stored: Object) -> None:
    """What the API server takes gives values, or a problem with words; nothing of it is let out unescaped."""
    stored["metadata"] |= {"resourceVersion": "1"}
    view = View()
    view.apply(PLURAL, None, stored)
    balanced = observe.balanced(stored)
    found = resolve(view.snapshot(balanced.ref), balanced, "cluster.local")
    assert isinstance(lets_in(balanced, "elsewhere", Namespace("elsewhere", (), ())), bool)
    if isinstance(found, Problem):
        assert found.message
        return
    assert isinstance(found, Resolution)
    for name, value in {**found.client_variables, **found.server_variables}.items():
        assert name.isascii()
        assert value.isprintable(), value
        assert "$" not in value.replace("$$", ""), value
