"""Any order of what can happen on a stream ends with every client having what it asks for, and nothing for nothing.

Requests and responses wait on the wire in both directions, so nonces get stale by themselves. `Honest` does what the
protocol says. `Chaotic` also sends requests with any nonce that it ever saw or made up. `Forgetful` drops the last name
of a kind without a word and does not answer what comes then, as grpc-java up to 1.65 did, and, if it forgets the
nonce, too, as grpc-js-xds up to 1.12.1 did.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from grpcbalance.xds.kinds import COMPLETE, Kind
from grpcbalance.xds.session import Rejection, Request, Response, Subscription

from .lookups import World

names = st.sampled_from(["a", "b"])


class Move(NamedTuple):
    """So many requests arrive together, then so many responses, which the client rejects with this error."""

    up: int
    down: int
    error: str | None


moves = st.builds(Move, st.integers(0, 3), st.integers(0, 2), st.sampled_from([None, None, "bad"]))


class Client:
    """One kind, as the client sees it."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.names: set[str] = set()
        self.has: dict[str, str] = {}
        self.nonce = ""
        self.requests: deque[Request] = deque()
        self.responses: deque[Response] = deque()

    def ask(self, error: str | None = None, nonce: str | None = None) -> None:
        names = tuple(sorted(self.names))
        self.requests.append(Request(self.kind, names, nonce=self.nonce if nonce is None else nonce, error=error))

    def read(self, error: str | None) -> None:
        response = self.responses.popleft()
        self.take(response)
        self.nonce = response.nonce
        self.ask(error)

    def take(self, response: Response) -> None:
        found = {resource.name: resource.version for resource in response.resources}
        assert len(found) == len(response.resources)
        if self.kind in COMPLETE:
            self.has = {}
        self.has |= {name: version for name, version in found.items() if name in self.names}

    def drop(self, name: str) -> None:
        self.names.remove(name)
        self.has.pop(name, None)
        self.ask()


class Forgetting(Client):
    """A client of which it is not heard while it has no names."""

    forgets_nonce = False

    def drop(self, name: str) -> None:
        if self.names != {name}:
            super().drop(name)
            return
        self.names, self.has = set(), {}
        if self.forgets_nonce:
            self.nonce = ""

    def read(self, error: str | None) -> None:
        if self.names:
            super().read(error)
        else:
            self.responses.popleft()


class ForgettingAll(Forgetting):
    """Nor does it know a nonce any more."""

    forgets_nonce = True


