"""The names file: YAML, host name -> addresses, ports, TTL and service config. Pure: text in, hosts out.

orders-headless.shop.svc.cluster.local:
  addresses: [127.0.0.1, 127.0.0.2]
  ports: {grpc: 5000}
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address
from typing import Annotated, Final

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from grpcbalance.api.scalars import PortName, PortNumber

from .configs import canonical
from .hosts import LONGEST_NAME, NAME, TTL, Address, Endpoint, Host, Hosts, Port, SourceError, dashed

# Of the file in bytes, and of names in it. More is a mistake.
LARGEST: Final = 1_048_576
_MOST_NAMES: Final = 1000


class NamesFileError(SourceError):
    """The text is no names file: line and reason."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")


def _address(value: object) -> Address:
    # ip_address would take a number, too: 1 for 0.0.0.1.
    if not isinstance(value, str):
        raise ValueError("must be an IP address in quotes")
    address = ip_address(value)
    if isinstance(address, IPv6Address) and address.scope_id:
        raise ValueError("a DNS record cannot hold an address with a zone (%…)")
    return address


def _once(addresses: list[Address]) -> list[Address]:
    twice = {str(address) for address in addresses if addresses.count(address) > 1}
    if twice:
        raise ValueError(f"stands twice: {', '.join(sorted(twice))}")
    return addresses


class Entry(BaseModel):
    """What the file says about one name."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", strict=True, frozen=True)

    addresses: Annotated[
        list[Annotated[Address, BeforeValidator(_address)]], Field(max_length=1000), AfterValidator(_once)
    ]
    ports: Annotated[dict[PortName, PortNumber], Field(max_length=16)] = {}
    ttl: Annotated[int, Field(ge=0, le=86_400)] = TTL
    service_config: Annotated[str, AfterValidator(canonical)] | None = None


def read(text: str, default_config: str | None = None) -> Hosts:
    """Hosts of a names file; those without a service config get `default_config`. Raises NamesFileError."""
    if len(text) > LARGEST:
        raise NamesFileError(1, f"the file is longer than {LARGEST} characters")
    hosts: dict[str, Host] = {}
    for key, value in _pairs(_document(text), "names"):
        name = _name(key)
        if name in hosts:
            raise NamesFileError(_line(key), f"{name} stands twice")
        hosts[name] = _host(name, _entry(name, key, value), default_config)
    if len(hosts) > _MOST_NAMES:
        raise NamesFileError(1, f"{len(hosts)} names; {_MOST_NAMES} at most")
    return hosts


def _host(name: str, entry: Entry, default_config: str | None) -> Host:
    ports = tuple(Port(port, number) for port, number in entry.ports.items())
    endpoints = tuple(Endpoint(address, dashed(address), ports) for address in entry.addresses)
    return Host(name, endpoints, entry.ttl, entry.service_config or default_config)


def _document(text: str) -> yaml.Node:
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise NamesFileError(mark.line + 1 if mark else 1, f"no YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise NamesFileError(1, f"no YAML: {_one_line(error)}") from error
    if node is None:
        raise NamesFileError(1, "the file is empty; write {} for no names")
    return node


def _pairs(node: yaml.Node, what: str) -> Sequence[tuple[yaml.Node, yaml.Node]]:
    if not isinstance(node, yaml.MappingNode):
        example = "orders.test: {addresses: [127.0.0.1]}"
        raise NamesFileError(_line(node), f"a mapping of {what} must stand here, as in: {example}")
    pairs: list[tuple[yaml.Node, yaml.Node]] = node.value
    return pairs


def _name(key: yaml.Node) -> str:
    name = key.value.lower().removesuffix(".") if isinstance(key, yaml.ScalarNode) else ""
    if len(name) > LONGEST_NAME or not NAME.fullmatch(name):
        must = f"must be a DNS name of letters, digits, dashes and dots, at most {LONGEST_NAME} long"
        raise NamesFileError(_line(key), f"{name[:80]!r} {must}")
    return name


def _entry(name: str, key: yaml.Node, node: yaml.Node) -> Entry:
    for fields in (node, *(value for _, value in _pairs(node, "fields"))):
        if isinstance(fields, yaml.MappingNode):
            _check_keys(fields)
    try:
        return Entry.model_validate(yaml.constructor.SafeConstructor().construct_document(node))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"] if part != "[key]")
        reason = f"{name}: {place}: {first['msg'].removeprefix('Value error, ')}"
        raise NamesFileError(_line_at(key, node, first["loc"]), reason) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise NamesFileError(_line(key), f"{name}: no YAML: {_one_line(error)}") from error


def _check_keys(node: yaml.MappingNode) -> None:
    """YAML lets the last of two equal keys win in silence."""
    seen: set[str] = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode) and key.value in seen:
            raise NamesFileError(_line(key), f"{key.value} stands twice")
        if isinstance(key, yaml.ScalarNode):
            seen.add(key.value)


def _line_at(key: yaml.Node, node: yaml.Node, place: Sequence[int | str]) -> int:
    """Line of a place in the entry, or of the nearest one above that stands in the text."""
    line = _line(key)
    for part in place:
        if isinstance(node, yaml.MappingNode):
            found = [(k, v) for k, v in node.value if isinstance(k, yaml.ScalarNode) and k.value == part]
            if not found:
                break
            key, node = found[0]
            line = _line(key)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
            line = _line(node)
    return line


def _line(node: yaml.Node) -> int:
    line: int = node.start_mark.line
    return line + 1


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
