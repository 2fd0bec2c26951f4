"""Watches on the API server, for what runs without kopf: `kube.Kube` with one more method. It decides nothing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import aiohttp

from .errors import Expired, Retry
from .kube import Kube

# The server ends a watch after so many seconds; a connection that then says nothing is dead (a laptop has slept).
_LONGEST: Final = 60
_TIMEOUT: Final = aiohttp.ClientTimeout(total=_LONGEST + 15.0, sock_connect=10.0)


class Event(NamedTuple):
    """One event: ADDED, MODIFIED, DELETED or BOOKMARK, and the object; of a bookmark only its version counts."""

    type: str
    object: dict[str, Any]


class WatchingKube(Kube):
    """A connection that can watch, too."""

    async def events(self, path: str, resource_version: str, label_selector: str = "") -> AsyncIterator[Event]:
        """Events of a collection since a version, until the server ends the watch: within a minute or so.

        Expired: list anew. Retry: the server is away, or refused; what it refuses, a listing tells better.
        """
        resource = path.rpartition("/")[2]
        try:
            async for line in self._lines(path, resource_version, label_selector):
                event: dict[str, Any] = json.loads(line)
                if event["type"] == "ERROR":
                    message = f"watch {resource}: {event['object'].get('message', 'failed')}"
                    raise Expired(message) if event["object"].get("code") == 410 else Retry(None, message)
                yield Event(event["type"], event["object"])
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise Retry(None, f"watch {resource}: {type(error).__name__} {error}") from error

    async def _lines(self, path: str, resource_version: str, label_selector: str) -> AsyncIterator[bytes]:
        if self._api is None:
            raise RuntimeError("not connected: use `async with`")
        query = {
            "watch": "true",
            "resourceVersion": resource_version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(_LONGEST),
            **({"labelSelector": label_selector} if label_selector else {}),
        }
        request = await self._api.param_serialize(
            "GET",
            f"{path}?{urlencode(query)}",
            header_params={"Accept": "application/json"},
            auth_settings=["BearerToken"],
        )
        response = (await self._api.call_api(*request, _request_timeout=_TIMEOUT)).response
        try:
            if response.status != 200:
                message = f"watch {path.rpartition('/')[2]}: HTTP {response.status}"
                raise Expired(message) if response.status == 410 else Retry(None, message)
            rest = b""
            # Lines of any length: an object of a thousand endpoints is longer than what aiohttp calls a line.
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield line
        finally:
            response.close()
