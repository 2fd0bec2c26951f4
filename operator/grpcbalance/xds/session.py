"""What the server says to one client: the state-of-the-world protocol of ADS, for one stream. Pure.

The rules, and where they come from ("xDS" is Envoy's xds_protocol page, A27 and the like are gRFCs):

* A request names all that the client wants of a kind and replaces its earlier ones (xDS). A name that was not in the
  request before is always answered, although the client may have had the resource earlier: it forgets what it stops
  asking for (xDS; go-control-plane#431 shows clients that hang otherwise). A name that is dropped needs no answer.
* Listeners and clusters are told complete: a response lists all that are subscribed to and exist; what the client had
  and misses was deleted (xDS, A53). Of the other kinds a response has only what is new to the client, and what does not
  exist is not spoken of. Either way nothing is sent unless something differs in content from what was sent last.
* A response is answered by a request with its nonce: without error it is an ACK, with one a NACK (xDS). A NACK changes
  nothing about what was sent, so the same content is not sent again. A new stream begins with nothing sent. Versions of
  requests are not read: that a client had one on another stream (A57) does not tell which names it had.
* A request with the nonce of an earlier response, or of none, is "stale". xDS says not to respond to it, since the
  answer to the later response repeats its names. Its names count nevertheless. They can not be too old: requests come
  in the order in which they were sent, and each has the names of that moment. To skip one can be wrong: a name that
  was dropped and named again in between would look as if nothing had happened, and grpc-java up to 1.65 does not
  answer what it receives while it has no names of a kind (grpc-java#11232).
* A request that neither answers anything nor changes the names, with the nonce that was answered last, is a new
  subscription to all of them: the client forgot them without a word. grpc-java up to 1.65 and grpc-js-xds up to 1.12.1
  send nothing when they drop the last name of a kind. The latter forgets the nonce, too (grpc-node#2875), so a request
  without nonce, after answers with one, means the same.
* While a response is unanswered no further one of its kind is sent: changes gather, and the newest content goes out
  with the answer. Only what the client has nothing of yet does not wait for that, since calls wait for it; so a client
  that never answers still gets all that it newly asks for.
* No names at all is a wildcard to xDS, for listeners and clusters, and so is "*". gRPC never asks so (A27), and nobody
  gets everything here: the one is no subscription, the other a resource that does not exist.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final, NamedTuple

from grpcbalance.errors import one_line

from .kinds import COMPLETE, Kind, Resource

# Make before break: nothing is pointed to before it was sent (xDS, "Eventual consistency considerations").
ORDER: Final = (Kind.CLUSTER, Kind.ENDPOINTS, Kind.LISTENER, Kind.ROUTE)

_MESSAGE_LENGTH: Final = 1024
# Of so many unanswered responses of a kind it is known what was in them. An honest client has one or two.
_REMEMBERED: Final = 16

# The resource of this kind and name that the client may see now, in the form for it; None: there is none.
Lookup = Callable[[Kind, str], Resource | None]


class Request(NamedTuple):
    """A DiscoveryRequest. `kind` is any type URL; `error` is the message of its error_detail, None without one."""

    kind: str
    names: tuple[str, ...]
    version: str = ""
    nonce: str = ""
    error: str | None = None


class Response(NamedTuple):
    """A DiscoveryResponse. `version` is a digest of all that the client has of the kind once it has read this."""

    kind: Kind
    version: str
    nonce: str
    resources: tuple[Resource, ...]


class Rejection(NamedTuple):
    """A NACK: the names in the response that it answers, and what the client said, on one line of 1,024 at most.

    The client uses those of them that are valid, and goes on with what it had of the others (A46).
    """

    kind: Kind
    names: tuple[str, ...]
    message: str


class Outcome(NamedTuple):
    """What follows from requests: what to send now, in this order, what was rejected, and unknown type URLs."""

    responses: tuple[Response, ...] = ()
    rejections: tuple[Rejection, ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Subscription:
    """How a client stands with one kind. Versions are None before the first.

    `rejection` is the last NACK. `refused` has those names of rejected responses that the client still asks for and
    has not accepted since: it is empty when all is well again.
    """

    kind: Kind
    names: tuple[str, ...]
    sent: str | None
    acknowledged: str | None
    in_flight: bool
    rejection: Rejection | None
    refused: tuple[str, ...]


class Limits(NamedTuple):
    """The most that one client may ask for: names of a kind, characters in a name, and requests a second."""

    names: int = 1000
    length: int = 512
    rate: float = 500.0


class LimitExceeded(Exception):  # noqa: N818 - named by what it tells, as callers read it
    """A request beyond the limits; the stream should end with RESOURCE_EXHAUSTED and this text."""


DEFAULT_LIMITS: Final = Limits()


class Session:
    """The protocol with one client, from the first request of its stream to the end of the stream.

    It must not be asked anything before `lookup` knows all there is: what is missing then would be told as deleted.
    `stream` is part of each nonce, so that a nonce from another stream of the client is never taken for one of this.
    """

    def __init__(self, lookup: Lookup, stream: str, limits: Limits = DEFAULT_LIMITS) -> None:
        self._lookup = lookup
        self._stream = stream
        self._limits = limits
        self._states: dict[Kind, _State] = {}
        self._count = 0

    def receive(self, *requests: Request) -> Outcome:
        """Take requests in the order in which they came; all that are at hand at once save responses in between.

        Raises LimitExceeded; the session is of no use afterwards.
        """
        rejections, unknown, touched = [], [], set()
        for request in requests:
            try:
                kind = Kind(request.kind)
            except ValueError:
                unknown.append(one_line(request.kind[:_MESSAGE_LENGTH]))
                continue
            names = self._limited(kind, request.names)
            rejection = self._states.setdefault(kind, _State(kind)).take(request, names)
            touched.add(kind)
            if rejection is not None:
                rejections.append(rejection)
        return Outcome(self._respond(touched), tuple(rejections), tuple(unknown))

    def push(self) -> tuple[Response, ...]:
        """What to send now that `lookup` may give something else; nothing, if that is nothing new to the client."""
        return self._respond(ORDER)

    def snapshot(self) -> tuple[Subscription, ...]:
        """How the client stands with each kind that it ever asked for."""
        return tuple(self._states[kind].view() for kind in Kind if kind in self._states)

    def _limited(self, kind: Kind, names: tuple[str, ...]) -> dict[str, None]:
        distinct = dict.fromkeys(names)
        if len(distinct) > self._limits.names:
            raise LimitExceeded(
                f"{len(distinct)} names of kind {kind.name} in one request, and the limit is {self._limits.names}: "
                "spread the targets over more processes, or raise --max-names of grpcbalance xds"
            )
        longest = max(map(len, distinct), default=0)
        if longest > self._limits.length:
            raise LimitExceeded(
                f"a name of kind {kind.name} has {longest} characters, and the limit is {self._limits.length}: "
                "correct the target of the channel"
            )
        return distinct

    def _respond(self, kinds: Iterable[Kind]) -> tuple[Response, ...]:
        responses = []
        for kind in ORDER:
            state = self._states.get(kind)
            if kind not in kinds or state is None:
                continue
            found = {name: self._lookup(kind, name) for name in state.names}
            listed = state.due({name: resource and resource.version for name, resource in found.items()})
            if listed is None:
                continue
            self._count += 1
            nonce = f"{self._stream}.{self._count}"
            resources = tuple(resource for name in listed if (resource := found[name]) is not None)
            responses.append(Response(kind, state.send(nonce, listed), nonce, resources))
        return tuple(responses)


class _Sent(NamedTuple):
    """What is remembered of a response until it is answered."""

    version: str
    names: tuple[str, ...]


@dataclass(slots=True)
class _State:
    """One kind on one stream."""

    kind: Kind
    names: dict[str, None] = field(default_factory=dict)
    # name -> its version as sent last since it was named; None: sent a complete response without it. Subset of `names`.
    told: dict[str, str | None] = field(default_factory=dict)
    # nonce -> response, oldest first
    unanswered: dict[str, _Sent] = field(default_factory=dict)
    # nonce of the last response that was answered; empty: of none yet, or the client has begun anew
    answered: str = ""
    sent: str | None = None
    acknowledged: str | None = None
    rejection: Rejection | None = None
    refused: dict[str, None] = field(default_factory=dict)

    def take(self, request: Request, names: dict[str, None]) -> Rejection | None:
        """Read a request of this kind: first what it answers, then what it asks for."""
        repeats = names.keys() == self.names.keys() and request.nonce == self.answered
        answers = self._answers(request.nonce, repeats and request.error is not None)
        if answers is None and repeats and request.error is None:
            self.told.clear()
        if self.answered and not request.nonce:
            self.answered = ""
            self.told.clear()
        self.names = names
        self.told = {name: version for name, version in self.told.items() if name in names}
        if answers is not None:
            self._judge(answers, request.error)
        self.refused = {name: None for name in self.refused if name in names}
        return self.rejection if answers is not None and request.error is not None else None

    def _answers(self, nonce: str, rejects: bool) -> _Sent | None:
        """The response that a request answers. Clients answer in order, so none before it will be answered any more.

        grpc-js-xds up to 1.8 rejects with the nonce of the response before. That leaves only the newest one. (Later
        ones repeat an error in every request until all is well, with a nonce that has been answered.)
        """
        if nonce in self.unanswered:
            self.answered = nonce
        elif rejects and self.unanswered:
            nonce = next(reversed(self.unanswered))
        else:
            return None
        while next(iter(self.unanswered)) != nonce:
            del self.unanswered[next(iter(self.unanswered))]
        return self.unanswered.pop(nonce)

    def _judge(self, answers: _Sent, error: str | None) -> None:
        if error is not None:
            # Cut first: the text is as long as the client likes.
            message = one_line(error[:_MESSAGE_LENGTH], _MESSAGE_LENGTH)
            self.rejection = Rejection(self.kind, answers.names, message)
            self.refused |= dict.fromkeys(answers.names)
            return
        self.acknowledged = answers.version
        # What a complete response leaves out is gone, whatever was wrong with it.
        accepted = self.refused if self.kind in COMPLETE else answers.names
        self.refused = {name: None for name in self.refused if name not in accepted}

    def due(self, versions: Mapping[str, str | None]) -> dict[str, str | None] | None:
        """What to list in a response, if one is due. `versions` has all names: as they are now, None for what is not.

        A complete response lists what does not exist, too: it tells that by leaving it out.
        """
        complete = self.kind in COMPLETE
        news = {
            name: version
            for name, version in versions.items()
            if (complete or version is not None) and (name not in self.told or self.told[name] != version)
        }
        has_nothing_yet = any(self.told.get(name) is None for name in news)
        if not news or (self.unanswered and not has_nothing_yet):
            return None
        return dict(versions) if complete else news

    def send(self, nonce: str, listed: dict[str, str | None]) -> str:
        """Remember a response that lists this; gives the version of the kind."""
        self.told |= listed
        digest = blake2b(digest_size=8)
        for name, version in sorted(self.told.items()):
            if version is not None:
                digest.update(f"{len(name)} {name} {version}\n".encode())
        self.sent = digest.hexdigest()
        self.unanswered[nonce] = _Sent(self.sent, tuple(name for name in listed if listed[name] is not None))
        if len(self.unanswered) > _REMEMBERED:
            del self.unanswered[next(iter(self.unanswered))]
        return self.sent

    def view(self) -> Subscription:
        """What is shown of it."""
        sent, in_flight = self.sent, bool(self.unanswered)
        names, refused = tuple(self.names), tuple(self.refused)
        return Subscription(self.kind, names, sent, self.acknowledged, in_flight, self.rejection, refused)
