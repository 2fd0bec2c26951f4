"""What the fault proxy does to which requests: rules, and how they are chosen. Nothing here talks to anybody."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

WRITES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
READS: Final = frozenset({"GET", "WATCH"})
# A request that opens a watch, and one line of its answer: verbs of their own.
WATCH: Final = frozenset({"WATCH"})
EVENT: Final = frozenset({"EVENT"})


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer without asking the API server."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Delay:
    """Go on after so many seconds. Of a watch's line: all that follow wait, too, as in a slow network."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Hold:
    """Hang until the rule ends, then cut the connection; `forwarded`: the API server has done what was asked."""

    forwarded: bool


@dataclass(frozen=True, slots=True)
class Cut:
    """Cut the connection; `forwarded`: after the API server has done what was asked."""

    forwarded: bool


@dataclass(frozen=True, slots=True)
class Truncate:
    """Announce the whole answer, send half of it, and cut the connection."""


@dataclass(frozen=True, slots=True)
class StreamError:
    """Begin the watch, say ERROR with a code in it, and end it."""

    code: int


@dataclass(frozen=True, slots=True)
class Drop:
    """Lose a line of a watch."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Send a line of a watch twice."""


Action = Answer | Delay | Hold | Cut | Truncate | StreamError | Drop | Duplicate


@dataclass(slots=True)
class Rule:
    """Which requests an action is for. `path` and `agent` are searched in the URL and in the user agent.

    `content` is searched in a line of a watch, or in the body of any other request. Of those that match, the first
    `skip` are let through, then each `every`-th is hit, `times` at most (None: without end).
    """

    action: Action
    verbs: frozenset[str]
    path: str = ""
    agent: str = ""
    content: str = ""
    skip: int = 0
    every: int = 1
    times: int | None = None
    seen: int = 0
    hits: int = 0
    # Of an action that holds: one is held now.
    held: threading.Event = field(default_factory=threading.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def takes(self, verb: str, path: str, agent: str, content: str) -> bool:
        """Whether the rule hits this request; counts it."""
        if verb not in self.verbs or not re.search(self.path, path) or not re.search(self.agent, agent):
            return False
        if self.content and not re.search(self.content, content):
            return False
        if self.times is not None and self.hits >= self.times:
            return False
        self.seen += 1
        number = self.seen - self.skip
        if number <= 0 or number % self.every:
            return False
        self.hits += 1
        return True


class Rules:
    """Rules in force, oldest first; the first that hits a request counts. Serves several threads."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []
        self._lock = threading.Lock()

    def add(self, rules: Iterable[Rule]) -> None:
        """Put rules in force."""
        with self._lock:
            self._rules.extend(rules)

    def remove(self, rules: Iterable[Rule]) -> None:
        """End rules."""
        ended = {id(rule) for rule in rules}
        with self._lock:
            self._rules = [rule for rule in self._rules if id(rule) not in ended]

    def take(self, verb: str, path: str, agent: str, content: str = "") -> Rule | None:
        """The rule that hits a request, if any does."""
        with self._lock:
            return next((rule for rule in self._rules if rule.takes(verb, path, agent, content)), None)
