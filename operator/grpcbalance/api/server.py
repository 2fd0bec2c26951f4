"""`spec.server`: what is injected into the workloads that serve."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from .client import DurationVariable, NamedVariable, distinct_names
from .scalars import ApiModel, Duration, DurationOrOff, PingInterval


class ServerKeepalive(ApiModel):
    """HTTP/2 pings of the server, and how often clients may ping (gRFC A8, A9). What is unset is not injected."""

    time: PingInterval | None = Field(None, description="Ping a silent client after this long. At least 10s.")
    timeout: Duration | None = Field(
        None, description="Close the connection when a ping is not answered for this long."
    )
    min_client_interval: Duration | None = Field(
        None, description="Shortest time between pings of a client; one that pings more often is disconnected."
    )
    permit_without_calls: bool | None = Field(None, description="Clients may ping while no call is in flight.")


class ServerEnv(ApiModel):
    """Names and units of the injected variables, for programs that already read others."""

    model_config = ConfigDict(
        json_schema_extra=distinct_names(
            "maxConnectionAge",
            "maxConnectionAgeGrace",
            "maxConnectionIdle",
            "keepaliveTime",
            "keepaliveTimeout",
            "minPingInterval",
            "permitKeepaliveWithoutCalls",
        )
    )

    max_connection_age: DurationVariable = Field(DurationVariable(), description="Carries maxConnectionAge.")
    max_connection_age_grace: DurationVariable = Field(DurationVariable(), description="Carries maxConnectionAgeGrace.")
    max_connection_idle: DurationVariable = Field(DurationVariable(), description="Carries maxConnectionIdle.")
    keepalive_time: DurationVariable = Field(DurationVariable(), description="Carries keepalive.time.")
    keepalive_timeout: DurationVariable = Field(DurationVariable(), description="Carries keepalive.timeout.")
    min_ping_interval: DurationVariable = Field(DurationVariable(), description="Carries keepalive.minClientInterval.")
    permit_keepalive_without_calls: NamedVariable = Field(
        NamedVariable(), description="Carries keepalive.permitWithoutCalls, as true or false."
    )


class Server(ApiModel):
    """What servers are told. Without a maximum connection age clients never notice a new pod (gRFC A9)."""

    mode: Literal["Inject", "Unmanaged"] = Field(
        "Inject", description="Inject, or Unmanaged: you set the servers' maximum connection age yourself."
    )
    max_connection_age: DurationOrOff = Field(
        "5m",
        description="Age at which the server asks a client to connect anew, and so to resolve the name again. "
        'At least 1s; "Off" (quoted) injects nothing.',
    )
    max_connection_age_grace: DurationOrOff = Field(
        "30s",
        description='How long calls in flight may go on after that. At least 1s; "Off" (quoted): until they end.',
    )
    max_connection_idle: DurationOrOff | None = Field(
        None,
        description='Close a connection without calls after this long. At least 1s; unset or "Off" (quoted): never.',
    )
    keepalive: ServerKeepalive | None = Field(None, description="HTTP/2 pings; unset is the library's default.")
    env: ServerEnv = Field(ServerEnv(), description="Names and units of the injected variables.")
