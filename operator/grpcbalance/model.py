"""What the operator knows of the cluster, trimmed to what it decides by: small, frozen, hashable.

`observe` makes these from raw objects, the stores hold them, the pure modules read them. Do not add a
field without a decision that needs it: a hundred thousand of these stay in memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from .lookaside.seen import Seen


class Ref(NamedTuple):
    """Namespace and name of an object whose kind the context tells."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class WorkloadRef(NamedTuple):
    """A workload that can carry our variables."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class _BalancedKey:
    namespace: str
    name: str

    @property
    def ref(self) -> Ref:
        """The GrpcBalancedService."""
        return Ref(self.namespace, self.name)


@dataclass(frozen=True, slots=True)
class ServiceKey(_BalancedKey):
    """Work: the headless Services of one GrpcBalancedService, which may be gone."""


@dataclass(frozen=True, slots=True)
class StatusKey(_BalancedKey):
    """Work: the status of one GrpcBalancedService."""


@dataclass(frozen=True, slots=True)
class WorkloadKey:
    """Work: the variables of one workload."""

    kind: str
    namespace: str
    name: str

    @property
    def ref(self) -> WorkloadRef:
        """The workload."""
        return WorkloadRef(self.kind, self.namespace, self.name)


# Dataclasses, not tuples: tuples of different classes but equal content would be one key.
Key = ServiceKey | StatusKey | WorkloadKey


class Role(StrEnum):
    """What a workload is to a GrpcBalancedService."""

    SERVER = "Server"
    CLIENT = "Client"


@dataclass(frozen=True, slots=True)
class Balanced:
    """A GrpcBalancedService. Spec and status stay canonical JSON text and are parsed when needed."""

    ref: Ref
    uid: str
    resource_version: str
    generation: int
    spec: str
    status: str
    service_name: str
    service_ref: str | None


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of a Service."""

    name: str
    port: int
    target_port: int | str
    protocol: str
    app_protocol: str | None


@dataclass(frozen=True, slots=True)
class Service:
    """A core/v1 Service: one of ours, one that a serviceRef names, or one that stands where ours should."""

    ref: Ref
    uid: str
    resource_version: str
    type: str
    cluster_ip: str
    selector: tuple[tuple[str, str], ...]
    ports: tuple[ServicePort, ...]
    publish_not_ready: bool
    ip_family_policy: str
    managed: bool
    balanced: str | None
    owner_uid: str | None
    unreferenced_since: str | None
    kept: str | None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address of a slice. `ready` follows the API: absent means true."""

    address: str
    ready: bool
    terminating: bool
    zone: str


@dataclass(frozen=True, slots=True)
class Slice:
    """An EndpointSlice of one of our headless Services."""

    ref: Ref
    balanced: str
    service_name: str
    ports: tuple[int, ...]
    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace: its labels decide whom an object lets in; `mesh` are the labels and annotations that meshes read."""

    name: str
    labels: tuple[tuple[str, str], ...]
    mesh: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class EnvVar:
    """One entry of a container's env: a fingerprint of its value, or None when it comes from `valueFrom`."""

    name: str
    digest: str | None


@dataclass(frozen=True, slots=True)
class ContainerPort:
    """A declared containerPort."""

    name: str
    number: int


@dataclass(frozen=True, slots=True)
class HttpProxy:
    """What a container's env says of HTTP proxies, where it names one.

    `variables` are the variables that do. `exempt` are the lists of hosts that are reached directly, by variable;
    None where the list comes from `valueFrom`.
    """

    variables: tuple[str, ...]
    exempt: tuple[tuple[str, tuple[str, ...] | None], ...]


@dataclass(frozen=True, slots=True)
class Container:
    """A container of a pod template (init containers are not kept)."""

    name: str
    ports: tuple[ContainerPort, ...]
    env: tuple[EnvVar, ...]
    pre_stop_seconds: float
    env_from: bool
    http_proxy: HttpProxy | None


