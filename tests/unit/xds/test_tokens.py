"""Who a client is: by a token that the API server knows, and by what it said before while it is away."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest

from grpcbalance.errors import Retry
from grpcbalance.names import AUDIENCE
from grpcbalance.xds.clients import Identity
from grpcbalance.xds.server import RefusedError, UnavailableError
from grpcbalance.xds.tokens import FRESH, STALE, Tokens

NOW = 1_795_000_000.0
GOOD = {
    "authenticated": True,
    "audiences": [AUDIENCE],
    "user": {
        "username": "system:serviceaccount:shop:checkout",
        "extra": {"authentication.kubernetes.io/pod-name": ["checkout-1"]},
    },
}


def token(expires: float | str | None = NOW + 7200) -> str:
    """A token as a service account's, without a signature that anybody could check."""
    claims = {} if expires is None else {"exp": expires}
    part = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"head.{part}.sign"


class Server:
    """Answers reviews, unless it is away, and keeps what it was asked."""

    def __init__(self, status: dict[str, Any]) -> None:
        self.status, self.away = status, False
        self.asked: list[tuple[str, str]] = []
        self.time = 0.0
        self.tokens = Tokens(self.review, lambda: self.time, lambda: NOW + self.time)

    async def review(self, text: str, audience: str) -> dict[str, Any]:
        self.asked.append((text, audience))
        if self.away:
            raise Retry(None, "away")
        return self.status

    def identity(self, authorization: str | None) -> Identity:
        return asyncio.run(self.tokens.identity(authorization))


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_a_genuine_token_tells_namespace_and_pod(scheme: str) -> None:
    server = Server(GOOD)
    assert server.identity(f"{scheme} {token()}") == Identity("shop", "checkout-1")
    assert server.asked == [(token(), AUDIENCE)]


def test_a_token_that_is_bound_to_no_pod_tells_the_namespace() -> None:
    server = Server({**GOOD, "user": {"username": "system:serviceaccount:shop:checkout"}})
    assert server.identity(f"Bearer {token()}") == Identity("shop", None)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ({"authenticated": False, "error": "invalid bearer token"}, "invalid bearer token"),
        ({}, "not genuine"),
        ({**GOOD, "audiences": ["somebody"]}, f"not valid for audience {AUDIENCE}"),
        ({**GOOD, "audiences": None}, f"not valid for audience {AUDIENCE}"),
        ({**GOOD, "user": {"username": "kubernetes-admin"}}, "not that of a service account"),
        ({**GOOD, "user": {"username": "system:serviceaccount:shop"}}, "not that of a service account"),
    ],
)
def test_who_is_refused(status: dict[str, Any], message: str) -> None:
    server = Server(status)
    with pytest.raises(RefusedError, match=message):
        server.identity(f"Bearer {token()}")
    # A refusal is not remembered: the next answer may be another.
    server.status = GOOD
    assert server.identity(f"Bearer {token()}").namespace == "shop"


@pytest.mark.parametrize(
    ("header", "message"),
    [(None, "call_creds"), ("Basic abc", "call_creds"), ("Bearer ", "is none"), (f"Bearer {'a' * 9000}", "is none")],
)
def test_what_is_no_token_is_not_asked_about(header: str | None, message: str) -> None:
    server = Server(GOOD)
    with pytest.raises(RefusedError, match=message):
        server.identity(header)
    assert server.asked == []


def test_an_answer_counts_for_a_while() -> None:
    server = Server(GOOD)
    header = f"Bearer {token()}"
    for server.time in (0.0, FRESH - 1, FRESH + 1, FRESH + 2):
        server.identity(header)
    assert len(server.asked) == 2


def test_while_nobody_can_tell_what_was_known_counts_for_longer() -> None:
    server = Server(GOOD)
    header = f"Bearer {token()}"
    server.identity(header)
    server.away = True
    server.time = STALE - 1
    assert server.identity(header) == Identity("shop", "checkout-1")
    with pytest.raises(UnavailableError, match="away"):
        server.identity(f"Bearer {token(NOW + 9999)}")
    server.time = STALE + 1
    with pytest.raises(UnavailableError):
        server.identity(header)


@pytest.mark.parametrize("expires", [NOW + 10, "soon", None])
def test_an_expired_token_is_never_taken_from_memory(expires: float | str | None) -> None:
    server = Server(GOOD)
    header = f"Bearer {token(expires)}"
    server.identity(header)
    server.time = 20.0
    server.identity(header)
    assert len(server.asked) == 2
    server.away = True
    with pytest.raises(UnavailableError):
        server.identity(header)
