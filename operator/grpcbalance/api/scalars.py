"""Scalar types of the API: what a duration, a name or an authority may look like, and the CEL rules that say so.

Every pattern stands twice: as `pattern`, which tools and this package read, and as a CEL rule, because only a rule
can tell its reader in words what to write. No structure here; see `spec`, `client` and `server`.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

# Quoting matters: YAML 1.1, which kubectl reads, takes a bare Off for the boolean false.
OFF: Final = "Off"


def rules(*given: tuple[str, str] | tuple[str, str, str]) -> dict[str, Any]:
    """CEL rules in the shape that `crd` copies into the schema.

    Each is (rule, message) or (rule, message, field path below the model, such as ".port"). The path makes the
    API server name that field instead of the object around it.
    """
    keys = ("rule", "message", "fieldPath")
    return {"x-kubernetes-validations": [dict(zip(keys, one, strict=False)) for one in given]}


def matches(expression: str, pattern: str) -> str:
    """CEL for "this string matches". A raw literal: CEL would otherwise take the pattern's backslashes for its own."""
    return f"{expression}.matches(r'{pattern}')"


def _text(pattern: str, max_length: int, must: str) -> Any:
    return Field(pattern=pattern, max_length=max_length, json_schema_extra=rules((matches("self", pattern), must)))


# GEP-2257 durations: up to four numbers with units, no sign, no fraction.
_DURATION: Final = "([0-9]{1,5}(h|m|s|ms)){1,4}"
# C-core and Node.js keep milliseconds in a signed 32-bit integer, 596 h. grpc-js adds up to a tenth to a maximum age
# (gRFC A9) after that, so above 542 h its timer overflows and each connection is closed after 1 ms. Admission alone
# asks for this: objects that were stored with a longer time keep it.
_LONGEST: Final = "540h"


def is_duration(expression: str) -> str:
    """CEL for "this string is a duration": what has to hold before CEL's own duration() may be asked."""
    return matches(expression, f"^{_DURATION}$")


def _duration(least: str, *, off: bool = False) -> Any:
    """A duration between `least` and 22 days. Zero never is allowed: it means 'for ever' in one library, 'at once'
    in another. `off` allows the word Off as well.
    """
    pattern = f"^(Off|{_DURATION})$" if off else f"^{_DURATION}$"
    rule = f"{is_duration('self')} && duration(self) >= duration('{least}') && duration(self) <= duration('{_LONGEST}')"
    must = f"must be a duration from {least} to {_LONGEST}, such as 1h30m, 10s or 1500ms (no fractions)"
    if off:
        rule, must = f"self == 'Off' || {rule}", f'{must}, or "Off" in quotes'
    return Field(pattern=pattern, max_length=24, json_schema_extra=rules((rule, must)))


Duration = Annotated[str, _duration("1ms")]
# Between two pings. Java takes no less than 10 s, and Go raises what is shorter.
PingInterval = Annotated[str, _duration("10s")]
DurationOrOff = Annotated[str, _duration("1s", off=True)]

# RFC 1123 subdomain with an optional port, as gRPC's :authority takes it; empty is none.
_AUTHORITY: Final = "^([A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?(:[0-9]{1,5})?)?$"
Authority = Annotated[
    str,
    Field(
        pattern=_AUTHORITY,
        max_length=259,
        json_schema_extra=rules(
            (
                f"{matches('self', _AUTHORITY)} && (!self.contains(':') || int(self.split(':')[1]) <= 65535)",
                "must be a host name with an optional port, such as orders.example.org or orders.example.org:443",
            )
        ),
    ),
]
_LABEL: Final = "lower-case letters, digits and dashes, a letter first and no dash last"
DNS_LABEL: Final = "^[a-z]([-a-z0-9]*[a-z0-9])?$"
# RFC 1035 label, the only names a Service may have.
ServiceName = Annotated[str, _text(DNS_LABEL, 63, f"must be a name that a Service may have: {_LABEL}")]

