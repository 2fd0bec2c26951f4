"""The door for what stands between a pod and the network: sidecars that run beside it, and HTTP proxies in its env."""

from __future__ import annotations

from collections.abc import Iterator
from sys import intern
from typing import Final

from .model import HttpProxy
from .observe import Raw

# What gRPC libraries read: C-core and Node.js the lower-case ones, Go the https ones. None reads HTTP_PROXY, and Java
# reads system properties instead.
_VARIABLES: Final = ("grpc_proxy", "https_proxy", "http_proxy", "HTTPS_PROXY")
_EXEMPT: Final = ("no_grpc_proxy", "no_proxy", "NO_PROXY")
# No host name is longer.
_LONGEST: Final = 253


def native_sidecars(pod: Raw) -> tuple[str, ...]:
    """Names of the init containers of a pod spec that keep running beside the others."""
    return tuple(
        intern(container["name"])
        for container in pod.get("initContainers") or ()
        if container.get("restartPolicy") == "Always"
    )


def http_proxy(container: Raw) -> HttpProxy | None:
    """What a container's env says of HTTP proxies; None when it names none. Where a proxy is, is not kept."""
    env = {entry["name"]: entry for entry in container.get("env") or ()}
    variables = tuple(name for name in _VARIABLES if name in env and _is_set(env[name]))
    if not variables:
        return None
    lists = tuple((name, _hosts(env[name])) for name in _EXEMPT if name in env and _is_set(env[name]))
    return HttpProxy(variables, lists)


def _is_set(entry: Raw) -> bool:
    return bool(entry.get("valueFrom") or entry.get("value"))


def _hosts(entry: Raw) -> tuple[str, ...] | None:
    return None if entry.get("valueFrom") else tuple(_names(entry["value"]))


def _names(text: str) -> Iterator[str]:
    # Ranges of addresses match no name. Blanks stay: to some libraries they are part of the name.
    for item in text.split(","):
        if "/" not in item and 0 < len(item) <= _LONGEST:
            yield intern(item)
