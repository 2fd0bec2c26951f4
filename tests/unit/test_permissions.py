"""The self-check: what is needed, what is missing, and how that is told."""

from __future__ import annotations

import asyncio
import logging

import pytest

from grpcbalance.errors import Retry
from grpcbalance.permissions import CHECK_EVERY, CHECK_SOON, Permission, SelfCheck, needed
from grpcbalance.settings import Settings

from .fake_time import run

PATCH = Permission("apps", "statefulsets", "patch")
LIST = Permission("batch", "cronjobs", "list")
STATUS = Permission("grpcbalance.dev", "grpcbalancedservices/status", "patch")


class Reviews:
    """Denies what is in `denied`, or answers nothing at all; keeps when it was asked about the first permission."""

    def __init__(self, *denied: Permission) -> None:
        self.denied, self.away = set(denied), False
        self.scopes: set[str] = set()
        self.rounds: list[float] = []
        self.changes = 0

    async def may(self, verb: str, group: str, resource: str, namespace: str, name: str) -> bool:
        if (group, resource, verb, name) == needed(Settings())[0]:
            self.rounds.append(asyncio.get_running_loop().time() - 1000)
        self.scopes.add(namespace)
        await asyncio.sleep(0)
        if self.away:
            raise Retry(None, "away")
        return Permission(group, resource, verb, name) not in self.denied

    def changed(self) -> None:
        self.changes += 1


def check(reviews: Reviews, settings: Settings | None = None) -> SelfCheck:
    made = SelfCheck(reviews.may, settings or Settings(), reviews.changed)
    assert asyncio.run(made.check())
    return made


@pytest.mark.parametrize(
    ("permission", "text"),
    [
        (PATCH, "patch statefulsets.apps"),
        (STATUS, "patch grpcbalancedservices.grpcbalance.dev/status"),
        (Permission("", "pods", "list"), "list pods"),
        (Permission("", "configmaps", "get", "grpcbalance-xds-ca"), "get configmaps grpcbalance-xds-ca"),
    ],
)
def test_a_permission_is_written_as_people_write_it(permission: Permission, text: str) -> None:
    assert str(permission) == text


def test_who_comes_during_a_check_has_its_answer_and_who_comes_later_another() -> None:
    reviews = Reviews(LIST)
    made = SelfCheck(reviews.may, Settings(), reviews.changed)

    async def several() -> None:
        assert list(await asyncio.gather(made.check(), made.check(), made.check())) == [True] * 3
        assert len(reviews.rounds) == 1
        reviews.away = True
        assert list(await asyncio.gather(made.check(), made.check())) == [False] * 2
        reviews.away, reviews.denied = False, set()
        assert await made.check()
        assert made.missing == ()

    run(several())


def test_nothing_is_missing_and_nothing_is_told() -> None:
    reviews = Reviews()
    made = check(reviews)
    assert (made.missing, made.message, made.trouble(), made.barred) == ((), "", {}, frozenset())
    assert reviews.changes == 0
    assert reviews.scopes == {""}


def test_what_is_missing_is_named_by_verb_and_resource_once_per_change(caplog: pytest.LogCaptureFixture) -> None:
    reviews = Reviews(PATCH, LIST)
    with caplog.at_level(logging.INFO, "grpcbalance.permissions"):
        made = check(reviews)
        text = "the operator may not patch statefulsets.apps, list cronjobs.batch; apply manifests/rbac.yaml"
        assert made.message == text
        assert made.trouble() == {
            "may not patch statefulsets.apps": "apply manifests/rbac.yaml",
            "may not list cronjobs.batch": "apply manifests/rbac.yaml",
        }
        asyncio.run(made.check())
        reviews.denied.clear()
        asyncio.run(made.check())
    assert [record.message for record in caplog.records] == [
        f"missing permissions: {text}",
        "no permission is missing any more",
    ]
    assert reviews.changes == 2
    assert made.message == ""


def test_what_cannot_be_listed_or_watched_is_barred() -> None:
    watch = Permission("", "services", "watch")
    made = check(Reviews(PATCH, LIST, watch, Permission("", "pods", "list")))
    assert made.barred == {"cronjobs", "services"}


def test_everything_missing_fits_into_a_message() -> None:
    made = check(Reviews(*needed(Settings())))
    assert len(made.message) < 512
    assert f"and {len(needed(Settings())) - 8} more" in made.message


def test_one_namespace_is_asked_about_and_named() -> None:
    reviews = Reviews(PATCH)
    made = check(reviews, Settings(namespace="shop"))
    assert reviews.scopes == {"shop"}
    assert made.message.endswith("; apply manifests/namespaced/rbac.yaml")
    resources = {permission.resource for permission in needed(Settings(namespace="shop"))}
    assert "namespaces" not in resources
    assert resources | {"namespaces"} == {permission.resource for permission in needed(Settings())}


def test_a_dry_run_needs_no_right_to_write() -> None:
    verbs = {(item.resource, item.verb) for item in needed(Settings(dry_run=True))}
    assert {resource for resource, verb in verbs if verb in ("create", "patch", "delete")} == {"events"}
    assert {("deployments", "list"), ("deployments", "watch"), ("pods", "list")} <= verbs


def test_it_asks_each_minute_and_more_often_while_something_is_missing_or_nobody_answers() -> None:
    async def main() -> list[float]:
        reviews = Reviews()
        made = SelfCheck(reviews.may, Settings(), reviews.changed)
        reviews.away = True
        task = asyncio.create_task(made.run())
        await asyncio.sleep(1)
        # Nobody says so: nothing is missing.
        assert made.message == ""
        reviews.away = False
        reviews.denied = {PATCH}
        await asyncio.sleep(CHECK_SOON)
        assert str(PATCH) in made.message
        reviews.away = True
        await asyncio.sleep(CHECK_SOON)
        assert str(PATCH) in made.message
        reviews.away, reviews.denied = False, set()
        await asyncio.sleep(CHECK_SOON)
        assert made.message == ""
        await asyncio.sleep(CHECK_EVERY * 2)
        task.cancel()
        return reviews.rounds

    assert run(main()) == [0, 10, 20, 30, 90, 150]


def test_after_something_was_forbidden_it_asks_soon_and_says_that_all_is_well() -> None:
    # An API server that has just started forbids everything, and knows better moments later.
    async def main() -> tuple[list[float], int]:
        reviews = Reviews()
        made = SelfCheck(reviews.may, Settings(), reviews.changed)
        task = asyncio.create_task(made.run())
        await asyncio.sleep(20)
        for _ in range(3):
            made.doubt()
        await asyncio.sleep(CHECK_EVERY)
        task.cancel()
        return reviews.rounds, reviews.changes

    assert run(main()) == ([0, 25], 1)


def test_endless_doubt_asks_no_more_than_once_a_minute() -> None:
    # An authorizer that refuses one namespace answers that all is permitted.
    async def main() -> int:
        reviews = Reviews()
        made = SelfCheck(reviews.may, Settings(), reviews.changed)
        task = asyncio.create_task(made.run())
        await asyncio.sleep(1)
        made.doubt()
        for _ in range(600):
            await asyncio.sleep(1)
            made.doubt()
        task.cancel()
        return reviews.changes

    assert run(main()) <= 10
