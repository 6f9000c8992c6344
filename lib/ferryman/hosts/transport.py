"""A connection's transport from its making to its end: what paramiko leaves behind is ended here."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import paramiko

from ferryman.hosts.explanations import nothing_ran, why

if TYPE_CHECKING:
    from ferryman.hosts.hosts import HostAddress


def open_transport(where: HostAddress, connection: socket.socket) -> paramiko.Transport:
    """A transport over this connection, which is closed when there is none."""
    try:
        with nothing_ran(where.name, "connect"):
            return paramiko.Transport(connection)
    except BaseException:
        connection.close()
        raise


def hang_up(transport: paramiko.Transport) -> None:
    """Close a connection in whatever state it is, with its socket and threads."""
    with suppress(OSError):
        transport.sock.shutdown(socket.SHUT_RDWR)
    transport.close()
    transport.sock.close()
    if transport.is_alive():
        transport.join(timeout=1.0)
    transport.packetizer.complete_handshake()  # cancels the timer that a failed handshake leaves running


def loss(transport: paramiko.Transport, error: Exception | None) -> str | None:
    """Why the connection is no more; None while it stands."""
    if transport.is_active():
        return None
    seen = error or transport.get_exception()
    return why(seen) if seen else "the host closed it"
