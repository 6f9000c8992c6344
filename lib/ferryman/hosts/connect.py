"""TCP to a host before a deadline: name resolution too, which by itself knows no deadline; and timeouts."""

from __future__ import annotations

import ipaddress
import queue
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from ferryman.errors import UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ferryman.hosts.hop import Hop

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
        """The seconds that are left until it; 0 when it has passed."""
        return max(0.0, self._end - self._clock())


class Timeouts:
    """Runs an action when its time is up, for any number of waits: one thread looks after all of them.

    A ``threading.Timer`` for each command would cost more than reading what the command says.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._pending: dict[object, tuple[float, Callable[[], object]]] = {}
        self._thread: threading.Thread | None = None
        self._running: list[threading.Thread] = []

    @contextmanager
    def after(self, seconds: float, action: Callable[[], object]) -> Iterator[None]:
        """Do it when the body has not ended by then; in a thread of its own, for it may take its time."""
        key, due = object(), time.monotonic() + seconds
        with self._changed:
            if all(due < other for other, _ in self._pending.values()):
                self._changed.notify()
            self._pending[key] = due, action
            self._ensure_thread()
        try:
            yield
        finally:
            with self._changed:
                self._pending.pop(key, None)

    def close(self) -> None:
        """End the thread, and wait a second for actions that still run; the next ``after`` starts another."""
        with self._changed:
            thread, self._thread = self._thread, None
            self._changed.notify()
        if thread is not None:
            thread.join()
        end = Deadline(1.0)
        for thread in self._running:
            thread.join(end.left())

    def _ensure_thread(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True, name="ferryman-timeouts")
            self._thread.start()

    def _run(self) -> None:
        with self._changed:
            while self._thread is threading.current_thread():
                self._run_due()
                first = min((due for due, _ in self._pending.values()), default=None)
                self._changed.wait(None if first is None else max(0.0, first - time.monotonic()))

    def _run_due(self) -> None:
        now = time.monotonic()
        self._running = [thread for thread in self._running if thread.is_alive()]
        for key, (due, action) in list(self._pending.items()):
            if due <= now:
                del self._pending[key]
                self._running.append(threading.Thread(target=action, daemon=True, name="ferryman-timeout"))
                self._running[-1].start()


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


def connect(where: Hop, deadline: Deadline) -> socket.socket:
    """A TCP connection to the host, to the first of its addresses that takes it.

    Raises:
        UnreachableError: None did; the message names the phase, resolve or connect, and each address tried.
    """
    targets = _resolve(where, deadline)
    failures = []
    for tried, (family, sockaddr) in enumerate(targets):
        share = deadline.left() / (len(targets) - tried)
        try:
            return _connected(family, sockaddr, share)
        except OSError as error:
            failures.append(f"{sockaddr[0]} port {sockaddr[1]}: {_reason(error, share)}")
    raise UnreachableError(f"{where.name}: connect: {'; '.join(failures)}; nothing ran there")


def _resolve(where: Hop, deadline: Deadline) -> list[tuple[int, Any]]:
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


def _connected(family: int, sockaddr: Any, seconds: float) -> socket.socket:  # noqa: ANN401  # as getaddrinfo has it
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
