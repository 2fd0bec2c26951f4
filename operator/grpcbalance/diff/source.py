"""Where live objects come from: what a source answers, the one that knows nothing, and how pods are asked for. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from .known import Raw


class SourceError(Exception):
    """The cluster could not be asked; the message says what was asked for and what came instead."""


class Source(Protocol):
    """Where live objects come from."""

    async def objects(self) -> Mapping[str, list[Raw]]:
        """Everything that decides something, by plural. Raises SourceError."""

    async def pods(self, namespace: str, selector: str) -> list[Raw] | None:
        """Unfinished pods that a label selector selects, None where nobody can tell. Raises SourceError."""


class Nothing:
    """No cluster."""

    async def objects(self) -> Mapping[str, list[Raw]]:
        """Nothing is known."""
        return {}

    async def pods(self, namespace: str, selector: str) -> None:
        """Nobody can tell."""


def selector_text(selector: Mapping[str, Any]) -> str:
    """A label selector as the API takes it in a query."""
    texts = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for requirement in selector.get("matchExpressions") or ():
        key, values = requirement["key"], ",".join(requirement.get("values") or ())
        texts.append(
            {
                "In": f"{key} in ({values})",
                "NotIn": f"{key} notin ({values})",
                "Exists": key,
                "DoesNotExist": f"!{key}",
            }[requirement["operator"]]
        )
    return ",".join(texts)


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Whether a pod would be a ready endpoint."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]