class Rollout(StrEnum):
    """Where a workload's rollout stands."""

    COMPLETE = "Complete"
    UNSEEN = "Unseen"
    """The controller has not looked at the newest generation yet, which an annotation alone makes a new one."""
    PROGRESSING = "Progressing"
    FAILED = "Failed"
    WAITING = "Waiting"
    """Some pods have an older template, and keep it until a person deletes them or lowers a partition."""

    @property
    def unfinished(self) -> bool:
        """Whether it goes on by itself, or may do so as soon as its controller has looked."""
        return self in (Rollout.PROGRESSING, Rollout.UNSEEN)


# container name -> ((variable, hash of the value we wrote), …), both sorted
Record = tuple[tuple[str, tuple[tuple[str, str], ...]], ...]


@dataclass(frozen=True, slots=True)
class Workload:
    """An annotated or injected workload.

    `annotations` holds only ours, the workload's own winning over its template's. `record` is what we last
    wrote into the template, `settled` the record at the last finished rollout (every pod carries it).
    `co_owned` names recorded variables that another field manager owns too. `hosts` are the
    `<service>.<namespace>.svc` names found in env values. `mesh` are the labels and annotations of the template that
    meshes read, `native_sidecars` the names of init containers that keep running, `host_network` means that the pods
    have their node's network. `writer` is when (RFC 3339) and by which field
    manager the spec was last given something, beside us.

    How pods are replaced: `paused` is a Deployment's own pause; `rolls`, a change of the template replaces pods
    without further ado (not for OnDelete, a CronJob …); `recreates`, no pod is left before the next one is made;
    `takes_all`, a rolling update may take every pod at once. `failure` is why no pod can be made, if the
    controller says. `progress` are the counts that move while a rollout gets on, None where Kubernetes itself tells of
    one that does not.

    `proof_mounts` are the containers, init containers too, that mount our volume; `spare_proof` is its digest, if none.
    """

    ref: WorkloadRef
    uid: str
    resource_version: str
    annotations: tuple[tuple[str, str], ...]
    labels: tuple[tuple[str, str], ...]
    containers: tuple[Container, ...]
    record: Record
    record_malformed: bool
    settled: Record | None
    co_owned: frozenset[tuple[str, str]]
    hosts: frozenset[str]
    mesh: tuple[tuple[str, str], ...]
    native_sidecars: tuple[str, ...]
    host_network: bool
    controller: str | None
    writer: tuple[str, str]
    paused: bool
    rollout: Rollout
    rolls: bool
    progress: tuple[int, ...] | None
    replicas: int
    min_ready_seconds: int
    recreates: bool
    takes_all: bool
    failure: str
    proof_mounts: frozenset[str] = frozenset()
    spare_proof: str | None = None

    def annotation(self, key: str) -> str | None:
        """Value of one of our annotations, or None."""
        return dict(self.annotations).get(key)

    def container(self, name: str) -> Container | None:
        """The container of that name, or None."""
        return next((c for c in self.containers if c.name == name), None)


@dataclass(frozen=True, slots=True)
class ServiceSnapshot:
    """All that decides about one GrpcBalancedService, which may be gone (`balanced` is None).

    `owned` are the Services that carry our label for it, `wanted` whatever stands under the name it wants,
    `referenced` what its serviceRef names. `namespaces` are those of its servers and clients, as far as known.
    `referrers` maps the name of each owned Service to the workloads whose templates name its host. `refusal` is what
    the API server last answered to our write, if it refused. `seen` is what the look-aside
    balancer last told, if it was asked.
    """

    ref: Ref
    balanced: Balanced | None
    wanted: Service | None
    owned: tuple[Service, ...]
    referenced: Service | None
    slices: tuple[Slice, ...]
    servers: tuple[Workload, ...]
    clients: tuple[Workload, ...]
    namespaces: tuple[Namespace, ...]
    referrers: tuple[tuple[str, tuple[WorkloadRef, ...]], ...]
    refusal: str | None
    seen: Seen | None = None
