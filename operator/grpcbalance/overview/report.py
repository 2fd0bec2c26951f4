"""What `grpcbalance status` answers with: the documented structure of its JSON and YAML output. Pure.

Every key is always there, so that scripts need not ask. A new key may come; none changes its meaning within `v1`.
"""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

VERSION: Final = "v1"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True)


class Condition(_Part):
    """A condition, as it stands in status."""

    type: str
    status: str
    reason: str
    message: str


class Workload(_Part):
    """An annotated workload that is not configured, and what to do about it."""

    kind: str
    name: str
    role: str
    state: str
    reason: str
    message: str


class OnDns(_Part):
    """A client that is configured, and stays on DNS though the object is on xDS; the message says why."""

    kind: str
    name: str
    message: str


class Downgrade(_Part):
    """What connected clients of one library and version do instead of what a field of the spec says."""

    client: str
    feature: str
    what: str


class XdsClient(_Part):
    """A client that is connected to a replica of the look-aside balancer.

    `namespace` and `pod` are proven, or else its own words. `told`: it gets this service's endpoints; it is not let in
    otherwise. `refuses`: its words about what it cannot take, empty when it takes everything.
    """

    replica: str
    namespace: str
    pod: str
    agent: str
    version: str
    zone: str
    since: str
    told: bool
    refuses: str


class Xds(_Part):
    """Clients on xDS: workloads by count, and who is connected; None where that could not be asked.

    `stays_on_dns` has those on DNS that nothing more will be done about; it lists workloads that status lists.
    """

    moved: int
    on_dns: int
    stays_on_dns: tuple[OnDns, ...]
    downgrades: tuple[Downgrade, ...]
    clients: tuple[XdsClient, ...] | None


class Balanced(_Part):
    """A GrpcBalancedService. `troubles` are its conditions that are not true, but Ready; `xds` is None on DNS."""

    namespace: str
    name: str
    ready: Condition
    target: str
    endpoints: str
    servers: str
    clients: str
    troubles: tuple[Condition, ...]
    workloads: tuple[Workload, ...]
    omitted_workloads: int
    xds: Xds | None


class Report(_Part):
    """All of it. `notes` are what could not be looked at."""

    version: str = VERSION
    notes: tuple[str, ...]
    services: tuple[Balanced, ...]

    @property
    def ready(self) -> bool:
        """Whether all of them are Ready."""
        return all(service.ready.status == "True" for service in self.services)
