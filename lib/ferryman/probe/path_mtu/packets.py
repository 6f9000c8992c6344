"""Packets of an exact size that no router may fragment: echo requests, SYNs with data, UDP.

Each is known again by the first eight bytes behind its IP header, which whoever sends an ICMP error about it
has to quote (RFC 792): ports and sequence number, ports and checksum, or an echo's identifier and number.
Half of them is random, so that an error fits none that somebody forged without seeing the packet.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from ferryman.encapsulation import ETHERNET_MTU, ICMP, ICMPV6, IP_HEADER, TCP, UDP, mss_for_mtu
from ferryman.probe.exchange.segments import MSS_OPTION, SYN, checksum, ip_header
from ferryman.probe.path_mtu.dns import DNS_PORT, padded_query

if TYPE_CHECKING:
    from ferryman.model import Address
    from ferryman.probe.path_mtu.results import PathMtuTarget

PROTOCOLS = {
    "icmp": {4: ICMP, 6: ICMPV6},
    "tcp": {4: TCP, 6: TCP},
    "udp": {4: UDP, 6: UDP},
}
"""The number of a protocol, by IP version."""
ECHO_REQUEST = {4: 8, 6: 128}
QUOTED = 8
"""Bytes behind the IP header that every ICMP error quotes."""
NONCE_BYTES = 4
WINDOW = 64240
SEQUENCE_SPACE = 2**32

_echo = struct.Struct("!BBH4s")
"""Type, code, checksum, identifier and number."""
_udp = struct.Struct("!HHHH")
_tcp = struct.Struct("!HH4sIBBHHHHH")
"""Ports, numbers, length, flags, window, checksum, urgent; and the option with the MSS."""
_pseudo = struct.Struct("!LHH")


class Outgoing(NamedTuple):
    """A packet to be sent, and by what its answers are known."""

    packet: bytes
    quote: bytes
    """What an ICMP error about it quotes behind the IP header."""
    replies: tuple[bytes, ...]
    """What a reply to it has in its identity, any of these; see ``answers.Reply``."""


def outgoing(source: Address, target: PathMtuTarget, size: int, port: int, nonce: bytes) -> Outgoing:
    """The packet of this size in bytes, IP header included, from a port of ours, with four random bytes."""
    version = target.address.version
    protocol = PROTOCOLS[target.protocol][version]
    length = size - IP_HEADER[version]
    ends = source.packed + target.address.packed
    payload, replies = _MAKERS[target.protocol](target, ends, length, port, nonce)
    assert len(payload) == length, "a packet of another size than was asked for"
    header = ip_header((version, source.packed, target.address.packed), protocol, length)
    return Outgoing(header + payload, payload[:QUOTED], replies)


def udp_datagram(ends: bytes, source_port: int, port: int, payload: bytes) -> bytes:
    """A UDP datagram; ``ends`` are both addresses, the sender's first."""
    length = _udp.size + len(payload)
    total = checksum(ends + _pseudo.pack(length, 0, UDP) + _udp.pack(source_port, port, length, 0) + payload)
    return _udp.pack(source_port, port, length, total or 0xFFFF) + payload  # zero says that there is none


def _echo_request(
    target: PathMtuTarget, ends: bytes, length: int, port: int, nonce: bytes
) -> tuple[bytes, tuple[bytes, ...]]:
    del port
    version = target.address.version
    data = bytes(length - _echo.size)
    pseudo = ends + _pseudo.pack(length, 0, ICMPV6) if version == 6 else b""  # noqa: PLR2004  # ICMPv6 has one
    total = checksum(pseudo + _echo.pack(ECHO_REQUEST[version], 0, 0, nonce) + data)
    return _echo.pack(ECHO_REQUEST[version], 0, total, nonce) + data, (nonce,)


def _syn_with_data(
    target: PathMtuTarget, ends: bytes, length: int, port: int, nonce: bytes
) -> tuple[bytes, tuple[bytes, ...]]:
    """A SYN whose data fill it up: what is open answers the SYN alone, what is closed counts the data too."""
    assert target.port is not None, "TCP has a port"
    mss = mss_for_mtu(target.address.version, ETHERNET_MTU)
    data = bytes(length - _tcp.size)

    def header(total: int) -> bytes:
        words = _tcp.size // 4 << 4
        return _tcp.pack(port, target.port, nonce, 0, words, SYN, WINDOW, total, 0, MSS_OPTION, mss)

    total = checksum(ends + _pseudo.pack(length, 0, TCP) + header(0) + data)
    first = int.from_bytes(nonce, "big")
    ports = _ports(port, target.port)
    replies = tuple(
        ports + ((first + 1 + more) % SEQUENCE_SPACE).to_bytes(4, "big") for more in (0, len(data))
    )
    return header(total) + data, replies


def _datagram(
    target: PathMtuTarget, ends: bytes, length: int, port: int, nonce: bytes
) -> tuple[bytes, tuple[bytes, ...]]:
    """A datagram; what goes to DNS is a question with padding, for nobody answers what is none."""
    assert target.port is not None, "UDP has a port"
    room = length - _udp.size
    data = padded_query(room, nonce) if target.port == DNS_PORT else nonce + bytes(room - NONCE_BYTES)
    return udp_datagram(ends, port, target.port, data), (_ports(port, target.port),)


def _ports(ours: int, theirs: int) -> bytes:
    return struct.pack("!HH", ours, theirs)


_MAKERS = {"icmp": _echo_request, "tcp": _syn_with_data, "udp": _datagram}
