"""Which state of an object is the newest seen, so that late news never overwrite or revive anything. One per kind.

News arrive late when a watch, a LIST and the answer of a write overlap. resourceVersions are opaque in theory
and one counter per kind in practice; those that are no numbers are taken as they come.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .model import Ref
from .recent import Recent

# Deleted objects that are remembered; news are late by seconds, not by so many deletions.
_REMEMBERED: Final = 10_000


class Versions:
    """uid and newest resourceVersion of every known object of a kind, and of those that went lately."""

    def __init__(self) -> None:
        self._known: dict[Ref, tuple[str, int | None]] = {}
        self._gone: Recent[str, int | None] = Recent(_REMEMBERED)

    def uids(self) -> Mapping[tuple[str, str], str]:
        """Names and uids, as a copy."""
        return {ref: uid for ref, (uid, _) in self._known.items()}

    def put(self, ref: Ref, meta: Mapping[str, Any]) -> bool:
        """Take note of an object; False when something newer is known of that name."""
        uid, version = meta["uid"], _number(meta)
        if self._is_late(ref, uid, version):
            return False
        self._gone.pop(uid, None)
        self._known[ref] = uid, version
        return True

    def delete(self, ref: Ref, meta: Mapping[str, Any]) -> bool:
        """Take note of a deletion; False when it is that of an earlier object of the name, or known already."""
        uid, version = meta["uid"], _number(meta)
        if self._is_late(ref, uid, version):
            return False
        self._gone[uid] = version
        if ref in self._known and self._known[ref][0] != uid:
            return False
        self._known.pop(ref, None)
        return True

    def forget(self, ref: Ref) -> None:
        """The object is not there any more, as a LIST or a live read says."""
        if ref in self._known:
            uid, version = self._known.pop(ref)
            self._gone[uid] = version

    def _is_late(self, ref: Ref, uid: str, version: int | None) -> bool:
        known = self._known.get(ref)
        if version is None:
            return False
        if known is not None and known[1] is not None and version < known[1]:
            return True
        buried = self._gone.get(uid)
        # Not for ever: a slice that leaves our label selector is "deleted", and may come back as a newer version.
        return buried is not None and version <= buried


def _number(meta: Mapping[str, Any]) -> int | None:
    text = meta["resourceVersion"]
    return int(text) if text.isdecimal() and text.isascii() and len(text) < 20 else None
