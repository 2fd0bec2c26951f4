"""Which objects are asked about, and what is due when the look-aside balancer tells something else. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from grpcbalance.api import Spec
from grpcbalance.desired import read_spec
from grpcbalance.model import Balanced, Key, Ref, StatusKey, WorkloadKey
from grpcbalance.view import View

from .seen import Seen


def wants_xds(balanced: Balanced) -> bool:
    """Whether the object's clients, or some of them, are to be on xDS."""
    # Nearly all are not, and are not worth to be read for this: thousands are asked every other second.
    if '"discovery":"XDS"' not in balanced.spec:
        return False
    spec = read_spec(balanced.spec)
    return isinstance(spec, Spec) and spec.discovery == "XDS"


def any_on_xds(view: View) -> bool:
    """Whether there is one."""
    return any(map(wants_xds, view.balanced.values()))


def refs_on_xds(view: View) -> list[Ref]:
    """Objects whose clients, or some of them, are to be on xDS."""
    return [ref for ref, balanced in view.balanced.items() if wants_xds(balanced)]


def take(view: View, seen: Mapping[Ref, Seen]) -> set[Key]:
    """Let the view know what is seen now, of all services. Answers with what is due; nothing when it is equal."""
    before, view.seen = view.seen, dict(seen)
    keys: set[Key] = set()
    for ref in before.keys() | seen.keys():
        old, new = before.get(ref), seen.get(ref)
        if old == new:
            continue
        keys.add(StatusKey(*ref))
        if _serves(old) != _serves(new):
            keys |= {WorkloadKey(*client.ref) for client in view.snapshot(ref).clients}
    return keys


def _serves(seen: Seen | None) -> tuple[bool, bool, bool]:
    """What decides whether a client may be moved."""
    return (False, False, False) if seen is None or seen.problem else (True, seen.plaintext, seen.tls)
