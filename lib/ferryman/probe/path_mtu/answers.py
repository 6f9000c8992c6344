"""What arrives, read by hand: replies, ICMP errors with what they quote, and fragments.

What it is about is told by an identity that only the packet that was sent has; see ``packets.py``. Nothing
that a packet holds makes this raise, and no length is believed before it was compared with what is there. A
packet's end may be missing: it is cut off where the buffer ends, and only its beginning counts.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, NamedTuple

from ferryman.encapsulation import ICMP, ICMP_HEADER, ICMPV6, IPV4_HEADER, IPV6_HEADER, TCP, TCP_HEADER, UDP
from ferryman.probe.classify import ICMP_TEXTS
from ferryman.probe.dissect import ICMP_ERRORS
from ferryman.probe.path_mtu.packets import QUOTED

if TYPE_CHECKING:
    from ferryman.model import Address

FRAGMENT = 44
"""The number of IPv6's fragment header."""
FRAGMENT_HEADER = 8
ECHO_REPLY = {(4, ICMP): 0, (6, ICMPV6): 129}
TOO_BIG = {4: (3, 4), 6: (2, 0)}
"""Type and code of fragmentation needed, and of packet too big, by IP version."""
FROM_THE_HOST = {(4, 3, 2), (4, 3, 3), (6, 1, 4), (6, 4, 1)}
"""Errors that a host sends of what it got whole: nothing takes this port, or this protocol."""
_SYN, _RST = 0x02, 0x04
_LOW_BITS, _MORE_4 = 0x1FFF, 0x2000
_UNITS = 8
"""IPv4 counts where a fragment belongs in so many bytes; IPv6 has it in the upper 13 bits."""

_ipv4 = struct.Struct("!BxHHHxB2x4s4s")
_ipv6 = struct.Struct("!4xHBx16s16s")
_fragment = struct.Struct("!BxHI")


class Piece(NamedTuple):
    """A packet, or a fragment of one: which, and where in it."""

    version: int
    protocol: int
    source: Address
    destination: Address
    ident: int
    """The same for all fragments of one packet."""
    offset: int
    """Where it begins in the whole packet's payload."""
    more: bool
    length: int
    """The bytes of its payload, as its header says."""
    payload: bytes
    """As much of it as there is."""

    @property
    def is_fragment(self) -> bool:
        """Whether it is a part of something."""
        return self.more or self.offset > 0


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the host itself."""

    source: Address
    protocol: int
    identity: bytes
    """Of ICMP identifier and number; else both ports, ours first, and of TCP the acknowledgement too."""
    what: str


@dataclass(frozen=True, slots=True)
class Error:
    """An ICMP error about a packet of ours, if what it quotes is one."""

    reporter: Address
    kind: int
    code: int
    mtu: int
    source: Address
    """As the quoted packet has it."""
    destination: Address
    protocol: int
    quote: bytes
    """The first bytes of the quoted packet behind its IP header."""

    @property
    def is_too_big(self) -> bool:
        """Whether it says that the packet did not fit."""
        version = self.reporter.version
        return (self.kind, self.code if version == 4 else 0) == TOO_BIG[version]  # noqa: PLR2004  # IPv4

    @property
    def is_from_the_host(self) -> bool:
        """Whether the packet came to where it was to go, and the host itself says that nothing takes it."""
        known = (self.reporter.version, self.kind, self.code) in FROM_THE_HOST
        return known and self.reporter == self.destination

    def __str__(self) -> str:
        version = self.reporter.version
        words = ICMP_TEXTS.get((version, self.kind, self.code))
        name = "ICMP" if version == 4 else "ICMPv6"  # noqa: PLR2004  # IPv4
        return f"{name} {self.kind}/{self.code} from {self.reporter}" + (f" ({words})" if words else "")


def read(packet: bytes) -> Reply | Error | None:
    """A reply or an ICMP error; None for anything else. Of fragments the first one alone is a reply."""
    piece = piece_of(packet)
    if piece is None or piece.offset > 0:
        return None
    if piece.protocol == TCP:
        return _tcp_reply(piece)
    if piece.protocol == UDP:
        return _udp_reply(piece)
    return _icmp(piece)


def piece_of(packet: bytes) -> Piece | None:
    """The packet by its IP header; None where that is not whole, or contradicts itself."""
    version = packet[0] >> 4 if packet else 0
    if version == 4 and len(packet) >= IPV4_HEADER:  # noqa: PLR2004  # IPv4
        return _piece4(packet)
    if version == 6 and len(packet) >= IPV6_HEADER:  # noqa: PLR2004  # IPv6
        return _piece6(packet)
    return None


def _piece4(packet: bytes) -> Piece | None:
    first, total, ident, fragment, protocol, source, destination = _ipv4.unpack_from(packet)
    header = (first & 15) * 4
    if not IPV4_HEADER <= header <= min(total, len(packet)):
        return None
    ends = IPv4Address(source), IPv4Address(destination)
    offset, more = (fragment & _LOW_BITS) * _UNITS, bool(fragment & _MORE_4)
    return Piece(4, protocol, *ends, ident, offset, more, total - header, packet[header:total])


def _piece6(packet: bytes) -> Piece | None:
    length, protocol, source, destination = _ipv6.unpack_from(packet)
    ends = IPv6Address(source), IPv6Address(destination)
    payload = packet[IPV6_HEADER : IPV6_HEADER + length]
    if protocol != FRAGMENT:
        return Piece(6, protocol, *ends, 0, 0, False, length, payload)
    if len(payload) < FRAGMENT_HEADER:
        return None
    protocol, place, ident = _fragment.unpack_from(payload)
    rest = payload[FRAGMENT_HEADER:]
    return Piece(6, protocol, *ends, ident, place & ~7, bool(place & 1), length - FRAGMENT_HEADER, rest)


def _tcp_reply(piece: Piece) -> Reply | None:
    if len(piece.payload) < TCP_HEADER:
        return None
    theirs, ours = piece.payload[:2], piece.payload[2:4]
    flags = piece.payload[13]
    what = "RST" if flags & _RST else "SYN/ACK" if flags & _SYN else "ACK"
    return Reply(piece.source, TCP, ours + theirs + piece.payload[8:12], what)


def _udp_reply(piece: Piece) -> Reply | None:
    if len(piece.payload) < QUOTED:
        return None
    return Reply(piece.source, UDP, piece.payload[2:4] + piece.payload[:2], "UDP")


def _icmp(piece: Piece) -> Reply | Error | None:
    payload = piece.payload
    types = ICMP_ERRORS.get((piece.version, piece.protocol))
    if types is None or len(payload) < ICMP_HEADER:
        return None
    if payload[0] == ECHO_REPLY[piece.version, piece.protocol]:
        return Reply(piece.source, piece.protocol, payload[4:8], "echo reply")
    if payload[0] not in types:
        return None
    quoted = piece_of(payload[ICMP_HEADER:])
    if quoted is None or quoted.version != piece.version or len(quoted.payload) < QUOTED or quoted.offset:
        return None
    mtu = payload[6:8] if piece.version == 4 else payload[4:8]  # noqa: PLR2004  # IPv4
    return Error(
        piece.source, payload[0], payload[1], int.from_bytes(mtu, "big"),
        quoted.source, quoted.destination, quoted.protocol, quoted.payload[:QUOTED],
    )  # fmt: skip
