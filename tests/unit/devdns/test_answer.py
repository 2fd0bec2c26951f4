from __future__ import annotations

import struct
from typing import Any

import dns.flags
import dns.message
import dns.opcode
import pytest
from dns.rcode import Rcode
from hypothesis import given
from hypothesis import strategies as st

from grpcbalance.devdns.answer import reply_to
from grpcbalance.devdns.hosts import names_above

from .asking import CONFIG, HOSTS, ORDERS, SOA, ask, host, lines, served, told

A_RECORDS = [f"{ORDERS}. 30 IN A 10.0.0.1", f"{ORDERS}. 30 IN A 10.0.0.2"]
OWN = [
    f"10-0-0-1.{ORDERS}. 30 IN A 10.0.0.1",
    f"10-0-0-2.{ORDERS}. 30 IN A 10.0.0.2",
    f"fd00--1.{ORDERS}. 30 IN AAAA fd00::1",
]
TEXT = '"grpc_config=[{\\"serviceConfig\\":{\\"loadBalancingConfig\\":[{\\"round_robin\\":{}}]}}]"'
TEST_SOA = "orders.test. 5 IN SOA ns.dns.orders.test. hostmaster.orders.test. 7 7200 1800 86400 5"
GONE_SOA = "gone.test. 5 IN SOA ns.dns.gone.test. hostmaster.gone.test. 7 7200 1800 86400 5"

Told = tuple[str, list[str], list[str], list[str]]
NODATA: Told = ("NOERROR", [], [SOA], [])
NXDOMAIN: Told = ("NXDOMAIN", [], [SOA], [])
REFUSED: Told = ("REFUSED", [], [], [])


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        (ORDERS, "A", ("NOERROR", A_RECORDS, [], [])),
        (ORDERS, "AAAA", ("NOERROR", [f"{ORDERS}. 30 IN AAAA fd00::1"], [], [])),
        (ORDERS, "TXT", ("NOERROR", [f"{ORDERS}. 30 IN TXT {TEXT}"], [], [])),
        ("web.shop.svc.cluster.local", "SRV", NODATA),
        (
            f"10-0-0-1.{ORDERS}",
            "SRV",
            (
                "NOERROR",
                [f"10-0-0-1.{ORDERS}. 30 IN SRV 0 33 {port} 10-0-0-1.{ORDERS}." for port in (443, 5000, 9090)],
                [],
                OWN[:1],
            ),
        ),
        (f"10-0-0-1.{ORDERS}", "TXT", NODATA),
        (ORDERS, "MX", NODATA),
        (ORDERS, "CNAME", NODATA),
        (ORDERS, "AXFR", NODATA),
        (ORDERS, "IXFR", NODATA),
        (ORDERS, "ANY", ("NOERROR", [f'{ORDERS}. 5 IN HINFO "RFC8482" ""'], [], [])),
        (f"10-0-0-1.{ORDERS}", "A", ("NOERROR", OWN[:1], [], [])),
        (f"10-0-0-1.{ORDERS}", "AAAA", NODATA),
        (f"fd00--1.{ORDERS}", "AAAA", ("NOERROR", OWN[2:], [], [])),
        (f"10-0-0-3.{ORDERS}", "A", NXDOMAIN),
        (
            "web-0.web.shop.svc.cluster.local",
            "A",
            ("NOERROR", ["web-0.web.shop.svc.cluster.local. 5 IN A 10.0.0.7"], [], []),
        ),
        (
            f"_grpc._tcp.{ORDERS}",
            "SRV",
            (
                "NOERROR",
                [
                    f"_grpc._tcp.{ORDERS}. 30 IN SRV 0 33 5000 10-0-0-1.{ORDERS}.",
                    f"_grpc._tcp.{ORDERS}. 30 IN SRV 0 33 5000 10-0-0-2.{ORDERS}.",
                    f"_grpc._tcp.{ORDERS}. 30 IN SRV 0 33 5000 fd00--1.{ORDERS}.",
                ],
                [],
                OWN,
            ),
        ),
        (
            "_grpc._tcp.plain.shop.svc.cluster.local",
            "SRV",
            (
                "NOERROR",
                ["_grpc._tcp.plain.shop.svc.cluster.local. 5 IN SRV 0 100 80 plain.shop.svc.cluster.local."],
                [],
                ["plain.shop.svc.cluster.local. 5 IN A 10.96.0.9"],
            ),
        ),
        (f"_grpc._tcp.{ORDERS}", "A", NODATA),
        (f"_grpc._udp.{ORDERS}", "SRV", NXDOMAIN),
        (f"_quic._tcp.{ORDERS}", "SRV", NXDOMAIN),
        (f"_http._tcp.{ORDERS}", "SRV", NXDOMAIN),
        (f"_tcp.{ORDERS}", "SRV", NODATA),
        (f"_sctp.{ORDERS}", "SRV", NXDOMAIN),
        (f"_grpc_config.{ORDERS}", "TXT", ("NOERROR", [f"_grpc_config.{ORDERS}. 30 IN TXT {TEXT}"], [], [])),
        (f"_grpc_config.{ORDERS}", "A", NODATA),
        ("_grpc_config.web.shop.svc.cluster.local", "TXT", NXDOMAIN),
        ("_grpc_config.empty.shop.svc.cluster.local", "TXT", NXDOMAIN),
        ("web.shop.svc.cluster.local", "TXT", NODATA),
        ("empty.shop.svc.cluster.local", "A", NXDOMAIN),
        ("absent.shop.svc.cluster.local", "A", NXDOMAIN),
        ("shop.svc.cluster.local", "A", NODATA),
        ("svc.cluster.local", "ANY", ("NOERROR", ['svc.cluster.local. 5 IN HINFO "RFC8482" ""'], [], [])),
        ("pod.cluster.local", "A", NXDOMAIN),
        ("cluster.local", "SOA", ("NOERROR", [SOA], [], [])),
        ("cluster.local", "NS", NODATA),
        ("orders.test", "A", ("NOERROR", ["orders.test. 5 IN A 127.0.0.1"], [], [])),
        ("orders.test", "AAAA", ("NOERROR", [], [TEST_SOA], [])),
        ("x.orders.test", "A", ("NXDOMAIN", [], [TEST_SOA], [])),
        ("gone.test", "A", ("NXDOMAIN", [], [GONE_SOA], [])),
        ("test", "A", REFUSED),
        ("example.com", "A", REFUSED),
        ("xcluster.local", "A", REFUSED),
        (".", "NS", REFUSED),
    ],
)
def test_reply(name: str, kind: str, expected: Told) -> None:
    assert told(ask(name, kind)) == expected


