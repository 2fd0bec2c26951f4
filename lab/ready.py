"""Whether parts of a cluster serve, asked over HTTP. Each question is answered within a second or counts as no."""

from __future__ import annotations

import http.client
import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from .model import LabError

_SECONDS_PER_QUESTION: Final = 1.0
_PAUSE: Final = 0.02

# None: yes; a text: not yet, for this reason.
Question = Callable[[], str | None]


def await_all(questions: dict[str, Question], timeout: float, check: Callable[[], None]) -> None:
    """Ask until every answer was yes once. `check` raises when waiting has become pointless.

    Raises LabError that names what did not become ready within `timeout` seconds, and why.
    """
    deadline = time.monotonic() + timeout
    left = dict(questions)
    while True:
        check()
        reasons = {name: reason for name, ask in left.items() if (reason := ask()) is not None}
        left = {name: left[name] for name in reasons}
        if not left:
            return
        if time.monotonic() > deadline:
            listed = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
            raise LabError(f"not ready within {timeout:g} s: {listed}")
        time.sleep(_PAUSE)


class ApiServer:
    """Questions to an API server, asked with a client certificate."""

    def __init__(self, url: str, pki: Path) -> None:
        self._url = url
        self._context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        self._context.load_cert_chain(pki / "admin.crt", pki / "admin.key")

    def ready(self) -> str | None:
        """Whether /readyz answers 200. Its text says "ok" earlier, while roles are still missing."""
        return status(f"{self._url}/readyz", self._context)[1]

    def nodes_ready(self, count: int) -> str | None:
        """Whether that many nodes exist and all are Ready."""
        body, reason = status(f"{self._url}/api/v1/nodes", self._context)
        if body is None:
            return reason
        nodes = body["items"]
        unready = [node["metadata"]["name"] for node in nodes if not _is_ready(node)]
        if len(nodes) < count or unready:
            return f"{len(nodes)} of {count} nodes registered, not Ready: {', '.join(unready) or 'none'}"
        return None

    def takes_pods(self) -> str | None:
        """Whether the default ServiceAccount exists: without it no pod is admitted."""
        return status(f"{self._url}/api/v1/namespaces/default/serviceaccounts/default", self._context)[1]


def serves(url: str) -> str | None:
    """Whether a URL answers 200."""
    return status(url, None)[1]


def status(url: str, context: ssl.SSLContext | None) -> tuple[Any, str | None]:
    """The JSON of a 200 answer (None when it is no JSON) and no reason; or None and the reason why it is not 200."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    try:
        with opener.open(url, timeout=_SECONDS_PER_QUESTION) as answer:
            text = answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return None, f"HTTP {error.code} {error.read()[:200].decode(errors='replace')}"
    except (OSError, http.client.HTTPException) as error:
        return None, str(error)
    try:
        return json.loads(text), None
    except ValueError:
        return None, None


def _is_ready(node: dict[str, Any]) -> bool:
    conditions = node["status"].get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
