"""What Python's HTTP client reads an answer from, with an end that whoever answers cannot put off.

The client's own timeout begins anew with each byte: headers without end, or a byte now and then, would keep a
request for ever.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable


class TimedSocket:
    """A connected socket, each wait of whose reader is as long as ``left_s`` says at that moment."""

    def __init__(self, connected: socket.socket, left_s: Callable[[], float]) -> None:
        """``left_s`` returns seconds, or raises ``TimeoutError`` when there are none."""
        self._socket = connected
        self._left_s = left_s

    def makefile(self, mode: str) -> io.BufferedReader:
        """What the answer is read from, as bytes."""
        assert mode == "rb", "answers are read, and nothing else"
        return io.BufferedReader(_Timed(self._socket, self._left_s))

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # of a socket
        return getattr(self._socket, name)


class _Timed(io.RawIOBase):
    def __init__(self, connected: socket.socket, left_s: Callable[[], float]) -> None:
        self._raw = connected.makefile("rb", buffering=0)
        self._socket = connected
        self._left_s = left_s

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:  # noqa: ANN401  # bytes that can be written to
        self._socket.settimeout(self._left_s())
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()
