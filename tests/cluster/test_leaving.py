"""Leaving: by annotation, by Git, by rollout undo, by replace. What is ours goes, what is the user's stays."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.corpus.systems import comparable
from tests.kit import objects
from tests.kit.objects import Object
from tests.kit.shop import Shop, env_of, record_of

from .test_endpoints import by_hand
from .test_lifecycle import TARGET, target

pytestmark = pytest.mark.cluster

CLIENT = {"grpcbalance.dev/client": "orders"}


def git(annotations: dict[str, str] | None = None, env: list[Object] | None = None) -> Object:
    """The user's manifest."""
    return objects.idle("checkout", annotations=CLIENT if annotations is None else annotations, env=env)


def apply(shop: Shop, manifest: Object, *how: str) -> None:
    shop.kubectl("apply", *how, "-f", "-", stdin=yaml.safe_dump(manifest))


def injected(shop: Shop, *how: str) -> None:
    """A client that was applied from Git, and is configured."""
    shop.create(
        by_hand("ready", ["10.210.0.1"], ready=True),
        objects.balanced(),
        objects.idle("orders", ports=(5000,), annotations={"grpcbalance.dev/server": "orders"}),
    )
    apply(shop, git(), *how)
    shop.wait_configured()


def template(shop: Shop) -> Object:
    """What a change of rolls pods."""
    found: Object = shop.get("Deployment", "checkout")["spec"]["template"]
    return found


def wait_noticed(shop: Shop) -> None:
    """Wait until the operator has looked at what is no client any more."""
    shop.wait_balanced(lambda b: b["status"]["clients"]["matched"] == 0, "no client is left")


def test_keep_leaves_the_variables_and_rolls_nothing(shop: Shop) -> None:
    injected(shop)
    shop.annotate("checkout", on_remove="Keep")
    before = template(shop)
    shop.annotate("checkout", client=None)
    wait_noticed(shop)
    assert template(shop) == before
    assert shop.env("checkout")[TARGET] == target(shop)
    # Nothing is hidden: without the word they go.
    shop.annotate("checkout", on_remove=None)
    shop.wait_env("checkout", TARGET, None)


@pytest.mark.parametrize("how", [(), ("--server-side", "--force-conflicts")], ids=["client-side", "server-side"])
def test_entries_that_were_copied_into_git_stay_when_the_annotation_goes(shop: Shop, how: tuple[str, ...]) -> None:
    injected(shop, *how)
    ours = [{"name": n, "value": v} for n, v in shop.env("checkout").items() if n.startswith("GRPC_")]
    apply(shop, git(env=ours), *how)
    apply(shop, git({}, env=ours), *how)
    wait_noticed(shop)
    assert shop.env("checkout")[TARGET] == target(shop)
    # Nor does anything of ours come back over the user's own, later.
    shop.annotate("checkout", client="orders")
    shop.wait_configured()
    shop.annotate("checkout", client=None)
    wait_noticed(shop)
    assert shop.env("checkout")[TARGET] == target(shop)


def test_apply_without_the_annotation_brings_back_the_original(shop: Shop) -> None:
    apply(shop, git({}))
    original = shop.get("Deployment", "checkout")
    injected(shop)
    apply(shop, git({}))
    shop.wait_env("checkout", TARGET, None)
    live = shop.get("Deployment", "checkout")
    assert comparable(_without_manifest(live)) == comparable(_without_manifest(original))


def _without_manifest(raw: Object) -> Object:
    made = copy.deepcopy(raw)
    made["metadata"]["annotations"].pop("kubectl.kubernetes.io/last-applied-configuration", None)
    return made


def test_replace_with_the_original_manifest_leaves_nothing_to_take_back(shop: Shop) -> None:
    injected(shop)
    shop.kubectl("replace", "-f", "-", stdin=yaml.safe_dump(git({})))
    wait_noticed(shop)
    found = shop.get("Deployment", "checkout")
    assert (record_of(found), TARGET in env_of(found)) == ({}, False)


def test_rollout_undo_to_a_revision_with_our_variables_brings_annotation_and_all_back(shop: Shop) -> None:
    injected(shop)
    shop.annotate("checkout", client=None)
    shop.wait_env("checkout", TARGET, None)
    # The controller has to have seen each template, or there is no revision to go back to.
    shop.wait_deployment(
        "checkout", lambda d: d["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3", "third revision"
    )
    shop.kubectl("rollout", "undo", "deployment/checkout")
    # kubectl restores the annotations of that time, too: it is a client again.
    shop.wait_configured()
    found = shop.get("Deployment", "checkout")
    assert found["metadata"]["annotations"]["grpcbalance.dev/client"] == "orders"
    assert env_of(found)[TARGET] == target(shop)
    assert set(record_of(found)["app"]) == {name for name in env_of(found) if name.startswith("GRPC_")}


MISTAKES: dict[str, Callable[[], dict[str, Any]]] = {
    "blank": lambda: {"client": " "},
    "newline": lambda: {"client": "orders\nGRPC=1"},
    "path": lambda: {"client": "../orders"},
    "url": lambda: {"client": "http://orders:5000"},
    "huge": lambda: {"client": "orders," * 29_000},
    "expansion": lambda: {"client": "$(PATH)"},
    "misspelt": lambda: {"clients": "orders"},
    "paused": lambda: {"client": "orders", "paused": "yes"},
    "keep": lambda: {"client": "orders", "on_remove": "keep"},
    "half": lambda: {"client": "orders,UPPER"},
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_cannot_be_read_is_told_and_nothing_is_done_by_halves(shop: Shop, mistake: str) -> None:
    shop.create(
        by_hand("ready", ["10.210.0.1"], ready=True),
        objects.balanced(),
        objects.idle("orders", ports=(5000,), annotations={"grpcbalance.dev/server": "orders"}),
        git({}),
    )
    before = shop.get("Deployment", "checkout")["spec"]
    shop.annotate("checkout", **MISTAKES[mistake]())
    event = shop.wait_event("checkout", "UnknownAnnotation" if mistake == "misspelt" else "InvalidAnnotation")
    assert "grpcbalance.dev/" in event["message"]
    assert len(event["message"]) <= 1024
    assert shop.get("Deployment", "checkout")["spec"] == before


def test_a_doubled_name_with_something_between_is_refused_and_left_in_its_order(shop: Shop) -> None:
    env = [{"name": n, "value": v} for n, v in (("A", "1"), ("B", "$(A)"), ("A", "2"))]
    shop.create(
        by_hand("ready", ["10.210.0.1"], ready=True),
        objects.balanced(),
        objects.idle("orders", ports=(5000,), annotations={"grpcbalance.dev/server": "orders"}),
        git(env=env),
    )
    listed = shop.wait_workload("checkout", "DuplicateEnv")
    assert "A stands twice" in listed["message"]
    entries = shop.get("Deployment", "checkout")["spec"]["template"]["spec"]["containers"][0]["env"]
    assert [e["name"] for e in entries if e["name"] in "AB"] == ["A", "B", "A"]
