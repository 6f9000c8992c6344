"""A terminal as a window has it: what is typed goes in, what is shown is kept, and it can be closed."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import termios
import threading
from contextlib import suppress
from typing import Self

PATIENCE_S = 60.0
"""How long a test waits for what must be shown."""


class Terminal:
    """The window's side of a pseudo-terminal; ``inside`` is the descriptor that programs are given."""

    def __init__(self) -> None:
        self.inside = -1
        self._shown = bytearray()
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._window, self.inside = pty.openpty()
        self._wake, self._waker = os.pipe()
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.hang_up()
        for each in (self.inside, self._wake, self._waker):
            os.close(each)

    def type(self, text: str) -> None:
        """Write these keys to the terminal, as if they were pressed."""
        os.write(self._window, text.encode())

    def narrow(self, columns: int) -> None:
        """Make the window so wide."""
        fcntl.ioctl(self.inside, termios.TIOCSWINSZ, struct.pack("4H", 50, columns, 0, 0))

    def hang_up(self) -> None:
        """Close the window: the kernel sends SIGHUP, and every write of a program fails from then on."""
        if self._reader.is_alive():
            os.write(self._waker, b"!")
            self._reader.join()

    def wait_for(self, text: str) -> None:
        """Return when the terminal has shown this text."""
        with self._news:
            seen = self._news.wait_for(lambda: text in self.shown, PATIENCE_S)
        assert seen, f"{text!r} was never shown, but {self.shown!r}"

    @property
    def shown(self) -> str:
        """Return everything that the terminal has shown so far."""
        return self._shown.decode(errors="replace")

    def _read(self) -> None:
        # A read that waits would keep the window open though it was closed.
        while self._wake not in select.select([self._window, self._wake], [], [])[0]:
            with suppress(OSError), self._news:
                self._shown += os.read(self._window, 4096)
                self._news.notify_all()
        os.close(self._window)
