"""What the operator has to be allowed, and a self-check that tells what of it is missing.

The API server is asked (SelfSubjectAccessReview), which changes nothing. So what is missing is known by name before
a write fails, and what was granted is noticed without a restart.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple

from .errors import KubeError
from .kinds import WORKLOADS
from .listed import listed
from .names import AUTHORITY, PLURAL
from .settings import Settings
from .watched import VERBS, kinds_in

logger = logging.getLogger(__name__)

# What the methods of `kube` need: (API group, resource) -> verbs.
PERMISSIONS: Final[Mapping[tuple[str, str], frozenset[str]]] = {
    ("", "services"): frozenset({"create", "patch", "get", "delete"}),
    **{(workload.group, workload.plural): frozenset({"patch"}) for workload in WORKLOADS},
    ("grpcbalance.dev", f"{PLURAL}/status"): frozenset({"patch"}),
    ("", "configmaps"): frozenset({"get"}),
    ("", "events"): frozenset({"create"}),
    ("", "pods"): frozenset({"list"}),
    ("batch", "jobs"): frozenset({"list"}),
}

# Of these kinds one object only: others may hold what is nobody's business.
NAMED: Final[Mapping[tuple[str, str], str]] = {("", "configmaps"): AUTHORITY}

CHECK_EVERY: Final = 60.0
# While something is missing, and after something was forbidden.
CHECK_SOON: Final = 10.0
CHECK_DOUBT: Final = 5.0
_LISTED: Final = 8


class Permission(NamedTuple):
    """Something that RBAC grants, for all objects of a kind or for the one of this name."""

    group: str
    resource: str
    verb: str
    name: str = ""

    def __str__(self) -> str:
        kind, slash, subresource = self.resource.partition("/")
        text = f"{self.verb} {kind}{'.' + self.group if self.group else ''}{slash}{subresource}"
        return f"{text} {self.name}" if self.name else text


def needed(settings: Settings) -> tuple[Permission, ...]:
    """All that the code needs, in all namespaces or in the one of `settings`. manifests/ is compared with it."""
    found = {Permission(*key, verb, NAMED.get(key, "")) for key, verbs in PERMISSIONS.items() for verb in verbs}
    if settings.dry_run:
        # It writes nothing but Events.
        found = {item for item in found if item.verb in ("get", "list") or item.resource == "events"}
    found |= {Permission(kind.group, kind.plural, verb) for kind in kinds_in(settings.namespace) for verb in VERBS}
    return tuple(sorted(found))


class SelfCheck:
    """Knows which permissions are missing. As long as nobody can say, none is."""

    def __init__(
        self,
        may: Callable[[str, str, str, str, str], Awaitable[bool]],
        settings: Settings,
        changed: Callable[[], None],
    ) -> None:
        """`may` takes what `kube.Kube.may` does; `changed` is called after a change."""
        self._may, self._changed = may, changed
        self._needed, self._namespace = needed(settings), settings.namespace
        self._lock, self._doubt = asyncio.Lock(), asyncio.Event()
        self._answered = False
        self.missing: tuple[Permission, ...] = ()

    @property
    def barred(self) -> frozenset[str]:
        """Plurals of the kinds that cannot be both listed and watched."""
        blind = {(permission.group, permission.resource) for permission in self.missing if permission.verb in VERBS}
        return frozenset(kind.plural for kind in kinds_in(self._namespace) if (kind.group, kind.plural) in blind)

    @property
    def message(self) -> str:
        """What is missing, in a sentence that names the fix; empty when nothing is."""
        if not self.missing:
            return ""
        return f"the operator may not {listed(self.missing, _LISTED)}; {self._fix}"

    @property
    def _fix(self) -> str:
        return "apply manifests/rbac.yaml" if self._namespace is None else "apply manifests/namespaced/rbac.yaml"

    def trouble(self) -> dict[str, str]:
        """For the readiness probe: each permission that is missing, and the fix."""
        return {f"may not {permission}": self._fix for permission in self.missing}

    async def run(self) -> None:
        """Check for ever."""
        clock = asyncio.get_running_loop().time
        doubted, forgiven = False, float("-inf")
        while True:
            answered = await self.check()
            # An authorizer may refuse what it says is permitted: that is a reason to try anew once a minute at most.
            if doubted and answered and not self.missing and clock() - forgiven >= CHECK_EVERY:
                forgiven = clock()
                self._changed()
            doubted = await self._doubted_within(CHECK_EVERY if answered and not self.missing else CHECK_SOON)
            if doubted and clock() - forgiven < CHECK_EVERY:
                await asyncio.sleep(CHECK_SOON - CHECK_DOUBT)

    def doubt(self) -> None:
        """Something was forbidden: see soon whether a permission is missing, or an API server just did not know."""
        self._doubt.set()

    async def _doubted_within(self, seconds: float) -> bool:
        try:
            # Without a task of its own, which kopf would take for one of its and wait for.
            async with asyncio.timeout(seconds):
                await self._doubt.wait()
        except TimeoutError:
            return False
        # An API server that starts has read all roles by then; nor may endless doubt become a hot loop.
        await asyncio.sleep(CHECK_DOUBT)
        self._doubt.clear()
        return True

    async def check(self) -> bool:
        """Ask about each permission. False, and what is known stands, when the API server does not answer.

        Who comes while that is being done has the same answer.
        """
        shared = self._lock.locked()
        async with self._lock:
            if not shared:
                self._answered = False
                with contextlib.suppress(KubeError):
                    await self._ask()
                    self._answered = True
            return self._answered

    async def _ask(self) -> None:
        scope = self._namespace or ""
        needs = self._needed
        missing = tuple([p for p in needs if not await self._may(p.verb, p.group, p.resource, scope, p.name)])
        if missing == self.missing:
            return
        self.missing = missing
        if missing:
            logger.error("missing permissions: %s", self.message)
        else:
            logger.info("no permission is missing any more")
        self._changed()