def test_service_records_of_a_host_are_those_of_all_its_ports() -> None:
    reply = ask(ORDERS, "SRV")
    assert len(reply.answer[0]) == 9
    assert {record.port for record in reply.answer[0]} == {443, 5000, 9090}
    assert lines(reply.additional) == OWN


def test_names_are_told_as_they_were_asked() -> None:
    assert (
        lines(ask("ORDERS.shop.Svc.cluster.local", "A").answer)[0] == "ORDERS.shop.Svc.cluster.local. 30 IN A 10.0.0.1"
    )


@given(st.integers(min_value=0))
def test_case_of_letters_does_not_matter(bits: int) -> None:
    name = "".join(c.upper() if bits >> i & 1 else c for i, c in enumerate(ORDERS))
    assert [line.lower() for line in lines(ask(name, "A").answer)] == [line.lower() for line in A_RECORDS]


@pytest.mark.parametrize(("name", "authoritative"), [(ORDERS, True), ("absent.cluster.local", True), ("a.com", False)])
def test_flags(name: str, authoritative: bool) -> None:
    reply = ask(name, "A")
    assert bool(reply.flags & dns.flags.AA) is authoritative
    assert reply.flags & (dns.flags.QR | dns.flags.RD | dns.flags.RA) == dns.flags.QR | dns.flags.RD


def test_every_address_comes_first_at_times() -> None:
    firsts = {ask(ORDERS, "A").answer[0][0].to_text() for _ in range(200)}
    assert firsts == {"10.0.0.1", "10.0.0.2"}


MANY = served(host("many.test", *(f"10.0.{n // 250}.{n % 250 + 1}" for n in range(60))))


@pytest.mark.parametrize(
    ("query", "complete"),
    [
        ({}, False),
        ({"use_edns": 0, "payload": 100}, False),
        ({"use_edns": 0, "payload": 900}, False),
        ({"use_edns": 0, "payload": 1232}, True),
        ({"use_edns": 0, "payload": 65535}, True),
    ],
)
def test_what_does_not_fit_into_a_datagram_is_truncated(query: dict[str, Any], complete: bool) -> None:
    reply = ask("many.test", "A", MANY, stream=False, **query)
    assert bool(reply.flags & dns.flags.TC) is not complete
    assert len(lines(reply.answer)) == (60 if complete else 0)
    assert len(ask("many.test", "A", MANY, **query).answer[0]) == 60


def test_a_datagram_never_is_longer_than_4096_bytes() -> None:
    thousand = served(host("many.test", *(f"10.{n // 250}.1.{n % 250 + 1}" for n in range(1000))))
    assert ask("many.test", "A", thousand, stream=False, use_edns=0, payload=65535).flags & dns.flags.TC
    assert len(ask("many.test", "A", thousand).answer[0]) == 1000


def test_additional_records_are_left_out_in_silence() -> None:
    hosts = served(host("many.test", *(f"10.0.1.{n}" for n in range(9))))
    reply = ask("_grpc._tcp.many.test", "SRV", hosts, stream=False)
    assert len(reply.answer[0]) == 9
    assert 0 < len(lines(reply.additional)) < 9
    assert not reply.flags & dns.flags.TC


