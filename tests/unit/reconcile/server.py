"""A small API server in memory: raw objects by kind, with the rules that the operator relies on.

It is `reconcile.context.Api` for the operator; users and controllers go through `put`, `edit` and `remove`.
What the operator sends is recorded, refused when its preconditions fail, and made to fail on demand.
"""

from __future__ import annotations

import asyncio
import copy
import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from grpcbalance.errors import Conflict, Gone, Invalid, KubeError
from grpcbalance.lookaside.pods import Pod
from grpcbalance.model import Ref, WorkloadRef
from grpcbalance.names import FIELD_MANAGER, PLURAL
from grpcbalance.observe import ref_of
from grpcbalance.observe_workload import hosts_in
from grpcbalance.view import KINDS
from tests.unit.core.merge import merge

from .fields import Owners, Raw, assemble, copied, flatten
from .tls import Handshakes

PLURALS = {
    "GrpcBalancedService": PLURAL,
    "Service": "services",
    "EndpointSlice": "endpointslices",
    "Deployment": "deployments",
    "Namespace": "namespaces",
}
REFUSAL = "admission webhook says: not on a Friday"


class Write(NamedTuple):
    """One write request of the operator."""

    at: float
    verb: str
    kind: str
    name: str
    body: Any

    def __str__(self) -> str:
        return f"{self.verb} {self.kind} {self.name}"


# Is asked before a write (False) and after it was done (True); what it raises is the answer.
Fault = Callable[[Write, bool], None]
# Kind, type of the event, object
Watcher = Callable[[str, str, Raw], None]


