"""Who a client is: by its token, by its certificate, or by nothing at all. One way for each port."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from .clients import Identity
from .server import Identify, RefusedError
from .tokens import Tokens

# SPIFFE IDs as Istio, cert-manager's csi-driver-spiffe and SPIRE write them.
_SPIFFE: Final = re.compile(
    r"spiffe://[a-z0-9._-]{1,255}/ns/([a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)/sa/[-.a-z0-9]{1,253}"
)
_NAMES: Final = "x509_subject_alternative_name"


async def by_nothing(_: Any) -> Identity:
    """Plain text: it can be anybody."""
    return Identity()


def by_token(tokens: Tokens) -> Identify:
    """TLS: the client proves who it is by the token of its service account."""

    async def identify(context: Any) -> Identity:
        metadata: Iterable[tuple[str, str | bytes]] = context.invocation_metadata() or ()
        header = next((value for key, value in metadata if key == "authorization"), None)
        return await tokens.identity(header if isinstance(header, str) else None)

    return identify


async def by_certificate(context: Any) -> Identity:
    """Mutual TLS: that the certificate is genuine was seen in the handshake; its SPIFFE ID tells the namespace."""
    told: Mapping[str, Iterable[bytes]] = context.auth_context()
    for name in told.get(_NAMES, ()):
        found = _SPIFFE.fullmatch(name.decode(errors="replace"))
        if found is not None:
            return Identity(found[1])
    raise RefusedError("the certificate has no URI spiffe://<trust domain>/ns/<namespace>/sa/<account> among its names")
