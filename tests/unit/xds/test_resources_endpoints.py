"""Endpoints out of any slices: nothing twice, nothing lost, the same whatever the order."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpcbalance.model import Endpoint, Ref, Slice
from grpcbalance.xds.resources.endpoints import Host, Zone, endpoints, ready_zones, zones
from grpcbalance.xds.resources.names import Name
from tests.unit import factories as make
from tests.unit.xds.client_rules import address_of, broken, message_of

NAME, PORT, HEADLESS = Name("orders", "shop", 5000), 5000, "orders-headless"
HEALTHY, DRAINING = 1, 3

ADDRESSES = st.sampled_from(
    [f"10.0.0.{last}" for last in range(1, 9)]
    + ["fd00::1", "fd00:0::1", "FD00::2", "pod.example.org", "fe80::1%eth0", ""]
)
ENDPOINTS = st.builds(Endpoint, ADDRESSES, st.booleans(), st.booleans(), st.sampled_from(["", "a", "b", "c"]))
SLICES = st.lists(
    st.builds(
        Slice,
        ref=st.just(Ref("shop", "orders-headless-x")),
        balanced=st.just("orders"),
        service_name=st.sampled_from([HEADLESS, HEADLESS, HEADLESS, "orders-before"]),
        ports=st.sampled_from([(PORT,), (PORT,), (6000, PORT), (6000,), ()]),
        endpoints=st.lists(ENDPOINTS, max_size=8).map(tuple),
    ),
    max_size=4,
)


def piece(*given: Endpoint, service_name: str = HEADLESS, ports: tuple[int, ...] = (PORT,)) -> Slice:
    return Slice(Ref("shop", "x"), "orders", service_name, ports, given)


def up(address: str, zone: str = "a") -> Endpoint:
    return Endpoint(address, ready=True, terminating=False, zone=zone)


def leaving(address: str, zone: str = "a") -> Endpoint:
    return Endpoint(address, ready=False, terminating=True, zone=zone)


def down(address: str, zone: str = "a") -> Endpoint:
    return Endpoint(address, ready=False, terminating=False, zone=zone)


def expected(slices: list[Slice]) -> dict[str, bool]:
    """Address -> whether it is ready, found another way: by looking through all entries of each address."""
    entries: dict[str, list[Endpoint]] = {}
    for one in slices:
        if one.service_name == HEADLESS:
            for endpoint in one.endpoints:
                if endpoint.address and "%" not in endpoint.address and "org" not in endpoint.address:
                    entries.setdefault(str(ip_address(endpoint.address)), []).append(endpoint)
    states = {
        address: any(one.ready and not one.terminating for one in found)
        for address, found in entries.items()
        if any(one.ready or one.terminating for one in found)
    }
    four, six = ({a: r for a, r in states.items() if (":" in a) == colon} for colon in (False, True))
    return four if any(four.values()) or (four and not any(six.values())) else six


@given(SLICES, st.sampled_from(["", "a", "b", "elsewhere"]))
def test_any_slices(slices: list[Slice], zone: str) -> None:
    known = zones(slices, HEADLESS)
    if known is None:
        assert all(one.service_name != HEADLESS for one in slices)
        return
    resource = endpoints(NAME, known, zone)
    assert broken(resource) == []
    groups = message_of(resource).endpoints
    told = {address_of(one)[0]: one.health_status for group in groups for one in group.lb_endpoints}
    assert told == {address: HEALTHY if ready else DRAINING for address, ready in expected(slices).items()}
    for group in groups:
        ready = sum(one.health_status == HEALTHY for one in group.lb_endpoints)
        assert group.load_balancing_weight.value == max(ready, 1)
        assert len(group.lb_endpoints) > 0
    # One locality for each priority, and more than one only for a zone that is preferred and not alone.
    preferred = zone in ready_zones(known)
    assert [group.priority for group in groups] == list(range(len(groups)))
    assert len(groups) == min(len(known), 2 if preferred else 1)
    of_zone = {one.name: {host.address for host in one.hosts} for one in known}
    if preferred:
        assert groups[0].locality.zone == zone
        assert {address_of(one)[0] for one in groups[0].lb_endpoints} == of_zone[zone]
    for group in groups:
        name, addresses = group.locality.zone, {address_of(one)[0] for one in group.lb_endpoints}
        assert (name, addresses) in of_zone.items() or (name == "" and len(known) > 1)


@given(SLICES, st.data())
def test_order_makes_no_difference(slices: list[Slice], data: st.DataObject) -> None:
    mixed = [
        replace(one, endpoints=tuple(data.draw(st.permutations(one.endpoints))))
        for one in data.draw(st.permutations(slices))
    ]
    assert zones(slices, HEADLESS) == zones(mixed, HEADLESS)


# what slices say -> zones
TABLE: dict[str, tuple[list[Slice], tuple[Zone, ...] | None]] = {
    "nothing known": ([], None),
    "only the Service of before is known": ([piece(up("10.0.0.1"), service_name="orders-before")], None),
    "slices that say there is none": ([piece(ports=())], ()),
    "whatever the port": ([piece(up("10.0.0.1"), ports=(6000,))], (Zone("a", (Host("10.0.0.1", True),)),)),
    "not ready is left out": ([piece(down("10.0.0.1"), up("10.0.0.2"))], (Zone("a", (Host("10.0.0.2", True),)),)),
    "ready and terminating is terminating": (
        [piece(Endpoint("10.0.0.1", True, True, ""))],
        (Zone("", (Host("10.0.0.1", False),)),),
    ),
    "by number, not by text": (
        [piece(up("10.0.0.10"), up("10.0.0.9"))],
        (Zone("a", (Host("10.0.0.9", True), Host("10.0.0.10", True))),),
    ),
    "ready in one slice, going in the other": (
        [piece(leaving("10.0.0.1", "b")), piece(up("10.0.0.1", "a"))],
        (Zone("a", (Host("10.0.0.1", True),)),),
    ),
    "twice, with a zone once": (
        [piece(up("10.0.0.1", "")), piece(up("10.0.0.1", "z"))],
        (Zone("z", (Host("10.0.0.1", True),)),),
    ),
    "no zone is a zone": (
        [piece(up("10.0.0.1", "")), piece(up("10.0.0.2", "a"))],
        (Zone("", (Host("10.0.0.1", True),)), Zone("a", (Host("10.0.0.2", True),))),
    ),
    "one family": ([piece(up("fd00::1")), piece(up("10.0.0.1"))], (Zone("a", (Host("10.0.0.1", True),)),)),
    "the family that is ready": (
        [piece(up("fd00::1")), piece(leaving("10.0.0.1"))],
        (Zone("a", (Host("fd00::1", True),)),),
    ),
    "no host names": ([piece(up("pod.example.org"))], ()),
}


@pytest.mark.parametrize(("slices", "found"), TABLE.values(), ids=TABLE.keys())
def test_zones(slices: list[Slice], found: tuple[Zone, ...] | None) -> None:
    assert zones(slices, HEADLESS) == found


def test_an_absent_condition_is_ready() -> None:
    raw = make.endpoint_slice(endpoints=[make.endpoint("10.0.0.1")])
    assert zones([make.piece(raw)], HEADLESS) == (Zone("", (Host("10.0.0.1", True),)),)


ZONES = (
    Zone("", (Host("10.0.0.9", True),)),
    Zone("a", (Host("10.0.0.1", True), Host("10.0.0.2", True))),
    Zone("b", (Host("10.0.1.1", False),)),
)


EVERYWHERE = [("", 3, ["10.0.0.9", "10.0.0.1", "10.0.0.2", "10.0.1.1"])]


@pytest.mark.parametrize(
    ("zone", "localities"),
    [
        ("", EVERYWHERE),
        ("a", [("a", 2, ["10.0.0.1", "10.0.0.2"]), ("", 1, ["10.0.0.9", "10.0.1.1"])]),
        ("b", EVERYWHERE),
        ("elsewhere", EVERYWHERE),
    ],
    ids=["zone unknown", "own zone", "own zone has none ready", "zone without endpoints"],
)
def test_each_priority_is_one_locality(zone: str, localities: list[tuple[str, int, list[str]]]) -> None:
    assert told(ZONES, zone) == localities


def test_a_locality_has_the_name_of_its_only_zone() -> None:
    assert told(ZONES[1:], "a") == [("a", 2, ["10.0.0.1", "10.0.0.2"]), ("b", 1, ["10.0.1.1"])]
    assert told(ZONES[2:], "") == [("b", 1, ["10.0.1.1"])]


def told(known: tuple[Zone, ...], zone: str) -> list[tuple[str, int, list[str]]]:
    """Of each priority, in their order: name of the locality, weight, addresses."""
    groups = message_of(endpoints(NAME, known, zone)).endpoints
    assert [group.priority for group in groups] == list(range(len(groups)))
    return [
        (one.locality.zone, one.load_balancing_weight.value, [address_of(each)[0] for each in one.lb_endpoints])
        for one in groups
    ]


def test_the_only_zone_is_no_priority_of_its_own() -> None:
    resource = endpoints(NAME, ZONES[1:2], "a")
    assert resource == endpoints(NAME, ZONES[1:2], "")
    assert [group.priority for group in message_of(resource).endpoints] == [0]
