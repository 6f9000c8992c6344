"""A connection's transport from its making to its end: what paramiko leaves behind is ended here."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from ferryman.hosts.certificates import SUFFIX
from ferryman.hosts.explanations import nothing_ran, why
from ferryman.hosts.ssh_library import paramiko

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferryman.hosts.hop import Hop

Wire = socket.socket | paramiko.Channel
"""What a transport runs over: TCP from here, or a channel through a jump host."""
ALGORITHMS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
"""Host key algorithms, as paramiko prefers them."""


class Transport(paramiko.Transport):
    """paramiko's, with two things mended.

    It asks for host keys in a given order, and for certificates only where somebody trusts an authority
    (paramiko asks for them always, and last). And it keeps why each channel was refused: paramiko has one
    place for all errors, so that of several channels that are opened at once one may get another's.
    """

    def __init__(self, wire: Wire, hop: Hop, host_keys: Sequence[str]) -> None:
        """``host_keys`` are the algorithms that are asked for, the wanted one first."""
        super().__init__(wire)
        self.wire = wire
        self.hop = hop
        self._host_keys = tuple(host_keys)
        self._refusals: dict[int, str] = {}
        self._mine = threading.local()

    @property
    def preferred_keys(self) -> tuple[str, ...]:
        """The host key algorithms that are asked for."""
        return self._host_keys

    def refusal(self) -> str | None:
        """Why the channel that this thread opened last was refused; None when it was not."""
        return self._refusals.pop(getattr(self._mine, "channel", -1), None)

    def _next_channel(self) -> int:
        self._mine.channel = int(super()._next_channel())  # type: ignore[misc]
        return int(self._mine.channel)

    def _parse_channel_open_failure(self, message: paramiko.Message) -> None:
        number, _, text = message.get_int(), message.get_int(), message.get_text()
        self._refusals[number] = text
        message.rewind()
        super()._parse_channel_open_failure(message)  # type: ignore[misc]


def host_key_order(known: frozenset[str], *, certificates: bool) -> tuple[str, ...]:
    """The host key algorithms to ask for: certificates where they are trusted, then those that are known."""
    plain = sorted(ALGORITHMS, key=lambda algorithm: algorithm not in known)
    return (*(f"{each}{SUFFIX}" for each in ALGORITHMS if certificates), *plain)


def open_transport(hop: Hop, wire: Wire, host_keys: Sequence[str]) -> Transport:
    """A transport over this connection, which is closed when there is none."""
    try:
        with nothing_ran(hop.name, "connect"):
            return Transport(wire, hop, host_keys)
    except BaseException:
        wire.close()
        raise


def cut(wire: Wire) -> None:
    """End whatever waits on a connection; twice is harmless."""
    if isinstance(wire, paramiko.Channel):
        with suppress(Exception):  # it ends its own waits first, then tells the jump host, which may be gone
            wire.close()
        return
    with suppress(OSError):
        wire.shutdown(socket.SHUT_RDWR)


def hang_up(transport: Transport) -> None:
    """Close a connection in whatever state it is, with its socket and threads."""
    cut(transport.wire)
    transport.close()
    with suppress(Exception):
        transport.wire.close()
    if transport.is_alive():
        transport.join(timeout=1.0)
    transport.packetizer.complete_handshake()  # cancels the timer that a failed handshake leaves running


def loss(transport: paramiko.Transport, error: Exception | None) -> str | None:
    """Why the connection is no more; None while it stands."""
    if transport.is_active():
        return None
    if (jump := _lost_jump(transport)) is not None:
        return f"jump host {jump.hop.name}: {loss(jump, None)}"
    seen = error or transport.get_exception()
    return why(seen) if seen else "the host closed it"


def _lost_jump(transport: paramiko.Transport) -> Transport | None:
    """The jump host whose connection is no more, and this one with it."""
    if not isinstance(transport, Transport) or not isinstance(transport.wire, paramiko.Channel):
        return None
    through = transport.wire.get_transport()
    return through if isinstance(through, Transport) and not through.is_active() else None
