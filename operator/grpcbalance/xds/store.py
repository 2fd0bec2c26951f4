"""A View as `watching` fills it: answers with what concerns clients, and is not ended by an object it cannot read."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from grpcbalance.model import Key, Ref, WorkloadKey
from grpcbalance.view import View

logger = logging.getLogger(__name__)


class Labels(NamedTuple):
    """The labels of a namespace are others now; they decide which services its clients may know."""

    namespace: str


Concern = Ref | Labels


class Store:
    """Feeds a View."""

    def __init__(self, view: View) -> None:
        self._view = view

    def apply(self, kind: str, event: str | None, raw: Mapping[str, Any]) -> set[Concern]:
        """Take an object; answers with what it concerns. Of one that cannot be read the former state stays."""
        name = raw["metadata"]["name"]
        before = self._view.namespaces.get(name)
        try:
            keys = self._view.apply(kind, event, raw)
        except Exception:
            # One bad object must not end the service for all others.
            logger.exception("%s %s/%s cannot be read", kind, raw["metadata"].get("namespace", ""), name)
            return set()
        concerned = _services(keys)
        if kind == "namespaces" and self._view.namespaces.get(name) != before:
            concerned.add(Labels(name))
        return concerned

    def names(self, kind: str) -> Mapping[tuple[str, str], str]:
        """Names and uids known, as a copy."""
        return self._view.names(kind)

    def prune(self, kind: str, dead: Iterable[tuple[str, str]]) -> set[Concern]:
        """Forget objects; answers with what this concerns. A namespace that is gone has no clients left."""
        return _services(self._view.prune(kind, dead))


def _services(keys: Iterable[Key]) -> set[Concern]:
    return {key.ref for key in keys if not isinstance(key, WorkloadKey)}
