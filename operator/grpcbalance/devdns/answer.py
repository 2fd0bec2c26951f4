"""The reply to a query, as bytes. Pure, but for the order of records: dnspython shuffles them as it writes.

That is what CoreDNS' `loadbalance` plugin does, so that clients which take the first address do not all take the same.
"""

from __future__ import annotations

import struct
from typing import Final

import dns.message
import dns.opcode
import dns.rcode
from dns.exception import DNSException
from dns.flags import AA, DO, QR
from dns.message import Message
from dns.opcode import Opcode
from dns.rcode import Rcode
from dns.rdataclass import IN

from .hosts import Served
from .records import find, soa

_HEADER: Final = 12
# What every client can take over UDP, what we say that we can, and what we send at most (RFC 1035, RFC 9715).
_PLAIN, _OURS, _MOST = 512, 1232, 4096
_STREAM: Final = 65_535


def reply_to(wire: bytes, served: Served, *, stream: bool) -> bytes | None:
    """The reply to a message that came over TCP (`stream`) or UDP; None: it deserves none."""
    if len(wire) < _HEADER:
        return None
    number, flags, questions = struct.unpack("!HHH", wire[:6])
    if flags & QR:
        return None
    opcode = dns.opcode.from_flags(flags)
    if opcode != Opcode.QUERY:
        return _refusal(number, opcode, Rcode.NOTIMP)
    try:
        query = dns.message.from_wire(wire)
    except DNSException:
        return _refusal(number, opcode, Rcode.FORMERR)
    if questions != 1:
        return _refusal(number, opcode, Rcode.FORMERR)
    reply = _answered(query, served)
    return reply.to_wire(max_size=_STREAM if stream else _limit(query), prefer_truncation=True)


def _refusal(number: int, opcode: Opcode, code: Rcode) -> bytes:
    """A reply to what could not be read: a header only."""
    reply = Message(number)
    reply.flags |= QR
    reply.set_opcode(opcode)
    reply.set_rcode(code)
    return reply.to_wire()


def _limit(query: Message) -> int:
    return min(max(query.payload, _PLAIN), _MOST) if query.edns >= 0 else _PLAIN


def _answered(query: Message, served: Served) -> Message:
    reply = dns.message.make_response(query, our_payload=_OURS)
    if query.edns >= 0:
        # RFC 3225: copied.
        reply.ednsflags |= query.ednsflags & DO
    if query.edns > 0:
        reply.set_rcode(Rcode.BADVERS)
        return reply
    asked = query.question[0]
    zone = served.zone(asked.name.to_text(omit_final_dot=True).lower())
    if zone is None or asked.rdclass != IN:
        reply.set_rcode(Rcode.REFUSED)
        return reply
    reply.flags |= AA
    found = find(served, zone, asked.name, asked.rdtype)
    reply.answer, reply.additional = list(found.answer), list(found.additional)
    if not found.answer:
        reply.authority = [soa(zone, served.serial)]
    if not found.exists:
        reply.set_rcode(Rcode.NXDOMAIN)
    return reply
