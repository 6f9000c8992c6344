"""Raw sockets: the prober's only way to the network.

Packets leave by raw IP sockets, with a source address that need not be ours. Answers are read by packet
sockets, ahead of this host's own firewall; a filter in the kernel lets nothing but answers through.
"""

from __future__ import annotations

import contextlib
import errno
import secrets
import select
import socket
import time
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from ferryman.errors import RefusedError
from ferryman.probe.sockets import FAMILY, Receivers, Senders, close_in_background, libc

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ferryman.model import Address
    from ferryman.probe.sockets import Arrival

LOWEST_PORT = 10_000
"""The lowest port that is reserved: services listen below it."""
ANY_PORT = 0
"""Bound to this port, the kernel chooses one."""

DISCARD_PORT = 9
"""Any port will do to ask the kernel for a route: nothing is sent."""

MTU_OF_ROUTE = {4: (socket.IPPROTO_IP, 14), 6: (socket.IPPROTO_IPV6, 24)}
"""IP_MTU and IPV6_MTU of a connected socket."""

UNSPECIFIED = bytes(16)
"""A socket address of the family AF_UNSPEC."""

TIMER_SLACK_S = 50e-6
"""By how much the kernel may wake a sleeper late (prctl(2), PR_SET_TIMERSLACK)."""


class Transport(Protocol):
    """What a prober needs of the network: the raw sockets, or a simulation of them."""

    def source_towards(self, address: str) -> Address:
        """The own address that packets to this one leave with; raises OSError when there is no route."""

    def reserve(self, source: Address, count: int) -> list[int]:
        """TCP ports of an own address that nobody else gets until the transport is closed."""

    def listen(self, ports: Iterable[int], answers: int) -> None:
        """Keep what arrives for these TCP ports, and ICMP, from now on; so many answers may come at once."""

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


def route_mtu_towards(address: str) -> int:
    """The largest packet in bytes that the kernel's route takes, a path MTU that it has learned included.

    Nothing is sent to find out.

    Raises:
        OSError: There is no route.
    """
    version = 6 if ":" in address else 4
    with socket.socket(FAMILY[version], socket.SOCK_DGRAM) as asking:
        asking.connect((address, DISCARD_PORT))
        return asking.getsockopt(*MTU_OF_ROUTE[version])


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

    _SENDERS: type[Senders] = Senders
    _RECEIVERS: type[Receivers] = Receivers

    def __init__(self, versions: Iterable[int]) -> None:
        self._open = contextlib.ExitStack()
        self._senders: dict[int, Senders] = {}
        self._receivers: list[Receivers] = []
        self._open.callback(close_in_background, self._receivers)
        try:
            for version in sorted(versions):
                self._senders[version] = self._open.enter_context(contextlib.closing(self._SENDERS(version)))
                self._receivers.append(self._RECEIVERS(version))
        except BaseException:
            self.close()
            raise
        self._routes = self._open.enter_context(contextlib.closing(_Routes()))

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
            self._hold(reservation)
        except OSError as error:
            if port == ANY_PORT or error.errno != errno.EADDRINUSE:
                raise
            return None
        bound: int = reservation.getsockname()[1]
        return bound

    def _hold(self, reservation: socket.socket) -> None:
        """Do whatever else a reserved port needs beside being bound: nothing, for a SYN."""

    def listen(self, ports: Iterable[int], answers: int) -> None:
        """Attach the filters for these ports and begin to receive; nothing may be sent before."""
        wanted = tuple(ports)
        for receivers in self._receivers:
            receivers.listen(wanted, answers)
        self._by_socket = {opened: receivers for receivers in self._receivers for opened in receivers.sockets}

    def send(self, packet: bytes | bytearray, destination: str) -> None:
        """Hand a packet with its own IP header to the kernel, which routes it by the destination."""
        self._senders[packet[0] >> 4].send(packet, destination)

    def receive(self, within_s: float) -> Sequence[Arrival]:
        """Everything that is there, after waiting for the first; a wait too short to be one is none."""
        return [
            arrival for receivers, opened in self._ready(within_s) for arrival in receivers.receive(opened)
        ]

    def _ready(self, within_s: float) -> list[tuple[Receivers, socket.socket]]:
        """The sockets at which something has arrived, after waiting for the first."""
        timeout_s = within_s if within_s > TIMER_SLACK_S else 0.0
        ready, _, _ = select.select(self._by_socket, [], [], timeout_s)
        return [(self._by_socket[opened], opened) for opened in ready]

    def lost(self) -> int:
        """As the kernel counts them."""
        return sum(receivers.lost() for receivers in self._receivers)

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
            libc.connect(opened.fileno(), UNSPECIFIED, len(UNSPECIFIED))
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
