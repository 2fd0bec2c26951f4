"""Which records a name has. Pure.

For a host: A and AAAA; for each of its endpoints a name of its own; SRV for named ports, one record for each
endpoint, at `_port._protocol.<host>` and for all ports at the host. So answers CoreDNS' kubernetes plugin. TXT with a
service config (gRFC A2) comes on top: at `_grpc_config.<host>`, and at the host itself, where grpc-js looks for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Final, NamedTuple

import dns.name
import dns.rdata
import dns.rrset
from dns.name import Name
from dns.rdataclass import IN
from dns.rdatatype import AAAA, ANY, HINFO, SOA, SRV, TXT, A, RdataType
from dns.rdtypes.txtbase import TXTBase
from dns.rrset import RRset

from .hosts import TTL, Endpoint, Host, Served

_CONFIG_LABEL: Final = "_grpc_config"
# RFC 1035: the length of a character-string is one byte.
_STRING: Final = 255
_FAMILIES: Final = {A: 4, AAAA: 6}

# Else dnspython looks for a class when it first meets a type, and a record of class ANY in somebody's query makes it
# forget for good what an A record is.
dns.rdata.load_all_types()  # type: ignore[no-untyped-call]  # it is not annotated


class Found(NamedTuple):
    """What there is to say about a name and a type. A name may exist without records of that type."""

    exists: bool
    answer: tuple[RRset, ...] = ()
    additional: tuple[RRset, ...] = ()


def find(served: Served, zone: str, name: Name, kind: RdataType) -> Found:
    """Records of a name, which owns them as it was asked, upper case included."""
    text = name.to_text(omit_final_dot=True).lower()
    found = _find(served, name, text, kind)
    if kind == SOA and text == zone:
        return Found(True, (soa(zone, served.serial),))
    if kind == ANY and found.exists:
        # RFC 8482: who asks for everything is told that this is not to be had.
        return Found(True, (_rrset(name, TTL, HINFO, ['RFC8482 ""']),))
    return found


def soa(zone: str, serial: int) -> RRset:
    """SOA of a zone, with CoreDNS' numbers; the last one is how long an absence may be remembered."""
    text = f"ns.dns.{zone}. hostmaster.{zone}. {serial} 7200 1800 86400 {TTL}"
    return _rrset(dns.name.from_text(zone), TTL, SOA, [text])


def config_text(service_config: str) -> str:
    """The text of a TXT record that gives every client this service config."""
    choices = [{"serviceConfig": json.loads(service_config)}]
    return "grpc_config=" + json.dumps(choices, separators=(",", ":"), ensure_ascii=True)


def _find(served: Served, name: Name, text: str, kind: RdataType) -> Found:
    first, _, rest = text.partition(".")
    second, _, above = rest.partition(".")
    host = served.host(text)
    if host is not None:
        return _of_endpoints(host, host.endpoints, name, kind)
    host = served.host(rest)
    if host is not None and first == _CONFIG_LABEL and host.service_config:
        return Found(True, _config(host, name, kind))
    if host is not None and (own := [endpoint for endpoint in host.endpoints if endpoint.label == first]):
        return _of_endpoints(replace(host, service_config=None), own, name, kind)
    host = served.host(above)
    if host is not None and (serving := _serving(host, host.endpoints, (first, second))):
        return _services(host, serving, name) if kind == SRV else Found(True)
    return Found(text in served.inner)


def _of_endpoints(host: Host, endpoints: Iterable[Endpoint], name: Name, kind: RdataType) -> Found:
    if kind == SRV and (serving := _serving(host, endpoints)):
        return _services(host, serving, name)
    return Found(True, _config(host, name, kind) or _addresses(host, endpoints, name, kind))


def _config(host: Host, name: Name, kind: RdataType) -> tuple[RRset, ...]:
    if kind != TXT or host.service_config is None:
        return ()
    text = config_text(host.service_config).encode("ascii")
    strings = [text[start : start + _STRING] for start in range(0, len(text), _STRING)]
    return (dns.rrset.from_rdata(name, host.ttl, TXTBase(IN, TXT, strings)),)


def _addresses(host: Host, endpoints: Iterable[Endpoint], name: Name, kind: RdataType) -> tuple[RRset, ...]:
    texts = [str(e.address) for e in endpoints if e.address.version == _FAMILIES.get(kind)]
    return (_rrset(name, host.ttl, kind, texts),) if texts else ()


def _serving(
    host: Host, endpoints: Iterable[Endpoint], labels: tuple[str, str] | None = None
) -> dict[tuple[str, int], list[Endpoint]]:
    """Endpoints by their own name and a port of theirs; with `labels`, such as _grpc and _tcp, only by that port."""
    found: dict[tuple[str, int], list[Endpoint]] = {}
    for endpoint in endpoints:
        target = f"{endpoint.label}.{host.name}" if endpoint.label else host.name
        for port in endpoint.ports:
            if labels in (None, (f"_{port.name}", f"_{port.protocol}")):
                found.setdefault((target, port.number), []).append(endpoint)
    return found


def _services(host: Host, serving: dict[tuple[str, int], list[Endpoint]], name: Name) -> Found:
    # CoreDNS' weight: none is to be preferred.
    weight = 100 // len(serving)
    answer = _rrset(name, host.ttl, SRV, [f"0 {weight} {number} {target}." for target, number in serving])
    additional: list[RRset] = []
    for target, endpoints in {target: found for (target, _), found in serving.items()}.items():
        for kind in _FAMILIES:
            additional += _addresses(host, endpoints, dns.name.from_text(target), kind)
    return Found(True, (answer,), tuple(additional))


def _rrset(owner: Name, ttl: int, kind: RdataType, texts: Iterable[str]) -> RRset:
    return dns.rrset.from_rdata_list(owner, ttl, [dns.rdata.from_text(IN, kind, text) for text in texts])
