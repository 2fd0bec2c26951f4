"""`spec.client`: what is injected into the workloads that call the service."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from .outliers import OutlierDetection
from .scalars import (
    ApiModel,
    Authority,
    Duration,
    DurationOrOff,
    PingInterval,
    Unit,
    VariableName,
    is_duration,
    matches,
    rules,
)

ClientPolicy = Literal["RoundRobin", "PickFirst", "WeightedRoundRobin", "LeastRequest"]


def distinct_names(*variables: str) -> dict[str, Any]:
    """CEL rule of a struct of variables: no two of the names that were given are the same."""
    # Where no name is given a number stands in for it: unlike any name, and unlike the other numbers.
    names = ", ".join(f"self.?{one}.?name.orValue('{number}')" for number, one in enumerate(variables))
    return rules(
        (
            f"[{names}].all(name, [{names}].exists_one(other, other == name))",
            "two variables have the same name; give each a name of its own",
        )
    )


class Throttling(ApiModel):
    """Token bucket that stops retries while most calls fail (gRFC A6)."""

    mode: Literal["Enabled", "Off"] = Field(
        "Enabled", description='Enabled, or "Off" (quoted: YAML reads a bare Off as false).'
    )
    max_tokens: int = Field(10, ge=1, le=1000, description="Size of the bucket; retries stop at half of it.")
    token_ratio: Annotated[float, Field(ge=0.001, le=1)] = Field(
        0.1, description="Tokens that a successful call gives back; a failed one takes 1."
    )


class Retry(ApiModel):
    """Retries made by the client's library. Off by default: a retry may run a non-idempotent call twice."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                # The API server tries rules on the default {} before it fills in what is in it.
                "!has(self.initialBackoff) || !has(self.maxBackoff)"
                f" || !{is_duration('self.initialBackoff')} || !{is_duration('self.maxBackoff')}"
                " || duration(self.maxBackoff) >= duration(self.initialBackoff)",
                "must not be shorter than initialBackoff",
                ".maxBackoff",
            ),
        )
    )

    mode: Literal["Off", "Unavailable"] = Field(
        "Off",
        description='"Off" (quoted: YAML reads a bare Off as false), or Unavailable: '
        "calls that fail with UNAVAILABLE are sent again.",
    )
    max_attempts: int = Field(3, ge=2, le=5, description="Attempts in all, the first one included. Libraries cap it.")
    initial_backoff: Duration = Field("100ms", description="Longest wait before the first retry.")
    max_backoff: Duration = Field("1s", description="Longest wait between any two attempts.")
    backoff_multiplier: Annotated[float, Field(ge=1, le=10)] = Field(
        2.0, description="Factor from one wait to the next."
    )
    throttling: Throttling = Field(Throttling(), description="Stops retries while most calls fail.")


class HealthCheck(ApiModel):
    """Client-side health checking (gRFC A17): each connection watches the server's grpc.health.v1 service."""

    service_name: str = Field(
        "", max_length=253, description="Name asked of the health service; empty is the server as a whole."
    )


class ClientKeepalive(ApiModel):
    """HTTP/2 pings of the client (gRFC A8). What is unset is not injected."""

    time: PingInterval | None = Field(
        None,
        description="Ping after this long without traffic. At least 10s: libraries raise anything shorter, "
        "and servers disconnect clients that ping too often.",
    )
    timeout: Duration | None = Field(
        None, description="Give the connection up when a ping is not answered for this long."
    )
    permit_without_calls: bool | None = Field(
        None, description="Ping also while no call is in flight; the server must permit it as well."
    )


class TargetVariable(ApiModel):
    """The variable that carries the target."""

    name: VariableName | None = Field(None, description="Name of the variable; default GRPC_<NAME>_TARGET.")
    format: Literal["URI", "HostPort", "Host"] = Field(
        "URI",
        description="URI is dns:///host:port; HostPort and Host are for programs that put dns:/// or the port "
        "there themselves.",
    )


class NamedVariable(ApiModel):
    """A variable whose value has one form only."""

    name: VariableName | None = Field(None, description="Name of the variable; default: the generated name.")


class DurationVariable(ApiModel):
    """A variable that carries a duration."""

    name: VariableName | None = Field(
        None,
        description="Name of the variable; default: the generated name, ending in _MS for Milliseconds and "
        "in _SECONDS for Seconds.",
    )
    unit: Unit = Field("Milliseconds", description="Integer milliseconds, integer seconds (rounded up), or Go's 1m30s.")


