"""Begins a TLS connection with the look-aside balancer as its clients would, to see whether they will trust it."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import Final

from grpcbalance.names import TLS_PORT

# Seconds.
PATIENCE: Final = 3.0


async def refused(authorities: str, host: str, port: int = TLS_PORT) -> str:
    """Why who trusts these certificates (PEM) would not connect to `host`; empty when it would.

    Raises OSError, TimeoutError among them, when nobody is there to be asked.
    """
    try:
        context = _trusting(authorities)
    except (ssl.SSLError, ValueError) as error:
        return f"there is no certificate in PEM ({_said(error)})"
    try:
        async with asyncio.timeout(PATIENCE):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except ssl.SSLError as error:
        return _said(error)
    writer.close()
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(PATIENCE):
            await writer.wait_closed()
    return ""


def _trusting(authorities: str) -> ssl.SSLContext:
    """Judges as gRPC's libraries do: the system's are not trusted, and any of `authorities` may end a chain."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=authorities)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    # A name counts where it stands in subjectAltName only.
    context.hostname_checks_common_name = False
    context.set_alpn_protocols(["h2"])
    return context


def _said(error: Exception) -> str:
    """OpenSSL's words, without the place in its source."""
    words = getattr(error, "verify_message", "") or getattr(error, "reason", "") or str(error)
    return str(words).rstrip(".")
