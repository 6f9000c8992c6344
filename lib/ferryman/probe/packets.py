"""Packets by scapy: the templates that probes are made from, and the odd ones among the answers.

Every field that scapy would otherwise look up, such as a source address, is given: building a packet asks the
machine nothing. IP headers of what arrives are read by hand, because the ones that ICMP errors quote are cut
off wherever the reporter liked.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, NamedTuple

from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6

from ferryman.probe.classify import Answer, Flow, IcmpError, TcpAnswer
from ferryman.probe.templates import Template

if TYPE_CHECKING:
    from ferryman.model import Address

ICMP, TCP_SEGMENT, ICMP6 = 1, 6, 58
ENCAPSULATED = frozenset({4, 41})
"""IP protocols of an inner IPv4 and an inner IPv6 packet."""

ICMP_ERRORS = {ICMP: frozenset({3, 11, 12}), ICMP6: frozenset({1, 2, 3, 4})}
"""Types that report the end of a packet: unreachable, too big, exceeded, bad header."""

OUR_MSS = {4: 1460, 6: 1440}
"""The MSS of a client on Ethernet, by IP version."""

WINDOW = 64240

NOBODY: dict[int, Address] = {4: IPv4Address(0), 6: IPv6Address(0)}
"""Stands in a template for the realserver, by IP version."""

IPV4_HEADER, IPV6_HEADER, TCP_HEADER, ICMP_HEADER = 20, 40, 20, 8
"""Bytes, without options."""

QUOTED_AT_LEAST = 8
"""Bytes of the quoted payload that every reporter keeps (RFC 792): ports and sequence number."""

FLAGS = {"F": "FIN", "S": "SYN", "R": "RST", "A": "ACK"}


class Opened(NamedTuple):
    """An IP packet without its header."""

    protocol: int
    source: Address
    destination: Address
    payload: bytes


class PacketPair(NamedTuple):
    """The two packets that a flow takes: what opens it, and what closes it again."""

    syn: Template
    rst: Template
    """It takes the SYN's way, because what is half open is at one realserver.

    The kernel here resets the unexpected SYN/ACK too, but that RST goes to the VIP's director, which knows no
    such connection.
    """


def opening(source: Address, vip: Address, port: int, outer_source: Address) -> PacketPair:
    """Templates for the flows from one address to one VIP and port, through one outer source."""
    here, there = _header(source, vip), _header(outer_source, NOBODY[outer_source.version])
    syn = TCP(sport=0, dport=port, flags="S", window=WINDOW, options=[("MSS", OUR_MSS[vip.version])])
    rst = TCP(sport=0, dport=port, flags="R", window=0)
    return PacketPair(*(Template(bytes(there / here / segment)) for segment in (syn, rst)))


def dissect(packet: bytes) -> Answer | None:
    """Read a packet that arrived, from its IP header on; None when it is neither TCP nor an ICMP error."""
    opened = _open(packet)
    if opened is None:
        return None
    if opened.protocol == TCP_SEGMENT:
        return _tcp(opened)
    if opened.protocol in ICMP_ERRORS:
        return _icmp_error(opened)
    return None


def _header(source: Address, destination: Address) -> IP | IPv6:
    """An IP header; scapy sets its protocol by what it is joined to, the kernel its identification."""
    if isinstance(destination, IPv4Address):
        return IP(src=str(source), dst=str(destination), flags="DF", id=0)
    return IPv6(src=str(source), dst=str(destination))


def _open(packet: bytes) -> Opened | None:
    """Read an IP header; None when it is cut off, or of a later fragment."""
    match packet[0] >> 4 if packet else None:
        case 4 if len(packet) >= IPV4_HEADER and not _later_fragment(packet):
            source, destination = IPv4Address(packet[12:16]), IPv4Address(packet[16:20])
            return Opened(packet[9], source, destination, packet[(packet[0] & 15) * 4 :])
        case 6 if len(packet) >= IPV6_HEADER:
            source6, destination6 = IPv6Address(packet[8:24]), IPv6Address(packet[24:40])
            return Opened(packet[6], source6, destination6, packet[IPV6_HEADER:])
        case _:
            return None


def _later_fragment(packet: bytes) -> bool:
    offset: int = struct.unpack_from("!H", packet, 6)[0] & 0x1FFF
    return offset > 0


def _tcp(opened: Opened) -> TcpAnswer | None:
    if len(opened.payload) < TCP_HEADER:
        return None
    segment = TCP(opened.payload)
    flow = Flow(opened.destination, segment.dport, opened.source, segment.sport)
    flags = frozenset(FLAGS[flag] for flag in str(segment.flags) if flag in FLAGS)
    sizes = [value for name, value in segment.options if name == "MSS" and isinstance(value, int)]
    return TcpAnswer(flow, flags, segment.ack, sizes[0] if sizes else None)


def _icmp_error(opened: Opened) -> IcmpError | None:
    """Read an ICMP error and the packet that it quotes, as much of it as the reporter kept."""
    if len(opened.payload) < ICMP_HEADER or opened.payload[0] not in ICMP_ERRORS[opened.protocol]:
        return None
    kind, code = opened.payload[:2]
    quoted = _open(opened.payload[ICMP_HEADER:])
    outer = None
    if quoted is not None and quoted.protocol in ENCAPSULATED:
        outer = (quoted.source, quoted.destination)
        quoted = _open(quoted.payload)
    flow, sequence = _first_bytes(quoted)
    return IcmpError(opened.source, kind, code, outer, flow, sequence)


def _first_bytes(quoted: Opened | None) -> tuple[Flow, int] | tuple[None, None]:
    """Flow and sequence number from the start of a TCP header."""
    if quoted is None or quoted.protocol != TCP_SEGMENT or len(quoted.payload) < QUOTED_AT_LEAST:
        return None, None
    source_port, port, sequence = struct.unpack_from("!HHI", quoted.payload)
    return Flow(quoted.source, source_port, quoted.destination, port), sequence
