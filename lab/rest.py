"""A small JSON client of the Kubernetes API for tests, demo and benchmarks: dicts in, dicts out, waits on watches.

It goes through the official client's transport, so every kind of kubeconfig works. Not for the operator.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import kubernetes
import urllib3

Object = dict[str, Any]

_REQUEST_TIMEOUT = 30.0


class RestError(Exception):
    """The API server refused a request: `code` is the HTTP status, `reason` and `message` its own words."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(f"{code} {reason}: {message}")
        self.code, self.reason, self.message = code, reason, message


# An API server that is away, or that refuses: what those who go on through outages have to expect.
LOST = (RestError, urllib3.exceptions.HTTPError, OSError)


class WaitTimeoutError(AssertionError):
    """What was waited for did not come to be; the text shows what was seen last."""


def path(api_version: str, plural: str, namespace: str = "", name: str = "", sub: str = "") -> str:
    """URL path of a collection, an object, or a subresource: `path("apps/v1", "deployments", "shop", "orders")`."""
    root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    parts = [root, *(["namespaces", namespace] if namespace else []), plural, name, sub]
    return "/".join(part for part in parts if part)


class Rest:
    """Requests against one API server. One instance may serve several threads."""

    def __init__(self, kubeconfig: Path, user_agent: str = "grpcbalance-tests") -> None:
        self._client = kubernetes.config.new_client_from_config(config_file=str(kubeconfig))
        self._client.user_agent = user_agent

    def __enter__(self) -> Rest:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def request(
        self,
        method: str,
        url: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        query: Mapping[str, str] | None = None,
        timeout: float = _REQUEST_TIMEOUT,
    ) -> Object:
        """One request; the answer as a dict. Raises RestError for a status of 400 or more."""
        response = self._send(method, url, body, content_type, query or {}, timeout)
        answer: Object = json.loads(response.read() or b"{}")
        return answer

    def _send(
        self, method: str, url: str, body: Any, content_type: str, query: Mapping[str, str], timeout: float | None
    ) -> urllib3.HTTPResponse:
        headers = {"Accept": "application/json"} | ({"Content-Type": content_type} if body is not None else {})
        args = self._client.param_serialize(
            method,
            url,
            query_params=list(query.items()),
            header_params=headers,
            body=body,
            auth_settings=["BearerToken"],
        )
        answer: urllib3.HTTPResponse = self._client.call_api(*args, _request_timeout=timeout).response
        if answer.status >= 400:
            raise _error(answer)
        return answer

    def get(self, url: str) -> Object:
        """GET an object."""
        return self.request("GET", url)

    def find(self, url: str) -> Object | None:
        """GET an object, or None when there is none."""
        try:
            return self.get(url)
        except RestError as error:
            if error.code == 404:
                return None
            raise

    def items(self, url: str, label_selector: str = "") -> list[Object]:
        """LIST a collection, all pages."""
        found: list[Object] = []
        query = {"limit": "500", **({"labelSelector": label_selector} if label_selector else {})}
        while True:
            page = self.request("GET", url, query=query)
            found += page["items"]
            more = page["metadata"].get("continue")
            if not more:
                return found
            query["continue"] = more

    def create(self, url: str, body: Object) -> Object:
        """POST to a collection."""
        return self.request("POST", url, body)

    def apply(self, url: str, body: Object, manager: str = "tests") -> Object:
        """Server-side apply, forced."""
        query = {"fieldManager": manager, "force": "true"}
        return self.request("PATCH", url, body, content_type="application/apply-patch+yaml", query=query)

    def merge(self, url: str, body: Object) -> Object:
        """JSON merge patch."""
        return self.request("PATCH", url, body, content_type="application/merge-patch+json")

    def strategic(self, url: str, body: Object) -> Object:
        """Strategic merge patch."""
        return self.request("PATCH", url, body, content_type="application/strategic-merge-patch+json")

    def replace(self, url: str, body: Object) -> Object:
        """PUT an object."""
        return self.request("PUT", url, body)

    def delete(self, url: str) -> Object:
        """DELETE an object or a collection."""
        return self.request("DELETE", url)

    def watch(self, url: str, query: Mapping[str, str], timeout: float) -> Iterator[tuple[str, Object]]:
        """Events of a watch, until `timeout` seconds have passed or the server ends the stream."""
        asked = {**query, "watch": "true", "timeoutSeconds": str(max(1, int(timeout)))}
        response = self._send("GET", url, None, "", asked, timeout + 5)
        rest = b""
        for chunk in response.stream(65536):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                event = json.loads(line)
                yield event["type"], event["object"]

    def follow(self, url: str, label_selector: str, stopping: threading.Event) -> Iterator[tuple[str, Object]]:
        """Objects of a collection, as ADDED, and then their changes, through outages, until `stopping` is set.

        Each second there is a look at `stopping`, and a new listing, which tells of what is there once more.
        """
        while not stopping.is_set():
            try:
                yield from (("ADDED", item) for item in self.items(url, label_selector))
                for kind, item in self.watch(url, {"labelSelector": label_selector}, 1):
                    if kind in ("ADDED", "MODIFIED", "DELETED"):
                        yield kind, item
            except LOST:
                stopping.wait(0.2)

    def log(self, namespace: str, pod: str) -> urllib3.HTTPResponse:
        """A pod's log from its begin, as a stream that goes on while the pod does; `shutdown` ends it."""
        return self._send("GET", path("v1", "pods", namespace, pod, "log"), None, "", {"follow": "true"}, None)

    def wait(
        self, url: str, accept: Callable[[Object], bool], *, within: float, what: str, missing: bool = False
    ) -> Object:
        """Wait until the object at `url` is accepted; with `missing`, an absent object is accepted as {}.

        Reconnects through outages of the API server. Raises WaitTimeoutError after `within` seconds.
        """
        deadline, last = time.monotonic() + within, None
        collection, _, name = url.rpartition("/")
        while (left := deadline - time.monotonic()) > 0:
            try:
                for seen in self._observations(url, collection, name, left):
                    last = seen
                    if (missing and seen == {}) or (seen and accept(seen)):
                        return seen
            except LOST as error:
                last = {"error": str(error)}
                time.sleep(min(0.2, max(0.0, deadline - time.monotonic())))
        raise WaitTimeoutError(f"{what}: not within {within:g} s; last seen of {url}: {_shown(last)}")

    def _observations(self, url: str, collection: str, name: str, left: float) -> Iterator[Object]:
        seen = self.find(url)
        yield seen or {}
        version = (seen or {}).get("metadata", {}).get("resourceVersion")
        query = {"fieldSelector": f"metadata.name={name}"} | ({"resourceVersion": version} if version else {})
        for kind, item in self.watch(collection, query, min(left, 60.0)):
            if kind == "ERROR":
                return
            if kind != "BOOKMARK":
                yield {} if kind == "DELETED" else item


def _shown(seen: Object | None) -> str:
    """An object for a message: status first, and not who manages which field, which is the longest part of most."""
    if seen is None or "metadata" not in seen:
        return json.dumps(seen)
    metadata = {key: value for key, value in seen["metadata"].items() if key != "managedFields"}
    return json.dumps({"status": seen.get("status"), **seen, "metadata": metadata})[:4000]


def _error(response: urllib3.HTTPResponse) -> RestError:
    text = response.read()
    try:
        status = json.loads(text)
    except ValueError:
        return RestError(response.status, str(response.reason), text[:8000].decode(errors="replace"))
    return RestError(response.status, str(status.get("reason", "")), str(status.get("message", "")))
