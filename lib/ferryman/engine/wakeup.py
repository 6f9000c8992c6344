"""Waking a thread that slept past a signal.

Python only notes a signal when it arrives and runs its handler between two instructions of the main thread. A
signal that arrives after the last look at that note and before the thread's next system call interrupts
nothing: the thread waits for its lock or its socket to the end, with the handler still to be run. CPython's
``signal.set_wakeup_fd`` tells of every signal at once; from there the thread is woken until it has looked.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from typing import Self

KICK = signal.SIGUSR1
"""Interrupts the system call that the thread waits in; its handler must call ``Wakeup.answered``."""

AGAIN_S = 0.02
"""A thread that has not looked by then is woken again."""

_ASKED = b"\0"


class Wakeup:
    """Wakes one thread, the main one, after each signal and on request, for as long as it is entered."""

    def __init__(self) -> None:
        self._main = threading.get_ident()
        self._kicks_seen = 0
        self._over = threading.Event()
        self._open = threading.Lock()
        """Held where the pipe must stay open: its number may soon be another file's."""
        self._thread = threading.Thread(target=self._watch, name="ferryman-wakeup", daemon=True)

    def __enter__(self) -> Self:
        self._reader, self._writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        os.set_blocking(self._reader, True)
        self._before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(self._before)
        with self._open:
            self._over.set()
            os.close(self._writer)
        self._thread.join()
        os.close(self._reader)

    def wake(self) -> None:
        """Have the thread run its handlers soon, whatever it waits for; from any other thread.

        Does nothing once it is left.
        """
        with self._open, suppress(BlockingIOError):  # it is full: the thread is about to be woken
            if not self._over.is_set():
                os.write(self._writer, _ASKED)

    def answered(self) -> None:
        """Note that the handler of ``KICK`` runs."""
        self._kicks_seen += 1

    def _watch(self) -> None:
        while arrived := os.read(self._reader, 4096):
            if any(number != KICK for number in arrived):
                self._kick()

    def _kick(self) -> None:
        seen = self._kicks_seen
        while self._kicks_seen == seen and not self._over.is_set():
            signal.pthread_kill(self._main, KICK)
            self._over.wait(AGAIN_S)
