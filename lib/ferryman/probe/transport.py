"""Raw sockets: the prober's only way to the network.

Packets leave by raw IP sockets, with a source address that need not be ours. Answers are read by packet
sockets, ahead of this host's own firewall; a filter in the kernel lets nothing but answers through.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import secrets
import select
import socket
import struct
import threading
import time
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from ferryman.errors import RefusedError
from ferryman.probe.capability import refusal
from ferryman.probe.filters import answers_only, attach

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ferryman.model import Address

RECEIVE_BUFFER = 8 * 2**20
"""Bytes. With the kernel's default, answers to a few hundred SYNs at once overflow it."""

SEND_BUFFER = 8 * 2**20
"""Bytes. Packets to hosts that do not answer ARP stay in it for seconds, and must not hold up the others."""

LONGEST = 2048
"""Bytes read of a packet at most."""

RECEIVED_AT_ONCE = 512
"""Packets read at most before anything else is done."""

LOWEST_PORT = 10_000
"""The lowest port that is reserved: services listen below it."""
ANY_PORT = 0
"""Bound to this port, the kernel chooses one."""

DISCARD_PORT = 9
"""Any port will do to ask the kernel for a route: nothing is sent."""

UNSPECIFIED = bytes(16)
"""A socket address of the family AF_UNSPEC."""

FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
ETHERTYPE = {4: 0x0800, 6: 0x86DD}
RECEIVE_ERRORS = {4: (socket.IPPROTO_IP, 11), 6: (socket.IPPROTO_IPV6, 25)}
"""IP_RECVERR and IPV6_RECVERR: without them a full interface queue loses packets and reports none."""

SO_RCVBUFFORCE, SO_SNDBUFFORCE, SO_TIMESTAMPNS = 33, 32, 35
SOL_PACKET, PACKET_STATISTICS = 263, 6

_libc = ctypes.CDLL(None, use_errno=True)
_timespec = struct.Struct("qq")


TIMER_SLACK_S = 50e-6
"""By how much the kernel may wake a sleeper late (prctl(2), PR_SET_TIMERSLACK)."""

Arrival = tuple[bytes, int]
"""A packet from its IP header on, and when the kernel received it, in nanoseconds since the epoch."""


class Transport(Protocol):
    """What a prober needs of the network: the raw sockets, or a simulation of them."""

    def source_towards(self, address: str) -> Address:
        """The own address that packets to this one leave with; raises OSError when there is no route."""

    def reserve(self, source: Address, count: int) -> list[int]:
        """TCP ports of an own address that nobody else gets until the transport is closed."""

    def listen(self, ports: Iterable[int]) -> None:
        """Keep what arrives for these TCP ports, and ICMP, from now on."""

    def send(self, packet: bytes | bytearray, destination: str) -> None:
        """Send a packet with its IP header to an address; raises OSError, ENOBUFS when the queue is full."""

    def receive(self, within_s: float) -> Sequence[Arrival]:
        """What has arrived; waits for the first packet, but not longer than this."""

    def lost(self) -> int:
        """How many answers the receive buffer had no room for."""

    def monotonic(self) -> float:
        """The time in seconds of a clock that never goes back."""

    def now_ns(self) -> int:
        """Nanoseconds since the epoch, of the clock that stamps arrivals."""

    def close(self) -> None:
        """Close all sockets, and release the reserved ports."""


def own_source(address: Address) -> Address:
    """The own address that packets to this one leave with; nothing is sent to find out.

    Raises:
        OSError: There is no route.
    """
    with contextlib.closing(_Routes()) as routes:
        return routes.source_towards(str(address))


def require_raw_sockets() -> None:
    """Return when probes can be sent from here.

    Raises:
        RefusedError: This process may not open raw sockets.
    """
    RawTransport({4}).close()


class RawTransport:
    """Raw sockets of this host.

    Raises:
        RefusedError: This process may not open raw sockets.
    """

    def __init__(self, versions: Iterable[int]) -> None:
        self._open = contextlib.ExitStack()
        self._versions = sorted(versions)
        try:
            self._senders = {version: self._entered(_sender(version)) for version in self._versions}
            self._receivers = {version: _receiver() for version in self._versions}
        except BaseException:
            self._open.close()
            raise
        self._open.callback(_close_in_background, list(self._receivers.values()))
        self._routes = self._open.enter_context(contextlib.closing(_Routes()))
        self._lost = 0

    def source_towards(self, address: str) -> Address:
        """Ask the kernel's routing table; nothing is sent."""
        return self._routes.source_towards(address)

    def reserve(self, source: Address, count: int) -> list[int]:
        """Bind TCP sockets to free ports, neighbours where that can be, and keep them.

        None is of the range that the kernel gives to clients: a realserver remembers a connection for a
        minute after its client has forgotten it (TIME_WAIT), and answers a SYN on it with a bare ACK.

        What is bound here no connection uses, and the kernel neither binds nor connects another socket to it.
        It answers SYN/ACKs to it with a RST, for nobody listens there.

        Raises:
            RefusedError: There is no port or no file descriptor left, or the address is not usable.
        """
        ports: list[int] = []
        candidates = _never_ephemeral(count)
        try:
            while len(ports) < count:
                port = self._reserved(source, next(candidates, ANY_PORT))
                ports += [port] if port is not None else []
        except OSError as error:
            raise RefusedError(
                f"cannot probe: no TCP port to be had on {source}: {error.strerror}"
            ) from error
        return ports

    def _reserved(self, source: Address, port: int) -> int | None:
        """The port, or whichever there is for ``ANY_PORT``; None when somebody else has it."""
        reservation = self._entered(socket.socket(FAMILY[source.version], socket.SOCK_STREAM))
        try:
            reservation.bind((str(source), port))
        except OSError as error:
            if port == ANY_PORT or error.errno != errno.EADDRINUSE:
                raise
            return None
        bound: int = reservation.getsockname()[1]
        return bound

    def listen(self, ports: Iterable[int]) -> None:
        """Attach the filters for these ports and begin to receive; nothing may be sent before."""
        wanted = tuple(ports)
        for version, receiver in self._receivers.items():
            attach(receiver, answers_only(version, wanted))
            _bind(receiver, ETHERTYPE[version])

    def send(self, packet: bytes | bytearray, destination: str) -> None:
        """Hand a packet with its own IP header to the kernel, which routes it by the destination."""
        self._senders[packet[0] >> 4].sendto(packet, (destination, 0))

    def receive(self, within_s: float) -> Sequence[Arrival]:
        """Everything that is there, after waiting for the first; a wait too short to be one is none."""
        timeout_s = within_s if within_s > TIMER_SLACK_S else 0.0
        ready, _, _ = select.select(list(self._receivers.values()), [], [], timeout_s)
        return [arrival for receiver in ready for arrival in _queued(receiver)]

    def lost(self) -> int:
        """The kernel's own count; reading it resets it, so it is added up here."""
        for receiver in self._receivers.values():
            statistics = receiver.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8)
            self._lost += struct.unpack("II", statistics)[1]
        return self._lost

    def monotonic(self) -> float:
        """The seconds of the machine's monotonic clock."""
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