class ClientEnv(ApiModel):
    """Names and formats of the injected variables, for programs that already read others."""

    model_config = ConfigDict(
        json_schema_extra=distinct_names(
            "target",
            "authority",
            "serviceConfig",
            "minResolutionInterval",
            "keepaliveTime",
            "keepaliveTimeout",
            "keepalivePermitWithoutCalls",
        )
    )

    target: TargetVariable = Field(TargetVariable(), description="Carries the target to dial.")
    authority: NamedVariable = Field(NamedVariable(), description="Carries the :authority to send, when there is one.")
    service_config: NamedVariable = Field(
        NamedVariable(), description="Carries the default service config, one line of JSON."
    )
    min_resolution_interval: DurationVariable = Field(
        DurationVariable(), description="Carries the shortest time between two DNS resolutions."
    )
    keepalive_time: DurationVariable = Field(DurationVariable(), description="Carries keepalive.time.")
    keepalive_timeout: DurationVariable = Field(DurationVariable(), description="Carries keepalive.timeout.")
    keepalive_permit_without_calls: NamedVariable = Field(
        NamedVariable(), description="Carries keepalive.permitWithoutCalls, as true or false."
    )


class Client(ApiModel):
    """What clients are told."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!has(self.healthCheck) || self.policy != 'PickFirst'",
                "works only with a policy that watches every endpoint; remove healthCheck or "
                "choose another policy than PickFirst",
                ".healthCheck",
            ),
            (
                "!has(self.outlierDetection) || self.policy != 'PickFirst'",
                "works only with a policy that uses several endpoints; remove outlierDetection or "
                "choose another policy than PickFirst",
                ".outlierDetection",
            ),
        )
    )

    policy: ClientPolicy = Field(
        "RoundRobin",
        description="Load balancing policy. The generated list always ends in round_robin, for libraries that "
        "lack the wanted one.",
    )
    retry: Retry = Field(
        Retry(),
        description="Retries by the client's library. Off by default: a retry may run a non-idempotent call twice.",
    )
    wait_for_ready: bool = Field(False, description="Calls wait for a connection instead of failing at once.")
    health_check: HealthCheck | None = Field(
        None, description="Client-side health checking of each connection; unset is off."
    )
    zone_preference: Literal["None", "Prefer"] = Field(
        "None",
        description="With discovery XDS only. None: all zones alike. Prefer: endpoints of the client's own zone alone, "
        "while one of them works, however few they are; then all others.",
    )
    max_requests: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        None,
        description="With discovery XDS only: calls that one client process has in flight to this service at most; "
        "more fail at once with UNAVAILABLE. Unset is no limit.",
    )
    outlier_detection: OutlierDetection | None = Field(
        None,
        description="With discovery XDS only: leave out endpoints on which calls fail, for a while; unset is off.",
    )
    service_config: str = Field(
        "",
        max_length=16384,
        description="JSON object whose top-level keys replace the generated ones; ASCII, other characters as "
        "\\u escapes. loadBalancingConfig is set by policy.",
        json_schema_extra=rules(
            # ASCII, so that the limit counts bytes as well and an object stays small.
            (matches("self", r"^[ -~\s]*$"), "must be ASCII; write other characters as \\u escapes"),
            (matches("self", r"^\s*(\{[\s\S]*\}\s*)?$"), "must be a JSON object: { ... }"),
            (
                "!self.contains('\"loadBalancingConfig\"') && !self.contains('\"loadBalancingPolicy\"')",
                "must not contain loadBalancingConfig or loadBalancingPolicy; set policy instead",
            ),
        ),
    )
    min_resolution_interval: DurationOrOff = Field(
        "10s",
        description="Shortest time between two DNS resolutions. At least 1s, as the DNS server is shared; "
        '"Off" (quoted) injects nothing, and libraries then wait 30s.',
    )
    keepalive: ClientKeepalive | None = Field(None, description="HTTP/2 pings; unset is the library's default.")
    tls: bool = Field(
        False, description="Clients use TLS: the target gets no trailing dot and an authority is injected."
    )
    authority: Authority = Field(
        "",
        description="Name that the server's certificate carries. With tls and a serviceRef the default is "
        "<service>.<namespace>.svc.",
    )
    env: ClientEnv = Field(ClientEnv(), description="Names and formats of the injected variables.")
