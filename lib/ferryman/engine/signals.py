"""Ctrl-C, SIGTERM and SIGHUP during a run: a way back, never a torn action.

The first signal ends a look at once, while a change is finished first; then the run goes back. During the
way back the first one is only noted, and the next stops it where it stands.
"""

from __future__ import annotations

import logging
import signal
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ferryman.errors import InterruptedRunError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from types import FrameType

HEEDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_log = logging.getLogger(__name__)


class Signals:
    """The operator's wish to stop, during one run."""

    def __init__(self) -> None:
        self._first: str | None = None
        self._second: str | None = None
        self._going_back = False
        self._may_raise = False

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Listen, in the main thread; what was there before is there again afterwards."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {each: signal.signal(each, self._ring) for each in HEEDED}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    def abandonable(self) -> AbstractContextManager[None]:
        """What is inside may be given up at any point; a signal raises out of it at once.

        Raises:
            InterruptedRunError: The operator said stop, even if what was inside took it for something else.
        """
        return self._scope(may_raise=True)

    def finished_first(self) -> AbstractContextManager[None]:
        """What is inside is an action: it is finished, and a signal raises when it is over.

        Raises as ``abandonable`` does.
        """
        return self._scope(may_raise=False)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """What is inside is bookkeeping of ours, whatever scope it is called in: it is finished first."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before, self._may_raise = self._may_raise, False
        try:
            yield
        finally:
            self._may_raise = before
        if before:
            self.heed()

    def heed(self) -> None:
        """Act on a signal that came while it could only be noted.

        Raises:
            InterruptedRunError: One came.
        """
        if self._wish is not None:
            raise self._interruption()

    def turn_back(self) -> None:
        """From now on the run goes back: what came until now has been heeded."""
        self._going_back = True
        self._may_raise = False

    @property
    def _wish(self) -> str | None:
        return self._second if self._going_back else self._first

    @contextmanager
    def _scope(self, *, may_raise: bool) -> Iterator[None]:
        self.heed()
        before, self._may_raise = self._may_raise, may_raise
        try:
            yield
        except Exception as error:
            if self._wish is not None and not isinstance(error, InterruptedRunError):
                raise self._interruption() from error
            raise
        finally:
            self._may_raise = before
        self.heed()

    def _interruption(self) -> InterruptedRunError:
        return InterruptedRunError(f"interrupted by {self._wish}")

    def _ring(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  # Python's signature
        name = signal.Signals(number).name
        if self._first is None:
            self._first = name
            more = (
                "again stops it where it stands"
                if self._going_back
                else "a change under way is finished first"
            )
            _say(f"{name}: going back; {more}")
        elif self._going_back and self._second is None and number != signal.SIGHUP:
            # A dropped terminal sends SIGHUP more than once: shell and kernel each do. It is one wish.
            self._second = name
            _say(f"{name}: the way back stops here")
        else:
            return
        if self._may_raise:
            self.heed()


def _say(message: str) -> None:
    # The handler may have come between two halves of a write to the same stream; that write matters more.
    with suppress(Exception):
        _log.warning(message)
