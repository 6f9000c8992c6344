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

from ferryman import encapsulation
from ferryman.encapsulation import ICMP_HEADER, IPV4_HEADER, IPV6_HEADER, TCP_HEADER
from ferryman.probe.classify import Answer, Flow, IcmpError, TcpAnswer
from ferryman.probe.templates import Template

if TYPE_CHECKING:
    from ferryman.model import Address

ENCAPSULATED = frozenset({encapsulation.IPIP, encapsulation.IP6IP6})
"""IP protocols of an inner IPv4 and an inner IPv6 packet."""

ICMP_ERRORS = {encapsulation.ICMP: frozenset({3, 11, 12}), encapsulation.ICMPV6: frozenset({1, 2, 3, 4})}
"""Types that report the end of a packet: unreachable, too big, exceeded, bad header."""

OUR_MSS = {version: encapsulation.mss_for_mtu(version, encapsulation.ETHERNET_MTU) for version in (4, 6)}
"""The MSS of a client on Ethernet, by IP version."""

WINDOW = 64240

NO_REALSERVER: dict[int, Address] = {4: IPv4Address(0), 6: IPv6Address(0)}
"""Stands in a template for the realserver, by IP version."""

QUOTED_AT_LEAST = 8
"""Bytes of the quoted payload that every reporter keeps (RFC 792): ports and sequence number."""

FLAGS = {"F": "FIN", "S": "SYN", "R": "RST", "A": "ACK"}


class IpPacket(NamedTuple):
    """An IP packet taken apart: what its header says, and what follows the header."""

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


def packet_pair(source: Address, vip: Address, port: int, outer_source: Address) -> PacketPair:
    """Templates for the flows from one address to one VIP and port, through one outer source."""
    inner, outer = _header(source, vip), _header(outer_source, NO_REALSERVER[outer_source.version])
    syn = TCP(sport=0, dport=port, flags="S", window=WINDOW, options=[("MSS", OUR_MSS[vip.version])])
    rst = TCP(sport=0, dport=port, flags="R", window=0)
    return PacketPair(*(Template(bytes(outer / inner / segment)) for segment in (syn, rst)))


def dissect(packet: bytes) -> Answer | None:
    """Read a packet that arrived, from its IP header on; None when it is neither TCP nor an ICMP error."""
    parsed = _parsed(packet)
    if parsed is None:
        return None
    if parsed.protocol == encapsulation.TCP:
        return _tcp(parsed)
    if parsed.protocol in ICMP_ERRORS:
        return _icmp_error(parsed)
    return None


def _header(source: Address, destination: Address) -> IP | IPv6:
    """An IP header; scapy sets its protocol by what it is joined to, the kernel its identification."""
    if isinstance(destination, IPv4Address):
        return IP(src=str(source), dst=str(destination), flags="DF", id=0)
    return IPv6(src=str(source), dst=str(destination))


def _parsed(packet: bytes) -> IpPacket | None:
    """Read an IP header; None when it is cut off, or of a later fragment."""
    match packet[0] >> 4 if packet else None:
        case 4 if len(packet) >= IPV4_HEADER and not _later_fragment(packet):
            source, destination = IPv4Address(packet[12:16]), IPv4Address(packet[16:20])
            return IpPacket(packet[9], source, destination, packet[(packet[0] & 15) * 4 :])
        case 6 if len(packet) >= IPV6_HEADER:
            source6, destination6 = IPv6Address(packet[8:24]), IPv6Address(packet[24:40])
            return IpPacket(packet[6], source6, destination6, packet[IPV6_HEADER:])
        case _:
            return None


def _later_fragment(packet: bytes) -> bool:
    offset: int = struct.unpack_from("!H", packet, 6)[0] & 0x1FFF
    return offset > 0


def _tcp(parsed: IpPacket) -> TcpAnswer | None:
    if len(parsed.payload) < TCP_HEADER:
        return None
    segment = TCP(parsed.payload)
    flow = Flow(parsed.destination, segment.dport, parsed.source, segment.sport)
    flags = frozenset(FLAGS[flag] for flag in str(segment.flags) if flag in FLAGS)
    sizes = [value for name, value in segment.options if name == "MSS" and isinstance(value, int)]
    return TcpAnswer(flow, flags, segment.ack, sizes[0] if sizes else None)


def _icmp_error(parsed: IpPacket) -> IcmpError | None:
    """Read an ICMP error and the packet that it quotes, as much of it as the reporter kept."""
    if len(parsed.payload) < ICMP_HEADER or parsed.payload[0] not in ICMP_ERRORS[parsed.protocol]:
        return None
    kind, code = parsed.payload[:2]
    quoted = _parsed(parsed.payload[ICMP_HEADER:])
    outer = None
    if quoted is not None and quoted.protocol in ENCAPSULATED:
        outer = (quoted.source, quoted.destination)
        quoted = _parsed(quoted.payload)
    flow, sequence = _first_bytes(quoted)
    return IcmpError(parsed.source, kind, code, outer, flow, sequence)


def _first_bytes(quoted: IpPacket | None) -> tuple[Flow, int] | tuple[None, None]:
    """Flow and sequence number from the start of a TCP header."""
    if quoted is None or quoted.protocol != encapsulation.TCP or len(quoted.payload) < QUOTED_AT_LEAST:
        return None, None
    source_port, port, sequence = struct.unpack_from("!HHI", quoted.payload)
    return Flow(quoted.source, source_port, quoted.destination, port), sequence
