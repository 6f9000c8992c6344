"""One HTTP exchange over a connection of its own, with a deadline for the whole and one for silence.

Certificates are not verified: a VIP is asked by its address, which no certificate names. The question here is
whether packets pass, not who answers, and nothing that comes back is trusted or kept.
"""

from __future__ import annotations

import errno
import fcntl
import http.client
import socket
import ssl
import struct
import termios
import time
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Literal, cast

from ferryman.traffic.timed_socket import TimedSocket

if TYPE_CHECKING:
    from ferryman.model import Address

CHUNK_BYTES = 16_384
LONGEST_BYTES = 20_000_000_000
"""Bytes of a body that are read: more than anybody sends to see whether packets pass."""
TRANSFER_AT_MOST = 60
"""A transfer may take so many times the time after which its silence is a stall: it must end some time."""
IPV6 = 6

Kind = Literal["small", "download", "upload"]

_PROBLEMS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
    (TimeoutError, "timed out"),
    (ConnectionRefusedError, "refused"),
    ((ConnectionResetError, BrokenPipeError), "reset"),
    (ssl.SSLError, "TLS failed"),
    (http.client.HTTPException, "no HTTP answer"),
)
"""RemoteDisconnected is both a reset and no HTTP answer: the first that fits names it."""
_TCP_INFO = struct.Struct("=8x92xI")
"""Eight bytes, 23 numbers, and then the one that is wanted."""
_UNREACHABLE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL)


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request to a VIP: where to, what for, and how long it may take."""

    vip: Address
    port: int
    tls: bool
    path: str
    kind: Kind = "small"
    upload_bytes: int = 0
    """The length in bytes of the body that an upload sends."""
    source: Address | None = None
    """The control host's address to send from; None leaves it to the routes."""
    timeout_s: float = 10.0
    """Seconds for a small request, and seconds without a byte after which a transfer has stalled."""


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one request: what went wrong, if anything, and how much was moved."""

    kind: Kind
    problem: str = ""
    """Why it was not answered, in two or three words; empty when it was."""
    status: int | None = None
    """The HTTP status of the answer."""
    moved_bytes: int = 0
    """Bytes of the body that were transferred: received, or acknowledged by the other side's kernel."""
    total_bytes: int | None = None
    """Bytes of the whole body; None when the answer did not say."""
    seconds: float = 0.0
    local: tuple[Address, int] | None = None
    """The address and port that it was sent from; None when it could not be sent at all."""
    connected: bool = True
    """Whether a TCP connection was established."""
    syns_again: int = 0
    """How many times the kernel sent its SYN again until it did."""


def exchange(request: Request) -> Result:
    """Ask once, over a new connection; what goes wrong is part of the result, nothing is raised."""
    began = time.monotonic()
    exchanging = _Exchange(request, began)
    problem = ""
    try:
        exchanging.run()
    except (OSError, http.client.HTTPException) as error:
        problem = problem_of(error)
    except (ValueError, LookupError, TypeError, AttributeError):  # the client's, at what is no HTTP at all
        problem = "no HTTP answer"
    finally:
        exchanging.close()
    return Result(
        request.kind,
        problem,
        exchanging.status,
        exchanging.moved_bytes,
        exchanging.total_bytes,
        time.monotonic() - began,
        exchanging.local,
        exchanging.connected,
        exchanging.syns_again,
    )


def problem_of(error: Exception) -> str:
    """The kind of an error in two or three words, for counting.

    >>> problem_of(ConnectionRefusedError())
    'refused'
    """
    for kinds, word in _PROBLEMS:
        if isinstance(error, kinds):
            return word
    if isinstance(error, OSError) and error.errno in _UNREACHABLE:
        return "unreachable"
    return str(error) or type(error).__name__


