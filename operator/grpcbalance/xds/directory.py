"""The services that clients can ask for, and what of each is known now. Pure.

Who is served is decided by our headless Services, which outlive their GrpcBalancedService as long as anybody may use
them: deleting an object takes nothing away from running clients, nor from those that start anew (design, rule 7).
What was known of a service stays known while a part of it is missing, and while anybody asks for it:

* the object is gone: the last spec that could be read counts, and so it does while a spec cannot be read. Who starts
  anew after that finds what matters of it on the Service (`grpcbalance.kept`);
* the Service is gone: endpoints stay as they were. Its slices go one by one, which must not look like pods that go;
* both are gone: the same, as long as somebody asks. An answer without the service would stop clients that do not
  ignore deletions (A53), and those that ignore them would see no difference.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from grpcbalance.allowed import admits
from grpcbalance.api import Client, Spec
from grpcbalance.conditions import is_ready
from grpcbalance.desired import read_spec
from grpcbalance.kept import kept_spec
from grpcbalance.model import Ref, Service, ServiceSnapshot
from grpcbalance.optin import Problem
from grpcbalance.view import View

from .resources.catalog import Served
from .resources.endpoints import zones
from .resources.names import Name

_DEFAULT: Final = Client()


@dataclass(frozen=True, slots=True)
class _Basis:
    """Of one service: its headless Service, whether that is there now, and the last spec that could be read."""

    service_name: str
    present: bool
    spec: Spec | None


class Directory:
    """Answers from a View. `refresh` says which services are to be looked at anew."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._bases: dict[Ref, _Basis] = {}
        # Of each basis: whether it has a ready endpoint, as far as slices have told.
        self._ready: dict[Ref, bool] = {}
        # What is asked for; the same object as long as nothing changes.
        self._asked: dict[Ref, dict[Name, Served]] = {}

    def refs(self) -> set[Ref]:
        """Every service that there is, or was."""
        return {*self._view.balanced, *self._owners(), *self._bases}

    def ready(self) -> dict[Ref, bool]:
        """Every service that clients can ask for, and whether it has at least one ready endpoint."""
        return self._ready.copy()

    def _owners(self) -> Iterator[Ref]:
        for service in self._view.services.values():
            if service.managed and service.balanced is not None:
                yield Ref(service.ref.namespace, service.balanced)

    def refresh(self, ref: Ref) -> bool:
        """Look at a service. Answers whether anything may be different for clients that ask for it."""
        snapshot, old, asked = self._view.snapshot(ref), self._bases.get(ref), self._asked.get(ref, {})
        basis = _basis(snapshot, old, bool(asked))
        if basis is None:
            self._bases.pop(ref, None)
            self._ready.pop(ref, None)
            return old is not None
        self._bases[ref] = basis
        self._ready[ref] = _has_ready(basis, snapshot, self._ready.get(ref, False))
        changed = basis != old
        for name, before in asked.items():
            now = _served(name, basis, snapshot, before)
            if now != before:
                asked[name] = now
                changed = True
        return changed

    def served(self, name: Name) -> Served | None:
        """What is known of a service under the name that a client calls it by; None when there is none.

        Any port: a headless name has all of them, and pods that still call the former one must not be cut off. It is
        kept up to date until `forget`.
        """
        ref = ref_of(name)
        basis = self._bases.get(ref)
        if basis is None:
            return None
        found = self._asked.get(ref, {}).get(name)
        if found is None:
            found = _served(name, basis, self._view.snapshot(ref), None)
            self._asked.setdefault(ref, {})[name] = found
        return found

    def forget(self, name: Name) -> None:
        """Nobody asks for a name any more."""
        ref = ref_of(name)
        asked = self._asked.get(ref, {})
        asked.pop(name, None)
        if not asked and self._asked.pop(ref, None) is not None:
            # It may have been here only because somebody asked.
            self.refresh(ref)

    def lets_in(self, ref: Ref, namespace: str | None) -> bool:
        """Whether a client of a namespace may know the service. None: it can be anybody."""
        if namespace == ref.namespace:
            return True
        basis = self._bases.get(ref)
        if basis is None or basis.spec is None:
            return False
        return admits(basis.spec, self._view.namespaces.get(namespace) if namespace is not None else None)


def ref_of(name: Name) -> Ref:
    """The GrpcBalancedService that a name calls, whatever the port."""
    return Ref(name.namespace, name.service)


def _basis(snapshot: ServiceSnapshot, old: _Basis | None, asked: bool) -> _Basis | None:
    service = _service(snapshot)
    if service is None and (old is None or (snapshot.balanced is None and not asked)):
        # Not made yet, or not needed any more.
        return None
    former = old or _Basis("", False, None)
    spec = former.spec
    if snapshot.balanced is not None and not isinstance(read := read_spec(snapshot.balanced.spec), Problem):
        spec = read
    if spec is None and service is not None and service.kept is not None:
        spec = kept_spec(service.kept)
    # One that somebody deleted by hand is made anew within moments.
    return _Basis(service.ref.name if service else former.service_name, service is not None, spec)


def _service(snapshot: ServiceSnapshot) -> Service | None:
    """The headless Service to read endpoints of: the one that the object wants, else one that it had.

    Of several that it had, the one that clients were served from last keeps its spec.
    """
    wanted = snapshot.balanced.service_name if snapshot.balanced else None
    return min(snapshot.owned, key=lambda one: (one.ref.name != wanted, one.kept is None), default=None)


def _has_ready(basis: _Basis, snapshot: ServiceSnapshot, before: bool) -> bool:
    """As `_served` says it, without making anything of the endpoints."""
    own = [piece for piece in snapshot.slices if piece.service_name == basis.service_name]
    if not own or not basis.present:
        return before
    return any(is_ready(endpoint) for piece in own for endpoint in piece.endpoints)


def _served(name: Name, basis: _Basis, snapshot: ServiceSnapshot, before: Served | None) -> Served:
    found = zones(snapshot.slices, basis.service_name) if basis.present or before is None else None
    if found is None and before is not None:
        found = before.zones
    return Served(name, basis.spec.client if basis.spec else _DEFAULT, found)
