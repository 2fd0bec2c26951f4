from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpcbalance.devdns.changes import changes
from grpcbalance.devdns.hosts import Hosts, Port
from grpcbalance.devdns.services import SERVICES, SLICES, Mirror

from .asking import CONFIG, host

Raw = dict[str, Any]


def service(name: str = "orders", *ips: str, **spec: Any) -> Raw:
    spec = {"type": "ClusterIP", "clusterIPs": list(ips or ["None"]), **spec}
    return {"metadata": {"namespace": "shop", "name": name}, "spec": spec}


def endpoint(address: str, **fields: Any) -> Raw:
    return {"addresses": [address], **fields}


def slice_of(name: str, *endpoints: Raw, of: str = "orders", kind: str = "IPv4", port: int = 5000) -> Raw:
    return {
        "metadata": {"namespace": "shop", "name": name, "labels": {"kubernetes.io/service-name": of}},
        "addressType": kind,
        "endpoints": list(endpoints),
        "ports": [{"name": "grpc", "port": port, "protocol": "TCP"}, {"name": "", "port": 9, "protocol": "TCP"}],
    }


def hosts(*raws: Raw, config: str | None = None) -> Hosts:
    mirror = Mirror("cluster.local", config)
    for raw in raws:
        mirror.take(SLICES if "addressType" in raw else SERVICES, "ADDED", raw)
    return mirror.hosts()


def told(found: Hosts) -> dict[str, list[str]]:
    return {
        name.split(".")[0]: [f"{e.label} {e.address}".strip() for e in host.endpoints] for name, host in found.items()
    }


@pytest.mark.parametrize(
    ("raws", "expected"),
    [
        ([service()], {"orders": []}),
        ([slice_of("s", endpoint("10.0.0.1"))], {}),
        ([service(), slice_of("s", endpoint("10.0.0.1"), of="other")], {"orders": []}),
        ([service(), slice_of("s", endpoint("10.0.0.1"))], {"orders": ["10-0-0-1 10.0.0.1"]}),
        ([slice_of("s", endpoint("10.0.0.1")), service()], {"orders": ["10-0-0-1 10.0.0.1"]}),
        ([service(), slice_of("s", endpoint("10.0.0.1", hostname="web-0"))], {"orders": ["web-0 10.0.0.1"]}),
        (
            [
                service(),
                slice_of(
                    "s",
                    endpoint("10.0.0.1", conditions={"ready": True}),
                    endpoint("10.0.0.2", conditions={"ready": False}),
                    endpoint("10.0.0.3", conditions={}),
                ),
            ],
            {"orders": ["10-0-0-1 10.0.0.1", "10-0-0-3 10.0.0.3"]},
        ),
        (
            [service(), slice_of("b", endpoint("10.0.0.2")), slice_of("a", endpoint("10.0.0.1"))],
            {"orders": ["10-0-0-1 10.0.0.1", "10-0-0-2 10.0.0.2"]},
        ),
        ([service(), slice_of("s", endpoint("fd00::1"), kind="IPv6")], {"orders": ["fd00--1 fd00::1"]}),
        ([service(), slice_of("s", endpoint("a.example"), kind="FQDN")], {"orders": []}),
        ([service(), {**slice_of("s"), "endpoints": None, "ports": None}], {"orders": []}),
        ([service("orders", "10.96.0.1"), slice_of("s", endpoint("10.0.0.1"))], {"orders": ["10.96.0.1"]}),
        ([service("orders", "10.96.0.1", "fd00::9")], {"orders": ["10.96.0.1", "fd00::9"]}),
        ([service("orders", "10.96.0.1", type="LoadBalancer")], {"orders": ["10.96.0.1"]}),
        (
            [{"metadata": {"namespace": "shop", "name": "x"}, "spec": {"type": "ExternalName", "externalName": "a.b"}}],
            {},
        ),
    ],
)
def test_hosts_of_a_cluster(raws: list[Raw], expected: dict[str, list[str]]) -> None:
    assert told(hosts(*raws)) == expected


