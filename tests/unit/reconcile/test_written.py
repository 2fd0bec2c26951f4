"""What people are told of a patch of variables, in one line of an Event."""

from __future__ import annotations

import json
from typing import Any

import pytest

from grpcbalance.inject import changes
from grpcbalance.model import Workload
from grpcbalance.names import ANNOTATION_INJECTED, value_hash
from grpcbalance.reconcile.written import written
from grpcbalance.values import Proof
from tests.unit import factories as make

ROLLS = ", which rolls the pods"
MANY = {f"V{number}": "1" for number in range(7)}


def carrying(ours: dict[str, str], **container: Any) -> Workload:
    """A client with these variables, all of them ours."""
    record = {ANNOTATION_INJECTED: json.dumps({"app": {name: value_hash(value) for name, value in ours.items()}})}
    containers = [make.container(env=make.env(**ours), **container)]
    return make.workload(make.deployment(client="orders", template_annotations=record, containers=containers))


def told(workload: Workload, wanted: dict[str, Any], version: str = "7") -> tuple[str, str]:
    made = changes(workload, {"app": wanted} if wanted else {}, remove=True)
    assert made.patch is not None
    note = written(workload, made.patch, version)
    assert note.occasion == version
    return str(note.reason), note.message


@pytest.mark.parametrize(
    ("ours", "wanted", "reason", "message"),
    [
        ({}, {"A": "1", "B": "2"}, "Injected", f"A, B added{ROLLS}"),
        ({"A": "1"}, {"A": "2"}, "Injected", f"A changed{ROLLS}"),
        ({"A": "1", "B": "1"}, {"A": "2", "C": "1"}, "Injected", f"C added; A changed; B removed{ROLLS}"),
        ({"A": "1"}, {}, "Removed", f"A removed{ROLLS}"),
        ({}, {"A": "1", "volume/grpcbalance-xds": Proof()}, "Injected", f"A, volume/grpcbalance-xds added{ROLLS}"),
        (MANY, {"V0": "2"}, "Injected", f"V0 changed; V1, V2, V3, V4 and 2 more removed{ROLLS}"),
    ],
    ids=["new", "changed", "all three", "nothing left", "volume", "many"],
)
def test_names_of_what_changed(ours: dict[str, str], wanted: dict[str, Any], reason: str, message: str) -> None:
    assert told(carrying(ours), wanted) == (reason, message)


def test_an_env_from_is_a_warning_beside_it() -> None:
    reason, message = told(carrying({}, envFrom=[{"configMapRef": {"name": "x"}}]), {"A": "1"})
    assert (reason, message.startswith(f"A added{ROLLS}; container app has envFrom")) == ("EnvFrom", True)


def test_the_record_of_a_container_that_is_no_more() -> None:
    record = {ANNOTATION_INJECTED: json.dumps({"gone": {"A": value_hash("1")}})}
    left = make.workload(make.deployment(template_annotations=record, containers=[make.container()]))
    assert told(left, {}) == ("Removed", f"the record of injected variables changed{ROLLS}")


def test_of_pods_that_are_not_replaced_that_is_said() -> None:
    raw = make.deployment(client="orders", containers=[make.container()])
    cron = {"jobTemplate": {"spec": {"template": raw["spec"]["template"]}}, "schedule": "* * * * *"}
    nightly = make.workload({**raw, "kind": "CronJob", "apiVersion": "batch/v1", "spec": cron})
    assert told(nightly, {"A": "1"}) == ("Injected", "A added; no pod is replaced for it")


def test_one_line_whatever_the_names_are() -> None:
    names = {f"{letter}{number}{'X' * 61}": letter for letter in "ABC" for number in range(9)}
    ours = {name: value for name, value in names.items() if value != "A"}
    wanted = {name: "2" for name, value in names.items() if value != "C"}
    _, message = told(carrying(ours), wanted)
    assert message.endswith(ROLLS)
    assert len(message) < 1024
