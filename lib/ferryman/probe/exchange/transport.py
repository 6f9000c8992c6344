"""Raw sockets for whole exchanges, and how this host's kernel is kept out of them.

The kernel answers a SYN/ACK that it did not ask for with a RST, and would end every exchange by that.
Therefore each port is held by a socket of ours that *listens*, and has a filter (SO_ATTACH_FILTER) that lets
nothing through. A segment that comes for the port finds this socket, and its filter drops the segment in
``tcp_v4_rcv`` or ``tcp_v6_rcv``, before TCP looks at it: there is no RST, nor any other answer. Our packet
sockets have read it by then. A socket that is only bound would not do, for TCP looks among listening and
connected sockets alone.

A recent kernel takes such a filter for a TCP socket from a process with CAP_NET_ADMIN alone (Linux 6.18 says
EPERM). There the socket wants segments that have passed no router and began with 255 hops, which hosts do
not send: it drops them at the same place.

That takes no right beside CAP_NET_RAW, no rule of a firewall and no sysctl. It ends with the file descriptor,
so also with kill -9, and nothing is left behind. Nobody can connect to such a port meanwhile, because the
filter drops the SYN as well. What still arrives after the end the kernel resets as ever. That RST goes to the
VIP's director, which makes no connection of a RST.

A firewall here that *rejects* what its connection tracking calls invalid answers before the filter is asked.
That does not keep the packet from being read, but the RST or ICMP error goes to the VIP.
"""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ferryman.probe.filters import FROM_NETWORK_HEADER, REJECT, answers_only, attach
from ferryman.probe.sockets import RECEIVED_AT_ONCE, SOL_PACKET, Receivers, stamped
from ferryman.probe.transport import RawTransport, route_mtu_towards

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ferryman.model import Address
    from ferryman.probe.filters import Instruction

PACKET_AUXDATA, PACKET_VNET_HDR = 8, 15
"""linux/if_packet.h: where the IP header is; checksum and segment size, as the kernel has them."""
LEAST_HOPS = {socket.AF_INET: (socket.IPPROTO_IP, 21), socket.AF_INET6: (socket.IPPROTO_IPV6, 73)}
"""IP_MINTTL and IPV6_MINHOPCOUNT: what came with fewer hops left is dropped, also ahead of TCP (RFC 5082)."""
MOST_HOPS = 255
LARGEST_FRAME = 2**17
"""Bytes: what the kernel joins of segments at most, with its headers."""
CHECKED = 0x01 | 0x02
"""VIRTIO_NET_HDR_F_NEEDS_CSUM, it never was on a wire, and _DATA_VALID, hardware or GRO has looked."""

_vnet = struct.Struct("=BBHHHH")
"""Flags, kind of offload, length of headers, size of segments, two about checksums."""
_auxdata = struct.Struct("=IIIHHHH")
"""Status, lengths, and where link and IP header are; VLAN."""


class Frame(NamedTuple):
    """A packet that arrived, with what the kernel knows about it."""

    packet: bytes
    """From its IP header on."""
    at_ns: int
    """When the kernel received it, in nanoseconds since the epoch."""
    segment_bytes: int = 0
    """The payload in bytes of each segment that the kernel joined; 0 where it joined none."""
    is_checked: bool = False
    """Whether its TCP checksum was looked at by hardware, or need not be: it never was on a wire."""


class ExchangeTransport(Protocol):
    """What exchanges need of the network: the raw sockets, or a simulation of them."""

    def source_towards(self, address: str) -> Address:
        """The own address that packets to this one leave with; raises OSError when there is no route."""

    def mtu_towards(self, address: str) -> int:
        """The largest packet in bytes that this host sends there; raises OSError when there is no route."""

    def reserve(self, source: Address, count: int) -> list[int]:
        """TCP ports of an own address for which nobody else, the kernel included, says anything."""

    def listen(self, ports: Iterable[int], answers: int) -> None:
        """Keep what arrives for these TCP ports, and ICMP, from now on; so many answers may come at once."""

    def send(self, packet: bytes | bytearray, destination: str) -> None:
        """Send a packet with its IP header to an address; raises OSError."""

    def frames(self, within_s: float) -> Sequence[Frame]:
        """What has arrived; waits for the first packet, but not longer than this."""

    def monotonic(self) -> float:
        """The time in seconds of a clock that never goes back."""

    def now_ns(self) -> int:
        """Nanoseconds since the epoch, of the clock that stamps arrivals."""

    def close(self) -> None:
        """Close all sockets, and release the reserved ports."""


class FrameReceivers(Receivers):
    """Packet sockets for packets of any length, which tell of segments their size, and if checksums count."""

    _KIND = socket.SOCK_RAW
    """With the link's header: only such sockets tell the rest (packet(7))."""

    def frames(self, receiver: socket.socket) -> Iterator[Frame]:
        """What is queued at one of them."""
        buffer = memoryview(bytearray(LARGEST_FRAME))
        room = socket.CMSG_SPACE(16) + socket.CMSG_SPACE(_auxdata.size)
        for _ in range(RECEIVED_AT_ONCE):
            try:
                length, ancillary, _, _ = receiver.recvmsg_into([buffer], room)
            except BlockingIOError:
                return
            except OSError:
                continue  # one whose offload has no name in a virtio header, so none of TCP
            flags, _, _, segment_bytes, _, _ = _vnet.unpack_from(buffer)
            begin = _vnet.size + _network_header(ancillary)
            packet = bytes(buffer[begin:length])
            yield Frame(packet, stamped(ancillary), segment_bytes, bool(flags & CHECKED))

    def _program(self, ports: Sequence[int]) -> list[Instruction]:
        return answers_only(self._version, ports, at=FROM_NETWORK_HEADER)

    def _another(self) -> None:
        super()._another()
        self.sockets[-1].setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        self.sockets[-1].setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)


class RawExchangeTransport(RawTransport):
    """Raw sockets of this host, with ports that its kernel keeps silent for.

    Raises:
        RefusedError: This process may not open raw sockets.
    """

    _RECEIVERS = FrameReceivers

    def mtu_towards(self, address: str) -> int:
        """Ask the kernel's routing table, path MTUs that it has learned included; nothing is sent."""
        return route_mtu_towards(address)

    def frames(self, within_s: float) -> Sequence[Frame]:
        """Everything that is there, after waiting for the first."""
        return [
            frame
            for receivers, opened in self._ready(within_s)
            if isinstance(receivers, FrameReceivers)
            for frame in receivers.frames(opened)
        ]

    def _hold(self, reservation: socket.socket) -> None:
        """Make a bound socket deaf, and only then let it listen."""
        try:
            attach(reservation, [REJECT])
        except PermissionError:
            reservation.setsockopt(*LEAST_HOPS[reservation.family], MOST_HOPS)
        reservation.listen(1)


def _network_header(ancillary: Sequence[tuple[int, int, bytes]]) -> int:
    """The offset of the IP header, which is the length of the link's."""
    for _, kind, data in ancillary:
        if kind == PACKET_AUXDATA and len(data) == _auxdata.size:
            return int(_auxdata.unpack(data)[4])
    return 0
