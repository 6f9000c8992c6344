"""TCP segments of our own: written as encapsulated packets, and read from what arrives, byte by byte.

What is written says everything itself, checksums too, so that the kernel need not know the connection.
What is read is believed as little as in ``dissect.py``: no length before it was compared with what is there.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from ferryman.encapsulation import IP_HEADER, IPV4_HEADER, TCP, TCP_HEADER, TUNNEL_PROTOCOL
from ferryman.probe.classify import Flow, IcmpError
from ferryman.probe.dissect import Unreadable, UnreadableError, dissect, first_mss, read_ip

if TYPE_CHECKING:
    from ferryman.model import Address
    from ferryman.probe.dissect import IpPacket
    from ferryman.probe.exchange.transport import Frame

FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10
"""Flags in the TCP header (RFC 9293)."""
SEQUENCE_SPACE = 2**32
HOP_LIMIT = 64
ONES_COMPLEMENT = 0xFFFF
DO_NOT_FRAGMENT = 0x4000
MSS_OPTION = 0x0204
"""Kind 2, four bytes long."""
WORD_SHIFT = 4
"""Bits by which the header's length stands in its byte; it counts words of four bytes."""

_ipv4 = struct.Struct("!BBHHHBBH4s4s")
_ipv6 = struct.Struct("!IHBB16s16s")
_tcp = struct.Struct("!HHIIBBHHH")
_mss = struct.Struct("!HH")
_pseudo = struct.Struct("!LHH")
"""Behind the addresses: length, zero, protocol."""
_VERSION_4, _VERSION_6 = 0x45, 6 << 28


class Segment(NamedTuple):
    """A TCP segment, coming or going, with its 32-bit numbers."""

    flags: int
    sequence: int
    acknowledgement: int
    window: int
    payload: bytes = b""
    mss: int | None = None
    """The MSS option in bytes; None without one."""
    largest: int = 0
    """Of a segment that arrived, the largest payload in bytes that it had on the wire.

    The kernel joins neighbouring segments before anybody sees them (GRO).
    """


class Arrived(NamedTuple):
    """A segment that arrived, and the flow that it belongs to: its own the other way round."""

    flow: Flow
    segment: Segment


class Encapsulation:
    """Writes the segments of one flow as packets to one realserver, from one outer source."""

    def __init__(self, flow: Flow, realserver: Address, outer_source: Address) -> None:
        self._ports = flow.source_port, flow.port
        self._outer_ends = outer_source.version, outer_source.packed, realserver.packed
        self._inner_ends = flow.vip.version, flow.source.packed, flow.vip.packed
        self.headers = IP_HEADER[realserver.version] + IP_HEADER[flow.vip.version] + TCP_HEADER
        """Bytes of a packet without options before its payload."""

    def packet(self, segment: Segment) -> bytes:
        """The whole packet, from its outer IP header on."""
        version, source, destination = self._inner_ends
        options = _mss.pack(MSS_OPTION, segment.mss) if segment.mss is not None else b""
        length = TCP_HEADER + len(options)
        numbers = segment.sequence, segment.acknowledgement, length // 4 << WORD_SHIFT, segment.flags
        header = _tcp.pack(*self._ports, *numbers, segment.window, 0, 0) + options
        whole = source + destination + _pseudo.pack(length + len(segment.payload), 0, TCP)
        total = checksum(whole + header + segment.payload)
        header = _tcp.pack(*self._ports, *numbers, segment.window, total, 0) + options
        inner = ip_header(self._inner_ends, TCP, length + len(segment.payload)) + header + segment.payload
        return ip_header(self._outer_ends, TUNNEL_PROTOCOL[version], len(inner)) + inner


def read(frame: Frame) -> Arrived | IcmpError | Unreadable | None:
    """What arrived; None when it is neither TCP nor an ICMP error."""
    try:
        parsed = read_ip(frame.packet, quoted=False)
        if parsed is not None and parsed.protocol == TCP:
            return _arrived(parsed, frame)
    except UnreadableError as error:
        return Unreadable(str(error))
    other = dissect(frame.packet)
    return other if isinstance(other, IcmpError | Unreadable) else None


def _arrived(parsed: IpPacket, frame: Frame) -> Arrived:
    whole = parsed.payload
    if len(whole) < TCP_HEADER:
        raise UnreadableError("a TCP header that is cut off")
    if not frame.is_checked and not _sums_up(parsed):
        raise UnreadableError("a wrong TCP checksum")
    source_port, port, sequence, acknowledgement, words, flags, window, _, _ = _tcp.unpack_from(whole)
    header = (words >> WORD_SHIFT) * 4
    if not TCP_HEADER <= header <= len(whole):
        raise UnreadableError("a TCP header whose length contradicts the packet's")
    mss = first_mss(whole[TCP_HEADER:header]) if flags & SYN else None
    payload = whole[header:]
    largest = min(len(payload), frame.segment_bytes or len(payload))
    flow = Flow(parsed.destination, port, parsed.source, source_port)
    return Arrived(flow, Segment(flags, sequence, acknowledgement, window, payload, mss, largest))


def _sums_up(parsed: IpPacket) -> bool:
    ends = parsed.source.packed + parsed.destination.packed
    return checksum(ends + _pseudo.pack(len(parsed.payload), 0, TCP) + parsed.payload) in (
        0,
        ONES_COMPLEMENT,
    )


def ip_header(ends: tuple[int, bytes, bytes], protocol: int, length: int) -> bytes:
    """An IP header before so many bytes; routers may not fragment it, so that what does not fit is told."""
    version, source, destination = ends
    if version == 6:  # noqa: PLR2004  # IPv6
        return _ipv6.pack(_VERSION_6, length, protocol, HOP_LIMIT, source, destination)
    fields = _VERSION_4, 0, IPV4_HEADER + length, 0, DO_NOT_FRAGMENT, HOP_LIMIT, protocol
    total = checksum(_ipv4.pack(*fields, 0, source, destination))
    return _ipv4.pack(*fields, total, source, destination)


def checksum(data: bytes) -> int:
    """The internet checksum: to it a number of any length is the sum of its words (RFC 1071)."""
    even = data if len(data) % 2 == 0 else data + b"\0"
    return ONES_COMPLEMENT - int.from_bytes(even, "big") % ONES_COMPLEMENT