class _Routes:
    """The kernel's routing table, asked through UDP sockets that are connected and send nothing."""

    def __init__(self) -> None:
        self._sockets: dict[int, socket.socket] = {}
        self._addresses: dict[str, Address] = {}

    def source_towards(self, address: str) -> Address:
        """The own address that packets to this one leave with; raises OSError when there is no route."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        opened = self._sockets.get(family)
        if opened is None:
            opened = self._sockets[family] = socket.socket(family, socket.SOCK_DGRAM)
        else:
            # Connected to no family it forgets the source that it chose; Python has no word for that.
            _libc.connect(opened.fileno(), UNSPECIFIED, len(UNSPECIFIED))
        opened.connect((address, DISCARD_PORT))
        own = opened.getsockname()[0]
        if own not in self._addresses:
            self._addresses[own] = ip_address(own)
        return self._addresses[own]

    def close(self) -> None:
        """Close the UDP sockets; nothing can be asked after."""
        for opened in self._sockets.values():
            opened.close()


def _never_ephemeral(count: int) -> Iterator[int]:
    """Ports below those of ip_local_port_range, from somewhere on; none where there is no room."""
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    room = low - LOWEST_PORT - 2 * count
    if room <= 0:
        return iter(())
    first = LOWEST_PORT + secrets.randbelow(room)
    return iter(range(first, first + 2 * count))


def _opened(what: str, family: int, kind: int, protocol: int) -> socket.socket:
    try:
        return socket.socket(family, kind, protocol)
    except OSError as error:
        raise RefusedError(refusal(what, error)) from error


def _sender(version: int) -> socket.socket:
    """A socket for packets that bring their own IP header; it receives nothing."""
    sender = _opened(f"raw IPv{version} socket", FAMILY[version], socket.SOCK_RAW, socket.IPPROTO_RAW)
    sender.setblocking(False)
    _enlarge(sender, SO_SNDBUFFORCE, socket.SO_SNDBUF, SEND_BUFFER)
    sender.setsockopt(*RECEIVE_ERRORS[version], 1)
    return sender


def _receiver() -> socket.socket:
    """A packet socket that receives nothing yet."""
    receiver = _opened("packet socket", socket.AF_PACKET, socket.SOCK_DGRAM, 0)
    receiver.setblocking(False)
    _enlarge(receiver, SO_RCVBUFFORCE, socket.SO_RCVBUF, RECEIVE_BUFFER)
    receiver.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    return receiver


def _bind(receiver: socket.socket, ethertype: int) -> None:
    """Receive the packets of one EtherType, on every interface; Python's own bind() wants a single one.

    So it sees each packet once, where the kernel's own IP sees it: not the outgoing ones, and not a second
    time on a bridge's or bond's member.
    """
    everywhere = struct.pack("=HHi12x", socket.AF_PACKET, socket.htons(ethertype), 0)
    if _libc.bind(receiver.fileno(), everywhere, len(everywhere)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _close_in_background(receivers: list[socket.socket]) -> None:
    """Close packet sockets: they receive nothing from then on, but it takes the kernel tens of milliseconds.

    It waits until no processor handles a packet for them any more (RCU), and nobody needs to wait with it.
    """

    def close() -> None:
        for receiver in receivers:
            receiver.close()

    threading.Thread(target=close, name="closing packet sockets").start()


def _enlarge(opened: socket.socket, forced: int, asked: int, size: int) -> None:
    """Set a buffer beyond the system's limit; without CAP_NET_ADMIN, up to it."""
    try:
        opened.setsockopt(socket.SOL_SOCKET, forced, size)
    except PermissionError:
        opened.setsockopt(socket.SOL_SOCKET, asked, size)


def _queued(receiver: socket.socket) -> Iterator[Arrival]:
    room = socket.CMSG_SPACE(16)
    for _ in range(RECEIVED_AT_ONCE):
        try:
            packet, ancillary, _, _ = receiver.recvmsg(LONGEST, room)
        except BlockingIOError:
            return
        # The time stamp is all that was asked for beside the packet.
        seconds, nanoseconds = _timespec.unpack(ancillary[0][2])
        yield packet, seconds * 1_000_000_000 + nanoseconds
