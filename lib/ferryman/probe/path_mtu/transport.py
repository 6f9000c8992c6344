"""Raw sockets for path MTU: what leaves by them is never fragmented here, and no cache answers for a router.

The kernel learns path MTUs from the very errors that are looked for, and would refuse the next packet itself.
IP_PMTUDISC_PROBE leaves only the interface's MTU (ip(7), ipv6(7)); this host's own route is told beside it.
"""

from __future__ import annotations

import errno
import socket
import struct
from ipaddress import ip_address
from typing import TYPE_CHECKING, Protocol

from ferryman.encapsulation import IP_HEADER
from ferryman.probe.exchange.segments import ip_header
from ferryman.probe.filters import path_answers_only
from ferryman.probe.sockets import FAMILY, RECEIVE_ERRORS, Receivers, Senders
from ferryman.probe.transport import RawTransport, route_mtu_towards

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ferryman.model import Address
    from ferryman.probe.filters import Instruction
    from ferryman.probe.sockets import Arrival

MTU_DISCOVER = {4: (socket.IPPROTO_IP, 10), 6: (socket.IPPROTO_IPV6, 23)}
"""IP_MTU_DISCOVER and IPV6_MTU_DISCOVER."""
PROBE = 3
"""IP_PMTUDISC_PROBE, and the same of IPv6: never fragment, ignore the path MTU that is known."""
LONGEST_PACKET = 65535
MSG_ERRQUEUE = 0x2000
NO_NEXT_HEADER = 59

_extended_error = struct.Struct("=IBBBxII")
"""struct sock_extended_err: number, origin, type, code, info, data; the info of EMSGSIZE is the MTU."""


class PathMtuTransport(Protocol):
    """What path MTU needs of the network: the raw sockets, or a simulation of them."""

    def source_towards(self, address: str) -> Address:
        """The own address that packets to this one leave with; raises OSError when there is no route."""

    def mtus_towards(self, address: str) -> tuple[int, int]:
        """What the interface takes and what the route says, in bytes; raises OSError when there is none."""

    def reserve(self, source: Address, count: int) -> list[int]:
        """Ports of an own address that nobody else gets, of TCP and of UDP."""

    def listen(self, ports: Iterable[int], answers: int) -> None:
        """Keep what arrives for these ports, fragments and ICMP from now on."""

    def send(self, packet: bytes | bytearray, destination: str) -> None:
        """Send a packet with its IP header to an address; raises OSError."""

    def receive(self, within_s: float) -> Sequence[Arrival]:
        """What has arrived; waits for the first packet, but not longer than this."""

    def monotonic(self) -> float:
        """The time in seconds of a clock that never goes back."""

    def close(self) -> None:
        """Close all sockets, and release the reserved ports."""


class PathSenders(Senders):
    """Raw sockets whose packets are as large as the interface takes, whatever was learned of the path."""

    def _another(self) -> socket.socket:
        sender = super()._another()
        sender.setsockopt(*MTU_DISCOVER[self._version], PROBE)
        return sender


class PathReceivers(Receivers):
    """Packet sockets for answers of every protocol, and for fragments."""

    def _program(self, ports: Sequence[int]) -> list[Instruction]:
        return path_answers_only(self._version, ports)


class RawPathMtuTransport(RawTransport):
    """Raw sockets of this host.

    Raises:
        RefusedError: This process may not open raw sockets.
    """

    _SENDERS = PathSenders
    _RECEIVERS = PathReceivers

    def mtus_towards(self, address: str) -> tuple[int, int]:
        """Ask the kernel; what the interface takes it says when it refuses a packet larger than any."""
        return self._interface_mtu(address), route_mtu_towards(address)

    def _interface_mtu(self, address: str) -> int:
        there, own = ip_address(address), self.source_towards(address)
        if there == own:
            return LONGEST_PACKET  # a packet to this host itself meets no link
        version = there.version
        length = LONGEST_PACKET - IP_HEADER[version]
        packet = ip_header((version, own.packed, there.packed), NO_NEXT_HEADER, length) + bytes(length)
        with socket.socket(FAMILY[version], socket.SOCK_RAW, socket.IPPROTO_RAW) as asking:
            asking.setsockopt(*RECEIVE_ERRORS[version], 1)
            asking.setsockopt(*MTU_DISCOVER[version], PROBE)
            try:
                asking.sendto(packet, (address, 0))
            except OSError as error:
                if error.errno != errno.EMSGSIZE:
                    raise
                return _told_mtu(asking)
        return LONGEST_PACKET

    def _hold(self, reservation: socket.socket) -> None:
        """Take the port of UDP as well, so that the kernel does not say that nobody is there."""
        beside = self._entered(socket.socket(reservation.family, socket.SOCK_DGRAM))
        beside.bind(reservation.getsockname()[:2])


def _told_mtu(refused: socket.socket) -> int:
    """The MTU in the error that the kernel has queued for a packet that it refused."""
    _, ancillary, _, _ = refused.recvmsg(0, socket.CMSG_SPACE(512), MSG_ERRQUEUE | socket.MSG_DONTWAIT)
    for level, kind, data in ancillary:
        if (level, kind) in RECEIVE_ERRORS.values() and len(data) >= _extended_error.size:
            number, *_, info, _ = _extended_error.unpack_from(data)
            if number == errno.EMSGSIZE and info:
                return int(info)
    raise OSError(errno.EMSGSIZE, "the kernel does not say what the interface takes")
