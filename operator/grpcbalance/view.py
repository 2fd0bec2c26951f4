"""The operator's memory of the cluster: stores of observed objects, indices, and what a change concerns.

`apply` takes a raw object and answers with the keys to reconcile; snapshots are read from here, never from
the API. What `versions` calls late is ignored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from . import observe, observe_workload
from .allowed import lets_in
from .failures import has_failed
from .index import Index
from .kinds import BY_PLURAL
from .lookaside.seen import Seen
from .model import (
    Balanced,
    Key,
    Namespace,
    Ref,
    Role,
    Rollout,
    Service,
    ServiceKey,
    ServiceSnapshot,
    Slice,
    StatusKey,
    Workload,
    WorkloadKey,
    WorkloadRef,
)
from .names import PLURAL, xds_host
from .optin import named_roles
from .slots import Slots
from .versions import Versions

KINDS: Final = (PLURAL, "services", "endpointslices", "namespaces", *BY_PLURAL)


class View:
    """Stores and indices. Not thread-safe: one event loop owns it, and no method awaits."""

    def __init__(self) -> None:
        self.balanced: dict[Ref, Balanced] = {}
        self.services: dict[Ref, Service] = {}
        self.slices: dict[Ref, Slice] = {}
        self.workloads: dict[WorkloadRef, Workload] = {}
        self.namespaces: dict[str, Namespace] = {}
        self.seen: dict[Ref, Seen] = {}
        self._versions = {kind: Versions() for kind in KINDS}
        # (namespace, Service name) -> objects that want it, or take selector and port from it
        self._wanting: Index[Ref, Ref] = Index()
        self._referring: Index[Ref, Ref] = Index()
        # GrpcBalancedService -> its Services, slices, servers, clients
        self._owned: Index[Ref, Ref] = Index()
        self._slices: Index[Ref, Ref] = Index()
        self._servers: Index[Ref, WorkloadRef] = Index()
        self._clients: Index[Ref, WorkloadRef] = Index()
        # namespace -> its workloads that are, or ask to be, clients of objects elsewhere
        self._abroad: Index[str, WorkloadRef] = Index()
        # `<service>.<namespace>.svc` -> workloads whose template names it
        self._hosts: Index[str, WorkloadRef] = Index()
        self.slots = Slots()

    # -- what comes in -----------------------------------------------------------------------------------

    def apply(self, kind: str, event: str | None, raw: Mapping[str, Any]) -> set[Key]:
        """Take an object of a watch (`event` is its type), a LIST (None) or a write's answer (None)."""
        ref, versions = observe.ref_of(raw), self._versions[kind]
        if event == "DELETED":
            return self._remove(kind, ref) if versions.delete(ref, raw["metadata"]) else set()
        if not versions.put(ref, raw["metadata"]):
            return set()
        if kind == PLURAL:
            return self._put_balanced(observe.balanced(raw))
        if kind == "services":
            return self._put_service(observe.service(raw))
        if kind == "endpointslices":
            return self._put_slice(ref, observe.endpoint_slice(raw))
        if kind == "namespaces":
            return self._put_namespace(ref.name, observe.namespace(raw))
        workload = BY_PLURAL[kind].kind
        return self._put_workload(WorkloadRef(workload, *ref), observe_workload.workload(workload, raw))

    def names(self, kind: str) -> Mapping[tuple[str, str], str]:
        """Names and uids known of a kind, as a copy: what a resync may prune afterwards."""
        return self._versions[kind].uids()

    def prune(self, kind: str, dead: Iterable[tuple[str, str]]) -> set[Key]:
        """Forget objects that a complete LIST no longer has: their DELETED events were lost."""
        keys: set[Key] = set()
        for namespace, name in dead:
            self._versions[kind].forget(Ref(namespace, name))
            keys |= self._remove(kind, Ref(namespace, name))
        return keys

    def _remove(self, kind: str, ref: Ref) -> set[Key]:
        if kind == PLURAL:
            return self._drop_balanced(ref)
        if kind == "services":
            return self._drop_service(ref)
        if kind == "endpointslices":
            return self._put_slice(ref, None)
        if kind == "namespaces":
            return self._put_namespace(ref.name, None)
        return self._put_workload(WorkloadRef(BY_PLURAL[kind].kind, *ref), None)

    def _put_balanced(self, new: Balanced) -> set[Key]:
        old = self.balanced.get(new.ref)
        self.balanced[new.ref] = new
        if old is not None and (old.uid, old.spec) == (new.uid, new.spec):
            # Our own status write comes back equal to what was stored when it was made.
            changed = (old.status, old.generation) != (new.status, new.generation)
            return {StatusKey(*new.ref)} if changed else set()
        self._index_balanced(old, new)
        return self._concerned(new.ref)

    def _drop_balanced(self, ref: Ref) -> set[Key]:
        old = self.balanced.pop(ref, None)
        if old is None:
            return set()
        self._index_balanced(old, None)
        return self._concerned(ref)

    def _index_balanced(self, old: Balanced | None, new: Balanced | None) -> None:
        for index, name in ((self._wanting, "service_name"), (self._referring, "service_ref")):
            for item, put in ((old, False), (new, True)):
                target = getattr(item, name) if item else None
                if item is not None and target is not None:
                    index.mark(Ref(item.ref.namespace, target), item.ref, put)

    def _put_service(self, new: Service) -> set[Key]:
        old = self.services.get(new.ref)
        self.services[new.ref] = new
        self._owned.move(new.ref, observe.owner_of(old), observe.owner_of(new))
        if old is not None and observe.same(old, new):
            return set()
        return self._service_concerned(new.ref, observe.owner_of(old) | observe.owner_of(new))

    def _drop_service(self, ref: Ref) -> set[Key]:
        old = self.services.pop(ref, None)
        self._owned.move(ref, observe.owner_of(old), set())
        return self._service_concerned(ref, observe.owner_of(old)) if old else set()

    def _put_slice(self, ref: Ref, new: Slice | None) -> set[Key]:
        old = self.slices.pop(ref, None)
        if new is not None:
            self.slices[ref] = new
        before, after = observe.owner_of(old), observe.owner_of(new)
        self._slices.move(ref, before, after)
        if old == new:
            return set()
        owners = before | after
        keys: set[Key] = {StatusKey(*owner) for owner in owners}
        if observe.serves(old) != observe.serves(new):
            # Clients may have been waiting for the first ready endpoint, or for the port.
            keys |= {WorkloadKey(*client) for owner in owners for client in self._clients[owner]}
        return keys

    def _put_namespace(self, name: str, new: Namespace | None) -> set[Key]:
        old = self.namespaces.pop(name, None)
        if new is not None:
            self.namespaces[name] = new
        if old == new:
            return set()
        # Its labels decide who lets its clients in.
        clients = self._abroad[name]
        called = {ref for client in clients for ref in named_roles(self.workloads[client])[Role.CLIENT]}
        if (old.mesh if old else ()) != (new.mesh if new else ()):
            called |= {ref for ref in self.balanced if ref.namespace == name}
        return {*(WorkloadKey(*client) for client in clients), *(StatusKey(*ref) for ref in called)}

    def _put_workload(self, ref: WorkloadRef, new: Workload | None) -> set[Key]:
        old = self.workloads.get(ref)
        if new is not None and old is not None and new.uid == old.uid:
            new = observe_workload.carried_over(old, new)
        if new is None:
            self.workloads.pop(ref, None)
        else:
            self.workloads[ref] = new
        if old is not None and new is not None and observe.same(old, new):
            return set()
        return self._workload_changed(ref, old, new)

    def _workload_changed(self, ref: WorkloadRef, old: Workload | None, new: Workload | None) -> set[Key]:
        before, after = named_roles(old), named_roles(new)
        for role, index in ((Role.SERVER, self._servers), (Role.CLIENT, self._clients)):
            index.move(ref, before[role], after[role])
        self._abroad.mark(ref.namespace, ref, any(called.namespace != ref.namespace for called in after[Role.CLIENT]))
        hosts = (old.hosts if old else frozenset(), new.hosts if new else frozenset())
        self._hosts.move(ref, set(hosts[0]), set(hosts[1]))
        keys: set[Key] = {WorkloadKey(*ref)} if old or new else set()
        refs = {r for roles in (before, after) for named in roles.values() for r in named}
        # Others are stopped by one whose rollout failed, or go on.
        failed = [
            set().union(*roles.values()) if has_failed(w) else set() for w, roles in ((old, before), (new, after))
        ]
        keys |= {WorkloadKey(*user) for r in failed[0] ^ failed[1] for user in self._servers[r] | self._clients[r]}
        # Who is not let in concerns nobody but itself.
        keys |= {StatusKey(*r) for r in refs if self.lets_in(r, ref.namespace)}
        # Clients wait for servers, servers are held for clients, and any server may be the one that tells the port.
        for served in before[Role.SERVER] | after[Role.SERVER]:
            keys |= {ServiceKey(*served)}
            keys |= {WorkloadKey(*user) for user in self._clients[served] | self._servers[served]}
        if hosts[0] != hosts[1] or before[Role.CLIENT] != after[Role.CLIENT]:
            owners = {owner for host in hosts[0] ^ hosts[1] for owner in self._owners_of(host)}
            called = {r for r in before[Role.CLIENT] | after[Role.CLIENT] if self.lets_in(r, ref.namespace)}
            keys |= {WorkloadKey(*server) for service in called | owners for server in self._servers[service]}
            keys |= {ServiceKey(*owner) for owner in owners}
        return keys | {WorkloadKey(*following) for following in self.slots.changed(ref, old, new)}

    def mark_stuck(self, ref: WorkloadRef) -> set[Key]:
        """Take an unfinished rollout for a failed one, until something of it moves."""
        old = self.workloads[ref]
        self.workloads[ref] = stuck = observe_workload.failed(old)
        return self._workload_changed(ref, old, stuck)

    def wait_for_slot(self, ref: WorkloadRef) -> None:
        """Put a workload in the line for a rollout slot."""
        workload = self.workloads.get(ref)
        self.slots.wait(ref, client=workload is not None and not named_roles(workload)[Role.SERVER])

    def servers_in_line(self, ref: WorkloadRef) -> bool:
        """Whether a server of what this workload calls waits for a rollout slot."""
        called = (r for r in named_roles(self.workloads.get(ref))[Role.CLIENT] if self.lets_in(r, ref.namespace))
        return any(server in self.slots.waiting for service in called for server in self._servers[service] - {ref})

    # -- what a change concerns --------------------------------------------------------------------------

    def _concerned(self, ref: Ref) -> set[Key]:
        users = self._servers[ref] | self._clients[ref]
        return {ServiceKey(*ref), StatusKey(*ref), *(WorkloadKey(*user) for user in users)}

    def _service_concerned(self, ref: Ref, owners: set[Ref]) -> set[Key]:
        wanting = owners | self._wanting[ref]
        keys: set[Key] = {key for owner in wanting for key in (ServiceKey(*owner), StatusKey(*owner))}
        for referring in self._referring[ref]:
            keys |= self._concerned(referring)
        return keys

    def _owners_of(self, host: str) -> set[Ref]:
        name, namespace, kind = host.split(".")
        return {Ref(namespace, name)} if kind == "xds" else observe.owner_of(self.services.get(Ref(namespace, name)))

    def all_keys(self) -> Iterator[Key]:
        """Every key, in the order that settles soonest: Services, servers, clients, then status."""
        yield from (ServiceKey(*ref) for ref in dict.fromkeys([*self.balanced, *self._owned]))
        servers = [ref for ref, w in self.workloads.items() if named_roles(w)[Role.SERVER]]
        yield from (WorkloadKey(*ref) for ref in dict.fromkeys([*servers, *self.workloads]))
        yield from (StatusKey(*ref) for ref in self.balanced)

    # -- what is read ------------------------------------------------------------------------------------

    def snapshot(self, ref: Ref, refusal: str | None = None) -> ServiceSnapshot:
        """All that decides about one GrpcBalancedService, present or gone."""
        balanced = self.balanced.get(ref)
        owned = tuple(self.services[name] for name in sorted(self._owned[ref]))
        clients = tuple(self.workloads[w] for w in sorted(self._clients[ref]) if self.lets_in(ref, w.namespace))
        namespaces = sorted({ref.namespace, *(client.ref.namespace for client in clients)})
        return ServiceSnapshot(
            ref=ref,
            balanced=balanced,
            wanted=self.services.get(Ref(ref.namespace, balanced.service_name)) if balanced else None,
            owned=owned,
            referenced=self.services.get(Ref(ref.namespace, balanced.service_ref or "")) if balanced else None,
            slices=tuple(self.slices[name] for name in sorted(self._slices[ref])),
            servers=tuple(self.workloads[name] for name in sorted(self._servers[ref])),
            clients=clients,
            namespaces=tuple(self.namespaces[name] for name in namespaces if name in self.namespaces),
            referrers=tuple((s.ref.name, self._naming(*observe.hosts_of(s, orphan=balanced is None))) for s in owned),
            refusal=refusal,
            seen=self.seen.get(ref),
        )

    def _naming(self, *hosts: str) -> tuple[WorkloadRef, ...]:
        return tuple(sorted(set().union(*(self._hosts[host] for host in hosts))))

    def lets_in(self, ref: Ref, namespace: str) -> bool:
        """Whether workloads of a namespace may be clients of a service: always of one of their own, present or gone."""
        balanced = self.balanced.get(ref)
        if balanced is None:
            return namespace == ref.namespace
        return lets_in(balanced, namespace, self.namespaces.get(namespace))

    def endangered_by(self, workload: Workload) -> Iterator[Ref]:
        """GrpcBalancedServices, present or gone, of which this workload provides pods that others call by DNS.

        Judged by what clients see: our live Services, their selectors, and whose templates name their hosts. Who is
        moved to xDS has pods on DNS until its rollout is complete.
        """
        labels, namespace = set(workload.labels), workload.ref.namespace
        for owner in sorted(ref for ref in self._owned if ref.namespace == namespace):
            services = [self.services[name] for name in sorted(self._owned[owner])]
            on_xds = (self.workloads[ref] for ref in self._hosts[xds_host(owner.name, namespace)])
            moving = {other.ref for other in on_xds if other.rollout is not Rollout.COMPLETE}
            callers = [(self._hosts[observe.host_of(s)] | moving) - {workload.ref} for s in services]
            if any(set(s.selector) <= labels and by for s, by in zip(services, callers, strict=True)):
                yield owner
