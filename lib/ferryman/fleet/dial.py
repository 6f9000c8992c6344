"""TCP to a host before a deadline: name resolution too, which by itself knows no deadline."""

from __future__ import annotations

import ipaddress
import queue
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

from ferryman.errors import UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ferryman.fleet.hosts import HostAddress

T = TypeVar("T")

UNACKNOWLEDGED_S = 30
"""Seconds after which the kernel gives up a connection whose peer acknowledges nothing (tcp(7))."""


class Deadline:
    """A point in time that several waits share."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._clock = clock
        self._end = clock() + seconds

    def left(self) -> float:
        """Seconds until it; 0 when it has passed."""
        return max(0.0, self._end - self._clock())


def within(deadline: Deadline, action: Callable[[], T]) -> T:
    """Do something that has no deadline of its own; it is left to itself when the time is up.

    Raises:
        TimeoutError: The time is up. Whatever ``action`` raises goes straight through.
    """
    answers: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

    def act() -> None:
        try:
            answers.put((action(), None))
        except BaseException as error:  # noqa: BLE001  # handed to the caller, who waits for it
            answers.put((None, error))

    threading.Thread(target=act, daemon=True, name="ferryman-within").start()
    try:
        value, error = answers.get(timeout=deadline.left())
    except queue.Empty:
        raise TimeoutError(f"no answer within {deadline.seconds:g} s") from None
    if error is not None:
        raise error
    return value  # type: ignore[return-value]  # None only when the action returned None


def dial(where: HostAddress, deadline: Deadline) -> socket.socket:
    """A TCP connection to the host, to the first of its addresses that takes it.

    Raises:
        UnreachableError: None did; the message names the phase, resolve or connect, and each address tried.
    """
    targets = _resolve(where, deadline)
    failures = []
    for tried, (family, sockaddr) in enumerate(targets):
        share = deadline.left() / (len(targets) - tried)
        try:
            return _connect(family, sockaddr, share)
        except OSError as error:
            failures.append(f"{sockaddr[0]} port {sockaddr[1]}: {_reason(error, share)}")
    raise UnreachableError(f"{where.name}: connect: {'; '.join(failures)}; nothing ran there")


def _resolve(where: HostAddress, deadline: Deadline) -> list[tuple[int, Any]]:
    def ask() -> list[tuple[int, Any]]:
        found = socket.getaddrinfo(where.target, where.port, type=socket.SOCK_STREAM)
        return [(family, sockaddr) for family, _, _, _, sockaddr in found]

    try:
        return ask() if _is_literal(where.target) else within(deadline, ask)
    except (OSError, UnicodeError) as error:
        raise UnreachableError(
            f"{where.name}: resolve: {where.target}: {_reason(error, deadline.seconds)}; "
            "give the host an address in hosts.yaml, or mend DNS; nothing ran there"
        ) from error


def _is_literal(target: str) -> bool:
    try:
        ipaddress.ip_address(target)
    except ValueError:
        return False
    return True


def _connect(family: int, sockaddr: Any, seconds: float) -> socket.socket:  # noqa: ANN401  # as getaddrinfo has it
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.settimeout(max(seconds, 0.001))
        connection.connect(sockaddr)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_S * 1000)
    except BaseException:
        connection.close()
        raise
    return connection


def _reason(error: Exception, seconds: float) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {seconds:.1f} s"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
