"""Raw sockets: the prober's only way to the network.

Packets leave by raw IP sockets, with a source address that need not be ours. Answers are read by packet
sockets, ahead of this host's own firewall; a filter in the kernel lets nothing but answers through.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import select
import socket
import struct
import sys
import time
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Protocol, Self

from ferryman.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ferryman.model import Address

RECEIVE_BUFFER = 8 * 2**20
"""Bytes. With the kernel's default, answers to a few hundred SYNs at once overflow it."""

SEND_BUFFER = 8 * 2**20
"""Bytes. Packets to hosts that do not answer ARP stay in it for seconds, and must not hold up the others."""

LONGEST = 2048
"""Bytes read of a packet at most."""

DISCARD_PORT = 9
"""Any port will do to ask the kernel for a route: nothing is sent."""

FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
ETHERTYPE = {4: 0x0800, 6: 0x86DD}
RECEIVE_ERRORS = {4: (socket.IPPROTO_IP, 11), 6: (socket.IPPROTO_IPV6, 25)}
"""IP_RECVERR and IPV6_RECVERR: without them a full interface queue loses packets and reports none."""

SO_ATTACH_FILTER, SO_RCVBUFFORCE, SO_SNDBUFFORCE, SO_TIMESTAMPNS = 26, 33, 32, 35
SOL_PACKET, PACKET_STATISTICS = 263, 6


@dataclass(frozen=True, slots=True)
class Arrival:
    """A packet from its IP header on, and when the kernel received it, in nanoseconds since the epoch."""

    packet: bytes
    at_ns: int


class Wire(Protocol):
    """What a prober needs of the network."""

    def source_towards(self, address: Address) -> Address:
        """The own address that packets to this one leave with; raises OSError when there is no route."""

    def reserve(self, source: Address) -> int:
        """A TCP port of an own address that nobody else gets until the wire is closed."""

    def listen(self, ports: Iterable[int]) -> None:
        """Keep what arrives for these TCP ports, and ICMP, from now on."""

    def send(self, packet: bytes, destination: Address) -> None:
        """Send a packet with its IP header; raises OSError, ENOBUFS when the queue is full."""

    def receive(self, within_s: float) -> Sequence[Arrival]:
        """What has arrived; waits for the first packet, but not longer than this."""

    def lost(self) -> int:
        """How many answers the receive buffer had no room for."""

    def monotonic(self) -> float:
        """Seconds that never go back."""

    def now_ns(self) -> int:
        """Nanoseconds since the epoch, of the clock that stamps arrivals."""

    def close(self) -> None:
        """Give everything back."""


def require_raw_sockets() -> None:
    """Make sure that probes can be sent from here.

    Raises:
        RefusedError: This process may not open raw sockets.
    """
    RawWire({4}).close()


class RawWire:
    """The wire for real.

    Raises:
        RefusedError: This process may not open raw sockets.
    """

    def __init__(self, versions: Iterable[int]) -> None:
        self._open = contextlib.ExitStack()
        self._versions = sorted(versions)
        try:
            self._senders = {version: self._entered(_sender(version)) for version in self._versions}
            # Opening one is the test for the permission; listen() opens those that stay.
            _receiver(self._versions[0], ()).close()
        except OSError as error:
            self._open.close()
            raise RefusedError(_why_not(error)) from error
        self._receivers: dict[int, socket.socket] = {}
        self._lost = 0

    def source_towards(self, address: Address) -> Address:
        """Ask the kernel's routing table, through a connected UDP socket; nothing is sent."""
        with socket.socket(FAMILY[address.version], socket.SOCK_DGRAM) as asking:
            asking.connect((str(address), DISCARD_PORT))
            return ip_address(asking.getsockname()[0])

    def reserve(self, source: Address) -> int:
        """Bind a TCP socket to a free port and keep it.

        The kernel gives a port that no connection uses, and then neither binds nor connects another socket
        to it. It answers SYN/ACKs to it with a RST, for nobody listens there.

        Raises:
            RefusedError: There is no port or no file descriptor left, or the address is not usable.
        """
        try:
            reservation = self._entered(socket.socket(FAMILY[source.version], socket.SOCK_STREAM))
            reservation.bind((str(source), 0))
        except OSError as error:
            raise RefusedError(
                f"cannot probe: no TCP port to be had on {source}: {error.strerror}"
            ) from error
        port: int = reservation.getsockname()[1]
        return port

    def listen(self, ports: Iterable[int]) -> None:
        """Open the receivers; nothing may be sent before."""
        wanted = tuple(ports)
        for version in self._versions:
            self._receivers[version] = self._entered(_receiver(version, wanted))

    def send(self, packet: bytes, destination: Address) -> None:
        """Hand a packet with its own IP header to the kernel, which routes it by the destination."""
        self._senders[destination.version].sendto(packet, (str(destination), 0))

    def receive(self, within_s: float) -> Sequence[Arrival]:
        """Everything that is there, after waiting for the first."""
        ready, _, _ = select.select(list(self._receivers.values()), [], [], max(0.0, within_s))
        return [arrival for receiver in ready for arrival in _queued(receiver)]

    def lost(self) -> int:
        """The kernel's own count; reading it resets it, so it is added up here."""
        for receiver in self._receivers.values():
            statistics = receiver.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8)
            self._lost += struct.unpack("II", statistics)[1]
        return self._lost

    def monotonic(self) -> float:
        """The machine's monotonic clock."""
        return time.monotonic()

    def now_ns(self) -> int:
        """The machine's wall clock, as the kernel stamps packets by it."""
        return time.time_ns()

    def close(self) -> None:
        """Close every socket, and with them the reservations."""
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _entered(self, opened: socket.socket) -> socket.socket:
        return self._open.enter_context(opened)