def test_long_service_config_stands_in_several_strings_of_one_record() -> None:
    long = CONFIG[:-1] + ',"healthCheckConfig":{"serviceName":"' + "x" * 600 + '"}}'
    record = ask("_grpc_config.orders.test", "TXT", served(host("orders.test", "10.0.0.1", config=long))).answer[0]
    assert len(record) == 1
    assert [len(string) for string in record[0].strings][:2] == [255, 255]
    assert b"".join(record[0].strings) == f'grpc_config=[{{"serviceConfig":{long}}}]'.encode()


def test_edns_is_echoed() -> None:
    assert ask(ORDERS, "A").edns == -1
    reply = ask(ORDERS, "A", use_edns=0, ednsflags=dns.flags.DO, payload=4096)
    assert (reply.edns, reply.payload, reply.ednsflags) == (0, 1232, dns.flags.DO)
    assert ask(ORDERS, "A", use_edns=1).rcode() == Rcode.BADVERS


def test_other_classes_are_refused() -> None:
    query = dns.message.make_query("version.bind", "TXT", "CH")
    reply = reply_to(query.to_wire(), HOSTS, stream=False)
    assert reply
    assert dns.message.from_wire(reply).rcode() == Rcode.REFUSED


QUERY = dns.message.make_query(ORDERS, "A", id=77).to_wire()


def header(flags: int = 0, questions: int = 1) -> bytes:
    return struct.pack("!HHHHHH", 77, flags, questions, 0, 0, 0)


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        (b"", None),
        (QUERY[:11], None),
        (header(dns.flags.QR) + QUERY[12:], None),
        (header(), Rcode.FORMERR),
        (header(questions=0), Rcode.FORMERR),
        (header(questions=2) + QUERY[12:] + b"\x01b\x00\x00\x01\x00\x01", Rcode.FORMERR),
        (QUERY[:-1], Rcode.FORMERR),
        (QUERY + b"x", Rcode.FORMERR),
        (header() + b"\xc0\x0c\x00\x01\x00\x01", Rcode.FORMERR),
        (header() + b"\x3f", Rcode.FORMERR),
        (header(dns.opcode.to_flags(dns.opcode.NOTIFY)) + QUERY[12:], Rcode.NOTIMP),
        (header(dns.opcode.to_flags(dns.opcode.UPDATE)) + QUERY[12:], Rcode.NOTIMP),
        (header(dns.opcode.to_flags(dns.opcode.Opcode.make(15))) + QUERY[12:], Rcode.NOTIMP),
    ],
)
def test_malformed_queries(wire: bytes, code: Rcode | None) -> None:
    reply = reply_to(wire, HOSTS, stream=False)
    if code is None:
        assert reply is None
    else:
        assert reply
        message = dns.message.from_wire(reply)
        assert (message.id, message.rcode(), bool(message.flags & dns.flags.QR)) == (77, code, True)


@given(st.binary(max_size=600))
def test_no_bytes_break_it(wire: bytes) -> None:
    check(wire)


@given(st.lists(st.tuples(st.integers(0, len(QUERY) - 1), st.integers(0, 255)), max_size=6), st.booleans())
def test_no_damage_to_a_query_breaks_it(damage: list[tuple[int, int]], edns: bool) -> None:
    wire = bytearray(dns.message.make_query(ORDERS, "SRV", use_edns=edns, id=77).to_wire())
    for place, value in damage:
        wire[place] = value
    check(bytes(wire))


def check(wire: bytes) -> None:
    """Either no reply, or one that can be read, belongs to the query and fits."""
    reply = reply_to(wire, HOSTS, stream=False)
    if reply is not None:
        assert reply[:2] == wire[:2]
        assert dns.message.from_wire(reply).flags & dns.flags.QR
        assert len(reply) <= 4096


LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
NAMES = st.lists(LABELS, min_size=1, max_size=5).map(".".join)


@given(NAMES, st.ip_addresses(v=4))
def test_what_stands_above_a_name_exists_without_records(name: str, address: object) -> None:
    hosts = served(host(f"{name}.cluster.local", str(address)))
    for above in names_above(f"{name}.cluster.local")[:-1]:
        if above.endswith("cluster.local"):
            assert told(ask(above, "A", hosts)) == NODATA


@given(st.dictionaries(NAMES, st.lists(st.ip_addresses(v=4).map(str), max_size=4, unique=True), max_size=5))
def test_exactly_the_hosts_addresses_are_told(addresses: dict[str, list[str]]) -> None:
    hosts = served(*(host(f"{name}.cluster.local", *found, ports=()) for name, found in addresses.items()))
    for name, found in addresses.items():
        reply = ask(f"{name}.cluster.local", "A", hosts)
        told_ = sorted(record.to_text() for rrset in reply.answer for record in rrset)
        assert told_ == sorted(found)
