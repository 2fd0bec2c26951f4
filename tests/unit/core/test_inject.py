"""Rules 1, 2 and 4: what is written into env, and what never is. Patches are applied by a faithful merge."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpcbalance import inject
from grpcbalance.api import Reason
from grpcbalance.inject import Entry
from grpcbalance.model import Role
from grpcbalance.names import ANNOTATION_INJECTED, value_hash
from grpcbalance.optin import Problem
from tests.unit import factories as make
from tests.unit.core.merge import merge, tidy

Raw = dict[str, Any]


def with_env(*entries: Raw, record: Raw | None = None, **more: Any) -> Raw:
    template = {ANNOTATION_INJECTED: json.dumps(record)} if record is not None else {}
    return make.server(containers=[make.container(env=entries)], template_annotations=template, **more)


def changed(raw: Raw, wanted: Raw, *, remove: bool = True) -> tuple[Raw, inject.Changes]:
    changes = inject.changes(make.workload(raw), wanted, remove=remove)
    return merge(raw, changes.patch or {}), changes


def env_of(raw: Raw, container: str = "app") -> list[Raw]:
    containers = raw["spec"]["template"]["spec"]["containers"]
    return next(c.get("env") or [] for c in containers if c["name"] == container)


def record_of(raw: Raw) -> Raw:
    text = (raw["spec"]["template"]["metadata"].get("annotations") or {}).get(ANNOTATION_INJECTED)
    return json.loads(text) if text else {}


VALUE_FROM = {"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}


@pytest.mark.parametrize(
    ("entries", "record", "state"),
    [
        ([], {}, Entry.ABSENT),
        ([], {"A": "new"}, Entry.ABSENT),
        (make.env(A="new"), {"A": "new"}, Entry.CURRENT),
        (make.env(A="old"), {"A": "old"}, Entry.STALE),
        (make.env(A="new"), {}, Entry.EQUAL),
        (make.env(A="new"), {"A": "old"}, Entry.EQUAL),
        (make.env(A="own"), {}, Entry.FOREIGN),
        (make.env(A="own"), {"A": "old"}, Entry.FOREIGN),
        (make.env(A=""), {}, Entry.FOREIGN),
        ([VALUE_FROM], {"A": "old"}, Entry.FOREIGN),
        ([*make.env(A="new"), *make.env(A="new")], {"A": "new"}, Entry.DUPLICATE),
    ],
)
def test_rule1_what_stands_under_a_name(entries: list[Raw], record: Raw, state: Entry) -> None:
    hashes = {"app": {name: value_hash(value) for name, value in record.items()}}
    workload = make.workload(with_env(*entries, record=hashes))
    assert inject.entries(workload, {"app": {"A": "new"}}) == {("app", "A"): state}


def test_rule2_env_and_record_in_one_patch_with_the_resource_version() -> None:
    raw = with_env(rv=41)
    _, changes = changed(raw, {"app": {"A": "1"}})
    text = json.dumps({"app": {"A": value_hash("1")}}, separators=(",", ":"))
    assert changes.patch == {
        "metadata": {"resourceVersion": "41"},
        "spec": {
            "template": {
                "metadata": {"annotations": {ANNOTATION_INJECTED: text}},
                "spec": {"containers": [{"name": "app", "env": [{"name": "A", "value": "1"}]}]},
            }
        },
    }


def test_rule1_users_value_wins_and_is_reported() -> None:
    raw = with_env(*make.env(A="own"))
    after, changes = changed(raw, {"app": {"A": "1", "B": "2"}})
    assert changes.conflicts == (("app", "A"),)
    assert env_of(after) == [*make.env(B="2"), *make.env(A="own")]
    assert record_of(after) == {"app": {"B": value_hash("2")}}


def test_rule1_users_equal_value_is_never_adopted() -> None:
    raw = with_env(*make.env(A="1"))
    after, changes = changed(raw, {"app": {"A": "1", "B": "2"}})
    assert changes.conflicts == ()
    assert record_of(after) == {"app": {"B": value_hash("2")}}
    gone, _ = changed(after, {})
    assert env_of(gone) == make.env(A="1")


def test_rule1_an_edited_value_is_the_users_from_then_on() -> None:
    ours, _ = changed(with_env(), {"app": {"A": "1"}})
    env_of(ours)[0]["value"] = "edited"
    after, changes = changed(ours, {"app": {"A": "2"}})
    assert changes.patch is None
    assert changes.conflicts == (("app", "A"),)
    assert changed(after, {})[0] == after


def test_rule4_uninject_leaves_what_somebody_else_applies_too() -> None:
    ours, _ = changed(with_env(), {"app": {"A": "1", "B": "2"}})
    claim = {"spec": {"template": {"spec": {"containers": [{"name": "app", "env": [{"name": "A", "value": "1"}]}]}}}}
    ours["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] = json.dumps(claim)
    after, _ = changed(ours, {})
    assert env_of(after) == make.env(A="1")
    assert changed(after, {})[1].patch is None


def test_rule4_a_duplicate_of_ours_is_never_deleted() -> None:
    # `$patch: delete` would take the user's entry of that name too.
    ours, _ = changed(with_env(), {"app": {"A": "1"}})
    env_of(ours).append({"name": "A", "value": "own"})
    assert changed(ours, {})[1].patch is None


def test_rule4_container_choice_moves_the_variables_in_one_patch() -> None:
    raw = make.server(containers=[make.container("one"), make.container("two", env=make.env(OWN="x"))])
    ours, _ = changed(raw, {"one": {"A": "1"}})
    after, _ = changed(ours, {"two": {"A": "1"}})
    assert env_of(after, "one") == []
    assert env_of(after, "two") == [*make.env(A="1"), *make.env(OWN="x")]
    assert record_of(after) == {"two": {"A": value_hash("1")}}


def test_rule4_nothing_is_removed_while_something_is_unresolved() -> None:
    ours, _ = changed(with_env(), {"app": {"A": "1"}})
    assert changed(ours, {}, remove=False)[1].patch is None
    after, _ = changed(ours, {"app": {"B": "2"}}, remove=False)
    assert record_of(after) == {"app": {"A": value_hash("1"), "B": value_hash("2")}}


def test_rollout_undo_brings_back_env_and_record_together() -> None:
    first, _ = changed(with_env(), {"app": {"A": "1"}})
    second, _ = changed(first, {"app": {"A": "2"}})
    undone = copy.deepcopy(second)
    undone["spec"]["template"] = copy.deepcopy(first["spec"]["template"])
    again, changes = changed(undone, {"app": {"A": "2"}})
    assert changes.conflicts == ()
    assert env_of(again) == make.env(A="2")


def test_renamed_container_gets_the_variables_anew() -> None:
    ours, _ = changed(with_env(), {"app": {"A": "1"}})
    ours["spec"]["template"]["spec"]["containers"] = [make.container("web")]
    after, _ = changed(ours, {"web": {"A": "1"}})
    assert record_of(after) == {"web": {"A": value_hash("1")}}


@pytest.mark.parametrize(
    ("containers", "annotated", "role", "chosen"),
    [
        ([make.container("app")], (), Role.CLIENT, ("app",)),
        ([make.container("app"), make.container("istio-proxy")], (), Role.CLIENT, ("app",)),
        ([make.container("a"), make.container("b", ports=[5000])], (), Role.SERVER, ("b",)),
        ([make.container("a", ports=[5000]), make.container("b", ports=[5000])], (), Role.SERVER, ("a", "b")),
        ([make.container("app"), make.container("envoy", ports=[5000])], (), Role.SERVER, ("app",)),
        ([make.container("a"), make.container("b")], ("b",), Role.CLIENT, ("b",)),
        ([make.container("a"), make.container("istio-proxy")], ("istio-proxy",), Role.CLIENT, ("istio-proxy",)),
        ([make.container("a"), make.container("b", ports=[5000])], (), Role.CLIENT, Reason.AMBIGUOUS_CONTAINER),
        ([make.container("a"), make.container("b")], (), Role.SERVER, Reason.AMBIGUOUS_CONTAINER),
        ([make.container("app")], ("app", "web"), Role.CLIENT, Reason.CONTAINER_NOT_FOUND),
        ([make.container("istio-proxy")], (), Role.CLIENT, Reason.CONTAINER_NOT_FOUND),
    ],
)
def test_choice_of_containers(
    containers: list[Raw], annotated: tuple[str, ...], role: Role, chosen: tuple[str, ...] | Reason
) -> None:
    workload = make.workload(make.server(containers=containers))
    found = inject.choose_containers(workload, annotated, role, 5000)
    assert (found.reason if isinstance(found, Problem) else found) == chosen
    if isinstance(found, Problem):
        assert all(container["name"] in found.message for container in containers)


# -- model-based -----------------------------------------------------------------------------------------

NAMES = st.sampled_from(["A", "B", "C", "D"])
VALUES = st.sampled_from(["", "1", "2", "$$x", "é"])
PLAIN = st.builds(lambda n, v: {"name": n, "value": v}, NAMES, VALUES)
BARE = st.builds(lambda n: {"name": n}, NAMES)
FROM = st.builds(lambda n: {"name": n, "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}, NAMES)
USERS_ENV = st.lists(PLAIN | FROM | BARE, max_size=5)
WANTED = st.dictionaries(st.sampled_from(["app", "web"]), st.dictionaries(NAMES, VALUES, max_size=3), max_size=2)


def two_containers(app: list[Raw], web: list[Raw]) -> Raw:
    return make.server(containers=[make.container("app", env=app), make.container("web", env=web)])


@given(USERS_ENV, USERS_ENV, st.lists(WANTED, min_size=1, max_size=4), st.booleans())
def test_users_entries_never_change_whatever_is_wanted(
    app: list[Raw], web: list[Raw], sequence: list[dict[str, dict[str, str]]], remove: bool
) -> None:
    original = two_containers(app, web)
    raw = original
    for wanted in sequence:
        raw, _ = changed(raw, wanted, remove=remove)
        for name, users in (("app", app), ("web", web)):
            added = set(record_of(raw).get(name, {}))
            kept = [entry for entry in env_of(raw, name) if entry["name"] not in added]
            assert kept == users
            assert added.isdisjoint(entry["name"] for entry in users)
        # A second look finds nothing to do.
        assert changed(raw, wanted, remove=remove)[1].patch is None
    # Opting out gives back exactly what was there.
    assert tidy(changed(raw, {})[0]) == tidy(original)


@given(USERS_ENV, WANTED)
def test_what_is_wanted_is_carried_or_a_conflict_is_told(app: list[Raw], wanted: dict[str, dict[str, str]]) -> None:
    raw, _ = changed(two_containers(app, []), wanted)
    workload = make.workload(raw)
    states = inject.entries(workload, wanted)
    assert set(states.values()) <= {Entry.CURRENT, Entry.EQUAL, Entry.FOREIGN, Entry.DUPLICATE}
    told = {*inject.changes(workload, wanted, remove=True).conflicts, *inject.duplicates(workload, wanted)}
    assert inject.carries(workload, wanted) is not bool(told)


@given(USERS_ENV, WANTED, st.lists(st.tuples(NAMES, VALUES), max_size=3))
def test_hand_edits_between_decisions_are_kept(
    app: list[Raw], wanted: dict[str, dict[str, str]], edits: list[tuple[str, str]]
) -> None:
    raw, _ = changed(two_containers(app, []), wanted)
    edited = {}
    for name, value in edits:
        for entry in env_of(raw):
            if entry["name"] == name and "valueFrom" not in entry and entry.get("value") != value:
                entry["value"] = value
                edited[name] = value
    before = copy.deepcopy([entry for entry in env_of(raw) if entry["name"] in edited])
    ours_again = {n for n, v in edited.items() if record_of(raw).get("app", {}).get(n) == value_hash(v)}
    for then in (wanted, {}):
        raw, _ = changed(raw, then)
        left = [entry for entry in env_of(raw) if entry["name"] in edited]
        assert [e for e in left if e["name"] not in ours_again] == [e for e in before if e["name"] not in ours_again]


@pytest.mark.parametrize(
    ("names", "refused"),
    [("ABA", ["A"]), ("AAB", []), ("ABBA", ["A"]), ("ABAB", ["A", "B"]), ("AB", [])],
)
def test_names_of_the_user_that_stand_twice_apart_are_refused(names: str, refused: list[str]) -> None:
    env = [{"name": name, "value": str(position)} for position, name in enumerate(names)]
    workload = make.workload(two_containers(env, []))
    assert [name for _, name in inject.duplicates(workload, {"app": {"NEW": "1"}})] == refused
    assert inject.duplicates(workload, {"web": {"NEW": "1"}}) == ()
