"""The service config that clients are given: generated, merged with the user's, checked.

What is accepted is the intersection of what grpc-go, grpc-java, C-core and grpc-js accept, measured on each:
one config serves clients in every language. Schema: grpc-proto's service_config.proto; gRFC A2, A6, A17, A24.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel

from .api import Client, milliseconds

_POLICIES: Final[dict[str, str]] = {
    "RoundRobin": "round_robin",
    "PickFirst": "pick_first",
    "WeightedRoundRobin": "weighted_round_robin",
    "LeastRequest": "least_request_experimental",
}
# What `.status.serviceConfig` holds (api/status.py). A longer one would make every status write fail.
_LONGEST: Final = 20480
_CODES = Literal[
    "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE",
    "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
]  # fmt: skip


class ServiceConfigError(ValueError):
    """The user's service config would be refused, or misread, by some gRPC library."""


def _nine_digits(duration: str) -> str:
    """Write `1.5s` as `1.500000000s`: grpc-js takes the digits after the dot for nanoseconds, unpadded."""
    whole, _, fraction = duration.removesuffix("s").partition(".")
    return f"{int(whole)}.{fraction.ljust(9, '0')}s"


def _positive(duration: str) -> str:
    if not duration.strip("0.s"):
        raise ValueError("must be longer than zero")
    return duration


ProtoDuration = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9]{1,9}(\.[0-9]{1,9})?s$"),
    AfterValidator(_positive),
    AfterValidator(_nine_digits),
]


class _Part(BaseModel):
    # strict: libraries differ on numbers written as strings, so neither is converted here (1 for 1.0 is fine)
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", strict=True, allow_inf_nan=False)


class _Name(_Part):
    service: Annotated[str, Field(max_length=256)] = ""
    method: Annotated[str, Field(max_length=256)] = ""

    @model_validator(mode="after")
    def _method_needs_service(self) -> _Name:
        if self.method and not self.service:
            raise ValueError("a method without a service is invalid in every language")
        if self.service.endswith("/"):
            raise ValueError("a service name that ends in a slash never matches")
        return self


class _RetryPolicy(_Part):
    max_attempts: Annotated[int, Field(ge=2, le=5)]
    initial_backoff: ProtoDuration
    max_backoff: ProtoDuration
    backoff_multiplier: Annotated[float, Field(gt=0)]
    retryable_status_codes: Annotated[list[_CODES], Field(min_length=1)]


class _HedgingPolicy(_Part):
    max_attempts: Annotated[int, Field(ge=2, le=5)]
    hedging_delay: ProtoDuration
    non_fatal_status_codes: list[_CODES] = []


class _MethodConfig(_Part):
    name: Annotated[list[_Name], Field(min_length=1, max_length=64)]
    wait_for_ready: bool | None = None
    timeout: ProtoDuration | None = None
    max_request_message_bytes: Annotated[int, Field(ge=0)] | None = None
    max_response_message_bytes: Annotated[int, Field(ge=0)] | None = None
    retry_policy: _RetryPolicy | None = None
    hedging_policy: _HedgingPolicy | None = None

    @model_validator(mode="after")
    def _one_policy(self) -> _MethodConfig:
        if self.retry_policy and self.hedging_policy:
            raise ValueError("retryPolicy and hedgingPolicy together are refused by grpc-js")
        return self


class _Throttling(_Part):
    max_tokens: Annotated[int, Field(ge=1, le=1000)]
    token_ratio: Annotated[float, Field(ge=0.001)]


class _HealthCheck(_Part):
    service_name: Annotated[str, Field(max_length=253)] = ""


class _UserConfig(_Part):
    method_config: Annotated[list[_MethodConfig], Field(max_length=64)] | None = None
    retry_throttling: _Throttling | None = None
    health_check_config: _HealthCheck | None = None

    @model_validator(mode="after")
    def _unique_names(self) -> _UserConfig:
        names = [(n.service, n.method) for method in self.method_config or [] for n in method.name]
        if len(names) != len(set(names)):
            raise ValueError("a name may stand only once in the whole config")
        return self


def generate(client: Client) -> dict[str, Any]:
    """The config that the fields of `spec.client` ask for, before the user's own is merged in."""
    wanted = _POLICIES[client.policy]
    # A library takes the first policy that it knows; the last entry is known to all of them.
    policies: list[dict[str, Any]] = [{wanted: {}}] if wanted == "round_robin" else [{wanted: {}}, {"round_robin": {}}]
    config: dict[str, Any] = {"loadBalancingConfig": policies}
    method = _method(client)
    if method:
        config["methodConfig"] = [{"name": [{}], **method}]
    throttling = client.retry.throttling
    if client.retry.mode != "Off" and throttling.mode != "Off":
        config["retryThrottling"] = {"maxTokens": throttling.max_tokens, "tokenRatio": throttling.token_ratio}
    if client.health_check is not None:
        config["healthCheckConfig"] = {"serviceName": client.health_check.service_name}
    return config


def _method(client: Client) -> dict[str, Any]:
    method: dict[str, Any] = {}
    if client.wait_for_ready:
        method["waitForReady"] = True
    if client.retry.mode != "Off":
        method["retryPolicy"] = {
            "maxAttempts": client.retry.max_attempts,
            "initialBackoff": _proto_duration(client.retry.initial_backoff),
            "maxBackoff": _proto_duration(client.retry.max_backoff),
            "backoffMultiplier": client.retry.backoff_multiplier,
            "retryableStatusCodes": ["UNAVAILABLE"],
        }
    return method


def _proto_duration(duration: str) -> str:
    value = milliseconds(duration) or 0
    return f"{value // 1000}.{value % 1000:03d}000000s"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, unless it has a key twice or a null: libraries differ on both."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ServiceConfigError(f"key {ascii(key)[:80]} stands twice")
        if value is None:
            raise ServiceConfigError(f"key {ascii(key)[:80]} is null; leave it out")
        found[key] = value
    return found


def _no_constant(name: str) -> Any:
    raise ServiceConfigError(f"not JSON: {name} is no JSON number")


def parse_user_config(text: str) -> dict[str, Any]:
    """Read `spec.client.serviceConfig`; durations come back with nine fractional digits.

    Raises ServiceConfigError with the place and the reason when some gRPC library would refuse or misread it.
    """
    try:
        raw = json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant)
    except ServiceConfigError:
        raise
    # A plain ValueError is an integer of thousands of digits.
    except (ValueError, RecursionError) as error:
        raise ServiceConfigError(f"not JSON: {error}") from error
    if not isinstance(raw, dict):
        raise ServiceConfigError("must be a JSON object")
    for key in ("loadBalancingConfig", "loadBalancingPolicy"):
        if key in raw:
            raise ServiceConfigError(f"{key} is set by spec.client.policy; leave it out")
    try:
        parsed = _UserConfig.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        # Keys are the user's: escaped, they can break neither a terminal nor the comparison with stored status.
        place = ascii(".".join(str(part) for part in first["loc"]))[1:-1][:200]
        raise ServiceConfigError(f"{place or 'config'}: {first['msg']}") from error
    return parsed.model_dump(by_alias=True, exclude_unset=True)


def service_config(client: Client) -> str:
    """The service config of a client as one canonical line of JSON. Raises ServiceConfigError."""
    config = generate(client)
    if client.service_config.strip():
        config |= parse_user_config(client.service_config)
    text = json.dumps(config, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    if len(text) > _LONGEST:
        raise ServiceConfigError(f"is {len(text)} characters long when generated; {_LONGEST} at most")
    return text
