"""Who was connected once may be idle and is never accused; and nobody waits for a list of pods."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from grpcbalance.lookaside.changes import take
from grpcbalance.lookaside.pods import Absent
from grpcbalance.lookaside.seen import Node, Seen
from grpcbalance.model import Key, Ref, StatusKey
from grpcbalance.moments import to_text
from grpcbalance.reconcile.connections import LOOK_EVERY, Connections
from grpcbalance.settings import Settings
from tests.unit import factories as make
from tests.unit.core.snapshots import view_of

from .server import Server
from .test_connections import POD, TOLD, XDS, on_xds, pod, see, told
from .world import BEGINNING, make_context

NAMELESS = Node("", POD.pod)


def ready_at(seconds: float) -> str:
    return to_text(BEGINNING + timedelta(seconds=seconds))


@pytest.mark.parametrize("node", [POD, NAMELESS], ids=["by namespace", "by its name alone"])
def test_who_was_connected_once_may_be_idle(node: Node) -> None:
    world = on_xds()
    see(world, node)
    world.run(5)
    see(world)
    assert world.writes_in(20 * TOLD) == []
    assert told(world) == ("True", "Configured")


def test_who_was_connected_while_a_replica_was_away_was_connected() -> None:
    world = on_xds()
    see(world, POD, problem="replica A is away")
    world.run(5)
    see(world)
    assert told(world.run(10 * TOLD)) == ("True", "Configured")


def test_one_that_became_ready_anew_since_then_is_as_any_other() -> None:
    world = on_xds()
    see(world, POD)
    world.run(5)
    see(world)
    world.server.xds_pods = [pod()._replace(ready_since=ready_at(world.now + 60))]
    assert told(world.run(TOLD)) == ("True", "Configured")
    assert told(world.run(TOLD)) == ("False", "XdsNotConnected")


def test_who_is_accused_and_then_idle_is_not_accused_again() -> None:
    world = on_xds()
    see(world)
    assert told(world.run(TOLD)) == ("False", "XdsNotConnected")
    see(world, POD)
    world.run(5)
    see(world)
    assert told(world.run(10 * TOLD)) == ("True", "Configured")


def test_after_a_restart_only_who_is_younger_is_accused() -> None:
    world = on_xds()
    see(world, POD)
    world.run(TOLD)
    world.start()
    # It may be idle since before.
    see(world)
    assert world.writes_in(10 * TOLD) == []
    other = pod(Node("shop", "checkout-6b7f9-young"))._replace(ready_since=ready_at(world.now))
    world.server.xds_pods = [pod(), other]
    assert told(world.run(TOLD + LOOK_EVERY)) == ("False", "XdsNotConnected")
    assert "checkout-6b7f9-young" in str(world.status()["conditions"])
    assert POD.pod not in str(world.status()["conditions"])


def test_who_is_remembered_is_bounded() -> None:
    server = on_xds().server
    looking = Looking(server)
    for number in range(200):
        server.xds_pods = [pod(Node("shop", f"checkout-{number}"))]
        looking.look(Node("shop", f"checkout-{number}"))
        looking.list()
    assert len(looking.connections._met[looking.ref]) <= 3 + 3


class Looking:
    """Looks at one object, with lists that come when they are let."""

    def __init__(self, server: Server) -> None:
        self.ref, self.now = Ref("shop", "orders"), 0.0
        client = make.deployment(client="orders", containers=[make.container(env=XDS)])
        self.view = view_of(make.gbs(discovery="XDS"), make.server(), client)
        self.due: list[Key] = []
        self.lists: list[Callable[[], Awaitable[None]]] = []
        context = make_context(server, self.view, Settings(), lambda: self.now, self.due.extend)
        self.connections = Connections(replace(context, beside=self.lists.append))

    def look(self, *connected: Node) -> Absent:
        """A look, half a minute later, at what is listed by then."""
        take(self.view, {self.ref: Seen("", plaintext=True, connected=frozenset(connected))})
        self.now += LOOK_EVERY
        absent, again = self.connections.look(self.ref)
        assert again == LOOK_EVERY
        return absent

    def list(self) -> None:
        """Let the lists come that were asked for."""
        while self.lists:
            waiting = self.lists.pop()().__await__()
            with pytest.raises(StopIteration):
                next(waiting)


def test_nobody_waits_for_a_list_and_while_it_does_not_come_nothing_is_said() -> None:
    looking = Looking(on_xds().server)
    for _ in range(5):
        assert looking.look() == Absent(unsure=True)
    # Once, however long it takes.
    assert len(looking.lists) == 1
    assert looking.due == []
    looking.list()
    assert looking.due == [StatusKey("shop", "orders")]
    assert looking.look() == Absent(unsure=True)
    looking.look()
    assert looking.look() == Absent((POD,))


def test_what_cannot_be_read_is_told_and_asked_for_again(caplog: pytest.LogCaptureFixture) -> None:
    server = on_xds().server
    server.xds_refusal = KeyError("metadata")
    looking = Looking(server)
    assert looking.look() == Absent(unsure=True)
    looking.list()
    assert "pods of shop cannot be read" in caplog.text
    assert looking.look() == Absent(unsure=True)
    assert len(looking.lists) == 1
