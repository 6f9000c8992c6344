"""The connections that a director forwards: which of those from before a flip are still there.

Read from ``/proc/net/ip_vs_conn`` (``ip_vs_conn_seq_show`` of ``ip_vs_conn.c``; ``ipvsadm -Lnc`` reads the
same file), filtered by VIP and port on the director, so that only this service's lines travel: about 80
bytes for each connection. The kernel walks its whole connection table for it; with a million entries that
takes around a second, so look every few seconds, not more often.

Neither the file nor netlink says how a connection is forwarded. What tells the old ones is a snapshot, taken
right *after* the edit: what came in between counts as old, which errs on the safe side.

A connection that its client has ended stays for two minutes (FIN_WAIT is the last state that a director sees
of it), and it can come back: a new connection from the same client port is forwarded as the old one was,
unless ``net.ipv4.vs.conn_reuse_mode`` has bit 2 (ipvs-sysctl; seen on kernel 6.1: with 1 the new connection
of a reused port took the old way, with 3 the new one). So where that bit is not set, only
``old_left(…, closing=True)`` being 0 says that everything goes the new way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from ferryman.errors import VerifyError
from ferryman.model import Address, host_port

if TYPE_CHECKING:
    from collections.abc import Collection

    from ferryman.ipvs.table import Key

_ANEW_AFTER_FIN_WAIT = 2
"""The bit with which a new connection in place of one in FIN_WAIT is scheduled anew (ipvs-sysctl)."""
_HANDSHAKE = "SYN_RECV"
HANDSHAKE_S = 3.0
"""A client sends its SYN again after one second and after two more (RFC 6298): by then it is through, or the
realserver does not answer. A director keeps such an entry for a minute (``ip_vs_proto_tcp.c``)."""
_CLOSING = ("FIN_WAIT", "TIME_WAIT", "CLOSE", "CLOSE_WAIT", "LAST_ACK")
_COLUMNS = 8


@dataclass(frozen=True, slots=True, order=False)
class Connection:
    """One entry of a director's connection table; its state is not part of which one it is."""

    protocol: str
    client: Address
    client_port: int
    vip: Address
    port: int
    destination: Address
    destination_port: int
    state: str = field(default="", compare=False)

    def __str__(self) -> str:
        ends = (
            (self.client, self.client_port),
            (self.vip, self.port),
            (self.destination, self.destination_port),
        )
        return f"{self.protocol} {' -> '.join(host_port(*end) for end in ends)}"

    @property
    def closing(self) -> bool:
        """Whether its client has ended it: the entry lingers, and may come back if the port is used again."""
        return self.state in _CLOSING


def reused_anew(mode: int | None) -> bool:
    """Whether ``net.ipv4.vs.conn_reuse_mode`` lets no connection that is over come back in its old way."""
    return mode is not None and bool(mode & _ANEW_AFTER_FIN_WAIT)


def kernels_key(virtual: Key) -> str:
    """The protocol, VIP and port of a virtual service as the kernel's lines have them."""
    protocol, vip, port = virtual
    return f"{protocol.upper()} {_hex(vip)} {port:04X}"


def connections(text: str, host: str = "ip_vs_conn") -> list[Connection]:
    """The connections from lines of ``/proc/net/ip_vs_conn``; a header is passed over.

    Raises:
        VerifyError: A line is not understood.
    """
    lines = [line.split() for line in text.splitlines()]
    return [_connection(words, host) for words in lines if words and words[0] != "Pro"]


def still_open(
    then: Collection[Connection], now: Collection[Connection], *, closing: bool = False
) -> frozenset[Connection]:
    """Those of then that are open now, in the state of now; with ``closing``, also those that only linger.

    Whoever looks again and again must go on with these: a client uses its ports again, so that a connection
    which is over would come back as old.
    """
    known, over = set(then), () if closing else _CLOSING
    return frozenset(connection for connection in now if connection in known and connection.state not in over)


def old_left(
    then: Collection[Connection],
    now: Collection[Connection],
    *,
    closing: bool = False,
    shaking_hands: bool = True,
) -> int:
    """How many of the connections of then are still open.

    With ``closing``, also those that only linger; without ``shaking_hands``, none whose realserver has not
    answered its SYN: so for whoever looks ``HANDSHAKE_S`` later.
    """
    left = still_open(then, now, closing=closing)
    return sum(1 for connection in left if shaking_hands or connection.state != _HANDSHAKE)


def _hex(address: Address) -> str:
    return f"{int(address):08X}" if isinstance(address, IPv4Address) else address.exploded


def _connection(words: list[str], host: str) -> Connection:
    try:
        protocol, client, client_port, vip, port, destination, destination_port, state = words[:_COLUMNS]
        return Connection(
            protocol,
            _address(client),
            int(client_port, 16),
            _address(vip),
            int(port, 16),
            _address(destination),
            int(destination_port, 16),
            state,
        )
    except ValueError as error:
        raise VerifyError(
            f"{host}: /proc/net/ip_vs_conn: {' '.join(words)!r} is not understood, expected protocol, client,"
            " VIP, destination (addresses and ports in hexadecimal) and state"
        ) from error


def _address(text: str) -> Address:
    return IPv6Address(text.strip("[]")) if ":" in text else IPv4Address(int(text, 16))
