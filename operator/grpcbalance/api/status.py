"""The status of a GrpcBalancedService, as the CRD describes it. `conditions` fills it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .scalars import ApiModel

# How many workloads status lists by name: a status must stay small enough for every watch of it.
MAX_WORKLOADS = 50
# How many downgrades it lists.
MAX_DOWNGRADES = 10
# Where a workload stands; what is Refused only a person can mend.
CONFIGURED, PENDING, REFUSED = "Configured", "Pending", "Refused"


class Summary(ApiModel):
    """What the printer columns show."""

    endpoints: str = Field(..., max_length=32, description="Ready and all pods that are not terminating, as 3/3.")
    servers: str = Field(..., max_length=32, description="Configured and annotated server workloads, as 1/1.")
    clients: str = Field(..., max_length=32, description="Configured and annotated client workloads, as 1/2.")


class Endpoints(ApiModel):
    """Endpoints of the headless Service: unique addresses over all of its EndpointSlices."""

    ready: int = Field(..., description="Ready, and not terminating.")
    not_ready: int = Field(..., description="Neither ready nor terminating.")
    terminating: int = Field(..., description="Being shut down.")
    total: int = Field(..., description="All of them.")
    zones: Annotated[dict[Annotated[str, Field(max_length=63)], int], Field(max_length=64)] | None = Field(
        None, description="Ready endpoints by zone."
    )


class WorkloadCounts(ApiModel):
    """Annotated workloads by state."""

    matched: int = Field(
        ..., description="Annotated with this object's name, in this namespace or one that allowedClients lets in."
    )
    configured: int = Field(..., description="Carry the values, rolled out.")
    pending: int = Field(..., description="Wait for something; see workloads.")
    refused: int = Field(..., description="Cannot be configured as they are; see workloads.")


class WorkloadStatus(ApiModel):
    """One annotated workload of this namespace."""

    kind: str = Field(..., max_length=63, description="Kind of the workload.")
    name: str = Field(..., max_length=253, description="Name of the workload.")
    role: Literal["Server", "Client"] = Field(..., description="What it is to this service.")
    containers: Annotated[list[Annotated[str, Field(max_length=63)]], Field(max_length=32)] | None = Field(
        None, description="Containers that the variables go to."
    )
    state: Literal["Configured", "Pending", "Refused"] = Field(..., description="Configured, Pending or Refused.")
    reason: str = Field(..., max_length=64, description="Why, in one word.")
    message: str | None = Field(None, max_length=512, description="Why, in a sentence that names the fix.")


class XdsWorkloads(ApiModel):
    """Annotated clients by how their targets find endpoints."""

    moved: int = Field(..., description="Have an xDS target.")
    on_dns: int = Field(..., description="Have none: not annotated for it, not moved yet, or held back.")


class XdsDowngrade(ApiModel):
    """What clients of one library and version do instead of what a field of the spec says."""

    client: str = Field(..., max_length=160, description="Library and version, as gRPC Go 1.85.0.")
    feature: str = Field(..., max_length=253, description="Field of the spec.")
    what: str = Field(..., max_length=512, description="What these clients do.")


class Xds(ApiModel):
    """How clients on xDS are doing."""

    workloads: XdsWorkloads = Field(..., description="Annotated clients by how their targets find endpoints.")
    downgrades: Annotated[list[XdsDowngrade], Field(max_length=MAX_DOWNGRADES)] | None = Field(
        None, description="What connected clients do not do of what the spec says, at most 10."
    )


class Restored(ApiModel):
    """A workload from which somebody takes our variables away."""

    workload: str = Field(..., max_length=317, description="Kind/name, or a digest of a workload of another namespace.")
    times: Annotated[list[Annotated[str, Field(max_length=32)]], Field(max_length=3)] = Field(
        ..., description="When they were put back, the last three."
    )
    contested: bool | None = Field(None, description="That was given up; there is one try each half hour.")


class Condition(ApiModel):
    """A condition, as the API conventions define it."""

    type: str = Field(..., max_length=64, description="Type of the condition.")
    status: Literal["True", "False", "Unknown"] = Field(..., description="True, False or Unknown.")
    observed_generation: int = Field(..., description="Generation of the spec that this was computed from.")
    last_transition_time: str = Field(
        ..., max_length=32, description="When status last changed.", json_schema_extra={"format": "date-time"}
    )
    reason: str = Field(..., max_length=64, min_length=1, description="Why, in one word.")
    message: str = Field(..., max_length=1024, description="Why, in a sentence.")


class Status(ApiModel):
    """Observed state. Written by the operator only."""

    observed_generation: int | None = Field(
        None, description="Generation of the spec that all of this was computed from."
    )
    target: str | None = Field(None, max_length=320, description="Target that clients are given.")
    authority: str | None = Field(None, max_length=259, description="Authority that clients are given, if any.")
    service_name: str | None = Field(None, max_length=63, description="Name of the headless Service.")
    service_config: str | None = Field(None, max_length=20480, description="Service config that clients are given.")
    port: int | None = Field(None, description="Resolved container port.")
    summary: Summary | None = Field(None, description="What the printer columns show.")
    endpoints: Endpoints | None = Field(None, description="Endpoints of the headless Service.")
    servers: WorkloadCounts | None = Field(None, description="Annotated servers.")
    clients: WorkloadCounts | None = Field(None, description="Annotated clients.")
    workloads: Annotated[list[WorkloadStatus], Field(max_length=MAX_WORKLOADS)] | None = Field(
        None, description="Annotated workloads of this namespace, those with trouble first; at most 50."
    )
    omitted_workloads: int | None = Field(None, description="How many more there are than workloads lists.")
    xds: Xds | None = Field(None, description="How clients on xDS are doing; only with discovery XDS.")
    restored: Annotated[list[Restored], Field(max_length=MAX_WORKLOADS)] | None = Field(
        None, description="Workloads from which somebody keeps taking our variables away."
    )
    conditions: Annotated[list[Condition], Field(max_length=16)] | None = Field(
        None,
        description="Conditions, see the documentation of each type.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