def test_ports_are_the_endpoints_of_a_headless_service_and_the_services_own_else() -> None:
    grpc: Raw = {"ports": [{"name": "grpc", "port": 80, "protocol": "TCP"}, {"port": 81}]}
    found = hosts(
        service(**grpc),
        slice_of("s", endpoint("10.0.0.1")),
        slice_of("t", endpoint("10.0.0.2"), port=6000),
        service("plain", "10.96.0.1", **grpc),
    )
    assert found["orders.shop.svc.cluster.local"].ports() == (Port("grpc", 5000), Port("grpc", 6000))
    assert found["plain.shop.svc.cluster.local"].ports() == (Port("grpc", 80),)


def test_every_host_gets_the_service_config() -> None:
    assert [host.service_config for host in hosts(service(), service("b"), config=CONFIG).values()] == [CONFIG, CONFIG]


def test_what_goes_and_what_a_listing_does_not_have() -> None:
    mirror = Mirror("cluster.local", None)
    mirror.replace(SERVICES, [service(), service("b")])
    mirror.replace(SLICES, [slice_of("s", endpoint("10.0.0.1")), slice_of("t", endpoint("10.0.0.2"))])
    mirror.take(SLICES, "DELETED", slice_of("s", endpoint("10.0.0.1")))
    assert told(mirror.hosts()) == {"orders": ["10-0-0-2 10.0.0.2"], "b": []}
    mirror.replace(SLICES, [])
    mirror.take(SERVICES, "DELETED", service("b"))
    assert told(mirror.hosts()) == {"orders": []}
    mirror.take(SERVICES, "MODIFIED", {**service(), "spec": {"type": "ExternalName"}})
    assert mirror.hosts() == {}


EVENTS = st.lists(
    st.tuples(st.sampled_from(["ADDED", "MODIFIED", "DELETED"]), st.sampled_from("ab"), st.integers(0, 3)), max_size=12
)


@given(EVENTS)
def test_events_and_a_listing_of_their_outcome_agree(events: list[tuple[str, str, int]]) -> None:
    watched, left = Mirror("cluster.local", None), {}
    watched.replace(SERVICES, [service()])
    for event, name, number in events:
        raw = slice_of(name, *(endpoint(f"10.0.{ord(name)}.{n}") for n in range(number)))
        watched.take(SLICES, event, raw)
        left[name] = raw
        if event == "DELETED":
            del left[name]
    listed = Mirror("cluster.local", None)
    listed.replace(SERVICES, [service()])
    listed.replace(SLICES, left.values())
    assert watched.hosts() == listed.hosts()


A, B = host("a.test", "10.0.0.1", "10.0.0.2"), host("b.test", "10.0.0.3")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ([], [], []),
        ([A, B], [B, A], []),
        ([A], [host("a.test", "10.0.0.2", "10.0.0.1")], []),
        ([], [B], ["b.test: + 10.0.0.3, now 1 address"]),
        ([B], [], ["b.test: gone"]),
        ([A], [host("a.test", "10.0.0.2", "10.0.0.3")], ["a.test: + 10.0.0.3, - 10.0.0.1, now 2 addresses"]),
        ([B], [host("b.test")], ["b.test: - 10.0.0.3, no address left: NXDOMAIN"]),
        ([], [host("b.test")], ["b.test: no address left: NXDOMAIN"]),
        (
            [A],
            [host("a.test", "10.0.0.1", "10.0.0.2", ttl=9, config=CONFIG, ports=())],
            ["a.test: ports changed, ttl changed, serviceConfig changed, now 2 addresses"],
        ),
    ],
)
def test_changes_as_text(old: list[Any], new: list[Any], expected: list[str]) -> None:
    found = changes({one.name: one for one in old}, {one.name: one for one in new})
    assert [change.as_text() for change in found] == expected


def test_changes_as_json() -> None:
    gone, came = changes({"a.test": A}, {"b.test": host("b.test", "10.0.0.3", ttl=1)})
    assert gone.as_json() == {
        "name": "a.test",
        "gone": True,
        "addresses": [],
        "added": [],
        "removed": ["10.0.0.1", "10.0.0.2"],
        "changed": [],
    }
    assert came.as_json() == {
        "name": "b.test",
        "gone": False,
        "addresses": ["10.0.0.3"],
        "added": ["10.0.0.3"],
        "removed": [],
        "changed": [],
    }
