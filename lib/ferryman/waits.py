"""Waiting: every place where a run lets time pass asks here, so that a replay can let it pass at once.

One process waits in one way: ``using`` puts another one in place for all of its threads. What has its own
deadline towards the outside (sockets, subprocesses) does not wait here: a replay does not go there.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class StoppedError(KeyboardInterrupt):
    """Raised in place of an answer or a wait, in whatever thread: the run is given up where it stands.

    As a ``KeyboardInterrupt``, nothing of the engine catches it.
    """


class Waits(Protocol):
    """A way to wait; all times are in seconds."""

    def monotonic(self) -> float:
        """A clock that never goes backwards."""

    def sleep(self, seconds: float) -> None:
        """Let so much time pass."""

    def is_past(self, moment: float) -> bool:
        """Whether that moment of ``monotonic`` is over, for a loop that waits until then."""

    def wait_for(self, event: threading.Event, seconds: float) -> bool:
        """Let so much time pass, or less where the event is set meanwhile; whether it is set."""

    def turn(self) -> None:
        """Note that the run's other thread sees what this one does next, without a call to the outside."""

    def thread_begins(self) -> None:
        """Note that a second thread of the run is about to start: its watch."""

    def thread_ends(self) -> None:
        """Note that this thread, the run's watch, asks for nothing more."""

    def thread_is_over(self, *, is_joined: bool) -> None:
        """Note that the run needs its watch no more; it waits for its end, or goes on meanwhile."""


class RealWaits:
    """The machine's own clock."""

    def monotonic(self) -> float:
        """The seconds of ``time.monotonic``."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)

    def is_past(self, moment: float) -> bool:
        """Compare with the clock."""
        return self.monotonic() >= moment

    def wait_for(self, event: threading.Event, seconds: float) -> bool:
        """Wait for the event."""
        return event.wait(seconds)

    def turn(self) -> None:
        """Do nothing: it sees that when it comes to look."""

    def thread_begins(self) -> None:
        """Do nothing: real time passes for both."""

    def thread_ends(self) -> None:
        """Do nothing."""

    def thread_is_over(self, *, is_joined: bool) -> None:
        """Do nothing: an event tells it."""


_current: Waits = RealWaits()
_thread = threading.local()


def become_the_watch() -> None:
    """Mark this thread as the one that keeps a run's watch; every other one is the run's own."""
    _thread.watches = True


def is_the_watch() -> bool:
    """Whether this thread keeps a run's watch."""
    return getattr(_thread, "watches", False)


def like_this_thread() -> Callable[[], None]:
    """What a thread calls first that works for this one: for a pool's ``initializer``."""
    return become_the_watch if is_the_watch() else _nothing


def _nothing() -> None:
    """Do nothing: a thread is the run's own unless it is told otherwise."""


def current() -> Waits:
    """How this process waits now."""
    return _current


@contextmanager
def using(waits: Waits) -> Iterator[None]:
    """Wait in another way for as long as the ``with`` lasts, in every thread of the process."""
    global _current  # noqa: PLW0603  # one process, one way to wait
    before, _current = _current, waits
    try:
        yield
    finally:
        _current = before


def sleep(seconds: float) -> None:
    """As ``Waits.sleep``, of now; it may be a default argument."""
    note_wait()
    _current.sleep(seconds)


def note_wait() -> None:
    """Note that this thread lets time pass: what it has read until now is old after that."""
    _thread.waits = times_waited() + 1


def times_waited() -> int:
    """How often this thread has let time pass."""
    return getattr(_thread, "waits", 0)


def turn() -> None:
    """As ``Waits.turn``, of now."""
    _current.turn()


def monotonic() -> float:
    """As ``Waits.monotonic``, of now."""
    return _current.monotonic()