def _sender(version: int) -> socket.socket:
    """A socket for packets that bring their own IP header; it receives nothing."""
    sender = socket.socket(FAMILY[version], socket.SOCK_RAW, socket.IPPROTO_RAW)
    sender.setblocking(False)
    _enlarge(sender, SO_SNDBUFFORCE, socket.SO_SNDBUF, SEND_BUFFER)
    sender.setsockopt(*RECEIVE_ERRORS[version], 1)
    return sender


def _receiver(version: int, ports: tuple[int, ...]) -> socket.socket:
    """A packet socket for one IP version.

    Bound to one EtherType, so that it sees each packet once, where the kernel's own IP sees it: not the
    outgoing ones, and not a second time on a bridge's or bond's member.
    """
    receiver = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETHERTYPE[version]))
    receiver.setblocking(False)
    _attach(receiver, _answers_only(version, ports))
    _enlarge(receiver, SO_RCVBUFFORCE, socket.SO_RCVBUF, RECEIVE_BUFFER)
    receiver.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    return receiver


def _enlarge(opened: socket.socket, forced: int, asked: int, size: int) -> None:
    """Set a buffer beyond the system's limit; without CAP_NET_ADMIN, up to it."""
    try:
        opened.setsockopt(socket.SOL_SOCKET, forced, size)
    except PermissionError:
        opened.setsockopt(socket.SOL_SOCKET, asked, size)


def _queued(receiver: socket.socket) -> Iterable[Arrival]:
    while True:
        try:
            packet, ancillary, _, _ = receiver.recvmsg(LONGEST, socket.CMSG_SPACE(16))
        except BlockingIOError:
            return
        yield Arrival(packet, _stamp(ancillary))


def _stamp(ancillary: Sequence[tuple[int, int, bytes]]) -> int:
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
            seconds, nanoseconds = struct.unpack("qq", data)
            return int(seconds * 1_000_000_000 + nanoseconds)
    return time.time_ns()


Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false, operand (linux/filter.h)."""

LOAD_BYTE, LOAD_HALF, LOAD_HALF_AT_X, IPV4_HEADER_TO_X = 0x30, 0x28, 0x48, 0xB1
JUMP_EQUAL, RETURN = 0x15, 0x06
PROTOCOL_FIELD = {4: (9, socket.IPPROTO_ICMP), 6: (6, socket.IPPROTO_ICMPV6)}
"""Where the protocol stands in the IP header, and the number of ICMP."""
LOAD_PORT: dict[int, list[Instruction]] = {
    4: [(IPV4_HEADER_TO_X, 0, 0, 0), (LOAD_HALF_AT_X, 0, 0, 2)],
    6: [(LOAD_HALF, 0, 0, 42)],
}
"""The TCP destination port, behind an IPv4 header of any length or a plain IPv6 header."""
TAKE: Instruction = (RETURN, 0, 0, 0xFFFFFFFF)
LEAVE: Instruction = (RETURN, 0, 0, 0)


def _answers_only(version: int, ports: tuple[int, ...]) -> list[Instruction]:
    """A classic BPF program: ICMP, and TCP to these ports."""
    protocol, icmp = PROTOCOL_FIELD[version]
    to_us = [instruction for port in ports for instruction in _take_if(port)]
    return [
        (LOAD_BYTE, 0, 0, protocol),
        *_take_if(icmp),
        (JUMP_EQUAL, 1, 0, socket.IPPROTO_TCP),
        LEAVE,
        *LOAD_PORT[version],
        *to_us,
        LEAVE,
    ]


def _take_if(value: int) -> list[Instruction]:
    return [(JUMP_EQUAL, 0, 1, value), TAKE]


def _attach(receiver: socket.socket, program: list[Instruction]) -> None:
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
    held = ctypes.create_string_buffer(code)
    receiver.setsockopt(
        socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", len(program), ctypes.addressof(held))
    )


def _why_not(error: OSError) -> str:
    if error.errno in (errno.EPERM, errno.EACCES):
        python = os.path.realpath(sys.executable)
        return (
            "cannot probe: this process may not open raw sockets (it lacks CAP_NET_RAW); "
            f"run as root, or give the interpreter the capability: setcap cap_net_raw+ep {python}"
        )
    return f"cannot probe: raw sockets cannot be opened: {error.strerror}"