PortNumber = Annotated[int, Field(ge=1, le=65535)]
# IANA service name, as containerPort.name; that it needs a letter is said by PORT_RULE.
_PORT_NAME: Final = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
PortName = Annotated[str, Field(pattern=_PORT_NAME, max_length=15)]
# For a field that takes either: as one rule, since each branch of an int-or-string has no place for its own.
PORT_RULE: Final = (
    f"type(self) == int ? self >= 1 && self <= 65535 : {matches('self', _PORT_NAME)} && self.matches('[a-z]')",
    "must be a container port: a number from 1 to 65535, or a name of lower-case letters, digits and dashes "
    "with a letter among them",
)

_LABEL_NAME: Final = "[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_LABEL_KEY: Final = f"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?{_LABEL_NAME}$"
# No `pattern` here: pydantic would describe such keys by patternProperties, which a CRD cannot hold.
LabelKey = Annotated[
    str,
    Field(
        max_length=317,
        json_schema_extra=rules((matches("self", _LABEL_KEY), "must have label keys such as app or example.org/app")),
    ),
]
LabelValue = Annotated[
    str,
    _text(f"^({_LABEL_NAME})?$", 63, "must be a label value: letters, digits, '-', '_' and '.', at most 63 of them"),
]

Unit = Literal["Milliseconds", "Seconds", "GoDuration"]

# A variable that changes how a process starts would turn "may write env" into "may run code"; one that changes
# whom it trusts or where it resolves would turn it into "may read its traffic".
FORBIDDEN_VARIABLES: Final = (
    "^(PATH|HOME|HOSTNAME|SHELL|SHELLOPTS|BASHOPTS|PS4|IFS|ENV|TMPDIR|CLASSPATH|BASH_.*|PROMPT_COMMAND"
    "|LD_.*|DYLD_.*|GCONV_PATH|LOCPATH|GLIBC_TUNABLES|MALLOC_.*|LOCALDOMAIN|RES_OPTIONS|HOSTALIASES"
    "|PYTHON.*|PERL.*|RUBY.*|GEM_.*|BUNDLE_.*|PHP.*|LUA_.*|NODE_(OPTIONS|PATH|EXTRA_CA_CERTS|TLS_.*)"
    "|JAVA_.*|_JAVA_.*|JDK_.*|JVM_.*|MAVEN_.*|CATALINA_.*|DOTNET_.*|CORECLR_.*|COMPLUS_.*|ASPNETCORE_.*"
    "|GODEBUG|GOTRACEBACK|GOGC|GOMEMLIMIT|GOMAXPROCS|ERL_.*|ELIXIR_ERL_OPTIONS"
    "|SSL_CERT_.*|(.*_)?CA_BUNDLE|OPENSSL_.*|KUBERNETES_.*|KUBECONFIG|GRPC_DNS_RESOLVER|GRPC_EXPERIMENTS"
    "|GRPC_(EXPERIMENTAL_)?XDS_BOOTSTRAP.*|GRPCBALANCE_.*|GRPC_DEFAULT_SSL_ROOTS_.*|GRPC_PROXY_EXP|(.*_)?PROXY)$"
)
VARIABLE: Final = "^[A-Z][A-Z0-9_]{0,62}$"
VariableName = Annotated[
    str,
    Field(
        pattern=VARIABLE,
        max_length=63,
        json_schema_extra=rules(
            (
                matches("self", VARIABLE),
                "must be the name of a variable: upper-case letters, digits and underscores, a letter first",
            ),
            (
                f"!{matches('self', FORBIDDEN_VARIABLES)}",
                "changes how a process starts or reaches the network; choose a name of your own, such as ORDERS_TARGET",
            ),
        ),
    ),
]


class ApiModel(BaseModel):
    """Base of all API types: camelCase on the wire, unknown fields ignored so that a newer CRD can be read."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)


_UNITS: Final = {"h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}


def milliseconds(duration: str) -> int | None:
    """A duration of the API in milliseconds; None for Off."""
    if duration == OFF:
        return None
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"([0-9]+)(ms|h|m|s)", duration))
