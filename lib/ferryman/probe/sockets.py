"""The kernel's sockets that a prober sends and receives with, each as large as this process may make it.

Only CAP_NET_ADMIN makes a buffer larger than ``net.core.rmem_max`` or ``wmem_max``. Without it there are
more sockets instead: CAP_NET_RAW opens as many as are needed, and each has a buffer of its own.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING

from ferryman.errors import RefusedError
from ferryman.probe.capability import refusal
from ferryman.probe.filters import answers_only, attach

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ferryman.probe.filters import Instruction

RECEIVE_BUFFER = 8 * 2**20
"""Bytes. With the kernel's default, answers to a few hundred SYNs at once overflow it."""

SEND_BUFFER = 8 * 2**20
"""Bytes. Packets to hosts that do not answer ARP stay in it for seconds, and must not hold up the others."""

ANSWER_BYTES = 2304
"""What an answer takes of a buffer at most, with the kernel's own data about it (``truesize``)."""
MOST_SOCKETS = 32
"""Sockets at most that share what the buffer of one is too small for."""

LONGEST = 2048
"""Bytes read of a packet at most."""
RECEIVED_AT_ONCE = 512
"""Packets read at most before anything else is done."""

FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
ETHERTYPE = {4: 0x0800, 6: 0x86DD}
RECEIVE_ERRORS = {4: (socket.IPPROTO_IP, 11), 6: (socket.IPPROTO_IPV6, 25)}
"""IP_RECVERR and IPV6_RECVERR: without them a full interface queue loses packets and reports none."""

SO_RCVBUFFORCE, SO_SNDBUFFORCE, SO_TIMESTAMPNS = 33, 32, 35
SOL_PACKET, PACKET_STATISTICS, PACKET_FANOUT = 263, 6, 18
ROLLOVER, OF_A_NEW_GROUP = 3 << 16, 0x2000 << 16
"""PACKET_FANOUT_ROLLOVER: a packet goes to the first socket that has room; PACKET_FANOUT_FLAG_UNIQUEID."""

libc = ctypes.CDLL(None, use_errno=True)
_timespec = struct.Struct("qq")

Arrival = tuple[bytes, int]
"""A packet from its IP header on, and when the kernel received it, in nanoseconds since the epoch."""


class Senders:
    """Raw sockets of one IP version for packets that bring their own IP header; they receive nothing.

    Raises:
        RefusedError: This process may not open them.
    """

    def __init__(self, version: int) -> None:
        self._version = version
        self._sockets: list[socket.socket] = []
        self._another()

    def send(self, packet: bytes | bytearray, destination: str) -> None:
        """Hand a packet to the kernel; one that a full socket does not take goes through another one.

        Raises:
            OSError: It cannot be sent; ENOBUFS or EAGAIN when every queue is full.
        """
        where = (destination, 0)
        for sender in self._sockets:
            try:
                sender.sendto(packet, where)
            except BlockingIOError:
                continue
            return
        if len(self._sockets) == MOST_SOCKETS:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        self._another().sendto(packet, where)

    def close(self) -> None:
        """Close them all."""
        for sender in self._sockets:
            sender.close()

    def _another(self) -> socket.socket:
        sender = _opened(
            f"raw IPv{self._version} socket", FAMILY[self._version], socket.SOCK_RAW, socket.IPPROTO_RAW
        )
        self._sockets.append(sender)
        sender.setblocking(False)
        _enlarge(sender, SO_SNDBUFFORCE, socket.SO_SNDBUF, SEND_BUFFER)
        sender.setsockopt(*RECEIVE_ERRORS[self._version], 1)
        return sender


