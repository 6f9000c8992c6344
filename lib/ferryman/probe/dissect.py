"""Packets that arrive, read by hand: what is not whole, or lies about its lengths, is no answer.

Anybody can send to us, and what is read here decides whether a run goes back. So each length is compared with
what is there before anything behind it is read, and nothing that a packet holds can make this raise. Of what
an ICMP error quotes only the beginning need be there, for reporters cut it off wherever they like.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, NamedTuple

from ferryman import encapsulation
from ferryman.encapsulation import ICMP_HEADER, IPV4_HEADER, IPV6_HEADER, TCP_HEADER
from ferryman.probe.classify import Flow, IcmpError, TcpAnswer

if TYPE_CHECKING:
    from ferryman.model import Address
    from ferryman.probe.classify import Answer

ICMP_ERRORS = {
    (4, encapsulation.ICMP): frozenset({3, 11, 12}),
    (6, encapsulation.ICMPV6): frozenset({1, 2, 3, 4}),
}
"""By IP version and protocol, the types that report the end of a packet: unreachable, too big, exceeded, bad
header."""
INNER_VERSION = {encapsulation.IPIP: 4, encapsulation.IP6IP6: 6}
"""The version of the packet that is encapsulated, by the outer header's protocol."""
QUOTED_AT_LEAST = 8
"""Bytes of the quoted payload that every reporter keeps (RFC 792): ports and sequence number."""
FLAGS = ((0x01, "FIN"), (0x02, "SYN"), (0x04, "RST"), (0x10, "ACK"))

_END, _NOTHING, _MSS, _MSS_BYTES = 0, 1, 2, 4
"""Kinds of TCP options (IANA), and the length of the one with the MSS."""
_OFFSET = 0x1FFF
"""The bits of an IPv4 header's fragment field that say where the fragment belongs."""
_ipv4 = struct.Struct("!BxH2xHxB2x4s4s")
"""Version and length, total length, fragment, protocol, addresses."""
_ipv6 = struct.Struct("!4xHBx16s16s")
"""Payload length, next header, addresses."""
_tcp = struct.Struct("!HH4xIBB6x")
"""Ports, acknowledgement, length of the header, flags."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A packet that is no answer, for it is not whole or contradicts itself; in words, why."""

    why: str


class IpPacket(NamedTuple):
    """An IP packet, its payload without what a link padded it with."""

    version: int
    protocol: int
    source: Address
    destination: Address
    payload: bytes


class UnreadableError(Exception):
    """What is read is not whole, or contradicts itself."""


def dissect(packet: bytes) -> Answer | Unreadable | None:
    """Read a packet that arrived, from its IP header on; None when it is neither TCP nor an ICMP error."""
    try:
        return _dissected(packet)
    except UnreadableError as error:
        return Unreadable(str(error))


def _dissected(packet: bytes) -> Answer | None:
    parsed = read_ip(packet, quoted=False)
    if parsed is None:
        return None
    if parsed.protocol == encapsulation.TCP:
        return _tcp_answer(parsed)
    if types := ICMP_ERRORS.get((parsed.version, parsed.protocol)):
        return _icmp_error(parsed, types)
    return None


def read_ip(packet: bytes, *, quoted: bool) -> IpPacket | None:
    """Read an IP header, and what follows it without padding; None for a later fragment.

    IPv6 extension headers are not passed over: neither our packets nor the answers to them have any.

    Raises:
        UnreadableError: The packet is not whole, or contradicts itself.
    """
    version = packet[0] >> 4 if packet else None
    if version == 4 and len(packet) >= IPV4_HEADER:  # noqa: PLR2004  # IPv4
        return _parsed4(packet, quoted=quoted)
    if version == 6 and len(packet) >= IPV6_HEADER:  # noqa: PLR2004  # IPv6
        length, protocol, source, destination = _ipv6.unpack_from(packet)
        payload = _cut_to(packet[IPV6_HEADER:], length, quoted=quoted)
        return IpPacket(6, protocol, IPv6Address(source), IPv6Address(destination), payload)
    raise UnreadableError("no whole IP header")


