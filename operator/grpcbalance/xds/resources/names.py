"""Names of resources: `<service>.<namespace>:<port>`, which is what a client dials after `xds:///`. Pure."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

# Length limits of a GrpcBalancedService's and a namespace's name (DNS-1035 and RFC 1123 labels).
_SERVICE: Final = "[a-z](?:[-a-z0-9]{0,52}[a-z0-9])?"
_NAMESPACE: Final = "[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_NAME: Final = re.compile(f"({_SERVICE})\\.({_NAMESPACE}):([1-9][0-9]{{0,4}})")
_LAST_PORT: Final = 65535


class Name(NamedTuple):
    """A service as its clients call it: name and namespace of the GrpcBalancedService, container port."""

    service: str
    namespace: str
    port: int

    def __str__(self) -> str:
        return f"{self.service}.{self.namespace}:{self.port}"


def parse(text: str) -> Name | None:
    """The name that `text` is, None if it is none: `str` of the result is `text` again."""
    found = _NAME.fullmatch(text)
    if found is None or int(found[3]) > _LAST_PORT:
        return None
    return Name(found[1], found[2], int(found[3]))


def listener_name(name: Name) -> str:
    """Name of the listener: what stands after `xds:///`, unless the bootstrap has a template for it (A27)."""
    return str(name)


def cluster_name(name: Name) -> str:
    """Name of the cluster, and of its endpoints too: one function, so that they cannot part."""
    return str(name)
