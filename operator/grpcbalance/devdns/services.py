"""Hosts out of a cluster's Services and EndpointSlices, as CoreDNS sees them. Pure: raw objects in, hosts out.

A headless Service has the addresses of its ready endpoints; any other has its own ClusterIP. ExternalName Services
and those without a ClusterIP have no host.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Any, Final, NamedTuple, TypeVar

from grpcbalance.names import LABEL_SERVICE_NAME, cluster_host

from .hosts import TTL, Endpoint, Host, Hosts, Port, dashed

SERVICES: Final = "services"
SLICES: Final = "endpointslices"

Raw = Mapping[str, Any]
# Namespace and name.
_Key = tuple[str, str]
T = TypeVar("T")


class _Service(NamedTuple):
    headless: bool
    # As endpoints, if it is not headless: none of them has a name of its own.
    own: tuple[Endpoint, ...]


class _Slice(NamedTuple):
    service: _Key
    ready: tuple[Endpoint, ...]


class Mirror:
    """What is known of the cluster. Objects come from listings and watches, in any order."""

    def __init__(self, domain: str, service_config: str | None) -> None:
        self._domain, self._service_config = domain, service_config
        self._services: dict[_Key, _Service] = {}
        self._slices: dict[_Key, _Slice] = {}

    def replace(self, kind: str, raws: Iterable[Raw]) -> None:
        """Take a complete listing: what is not in it is no more."""
        (self._services if kind == SERVICES else self._slices).clear()
        for raw in raws:
            self.take(kind, "ADDED", raw)

    def take(self, kind: str, event: str, raw: Raw) -> None:
        """Take an event of a watch."""
        key = (raw["metadata"]["namespace"], raw["metadata"]["name"])
        if kind == SERVICES:
            _keep(self._services, key, None if event == "DELETED" else _service(raw))
        else:
            _keep(self._slices, key, None if event == "DELETED" else _slice(raw))

    def hosts(self) -> Hosts:
        """Hosts of all Services."""
        ready: dict[_Key, list[Endpoint]] = {}
        # By name of the slice, so that the same cluster always gives the same hosts.
        for _, found in sorted(self._slices.items()):
            ready.setdefault(found.service, []).extend(found.ready)
        hosts = {}
        for key, service in sorted(self._services.items()):
            namespace, name = key
            host = f"{cluster_host(name, namespace)}.{self._domain}"
            endpoints = tuple(ready.get(key, ())) if service.headless else service.own
            hosts[host] = Host(host, endpoints, TTL, self._service_config)
        return hosts


def _keep(known: dict[_Key, T], key: _Key, item: T | None) -> None:
    if item is None:
        known.pop(key, None)
    else:
        known[key] = item


def _service(raw: Raw) -> _Service | None:
    spec = raw["spec"]
    addresses = spec.get("clusterIPs") or []
    if spec.get("type") == "ExternalName" or not addresses:
        return None
    ports = _ports(spec.get("ports"))
    own = () if addresses == ["None"] else tuple(Endpoint(ip_address(a), "", ports) for a in addresses)
    return _Service(headless=not own, own=own)


def _slice(raw: Raw) -> _Slice | None:
    service = (raw["metadata"].get("labels") or {}).get(LABEL_SERVICE_NAME)
    if service is None or raw["addressType"] not in ("IPv4", "IPv6"):
        return None
    ports = _ports(raw.get("ports"))
    # KEP-752: an absent `ready` means true. Consumers use an endpoint's first address only.
    ready = (e for e in raw.get("endpoints") or () if (e.get("conditions") or {}).get("ready") is not False)
    return _Slice((raw["metadata"]["namespace"], service), tuple(_endpoint(e, ports) for e in ready))


def _endpoint(raw: Raw, ports: tuple[Port, ...]) -> Endpoint:
    address = ip_address(raw["addresses"][0])
    return Endpoint(address, raw.get("hostname") or dashed(address), ports)


def _ports(raws: Iterable[Raw] | None) -> tuple[Port, ...]:
    """Those with a name: there is no SRV record for others."""
    return tuple(
        Port(raw["name"], raw["port"], raw.get("protocol", "TCP").lower())
        for raw in raws or ()
        if raw.get("name") and raw.get("port")
    )
