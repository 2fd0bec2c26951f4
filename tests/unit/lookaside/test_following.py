"""When the look-aside balancer is asked, what of its answers is passed on, and that nothing ends that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from types import TracebackType

import pytest

from grpcbalance.lookaside.changes import any_on_xds, refs_on_xds, take, wants_xds
from grpcbalance.lookaside.following import EVERY, PATIENCE, Following
from grpcbalance.lookaside.merge import Answers
from grpcbalance.lookaside.seen import Node, Seen
from grpcbalance.model import Key, Ref, StatusKey, WorkloadKey
from grpcbalance.view import View
from tests.unit import factories as make
from tests.unit.core.snapshots import newer, view_of
from tests.unit.fake_time import run

from .answers import ORDERS, A, answers, page

ON_XDS = make.gbs(discovery="XDS")
STATUS, CLIENT = StatusKey(*ORDERS), WorkloadKey("Deployment", "shop", "checkout")
SERVED = Seen("", plaintext=True)


def clients() -> View:
    return view_of(ON_XDS, make.gbs("other"), make.deployment(client="orders"), make.deployment("idle", client="other"))


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        (ON_XDS, True),
        (make.gbs(), False),
        (make.gbs(discovery="DNS"), False),
        (make.gbs(selector={"discovery": "XDS"}), False),
        (make.gbs(discovery="XDS", port=0), False),
    ],
    ids=["XDS", "default", "DNS", "a label", "unreadable"],
)
def test_who_wants_xds(raw: dict[str, object], wanted: bool) -> None:
    assert wants_xds(make.balanced(raw)) is wanted
    assert refs_on_xds(view_of(raw)) == ([ORDERS] if wanted else [])
    assert any_on_xds(view_of(make.gbs("other"), raw)) is wanted


def test_clients_are_due_when_they_may_be_moved_or_may_not_any_more_and_else_status_alone() -> None:
    view = clients()
    assert take(view, {}) == set()
    assert take(view, {ORDERS: Seen("nobody answers")}) == {STATUS}
    assert take(view, {ORDERS: SERVED}) == {STATUS, CLIENT}
    assert view.seen == {ORDERS: SERVED}
    assert take(view, {ORDERS: Seen("", plaintext=True)}) == set()
    assert take(view, {ORDERS: Seen("", plaintext=True, connected=frozenset({Node("shop", "a")}))}) == {STATUS}
    assert take(view, {ORDERS: Seen("", plaintext=True, tls=True)}) == {STATUS, CLIENT}
    assert take(view, {ORDERS: Seen("one is away", plaintext=True, tls=True)}) == {STATUS, CLIENT}
    assert take(view, {}) == {STATUS}
    assert view.seen == {}


class Replicas:
    """Answers with one of a list after the other, the last for ever; an exception is raised."""

    def __init__(self, *told: Answers | BaseException) -> None:
        self.told = list(told)
        self.asked: list[float] = []
        self.open = 0

    async def __aenter__(self) -> Replicas:
        self.open += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.open -= 1

    async def read(self) -> Answers:
        self.asked.append(asyncio.get_running_loop().time())
        told = self.told.pop(0) if len(self.told) > 1 else self.told[0]
        if isinstance(told, BaseException):
            raise told
        return told


class Listener:
    def __init__(self) -> None:
        self.looks: list[bool] = []
        self.rejecting = 0

    def looked_aside(self, complete: bool) -> None:
        self.looks.append(complete)

    def clients_reject(self, count: int) -> None:
        self.rejecting = count


def follow(view: View, replicas: Replicas, *acts: Callable[[], object]) -> tuple[list[set[Key]], Listener]:
    """Follow for three looks, then do what `acts` says, one after the other, with three looks after each."""
    due: list[set[Key]] = []
    listener = Listener()

    def enqueue(keys: Iterable[Key]) -> None:
        due.append(set(keys))

    async def main() -> None:
        task = asyncio.create_task(Following(view, lambda: replicas, enqueue, listener).run())
        for act in (None, *acts):
            if act is not None:
                act()
            await asyncio.sleep(3 * EVERY - 0.5)
            assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())
    assert replicas.open == 0
    return due, listener


def test_without_an_object_on_xds_nobody_is_asked() -> None:
    replicas = Replicas(answers(a=page()))
    due, listener = follow(view_of(make.gbs()), replicas)
    assert (replicas.asked, due, listener.looks) == ([], [], [])


def test_asked_every_other_second_and_what_is_equal_is_passed_on_once() -> None:
    view, replicas = clients(), Replicas(answers(a=page("x", rejected=(("shop", "x", "no"), ("shop", "y", "no")))))
    due, listener = follow(view, replicas)
    assert [round(later - at, 3) for at, later in zip(replicas.asked, replicas.asked[1:], strict=False)] == [EVERY] * 2
    assert due == [{STATUS, CLIENT}]
    assert (listener.looks, listener.rejecting) == ([True] * 3, 2)
    assert view.seen[ORDERS].connected == {Node("shop", "x")}
    assert set(view.seen) == {ORDERS}


def test_it_begins_and_ends_with_the_objects_on_xds() -> None:
    view, replicas = view_of(make.gbs()), Replicas(answers(a=page(rejected=(("shop", "x", "no"),))))
    due, listener = follow(
        view,
        replicas,
        lambda: view.apply("grpcbalancedservices", "MODIFIED", newer(ON_XDS, rv=2)),
        lambda: view.apply("grpcbalancedservices", "MODIFIED", newer(make.gbs(), rv=3)),
    )
    assert due == [{STATUS}, {STATUS}]
    assert (view.seen, listener.rejecting) == ({}, 0)
    assert len(replicas.asked) in (2, 3)


def test_a_replica_that_is_silent_is_told_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "grpcbalance")
    view = clients()
    away = [answers(a="is away")] * int(PATIENCE / EVERY + 1)
    acts: list[Callable[[], object]] = [lambda: None] * (len(away) // 2)
    due, listener = follow(view, Replicas(answers(a=page()), *away, answers(a=page())), *acts)
    assert due == [{STATUS, CLIENT}] * 3
    assert listener.looks == [True] + [False] * len(away) + [True] * (len(listener.looks) - len(away) - 1)
    assert [record.getMessage() for record in caplog.records] == [
        "the look-aside balancer serves",
        f"replica {A} of the look-aside balancer is away",
        "the look-aside balancer serves",
    ]


def test_a_replica_that_is_silent_for_a_moment_is_not_told_of() -> None:
    view = clients()
    due, listener = follow(view, Replicas(answers(a=page("x")), answers(a="is away"), Answers(), answers(a=page("x"))))
    assert due == [{STATUS, CLIENT}]
    assert listener.looks == [True, False, False]
    # But an object that is new meanwhile is not taken to be served.
    view = view_of()
    replicas = Replicas(answers(a="is away"))
    due, _ = follow(view, replicas, lambda: view.apply("grpcbalancedservices", None, ON_XDS))
    assert due == [{STATUS}]
    assert view.seen[ORDERS].problem == f"replica {A} of the look-aside balancer is away"


@pytest.mark.parametrize("error", [RuntimeError("broken"), asyncio.CancelledError()], ids=["a fault", "kopf ends"])
def test_nothing_ends_it_and_what_is_known_stays(error: BaseException) -> None:
    view, replicas = clients(), Replicas(answers(a=page()), error, answers(a=page()))
    due, _ = follow(view, replicas)
    assert due == [{STATUS, CLIENT}]
    assert len(replicas.asked) == 3
    assert view.seen[ORDERS].problem == ""


def test_an_object_that_went_while_they_were_asked_is_not_seen() -> None:
    view = clients()

    class Slow(Replicas):
        async def read(self) -> Answers:
            view.prune("grpcbalancedservices", [Ref("shop", "orders")])
            return await super().read()

    due, _ = follow(view, Slow(answers(a=page())))
    assert (due, view.seen) == ([], {})
