"""Jump hosts: one connection to each, over which many hosts are reached (direct-tcpip, RFC 4254, 7.2).

Whoever needs a jump host first connects to it, and the others wait for that, each until its own deadline. A
connection that turns out dead is opened anew, once: nothing was sent through it yet.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ferryman.errors import UnreachableError
from ferryman.hosts.explanations import nothing_ran, why
from ferryman.hosts.ssh_library import paramiko
from ferryman.hosts.transport import Transport, cut, hang_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ferryman.hosts.connect import Deadline
    from ferryman.hosts.hop import Hop

FROM = ("127.0.0.1", 0)
"""Who is said to want the connection: sshd logs it, and does nothing else with it."""
ANSWER_SHARE = 3
"""Of the time that is left, a kept connection has this part to show that somebody is at its other end."""


class JumpHosts:
    """The connections to jump hosts, shared by all hosts behind them."""

    def __init__(self, log_in: Callable[[Hop, Deadline], Transport]) -> None:
        self._log_in = log_in
        self._kept: dict[Hop, _JumpHost] = {}
        self._lock = threading.Lock()

    def connect(self, via: Hop, hop: Hop, deadline: Deadline) -> paramiko.Channel:
        """A TCP connection to a host, made by its jump host.

        Raises:
            UnreachableError: It did not come about; says at which host.
        """
        with self._lock:
            jump_host = self._kept.setdefault(via, _JumpHost(via, self._log_in))
        with nothing_ran(hop.name, "connect"):
            return jump_host.connect(hop, deadline)

    def close(self) -> None:
        """Close all connections, and with them those through them; twice is harmless."""
        with self._lock:
            kept = list(self._kept.values())
        for jump_host in kept:
            jump_host.start_closing()
        for jump_host in kept:
            jump_host.close()


class _GoneError(Exception):
    """The connection to the jump host is no more."""


class _JumpHost:
    def __init__(self, hop: Hop, log_in: Callable[[Hop, Deadline], Transport]) -> None:
        self._hop = hop
        self._log_in = log_in
        self._lock = threading.Lock()
        self._transport: Transport | None = None
        self._silent: list[Transport] = []
        """Connections without an answer; commands may still run over them, so they are left alone."""

    def connect(self, to: Hop, deadline: Deadline) -> paramiko.Channel:
        for last in (False, True):
            transport = self._connected(to, deadline)
            try:
                return _opened(transport, to, deadline)
            except _GoneError as error:
                if last:
                    raise UnreachableError(
                        f"{to.name}: connect: the connection to its jump host {self._hop.name} was lost "
                        f"twice: {error}; nothing ran there"
                    ) from error
        raise AssertionError  # the second time returns or raises

    def start_closing(self) -> None:
        if self._transport is not None:
            cut(self._transport.wire)

    def close(self) -> None:
        with self._lock:
            for transport in (*self._silent, self._transport):
                if transport is not None:
                    hang_up(transport)
            self._transport = None
            self._silent.clear()

    def _connected(self, to: Hop, deadline: Deadline) -> Transport:
        """The connection that is kept, if somebody answers on it; else a new one."""
        with self._locked(to, deadline):
            if self._transport is not None:
                if _answers(self._transport, deadline.left() / ANSWER_SHARE):
                    return self._transport
                self._put_away(self._transport)
                self._transport = None
            try:
                self._transport = self._log_in(self._hop, deadline)
            except UnreachableError as error:
                raise UnreachableError(f"{to.name}: jump host {error}") from error
            return self._transport

    @contextmanager
    def _locked(self, to: Hop, deadline: Deadline) -> Iterator[None]:
        if not self._lock.acquire(timeout=deadline.left()):
            raise UnreachableError(
                f"{to.name}: jump host {self._hop.name}: connect: no connection within "
                f"{deadline.seconds:g} s; nothing ran there"
            )
        try:
            yield
        finally:
            self._lock.release()

    def _put_away(self, transport: Transport) -> None:
        if transport.is_active():
            self._silent.append(transport)
        else:
            hang_up(transport)


def _answers(transport: Transport, seconds: float) -> bool:
    """Whether the other end answers: it is asked for a session, and a refusal is an answer too."""
    try:
        transport.open_session(timeout=seconds).close()
    except (paramiko.SSHException, EOFError, OSError):
        return transport.is_active() and transport.refusal() is not None
    return True


def _opened(transport: Transport, to: Hop, deadline: Deadline) -> paramiko.Channel:
    try:
        return transport.open_channel("direct-tcpip", (to.target, to.port), FROM, timeout=deadline.left())
    except (paramiko.SSHException, EOFError, OSError) as error:
        refusal = transport.refusal()
        if refusal is None and not transport.is_active():
            raise _GoneError(why(error)) from error
        reason = (
            f"no answer within {deadline.seconds:g} s"
            if refusal is None
            else " ".join(refusal.split()) or "refused"
        )
        hint = ""
        if isinstance(error, paramiko.ChannelException) and error.code == 1:  # administratively prohibited
            hint = "; see AllowTcpForwarding and PermitOpen of its sshd"
        raise UnreachableError(
            f"{to.name}: connect: {to.target} port {to.port}, from jump host {transport.hop.name}: "
            f"{reason}{hint}; nothing ran there"
        ) from error
