"""kopf, the shell: it watches, we take what it tells. Nothing is decided here, and kopf writes nothing.

Only on.event handlers: every other kind makes kopf write annotations or finalizers into other people's objects.
"""

# ruff: noqa: ARG002 - the signatures of the storages are kopf's

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import kopf

from .credentials import CredentialsError, load_credentials
from .names import GROUP
from .sync import Sync
from .watched import KINDS, Kind

# kopf itself gives its tasks 5 s.
_ENDS_WITHIN: Final = 8.0
_LOGIN_AGAIN: Final = timedelta(minutes=10)
_LOGIN_PAUSES: Final = (0.0, 1.0, 2.0, 5.0, 10.0, 30.0)


def register(
    registry: kopf.OperatorRegistry,
    sync: Sync[Any],
    kinds: Iterable[Kind],
    seeded: Callable[[], Awaitable[None]],
    login: Login,
) -> None:
    """Put our handlers for some kinds into a registry. `seeded` returns when watching may begin."""

    @kopf.on.startup(registry=registry, id="seed")
    async def seed(**_: Any) -> None:
        await seeded()

    @kopf.on.login(registry=registry, id="login", errors=kopf.ErrorsMode.TEMPORARY, backoff=5)
    async def log_in(**_: Any) -> kopf.ConnectionInfo:
        return await login()

    for kind in kinds:
        _register_kind(registry, sync, kind)


def _register_kind(registry: kopf.OperatorRegistry, sync: Sync[Any], kind: Kind) -> None:
    @kopf.on.event(kind.group, kind.version, kind.plural, registry=registry, id=f"on-{kind.plural}")
    async def on_event(event: kopf.RawEvent, **_: Any) -> None:
        sync.take(kind.plural, event["type"], event["object"])


class HungError(RuntimeError):
    """kopf was told to end and did not, not even when its tasks were cancelled again."""


async def run_tasks(tasks: Collection[asyncio.Task[None]], older: Collection[asyncio.Task[Any]]) -> None:
    """Run kopf's root tasks until one of them ends, and see to it that all do then. Raises what one of them raised.

    `older` are tasks that are not kopf's. A watcher that is told to end while it asks for new credentials waits for
    them instead, from somebody who has ended already: kopf would wait for it for ever, and hear nothing meanwhile.
    """
    running = asyncio.create_task(kopf.run_tasks(tasks, ignored=older), name="kopf")
    try:
        await asyncio.wait({running, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        for _ in range(2):
            ended, _ = await asyncio.wait({running}, timeout=_ENDS_WITHIN)
            if ended:
                return await running
            for task in asyncio.all_tasks() - {*older, running}:
                task.cancel()
        ended, _ = await asyncio.wait({running}, timeout=_ENDS_WITHIN)
        if not ended:
            raise HungError("kopf does not end")
        await running
    finally:
        running.cancel()


class Login:
    """Credentials for kopf's own connection, read anew whenever it asks: tokens of service accounts rotate.

    kopf asks when they expire and after each 401. Asked again soon it is answered slowly: a 401 that stays, say
    while keys are rotated, must become neither a hot loop nor the end of the process.
    """

    def __init__(self, kubeconfig: str | None) -> None:
        self._kubeconfig = kubeconfig
        self._expires = datetime.min.replace(tzinfo=UTC)
        self._early = 0

    async def __call__(self) -> kopf.ConnectionInfo:
        """The credentials of now. Raises kopf.TemporaryError when there are none to read."""
        early = datetime.now(UTC) < self._expires
        self._early = self._early + 1 if early else 0
        await asyncio.sleep(_LOGIN_PAUSES[min(self._early, len(_LOGIN_PAUSES) - 1)])
        try:
            found = await load_credentials(self._kubeconfig)
        except CredentialsError as error:
            raise kopf.TemporaryError(str(error), delay=5) from error
        self._expires = datetime.now(UTC) + _LOGIN_AGAIN
        scheme, _, token = (found.authorization or "").partition(" ")
        return kopf.ConnectionInfo(
            server=found.server,
            ca_path=found.ca_file,
            insecure=not found.verify,
            certificate_path=found.cert_file,
            private_key_path=found.key_file,
            scheme=scheme or None,
            token=token or None,
            proxy_url=found.proxy,
            # Differs each time, so that kopf never takes it for what a 401 refused.
            expiration=self._expires,
        )


class Backoffs:
    """Endless delays, 1 s to 15 s with jitter. Anything finite makes kopf exit in an outage that lasts longer."""

    def __iter__(self) -> Iterator[float]:
        delay = 1.0
        while True:
            yield delay * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, no secret
            delay = min(15.0, delay * 1.7)


class _NoDiffBase(kopf.DiffBaseStorage):
    """Keeps nothing: the default copies each object at each event, for handlers that we do not have."""

    def build(self, *, body: kopf.Body, extra_fields: Any = None) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        return


class _NoProgress(kopf.ProgressStorage):
    """Keeps nothing: on.event handlers make no progress."""

    def fetch(self, *, key: Any, body: kopf.Body) -> Any:
        return None

    def store(self, *, key: Any, record: Any, body: kopf.Body, patch: kopf.Patch) -> None:
        return

    def purge(self, *, key: Any, body: kopf.Body, patch: kopf.Patch) -> None:
        return

    def touch(self, *, body: kopf.Body, patch: kopf.Patch, value: str | None) -> None:
        return

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        return essence


def kopf_settings() -> kopf.OperatorSettings:
    """kopf's settings; each that differs from the default cures a fault that was measured."""
    settings = kopf.OperatorSettings()
    settings.peering.standalone = True
    # It would list and watch CRDs and namespaces; main itself looks for kinds that come.
    settings.scanning.disabled = True
    settings.posting.enabled = False
    settings.posting.loggers = False
    settings.networking.error_backoffs = Backoffs()
    settings.networking.request_timeout = 60
    settings.networking.connect_timeout = 10
    settings.watching.server_timeout = random.randint(270, 330)  # noqa: S311 - spreads reconnects, no secret
    settings.watching.reconnect_backoff = 1.0
    settings.watching.chunk_size = 500
    # Loses objects when it is cut half-way.
    settings.watching.initial_streaming = False
    for kind in KINDS:
        if kind.label_selector:
            settings.watching.label_selectors[kind.group, kind.version, kind.plural] = kind.label_selector
    # An idle worker per object ever seen, kept for 5 s, is most of kopf's memory.
    settings.queueing.idle_timeout = 0.1
    settings.persistence.finalizer = f"{GROUP}/unused"
    settings.persistence.diffbase_storage = _NoDiffBase()
    settings.persistence.progress_storage = _NoProgress()
    # Would send SIGKILL that long after watching merely began anew; main ends the process in time.
    settings.process.ultimate_exiting_timeout = None
    return settings
