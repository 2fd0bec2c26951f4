"""Who a client is, by the token of its service account. A projected token names namespace, account and pod (KEP-1205).

Answers are remembered, so that clients that connect again are known while the API server is away.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple

from grpcbalance.errors import KubeError
from grpcbalance.names import AUDIENCE
from grpcbalance.recent import Recent

from .clients import Identity
from .server import RefusedError, UnavailableError

# Seconds for which an answer counts without being asked for again, and seconds for which it counts while it cannot be.
FRESH: Final = 60.0
STALE: Final = 3600.0
_ACCOUNT: Final = "system:serviceaccount:"
_POD: Final = "authentication.kubernetes.io/pod-name"
_SCHEME: Final = "bearer "
# Characters; a projected token has some 1,200.
_LONGEST: Final = 8192
# Reviews at the same time.
_AT_ONCE: Final = 16

# Token and audience to the status of a TokenReview. Raises KubeError.
Review = Callable[[str, str], Awaitable[Mapping[str, Any]]]


class _Known(NamedTuple):
    identity: Identity
    # monotonic, seconds
    since: float


class Tokens:
    """Tells identities. `wall` is Unix time, by which tokens expire; `monotonic` is what answers age by."""

    def __init__(self, review: Review, monotonic: Callable[[], float], wall: Callable[[], float]) -> None:
        self._review, self._monotonic, self._wall = review, monotonic, wall
        self._known: Recent[bytes, _Known] = Recent()
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def identity(self, authorization: str | None) -> Identity:
        """By the header `authorization`. Raises RefusedError, and UnavailableError when nobody can tell now."""
        if authorization is None or not authorization.lower().startswith(_SCHEME):
            raise RefusedError("no token: the bootstrap needs call_creds of type jwt_token_file (gRFC A97)")
        token = authorization[len(_SCHEME) :].strip()
        if not token or len(token) > _LONGEST:
            raise RefusedError("what came as a token is none")
        digest = hashlib.sha256(token.encode()).digest()
        known, now = self._known.get(digest), self._monotonic()
        if known is not None and now - known.since < FRESH and self._lasts(token):
            return known.identity
        try:
            async with self._turns:
                found = _read(await self._review(token, AUDIENCE))
        except KubeError as error:
            if known is not None and now - known.since < STALE and self._lasts(token):
                return known.identity
            raise UnavailableError(f"the API server cannot say whose token it is: {error}") from error
        self._known[digest] = _Known(found, now)
        return found

    def _lasts(self, token: str) -> bool:
        """Whether a token that was found to be genuine has not expired; one that does not tell has."""
        try:
            part = token.split(".")[1]
            expires = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))["exp"]
            return float(expires) > self._wall()
        except (IndexError, KeyError, TypeError, ValueError, binascii.Error):
            return False


def _read(status: Mapping[str, Any]) -> Identity:
    if not status.get("authenticated") or AUDIENCE not in (status.get("audiences") or ()):
        raise RefusedError(f"the token is not valid for audience {AUDIENCE}: {status.get('error') or 'not genuine'}")
    user = status.get("user") or {}
    name = str(user.get("username", ""))
    namespace, colon, _ = name.removeprefix(_ACCOUNT).partition(":")
    if not name.startswith(_ACCOUNT) or not colon:
        raise RefusedError("the token is not that of a service account")
    pods = (user.get("extra") or {}).get(_POD) or (None,)
    return Identity(namespace, pods[0])
