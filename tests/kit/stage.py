"""Clients on xDS in every language beside each other: one story is told to all of them, each is judged by its record.

A story does something once, and waits for all clients together; which of them were late is kept, and not raised, so
that a language that fails does not hide the others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from lab.images import LANGUAGES
from lab.install import condition
from lab.records import Recorder, Rpc, failures, per_pod
from lab.rest import Object
from tests.kit import objects, programs, xds
from tests.kit.shop import ROLLOUT, Shop

# Clients that lost the look-aside balancer try again after a while that grows: some only after half a minute (A57).
RETURN: Final = 60.0
# For what is known at once and used with the next RPC, on a machine that is busy with other things.
AT_ONCE: Final = 5.0
RATE: Final = 25


class Stage:
    """A namespace with servers and with one client in each language, called `<name>-<language>`."""

    def __init__(self, shop: Shop, recorder: Recorder, name: str = "checkout") -> None:
        """`recorder`: follows the clients, and perhaps others."""
        self.shop, self._recorder, self._name = shop, recorder, name

    def rpcs(self, language: str, since: float = 0.0, until: float = float("inf")) -> list[Rpc]:
        """RPCs of a language's client, oldest first."""
        prefix = f"{self._name}-{language}-"
        return [rpc for rpc in self._recorder.rpcs(since, until) if rpc.client.startswith(prefix)]

    def pod(self, language: str) -> str:
        """Name of a language's pod."""
        (found,) = self.shop.api.items(self.shop.url("Pod"), f"app={self._name}-{language}")
        return str(found["metadata"]["name"])

    def late(self, accept: Callable[[str], bool], within: float) -> set[str]:
        """Wait until each language is accepted; those that are not within so many seconds."""
        deadline, left = time.monotonic() + within, set(LANGUAGES)
        while True:
            left = {language for language in left if not accept(language)}
            if not left or time.monotonic() > deadline:
                return left
            time.sleep(0.1)


class Story:
    """What is done, once for all languages, and what became of it."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.start = stage, time.time()
        self._late: dict[str, list[str]] = {language: [] for language in LANGUAGES}
        self.end = float("inf")

    def until(self, what: str, accept: Callable[[list[Rpc]], bool], within: float, since: float | None = None) -> float:
        """Wait until every client's RPCs since a moment (by default: the begin) are accepted; when that was."""
        since = self.start if since is None else since
        for language in self.stage.late(lambda one: accept(self.stage.rpcs(one, since)), within):
            self._late[language].append(f"{what}: not within {within:g} s")
        return time.time()

    def until_seen(self, what: str, accept: Callable[[str], bool], within: float) -> None:
        """Wait until something is seen of every language that its RPCs do not tell."""
        for language in self.stage.late(accept, within):
            self._late[language].append(f"{what}: not within {within:g} s")

    def until_used(self, pods: Iterable[str], within: float, since: float | None = None) -> float:
        """Wait until every client has called these pods; when that was."""
        wanted = set(pods)
        return self.until(f"use of {sorted(wanted)}", lambda rpcs: wanted <= per_pod(rpcs).keys(), within, since)

    def until_made(self, count: int, since: float) -> float:
        """Wait until every client has made so many RPCs since a moment; when that was."""
        return self.until(f"{count} RPCs", lambda rpcs: len(rpcs) >= count, ROLLOUT, since)

    def over(self) -> Story:
        """What comes now is no part of it."""
        self.end = time.time()
        return self

    def rpcs(self, language: str, since: float | None = None, until: float | None = None) -> list[Rpc]:
        """RPCs of a client in it, or in a part of it."""
        return self.stage.rpcs(
            language, self.start if since is None else since, self.end if until is None else min(until, self.end)
        )

    def judge(self, language: str) -> None:
        """Raise AssertionError if a client was late for anything, or if one of its RPCs failed."""
        late, failed = self._late[language], failures(self.rpcs(language))
        assert not late, late
        assert not failed, failed


def clients(
    shop: Shop, name: str = "checkout", env: Mapping[str, str] | None = None, *, zone: str = "", address: str = ""
) -> list[Object]:
    """A client of `orders` in each language; more variables by `env`, their zone, another look-aside balancer."""
    made = []
    for language in LANGUAGES:
        client = programs.client(language, f"{name}-{language}", "orders", opted_in=False, rate=RATE)
        xds.on_xds(client, shop.namespace)
        bootstrap = xds.bootstrap(address or xds.ADDRESS, zone)
        programs.set_env(client, {"GRPC_XDS_BOOTSTRAP_CONFIG": bootstrap, **(env or {})})
        made.append(client)
    return made


def servers(name: str, replicas: int, env: Mapping[str, str] | None = None) -> Object:
    """Servers that answer for some seconds more when they end."""
    made = objects.server(name, replicas=replicas, env=env)
    programs.container(made)["lifecycle"] = {"preStop": {"sleep": {"seconds": 6}}}
    return made


def balanced(name: str = "orders", /, **spec: object) -> Object:
    """An object that lets in everybody, and leaves its servers as they are."""
    return objects.balanced(name, **xds.OPEN, server={"mode": "Unmanaged"}, **spec)


def ready_pods(shop: Shop, app: str) -> set[str]:
    """Names of the ready pods of a Deployment that are not going."""
    found = shop.api.items(shop.url("Pod"), f"app={app}")
    return {
        pod["metadata"]["name"]
        for pod in found
        if "deletionTimestamp" not in pod["metadata"] and condition(pod, "Ready").get("status") == "True"
    }


def grow(shop: Shop, deployment: str = "orders") -> set[str]:
    """One pod more; names of those that are new, which are ready."""
    before = ready_pods(shop, deployment)
    shop.kubectl("scale", f"deployment/{deployment}", f"--replicas={len(before) + 1}")
    shop.wait_rolled_out(deployment)
    return ready_pods(shop, deployment) - before