class Ledger:
    """What the server has read and sent: each response must have a reason, and each reason a response."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.names: set[str] = set()
        # Named since the last response that could tell of them.
        self.fresh: set[str] = set()
        self.sent: dict[str, str | None] = {}
        self.unanswered: list[Response] = []

    def read(self, request: Request) -> list[Rejection]:
        names = set(request.names)
        self.fresh = (self.fresh | (names - self.names)) & names
        self.names = names
        nonces = [response.nonce for response in self.unanswered]
        if request.nonce not in nonces:
            return []
        answered = self.unanswered[nonces.index(request.nonce)]
        del self.unanswered[: nonces.index(request.nonce) + 1]
        if request.error is None:
            return []
        return [Rejection(self.kind, tuple(resource.name for resource in answered.resources), request.error)]

    def send(self, responses: tuple[Response, ...], world: World) -> None:
        now = {name: world.contents.get((self.kind, name)) for name in self.names}
        if self.kind not in COMPLETE:
            now = {name: version for name, version in now.items() if version is not None}
        new = {name for name, version in now.items() if name in self.fresh or self.sent.get(name) != version}
        has_nothing = {name for name in new if name in self.fresh or self.sent.get(name) is None}
        assert len(responses) == bool(has_nothing or (new and not self.unanswered))
        for response in responses:
            listed = {name: now[name] for name in (now if self.kind in COMPLETE else new)}
            found = {resource.name: resource.version for resource in response.resources}
            assert found == {name: version for name, version in listed.items() if version is not None}
            self.unanswered.append(response)
            self.sent |= listed
            self.fresh -= listed.keys()


class Stream(RuleBasedStateMachine):
    """What happens to every client; the clients differ. One kind, since kinds do not touch each other."""

    client_type: type[Client] = Client
    # Whether each response can be justified by what the server has read; not if clients forget, or lie.
    honest = True

    @initialize(kind=st.sampled_from(Kind))
    def begin(self, kind: Kind) -> None:
        self.world = World().put(kind, a="0")
        self.session = self.world.session()
        self.client = self.client_type(kind)
        self.ledger = Ledger(kind)
        self.nonces: set[str] = set()
        self.versions = 0

    @rule(name=names, move=moves)
    def subscribe_or_not(self, name: str, move: Move) -> None:
        if name in self.client.names:
            self.client.drop(name)
        else:
            self.client.names.add(name)
            self.client.ask()
        self.wire(move)

    @rule(name=names, exists=st.integers(0, 3), pushed=st.booleans(), move=moves)
    def change(self, name: str, exists: int, pushed: bool, move: Move) -> None:
        self.versions += 1
        self.world.put(self.client.kind, **{name: str(self.versions) if exists else None})
        if pushed:
            self.send(self.session.push())
            assert self.session.push() == ()
        self.wire(move)

    @rule(move=moves)
    def wire(self, move: Move) -> None:
        waiting = self.client.requests
        requests = [waiting.popleft() for _ in range(min(move.up, len(waiting)))]
        rejections = [rejection for request in requests for rejection in self.ledger.read(request)]
        outcome = self.session.receive(*requests)
        assert not self.honest or outcome.rejections == tuple(rejections)
        if requests:
            self.send(outcome.responses)
        for _ in range(min(move.down, len(self.client.responses))):
            self.client.read(move.error)

    def send(self, responses: tuple[Response, ...]) -> None:
        if self.honest:
            self.ledger.send(responses, self.world)
        for response in responses:
            assert response.kind is self.client.kind
            assert response.nonce not in self.nonces
            self.nonces.add(response.nonce)
            self.client.responses.append(response)

    def teardown(self) -> None:
        """All that waits is read; then the client has what there is, and the session knows."""
        self.send(self.session.push())
        for _ in range(100):
            if not self.client.requests and not self.client.responses:
                break
            self.wire(Move(3, 2, None))
        else:
            raise AssertionError("they never stop talking")
        assert self.client.has == self.wanted()
        for found in self.session.snapshot():
            self.known(found)

    def wanted(self) -> dict[str, str]:
        """What the client should have. Of a kind that is not complete it keeps what vanished."""
        kind, names = self.client.kind, self.client.names
        there = {name: content for (_, name), content in self.world.contents.items() if name in names}
        return there if kind in COMPLETE else self.client.has | there

    def known(self, found: Subscription) -> None:
        assert not found.in_flight
        assert set(found.names) == self.client.names
        if found.rejection is None:
            assert found.acknowledged == found.sent


class Honest(Stream):
    """Nothing is sent without a reason, and everything with one."""


class Chaotic(Stream):
    """What it sends besides does not keep it from what it asks for."""

    honest = False

    @rule(number=st.integers(0, 8), stream=st.sampled_from("srr"), error=st.none() | st.just("bad"), move=moves)
    def any_nonce(self, number: int, stream: str, error: str | None, move: Move) -> None:
        self.client.ask(error, f"{stream}.{number}" if number else "")
        self.wire(move)

    @rule(move=moves)
    def again(self, move: Move) -> None:
        self.client.ask()
        self.wire(move)

    def known(self, found: Subscription) -> None:
        assert set(found.names) == self.client.names


class Forgetful(Stream):
    """As grpc-java up to 1.65."""

    client_type = Forgetting
    honest = False

    def known(self, found: Subscription) -> None:
        """It may have no names any more, which nobody told the server."""


class Oblivious(Forgetful):
    """As grpc-js-xds up to 1.12.1."""

    client_type = ForgettingAll


@pytest.mark.parametrize("stream", [Honest, Chaotic, Forgetful, Oblivious])
def test_all_is_had_in_the_end(stream: type[Stream]) -> None:
    run_state_machine_as_test(stream, settings=settings(max_examples=100, stateful_step_count=40, deadline=None))