class _Exchange:
    """The state of one exchange; what was counted before an error is kept."""

    def __init__(self, request: Request, began: float) -> None:
        self.status: int | None = None
        self.moved_bytes = 0
        self.total_bytes = request.upload_bytes if request.kind == "upload" else None
        self.local: tuple[Address, int] | None = None
        self.connected = False
        self.syns_again = 0
        self._request = request
        self._began = began
        self._connection = http.client.HTTPConnection(str(request.vip), request.port)
        self._answer: http.client.HTTPResponse | None = None
        self._headers_until: float | None = None
        """When the headers of the answer must be there, while they are read."""

    def run(self) -> None:
        """Connect, send the request, and read the whole answer.

        Raises:
            OSError: The network failed, or the deadline has passed.
            http.client.HTTPException: What came back is not HTTP.
        """
        connected = self._connected()
        self._connection.sock = cast("socket.socket", TimedSocket(connected, self._left_s))
        if self._request.kind == "upload":
            try:
                self._upload()
            except (ConnectionResetError, BrokenPipeError):
                self._receive()  # an answer such as 413 may have come before the whole body was wanted
                return
        else:
            self._connection.request("GET", self._request.path)
        self._receive()

    def close(self) -> None:
        """Close the connection, and the answer that is read from it."""
        self._connection.close()
        if self._answer is not None:
            self._answer.close()

    def _connected(self) -> socket.socket:
        """A connection from an address and a port that are known before the first packet is sent."""
        vip, port = str(self._request.vip), self._request.port
        family = socket.AF_INET6 if self._request.vip.version == IPV6 else socket.AF_INET
        source = str(self._request.source) if self._request.source else _source_towards(vip, port, family)
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.bind((source, 0))
            self.local = (ip_address(source), sock.getsockname()[1])
            sock.settimeout(self._request.timeout_s)
            sock.connect((vip, port))
            self.connected = True
            self.syns_again = _sent_again(sock)
            return _unverified().wrap_socket(sock) if self._request.tls else sock
        except OSError:
            sock.close()
            raise

    def _upload(self) -> None:
        length = self._request.upload_bytes
        self._connection.putrequest("POST", self._request.path)
        self._connection.putheader("Content-Length", str(length))
        self._connection.putheader("Content-Type", "application/octet-stream")
        self._connection.endheaders()
        sent = 0
        try:
            while sent < length:
                self._set_deadline()
                piece = min(CHUNK_BYTES, length - sent)
                self._connection.send(bytes(piece))
                sent += piece
            self._await_acknowledged()
        finally:
            self.moved_bytes = max(0, sent - _unacknowledged(self._connection.sock))

    def _await_acknowledged(self) -> None:
        """Wait while what lies in the kernel is still going out; no progress for the timeout is a stall."""
        unsent, since = _unacknowledged(self._connection.sock), time.monotonic()
        while unsent:
            time.sleep(0.02)
            now = _unacknowledged(self._connection.sock)
            if now != unsent:
                unsent, since = now, time.monotonic()
            elif time.monotonic() - since > self._request.timeout_s:
                raise TimeoutError

    def _receive(self) -> None:
        self._set_deadline()
        self._headers_until = time.monotonic() + self._request.timeout_s
        answer = self._answer = self._connection.getresponse()
        self.status = answer.status
        self._headers_until = None
        counts = self._request.kind != "upload"
        if counts:
            self.total_bytes = answer.length
        read = 0
        while True:
            self._set_deadline()
            piece = answer.read1(CHUNK_BYTES)
            if not piece:
                break
            read += len(piece)
            self.moved_bytes += len(piece) if counts else 0
            if read > LONGEST_BYTES:
                raise http.client.HTTPException("a body without end")

    def _left_s(self) -> float:
        """Seconds that the next wait for bytes may take.

        Raises:
            TimeoutError: There are none left.
        """
        timeout_s, now = self._request.timeout_s, time.monotonic()
        whole_s = timeout_s if self._request.kind == "small" else timeout_s * TRANSFER_AT_MOST
        left_s = min(timeout_s, self._began + whole_s - now)
        if self._headers_until is not None:
            left_s = min(left_s, self._headers_until - now)
        if left_s <= 0:
            raise TimeoutError
        return left_s

    def _set_deadline(self) -> None:
        """Set the deadline of the next wait: of silence for a transfer, of the whole for a small request."""
        if self._connection.sock is not None:
            self._connection.sock.settimeout(self._left_s())


def _source_towards(vip: str, port: int, family: int) -> str:
    """This host's own address towards a VIP, as its routes choose it; nothing is sent for that."""
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.connect((vip, port))
        source: str = sock.getsockname()[0]
        return source


def _sent_again(sock: socket.socket) -> int:
    """Segments that the kernel sent again: SYNs, right after connect (``tcpi_total_retrans``, linux/tcp.h).

    A kernel that does not say so says nothing worse.
    """
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
    return int(_TCP_INFO.unpack(info)[0]) if len(info) == _TCP_INFO.size else 0


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _unacknowledged(sock: socket.socket | None) -> int:
    """Bytes in the socket's send queue: not sent, or sent and not acknowledged (SIOCOUTQ, tcp(7))."""
    if sock is None or sock.fileno() < 0:
        return 0
    answer: bytes = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4))
    return int(struct.unpack("i", answer)[0])
