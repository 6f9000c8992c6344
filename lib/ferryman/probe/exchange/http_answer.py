"""HTTP/1.1 as far as an exchange needs it: a request that fills segments, and an answer's outline."""

from __future__ import annotations

import re
from http import HTTPStatus
from string import punctuation
from typing import TYPE_CHECKING
from urllib.parse import quote

from ferryman.model import host_port
from ferryman.printable import printable

if TYPE_CHECKING:
    from ferryman.model import VirtualService
    from ferryman.probe.exchange.targets import ExchangeRequest

HEAD_BYTES = 65_536
"""Bytes of an answer's head at most: more than any client takes."""
SHOWN = 120
"""Characters shown of a line that somebody else wrote."""
PADDED_SEGMENTS = 2
"""Full-size segments that a request's padding fills; with 1,460 bytes each, servers that take a head of 4 KiB
still take it."""

_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n]*)?\r?\n")
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_LENGTH = re.compile(rb"^content-length:[ \t]*([0-9]{1,18})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_CHUNKED = re.compile(rb"^transfer-encoding:[^\r\n]*chunked[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_LAST_CHUNK = b"\r\n0\r\n\r\n"


def request_pieces(request: ExchangeRequest, virtual: VirtualService, full: int) -> list[bytes]:
    """The bytes of a request, in the pieces that begin segments of their own, of ``full`` bytes at most.

    The padding is a header that servers pass over, and what makes the request as large as two full segments.
    """
    name = request.host or host_port(virtual.vip, virtual.port)
    lines = [
        f"{request.method} {quote(request.path, safe=punctuation)} HTTP/1.1",
        f"Host: {quote(name, safe=punctuation)}",
        "User-Agent: ferryman",
        "Accept: */*",
        "Connection: close",
    ]
    if request.method == "POST":
        lines += [f"Content-Length: {request.body_bytes}", "Content-Type: application/octet-stream"]
    head = "".join(f"{line}\r\n" for line in lines).encode("ascii")
    body = [bytes(request.body_bytes)] if request.method == "POST" and request.body_bytes else []
    if request.method == "POST" and request.body_bytes >= PADDED_SEGMENTS * full:
        return [head + b"\r\n", *body]
    label, end = b"X-Padding: ", b"\r\n"
    padding = label + b"-" * (PADDED_SEGMENTS * full - len(label) - len(end)) + end
    return [head, padding, b"\r\n", *body]


class HttpAnswer:
    """An answer, read as it comes; nothing of it is kept but its first line and its length."""

    def __init__(self, method: str) -> None:
        self.status: int | None = None
        self.line: str | None = None
        """The first line, printable and cut off."""
        self.is_complete = False
        self.problem = ""
        """Why this is no answer; empty while it may be one."""
        self._has_body = method != "HEAD"
        self._head = bytearray()
        self._left: int | None = None
        """Bytes of the body that are still to come, where its length is known."""
        self._is_chunked = False
        self._last = b""

    def feed(self, data: bytes) -> None:
        """Read on."""
        if self.status is None and data and not self.problem:
            searched = max(0, len(self._head) - 3)
            self._head += data
            data = self._read_head(searched)
        if self.status is not None and not self.is_complete:
            self._read_body(data)

    def end(self) -> None:
        """The other side has closed its side of the connection."""
        if self.is_complete or self.problem:
            return
        if self.status is None:
            self.problem = (
                f"the connection was closed in the middle of the head: {_shown(self._head)}"
                if self._head
                else "the connection was closed without a byte of an answer"
            )
        elif self._left is not None:
            self.problem = f"the connection was closed {self._left} bytes before the end of the answer"
        elif self._is_chunked:
            self.problem = "the connection was closed before the last chunk of the answer"
        else:
            self.is_complete = True

    def _read_head(self, searched: int) -> bytes:
        """Look for the end of the head; returns what stands behind it."""
        if not self._head.startswith(b"HTTP/"[: len(self._head)]):
            self.problem = f"what came is no HTTP: {_shown(self._head)}"
            return b""
        while found := _END_OF_HEAD.search(self._head, searched):
            head, rest = bytes(self._head[: found.end()]), bytes(self._head[found.end() :])
            self._head.clear()
            status = _STATUS.match(head)
            if status is None:
                self.problem = f"the answer's first line is no status line: {_shown(head)}"
                return b""
            number = int(status[1])
            if number >= HTTPStatus.OK or number == HTTPStatus.SWITCHING_PROTOCOLS:
                self._begin(number, head)
                return rest
            self._head += rest  # behind an interim answer the real one follows
            searched = 0
        if len(self._head) > HEAD_BYTES:
            self.problem = f"the head of the answer has no end within {HEAD_BYTES} bytes"
        return b""

    def _begin(self, number: int, head: bytes) -> None:
        self.status, self.line = number, _shown(head)
        without_body = (HTTPStatus.SWITCHING_PROTOCOLS, HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
        if not self._has_body or number in without_body:
            self._left = 0
        elif _CHUNKED.search(head):
            self._is_chunked = True
            self._last = b"\r\n"
        elif length := _LENGTH.search(head):
            self._left = int(length[1])
        self._read_body(b"")

    def _read_body(self, data: bytes) -> None:
        if self._left is not None:
            self._left = max(0, self._left - len(data))
            self.is_complete = self._left == 0
        elif self._is_chunked:
            # What ends like this may be one in the middle too: nothing is made of the body, so no matter.
            self._last = (self._last + data)[-len(_LAST_CHUNK) :]
            self.is_complete = self._last == _LAST_CHUNK


def first_line(data: bytes) -> str:
    """The first line of a banner, printable and cut off."""
    return _shown(data)


def _shown(data: bytes | bytearray) -> str:
    line = bytes(data[: 4 * SHOWN]).split(b"\n", 1)[0].rstrip(b"\r")
    return printable(line.decode("latin-1"), keep="")[:SHOWN]