def _parsed4(packet: bytes, *, quoted: bool) -> IpPacket | None:
    first, length, fragment, protocol, source, destination = _ipv4.unpack_from(packet)
    header = (first & 15) * 4
    if not IPV4_HEADER <= header <= min(length, len(packet)):
        raise UnreadableError("an IP header whose lengths contradict each other")
    if fragment & _OFFSET:
        return None
    payload = _cut_to(packet[header:], length - header, quoted=quoted)
    return IpPacket(4, protocol, IPv4Address(source), IPv4Address(destination), payload)


def _cut_to(payload: bytes, length: int, *, quoted: bool) -> bytes:
    """The payload of this length, without what Ethernet pads it with; of a quoted one what there is."""
    if length > len(payload) and not quoted:
        raise UnreadableError("a packet that is shorter than it says")
    return payload[:length]


def _tcp_answer(parsed: IpPacket) -> TcpAnswer:
    payload = parsed.payload
    if len(payload) < TCP_HEADER:
        raise UnreadableError("a TCP header that is cut off")
    source_port, port, acknowledgement, length, bits = _tcp.unpack_from(payload)
    header = (length >> 4) * 4
    if not TCP_HEADER <= header <= len(payload):
        raise UnreadableError("a TCP header whose length contradicts the packet's")
    mss = first_mss(payload[TCP_HEADER:header])
    flow = Flow(parsed.destination, port, parsed.source, source_port)
    return TcpAnswer(flow, frozenset(name for bit, name in FLAGS if bits & bit), acknowledgement, mss)


def first_mss(options: bytes) -> int | None:
    """The first MSS option; None without one. What stands behind it is not looked at.

    Raises:
        UnreadableError: The options' lengths contradict each other.
    """
    at = 0
    while at < len(options) and options[at] != _END:
        if options[at] == _NOTHING:
            at += 1
            continue
        length = options[at + 1] if at + 1 < len(options) else 0
        if length < 2 or at + length > len(options):  # noqa: PLR2004  # kind and length
            raise UnreadableError("TCP options whose lengths contradict the header's")
        if (options[at], length) == (_MSS, _MSS_BYTES):
            return int.from_bytes(options[at + 2 : at + 4], "big")
        at += length
    return None


def _icmp_error(parsed: IpPacket, types: frozenset[int]) -> IcmpError | None:
    """Read an ICMP error and the packet that it quotes, as much of it as the reporter kept."""
    payload = parsed.payload
    if payload and payload[0] not in types:
        return None
    if len(payload) < ICMP_HEADER + QUOTED_AT_LEAST:
        raise UnreadableError("an ICMP error that quotes nothing")
    kind, code = payload[:2]
    quoted, outer = read_ip(payload[ICMP_HEADER:], quoted=True), None
    if quoted is not None and quoted.protocol in INNER_VERSION:
        outer, quoted = (quoted.source, quoted.destination), _inner(quoted)
    flow, sequence = _first_bytes(quoted)
    return IcmpError(parsed.source, kind, code, outer, flow, sequence, _mtu(parsed.version, payload))


def _mtu(version: int, error: bytes) -> int | None:
    """The MTU that a packet did not fit, where that is what an error says (RFC 1191, RFC 4443)."""
    if (version, *error[:2]) == (4, 3, 4):
        return int.from_bytes(error[6:8], "big")
    return int.from_bytes(error[4:8], "big") if (version, error[0]) == (6, 2) else None


def _inner(outer: IpPacket) -> IpPacket | None:
    """The packet within a quoted outer one; None where the quote ends before it."""
    wanted = INNER_VERSION[outer.protocol]
    if len(outer.payload) < encapsulation.IP_HEADER[wanted]:
        return None
    inner = read_ip(outer.payload, quoted=True)
    if inner is not None and inner.version != wanted:
        raise UnreadableError("a quoted packet of another IP version than its outer header says")
    return inner


def _first_bytes(quoted: IpPacket | None) -> tuple[Flow, int] | tuple[None, None]:
    """Flow and sequence number from the start of a TCP header."""
    if quoted is None or quoted.protocol != encapsulation.TCP or len(quoted.payload) < QUOTED_AT_LEAST:
        return None, None
    source_port, port, sequence = struct.unpack_from("!HHI", quoted.payload)
    return Flow(quoted.source, source_port, quoted.destination, port), sequence
