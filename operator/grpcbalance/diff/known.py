"""What is known: the objects of a cluster, with manifests laid over them, as raw objects and as the operator's view.

Pure. Raw objects are kept for what the view does not need: old values, and the selectors of pods.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from grpcbalance.kinds import BY_KIND
from grpcbalance.model import Ref, WorkloadRef
from grpcbalance.observe import ref_of
from grpcbalance.view import KINDS, View

from .checked import checked, plural_of, stored
from .manifests import Manifest, ManifestError
from .overlay import lay_over

Raw = dict[str, Any]


class Known:
    """Objects by plural and name. `given` are those that manifests told of, `new` those of them no cluster has."""

    def __init__(self, listed: Mapping[str, Iterable[Raw]]) -> None:
        """`listed`: plural -> what a cluster holds of it; empty without a cluster."""
        self.raws: dict[str, dict[Ref, Raw]] = {kind: {} for kind in KINDS}
        for kind, raws in listed.items():
            self.raws[kind] = {ref_of(raw): raw for raw in raws}
        self.given: dict[tuple[str, Ref], Manifest] = {}
        self.new: set[tuple[str, Ref]] = set()

    def lay(self, manifests: Iterable[Manifest], namespace: str, *, forced: bool) -> None:
        """Lay manifests over what is known; `namespace` and `forced` as for `checked`. Raises ManifestError."""
        for manifest in manifests:
            plural = plural_of(manifest)
            if plural is None:
                continue
            raw = checked(plural, manifest, namespace, forced=forced)
            key = plural, ref_of(raw)
            if key in self.given:
                raise ManifestError(f"{manifest.title}: stands a second time; the first is {self.given[key].origin}")
            live = self.raws[plural].get(key[1])
            self.given[key] = manifest
            if live is None:
                self.new.add(key)
            try:
                self.raws[plural][key[1]] = stored(plural, raw) if live is None else lay_over(live, raw)
            except (AttributeError, KeyError, TypeError) as error:
                raise ManifestError(f"{manifest.title}: is not a valid {manifest.raw['kind']}") from error

    def view(self) -> View:
        """A view of all of it. Raises ManifestError."""
        view = View()
        for kind, raws in self.raws.items():
            for ref, raw in raws.items():
                try:
                    view.apply(kind, None, raw)
                except (AttributeError, KeyError, TypeError, ValueError) as error:
                    if (kind, ref) not in self.given:
                        raise
                    manifest = self.given[kind, ref]
                    raise ManifestError(f"{manifest.title}: is not a valid {manifest.raw['kind']}") from error
        return view

    def workload(self, ref: WorkloadRef) -> Raw:
        """The raw object of a workload."""
        return self.raws[BY_KIND[ref.kind].plural][Ref(ref.namespace, ref.name)]

    def is_new(self, ref: WorkloadRef) -> bool:
        """Whether only a manifest tells of a workload."""
        return (BY_KIND[ref.kind].plural, Ref(ref.namespace, ref.name)) in self.new
