"""Fields of the pod and the volume under the rules of injection: the user's stay, ours go without a trace, in order."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from grpcbalance import inject
from grpcbalance.balancer import Balancer
from grpcbalance.names import BOOTSTRAP, POD_NAME, PROOF_PATH, ZONE
from grpcbalance.values import Value
from tests.unit import factories as make
from tests.unit.core.merge import tidy
from tests.unit.core.test_inject import Raw, changed, env_of, record_of

ENTRIES = Balancer().entries("shop", plaintext=False)
OTHERS = Balancer(service="other.mesh").entries("shop", plaintext=False)
NAMES = st.sampled_from([*(name for name in ENTRIES if "/" not in name), "A", "B"])
FIELD = {"valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}}
USERS = st.lists(
    st.builds(lambda name, what: {"name": name, **what}, NAMES, st.sampled_from([FIELD, {"value": "1"}, {}])),
    max_size=4,
    unique_by=lambda entry: entry["name"],
)
MOUNTS = st.lists(
    st.sampled_from([("data", "/data"), ("grpcbalance-xds", "/elsewhere"), ("data", PROOF_PATH)]), max_size=1
)


def some(source: dict[str, Value]) -> st.SearchStrategy[dict[str, Value]]:
    """A part of what clients on xDS get, beside another variable."""
    parts = st.sets(st.sampled_from(list(source)))
    return st.builds(lambda names: {n: v for n, v in source.items() if n in names} | {"A": "$$x"}, parts)


WANTED = st.dictionaries(st.sampled_from(["app", "web"]), some(ENTRIES) | some(OTHERS), max_size=2)


def pod(app: list[Raw], mounts: list[tuple[str, str]]) -> Raw:
    """A Deployment whose container `app` has these entries and mounts; `web` has nothing."""
    mounted: dict[str, Any] = {"volumeMounts": [{"name": n, "mountPath": p} for n, p in mounts]} if mounts else {}
    raw = make.server(containers=[make.container("app", env=app, **mounted), make.container("web")])
    if mounts:
        raw["spec"]["template"]["spec"]["volumes"] = [{"name": name, "emptyDir": {}} for name, _ in mounts]
    return raw


@given(USERS, MOUNTS, st.lists(WANTED, min_size=1, max_size=4), st.booleans())
def test_the_users_stay_and_ours_go_without_a_trace(
    app: list[Raw], mounts: list[tuple[str, str]], sequence: list[dict[str, dict[str, Value]]], remove: bool
) -> None:
    original = raw = pod(app, mounts)
    for wanted in sequence:
        raw, _ = changed(raw, wanted, remove=remove)
        added = set(record_of(raw).get("app", {}))
        assert [entry for entry in env_of(raw) if entry["name"] not in added] == app
        # A second look finds nothing to do.
        assert changed(raw, wanted, remove=remove)[1].patch is None
    assert tidy(changed(raw, {})[0]) == tidy(original)


@given(st.lists(WANTED, min_size=1, max_size=4), st.booleans())
def test_what_a_bootstrap_refers_to_stands_before_it(sequence: list[dict[str, dict[str, Value]]], remove: bool) -> None:
    raw = pod([], [])
    for wanted in sequence:
        raw, _ = changed(raw, wanted, remove=remove)
        for container in ("app", "web"):
            names = [entry["name"] for entry in env_of(raw, container)]
            if BOOTSTRAP in names:
                assert all(names.index(n) < names.index(BOOTSTRAP) for n in (POD_NAME, ZONE) if n in names)


@given(WANTED)
def test_all_of_it_is_carried(wanted: dict[str, dict[str, Value]]) -> None:
    raw, changes = changed(pod([], []), wanted)
    assert changes.conflicts == ()
    assert inject.carries(make.workload(raw), wanted)
