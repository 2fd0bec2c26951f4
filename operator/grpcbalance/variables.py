"""From a spec to the variables that are injected: names and values. Endpoint data never enters a value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from .api import Client, Server, milliseconds
from .api.client import DurationVariable, NamedVariable
from .names import SERVER_PREFIX, client_prefix
from .service_config import service_config

_SUFFIX = {"Milliseconds": "_MS", "Seconds": "_SECONDS", "GoDuration": ""}


class VariableClashError(ValueError):
    """Two values of one spec would be injected under the same name."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where clients connect: `host` ends in a dot unless TLS needs it bare; `port` is the container port."""

    host: str
    port: int

    def uri(self) -> str:
        """`dns:///host:port`: three slashes, the one form that every library reads alike."""
        return f"dns:///{self.host}:{self.port}"

    def render(self, form: str) -> str:
        """The target as `URI`, `HostPort` or `Host`."""
        return {"URI": self.uri(), "HostPort": f"{self.host}:{self.port}", "Host": self.host}[form]


def target_variable(service: str, client: Client) -> str:
    """Name of the variable with the target."""
    return client.env.target.name or f"{client_prefix(service)}_TARGET"


def client_variables(service: str, client: Client, target: Target, authority: str) -> dict[str, str]:
    """Variables of a client of `service` on DNS. Raises ServiceConfigError or VariableClashError."""
    prefix, env = client_prefix(service), client.env
    keepalive = client.keepalive
    pairs: list[tuple[str, str] | None] = [
        (target_variable(service, client), target.render(env.target.format)),
        _text(f"{prefix}_AUTHORITY", env.authority, authority),
        _text(f"{prefix}_SERVICE_CONFIG", env.service_config, service_config(client)),
        _duration(f"{prefix}_MIN_RESOLUTION_INTERVAL", env.min_resolution_interval, client.min_resolution_interval),
    ]
    if keepalive is not None:
        pairs += [
            _duration(f"{prefix}_KEEPALIVE_TIME", env.keepalive_time, keepalive.time),
            _duration(f"{prefix}_KEEPALIVE_TIMEOUT", env.keepalive_timeout, keepalive.timeout),
            _flag(
                f"{prefix}_KEEPALIVE_PERMIT_WITHOUT_CALLS",
                env.keepalive_permit_without_calls,
                keepalive.permit_without_calls,
            ),
        ]
    return _collect(pairs)


def server_variables(server: Server) -> dict[str, str]:
    """Variables of a server; empty in mode Unmanaged. Raises VariableClashError.

    What is unset or Off yields no variable, never a zero: zero is 'for ever' in Go and 'at once' in C-core.
    """
    if server.mode == "Unmanaged":
        return {}
    env, keepalive = server.env, server.keepalive
    pairs = [
        _duration(f"{SERVER_PREFIX}_MAX_CONNECTION_AGE", env.max_connection_age, server.max_connection_age),
        _duration(
            f"{SERVER_PREFIX}_MAX_CONNECTION_AGE_GRACE",
            env.max_connection_age_grace,
            server.max_connection_age_grace,
        ),
        _duration(f"{SERVER_PREFIX}_MAX_CONNECTION_IDLE", env.max_connection_idle, server.max_connection_idle),
    ]
    if keepalive is not None:
        pairs += [
            _duration(f"{SERVER_PREFIX}_KEEPALIVE_TIME", env.keepalive_time, keepalive.time),
            _duration(f"{SERVER_PREFIX}_KEEPALIVE_TIMEOUT", env.keepalive_timeout, keepalive.timeout),
            _duration(f"{SERVER_PREFIX}_MIN_PING_INTERVAL", env.min_ping_interval, keepalive.min_client_interval),
            _flag(
                f"{SERVER_PREFIX}_PERMIT_KEEPALIVE_WITHOUT_CALLS",
                env.permit_keepalive_without_calls,
                keepalive.permit_without_calls,
            ),
        ]
    return _collect(pairs)


def _collect(pairs: Iterable[tuple[str, str] | None]) -> dict[str, str]:
    present = [pair for pair in pairs if pair is not None]
    name, count = Counter(name for name, _ in present).most_common(1)[0] if present else ("", 0)
    if count > 1:
        raise VariableClashError(f"{name} would be injected twice; give one of them another name in env")
    # The kubelet expands $(NAME) in values; $$ is its escape for a plain $.
    return {name: value.replace("$", "$$") for name, value in present}


def _text(default: str, variable: NamedVariable, value: str) -> tuple[str, str] | None:
    return (variable.name or default, value) if value else None


def _flag(default: str, variable: NamedVariable, value: bool | None) -> tuple[str, str] | None:
    return None if value is None else (variable.name or default, str(value).lower())


def _duration(default: str, variable: DurationVariable, duration: str | None) -> tuple[str, str] | None:
    value = None if duration is None else milliseconds(duration)
    # A zero, which the CRD refuses for most fields, would mean opposite things per language.
    if not value:
        return None
    return variable.name or default + _SUFFIX[variable.unit], _render(value, variable.unit)


def _render(value: int, unit: str) -> str:
    if unit == "Milliseconds":
        return str(value)
    if unit == "Seconds":
        # Rounded up: 500ms as 0 would mean something else altogether.
        return str(-(-value // 1000))
    return _go_duration(value)


def _go_duration(value: int) -> str:
    """The shortest text that Go's time.ParseDuration reads back as `value` milliseconds."""
    parts = []
    for size, unit in ((3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms")):
        count, value = divmod(value, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
