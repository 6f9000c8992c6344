"""Steady load through a VIP: short requests, long downloads and long uploads; it counts what is lost."""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

    from ferryman.model import Address

PACE_S = 0.05
"""A long transfer moves a piece each so many seconds."""
PIECE_BYTES = 2_000
SILENCE_S = 6.0
"""Seconds without progress after which a connection counts as lost."""


@dataclass
class Load:
    """Short requests as fast as is sensible, and long transfers that go on until the load is stopped."""

    vip: Address
    port: int
    source: Address | None = None
    shorts_at_once: int = 2
    downloads: int = 6
    uploads: int = 6
    done: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    moved_bytes: int = 0

    def __enter__(self) -> Self:
        self._stop = threading.Event()
        kinds: list[Callable[[], None]] = [
            *[self._shorts] * self.shorts_at_once,
            *[self._download] * self.downloads,
            *[self._upload] * self.uploads,
        ]
        self._threads = [threading.Thread(target=kind) for kind in kinds]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(3 * SILENCE_S)

    def __str__(self) -> str:
        return (
            f"done {dict(self.done)}, lost {dict(self.lost)}, slowest short {self.slowest_s * 1000:.0f} ms,"
            f" {self.moved_bytes:,} bytes in long transfers"
        )

    def _connected(self) -> socket.socket:
        source = (str(self.source), 0) if self.source else None
        return socket.create_connection((str(self.vip), self.port), SILENCE_S, source)

    def _count(self, kind: str, problem: OSError | None) -> None:
        (self.lost if problem else self.done)[kind if problem is None else f"{kind}: {problem!r}"] += 1

    def _shorts(self) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            problem = None
            try:
                with self._connected() as sock:
                    sock.sendall(b"GET / HTTP/1.0\r\nHost: vip\r\n\r\n")
                    while sock.recv(65_536):
                        pass
            except OSError as error:
                problem = error
            self._count("short", problem)
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)
            self._stop.wait(0.01)

    def _download(self) -> None:
        """Read slowly what the realserver would send fast: its window stays shut, ours are the packets."""
        problem = None
        try:
            with self._connected() as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8_192)
                sock.sendall(b"GET /download HTTP/1.0\r\nHost: vip\r\n\r\n")
                while not self._stop.wait(PACE_S):
                    piece = sock.recv(PIECE_BYTES)
                    self.moved_bytes += len(piece)
                    if not piece:
                        break
        except OSError as error:
            problem = error
        self._count("download", problem)

    def _upload(self) -> None:
        """Send a piece at a time; at the end the server must say that it has read every byte."""
        length = 50_000_000
        problem: OSError | None = None
        try:
            with self._connected() as sock:
                head = f"POST /upload HTTP/1.0\r\nHost: vip\r\nContent-Length: {length}\r\n\r\n"
                sock.sendall(head.encode())
                while not self._stop.wait(PACE_S):
                    sock.sendall(bytes(PIECE_BYTES))
                    self.moved_bytes += PIECE_BYTES
                _flushed(sock)
        except OSError as error:
            problem = error
        self._count("upload", problem)


def _flushed(sock: socket.socket) -> None:
    """Wait until the other side has acknowledged everything.

    Raises:
        TimeoutError: It did not, in ``SILENCE_S`` seconds.
    """
    until = time.monotonic() + SILENCE_S
    while struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)))[0]:
        if time.monotonic() > until:
            raise TimeoutError
        time.sleep(0.02)