class Server:
    """The fake. Objects that it takes or gives are copies."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._objects: dict[str, dict[Ref, Raw]] = {kind: {} for kind in KINDS}
        self._owners: dict[Ref, Owners] = {}
        self._made: Counter[tuple[str, Ref]] = Counter()
        self._version = 0
        # Values in the env of running pods, by pod.
        self.pods: dict[Ref, tuple[str, ...]] = {}
        # By namespace, what clients know the look-aside balancer by.
        self.authorities: dict[str, str] = {}
        self.tls = Handshakes()
        # How often pods, or the former, were looked at.
        self.looks = 0
        # Ready pods with an xDS target, when they were listed of which namespace, and what refuses that.
        self.xds_pods: list[Pod] = []
        self.listings: list[tuple[float, str]] = []
        self.xds_refusal: Exception | None = None
        self.watchers: list[Watcher] = []
        self.faults: list[Fault] = []
        self.attempts: list[Write] = []
        self.writes: list[Write] = []
        self.events: list[Raw] = []
        # Seconds that a write takes; only in an event loop.
        self.latency = 0.0

    def take_over(self, other: Server) -> None:
        """Have all that another one has; requests and Events are forgotten."""
        self._objects = {kind: dict(objects) for kind, objects in other._objects.items()}
        self._owners, self._made = copy.deepcopy(other._owners), other._made.copy()
        self._version, self.pods = other._version, dict(other.pods)

    # -- what users, controllers and tests do -------------------------------------------------------------

    def put(self, *raws: Raw) -> None:
        """Create or replace objects, as `kubectl replace --force=false` would; status stays as given."""
        for raw in raws:
            kind, ref = PLURALS[raw["kind"]], ref_of(raw)
            self._store(kind, ref, copied(raw), self._objects[kind].get(ref), manager="user")

    def edit(self, kind: str, name: str, change: Callable[[Raw], None], namespace: str = "shop") -> None:
        """Let a user or a controller change an object in place."""
        live = self._objects[kind][Ref(namespace, name)]
        raw = copied(live)
        change(raw)
        self._store(kind, ref_of(raw), raw, live, manager="user")

    def remove(self, kind: str, name: str, namespace: str = "shop") -> None:
        """Delete an object."""
        ref = Ref(namespace, name)
        raw = self._objects[kind].pop(ref)
        if kind == "services":
            del self._owners[ref]
        raw["metadata"]["resourceVersion"] = self._next_version()
        self._notify(kind, "DELETED", raw)

    def refuse(self, name: str, error: KubeError | None = None, times: float = float("inf")) -> None:
        """Fail the next writes to the objects of a name; unlike a conflict a refusal is counted as no write."""
        left = times

        def fault(write: Write, done: bool) -> None:
            nonlocal left
            if write.name == name and not done and left > 0:
                left -= 1
                raise error or Invalid(REFUSAL)

        self.faults.append(fault)

    def get(self, kind: str, name: str, namespace: str = "shop") -> Raw:
        """An object as it stands."""
        return copied(self._objects[kind][Ref(namespace, name)])

    def has(self, kind: str, name: str, namespace: str = "shop") -> bool:
        """Whether there is such an object."""
        return Ref(namespace, name) in self._objects[kind]

    def all(self, kind: str) -> Iterator[Raw]:
        """All objects of a kind, by name as in a LIST."""
        yield from copied([self._objects[kind][ref] for ref in sorted(self._objects[kind])])

    def count(self, kind: str, test: Callable[[Raw], bool]) -> int:
        """How many objects of a kind pass a test; they are no copies."""
        return sum(map(test, self._objects[kind].values()))

    # -- what the operator does: reconcile.context.Api ----------------------------------------------------

    async def create_service(self, manifest: dict[str, Any]) -> dict[str, Any]:
        ref = ref_of(manifest)

        def act() -> Raw:
            if ref in self._objects["services"]:
                raise Conflict(f'create services: services "{ref.name}" already exists')
            return self._store("services", ref, copied(manifest), None, manager=FIELD_MANAGER)

        return await self._write("create", "services", ref.name, manifest, act)

    async def apply_service(self, manifest: dict[str, Any]) -> dict[str, Any]:
        ref = ref_of(manifest)

        def act() -> Raw:
            # With a uid an apply never creates: the precondition fails on what is not there.
            live = self._objects["services"].get(ref)
            if live is None or manifest["metadata"]["uid"] != live["metadata"]["uid"]:
                raise Conflict("patch services: Precondition failed: UID")
            owners = copy.deepcopy(self._owners[ref])
            raw = assemble(live, owners.apply(FIELD_MANAGER, flatten(live), flatten(manifest)))
            _check_ports(raw)
            self._owners[ref] = owners
            return self._store("services", ref, raw, live, manager=None)

        return await self._write("apply", "services", ref.name, manifest, act)

    async def replace_ports(self, ref: Ref, uid: str, ports: list[dict[str, Any]]) -> dict[str, Any]:
        def act() -> Raw:
            live = self._find("services", ref)
            if live["metadata"]["uid"] != uid:
                raise Conflict("patch services: Precondition failed: UID")
            raw = copied(live)
            raw["spec"]["ports"] = copied(ports)
            return self._store("services", ref, raw, live, manager=FIELD_MANAGER)

        return await self._write("merge", "services", ref.name, ports, act)

    async def get_service(self, ref: Ref) -> dict[str, Any] | None:
        return copied(self._objects["services"].get(ref))

    async def delete_service(self, ref: Ref, uid: str, resource_version: str) -> None:
        def act() -> Raw:
            live = self._objects["services"].get(ref)
            if live is None:
                return {}
            if (live["metadata"]["uid"], live["metadata"]["resourceVersion"]) != (uid, resource_version):
                raise Conflict("delete services: Precondition failed")
            self.remove("services", ref.name, ref.namespace)
            return {}

        await self._write("delete", "services", ref.name, None, act)

    async def patch_workload(self, ref: WorkloadRef, body: dict[str, Any]) -> dict[str, Any]:
        def act() -> Raw:
            live = self._find("deployments", Ref(ref.namespace, ref.name))
            if body["metadata"]["resourceVersion"] != live["metadata"]["resourceVersion"]:
                raise Conflict("patch deployments: the object has been modified")
            return self._store("deployments", ref_of(live), merge(live, body), live, manager=FIELD_MANAGER)

        return await self._write("patch", "deployments", ref.name, body, act)

    async def apply_status(self, ref: Ref, uid: str, status: dict[str, Any]) -> dict[str, Any]:
        def act() -> Raw:
            live = self._find(PLURAL, ref)
            if live["metadata"]["uid"] != uid:
                raise Conflict("patch status: Precondition failed: UID")
            return self._store(PLURAL, ref, live | {"status": copied(status)}, live, manager=None)

        return await self._write("status", PLURAL, ref.name, status, act)

    async def authority(self, namespace: str) -> str | None:
        self.looks += 1
        return self.authorities.get(namespace)

    async def hosts_in_use(self, namespace: str | None) -> frozenset[str]:
        self.looks += 1
        pods = [values for pod, values in self.pods.items() if namespace in (None, pod.namespace)]
        return frozenset(hosts_in([{"env": [{"value": value} for value in values]} for values in pods]))

    async def pods_on_xds(self, namespace: str) -> tuple[Pod, ...]:
        self.listings.append((self._clock(), namespace))
        if self.xds_refusal is not None:
            raise self.xds_refusal
        return tuple(pod for pod in self.xds_pods if pod.node.namespace == namespace)

    async def create_event(self, event: dict[str, Any]) -> None:
        self.events.append(event)

    # -- the rules ----------------------------------------------------------------------------------------

    async def _write(self, verb: str, kind: str, name: str, body: Any, act: Callable[[], Raw]) -> Raw:
        # Through JSON, as on the wire: nothing is shared with the operator.
        write = Write(self._clock(), verb, kind, name, json.loads(json.dumps(body)))
        self.attempts.append(write)
        if self.latency:
            await asyncio.sleep(self.latency / 2)
        for fault in self.faults:
            fault(write, False)
        raw = act()
        self.writes.append(write)
        for fault in self.faults:
            fault(write, True)
        if self.latency:
            await asyncio.sleep(self.latency / 2)
        return copied(raw)

    def _find(self, kind: str, ref: Ref) -> Raw:
        if ref not in self._objects[kind]:
            raise Gone(f'{kind} "{ref.name}" not found')
        return self._objects[kind][ref]

    def _store(self, kind: str, ref: Ref, raw: Raw, live: Raw | None, *, manager: str | None) -> Raw:
        """Take an object: uid, generation and resourceVersion are the server's; no news when nothing changed."""
        meta = raw["metadata"]
        if kind == "services":
            _check_ports(raw)
        if live is None:
            self._made[kind, ref] += 1
            meta["uid"], meta["generation"] = f"{kind}-{ref.name}-{self._made[kind, ref]}", 1
        else:
            was = live["metadata"]
            changed = raw.get("spec") != live.get("spec")
            meta["uid"], meta["generation"] = was["uid"], was["generation"] + changed
            meta["resourceVersion"] = was["resourceVersion"]
        if kind == "services" and manager is not None:
            owners = self._owners.setdefault(ref, Owners())
            owners.update(manager, flatten(live) if live else {}, flatten(raw))
        if raw == live:
            return raw
        meta["resourceVersion"] = self._next_version()
        self._objects[kind][ref] = raw
        self._notify(kind, "MODIFIED" if live else "ADDED", raw)
        return raw

    def _next_version(self) -> str:
        self._version += 1
        return str(self._version)

    def _notify(self, kind: str, event: str, raw: Raw) -> None:
        for watcher in self.watchers:
            watcher(kind, event, copied(raw))


def _check_ports(raw: Raw) -> None:
    """What the API server says of a Service's ports: names are unique, so are numbers by protocol."""
    ports = raw["spec"].get("ports") or ()
    for index, port in enumerate(ports):
        before = ports[:index]
        if any(other.get("name") == port.get("name") for other in before):
            raise Invalid(
                f'Service "{raw["metadata"]["name"]}" is invalid: spec.ports[{index}].name: '
                f'Duplicate value: "{port.get("name", "")}"'
            )
        if any((p["port"], p.get("protocol", "TCP")) == (port["port"], port.get("protocol", "TCP")) for p in before):
            raise Invalid(f"spec.ports[{index}]: Duplicate value")