class Receivers:
    """Packet sockets of one IP version, which receive nothing until ``listen``.

    Raises:
        RefusedError: This process may not open them.
    """

    _KIND = socket.SOCK_DGRAM
    """Packets arrive from their IP header on."""

    def __init__(self, version: int) -> None:
        self._version = version
        self._lost = 0
        self._is_large = True
        self.sockets: list[socket.socket] = []
        self._another()

    def listen(self, ports: Sequence[int], answers: int) -> None:
        """Receive ICMP, and TCP to these ports, from now on, with room for so many answers at once."""
        room = self.sockets[0].getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // ANSWER_BYTES
        while not self._is_large and len(self.sockets) < min(MOST_SOCKETS, -(-answers // room)):
            self._another()
        for receiver in self.sockets:
            attach(receiver, self._program(ports))
            _bind(receiver, ETHERTYPE[self._version])
        if len(self.sockets) > 1:
            self._join()

    def receive(self, receiver: socket.socket) -> Iterator[Arrival]:
        """What is queued at one of them."""
        room = socket.CMSG_SPACE(16)
        for _ in range(RECEIVED_AT_ONCE):
            try:
                packet, ancillary, _, _ = receiver.recvmsg(LONGEST, room)
            except BlockingIOError:
                return
            yield packet, stamped(ancillary)

    def lost(self) -> int:
        """How many answers they had no room for: the kernel's own count, which it resets when it is read."""
        for receiver in self.sockets:
            self._lost += struct.unpack("II", receiver.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]
        return self._lost

    def close(self) -> None:
        """Close them all; see ``close_in_background``."""
        for receiver in self.sockets:
            receiver.close()

    def _program(self, ports: Sequence[int]) -> list[Instruction]:
        return answers_only(self._version, ports)

    def _another(self) -> None:
        receiver = _opened("packet socket", socket.AF_PACKET, self._KIND, 0)
        self.sockets.append(receiver)
        receiver.setblocking(False)
        self._is_large = _enlarge(receiver, SO_RCVBUFFORCE, socket.SO_RCVBUF, RECEIVE_BUFFER)
        receiver.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)

    def _join(self) -> None:
        """Make one group of them, in which each packet goes to one alone: to the next when one is full."""
        first, *others = self.sockets
        first.setsockopt(SOL_PACKET, PACKET_FANOUT, ROLLOVER | OF_A_NEW_GROUP)
        group = first.getsockopt(SOL_PACKET, PACKET_FANOUT) & 0xFFFF
        for receiver in others:
            receiver.setsockopt(SOL_PACKET, PACKET_FANOUT, ROLLOVER | group)


def stamped(ancillary: Sequence[tuple[int, int, bytes]]) -> int:
    """When the kernel received a packet: all that was asked for beside it; now, where it is not said."""
    for _, _, data in ancillary:
        if len(data) == _timespec.size:
            seconds, nanoseconds = _timespec.unpack(data)
            return int(seconds * 1_000_000_000 + nanoseconds)
    return time.time_ns()


def close_in_background(receivers: Sequence[Receivers]) -> None:
    """Close packet sockets: they receive nothing from then on, but it takes the kernel tens of milliseconds.

    It waits until no processor handles a packet for them any more (RCU), and nobody needs to wait with it.
    """

    def close() -> None:
        for each in receivers:
            each.close()

    if receivers:
        threading.Thread(target=close, name="closing packet sockets").start()


def _opened(what: str, family: int, kind: int, protocol: int) -> socket.socket:
    try:
        return socket.socket(family, kind, protocol)
    except OSError as error:
        raise RefusedError(refusal(what, error)) from error


def _bind(receiver: socket.socket, ethertype: int) -> None:
    """Receive the packets of one EtherType, on every interface; Python's own bind() wants a single one.

    So it sees each packet once, where the kernel's own IP sees it: not the outgoing ones, and not a second
    time on a bridge's or bond's member.
    """
    everywhere = struct.pack("=HHi12x", socket.AF_PACKET, socket.htons(ethertype), 0)
    if libc.bind(receiver.fileno(), everywhere, len(everywhere)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _enlarge(opened: socket.socket, forced: int, asked: int, size: int) -> bool:
    """Set a buffer beyond the system's limit; without CAP_NET_ADMIN up to it, and False is returned."""
    try:
        opened.setsockopt(socket.SOL_SOCKET, forced, size)
    except PermissionError:
        opened.setsockopt(socket.SOL_SOCKET, asked, size)
        return False
    return True
