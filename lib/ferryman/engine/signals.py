"""Ctrl-C, SIGTERM and SIGHUP during a run: a way back, never a torn action.

The first signal ends a look at once, while a change is finished first; then the run goes back. During the
way back the first one is only noted, and the next stops it where it stands. A signal that the process was
started to ignore (``nohup``, a job in a script's background) stays ignored.
"""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING

from ferryman.errors import InterruptedRunError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from types import FrameType, TracebackType

HEEDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

ALARM = signal.SIGUSR1
"""Wakes the run's own thread, whatever it waits for, when the watch has something to say."""


def end_the_command() -> None:
    """Outside a run, each of them is a ``KeyboardInterrupt``; after one, the process is left to end in peace.

    For the command line, which calls it in the main thread before anything else.
    """
    for each in _not_ignored():
        signal.signal(each, _interrupt)


def end_in_peace() -> None:
    """From here to the process's end none of them is heeded: it has its exit code.

    Python takes its own handlers away some time before it ends, and what is ignored it leaves so.
    """
    for each in HEEDED:
        signal.signal(each, signal.SIG_IGN)


class Signals:
    """The operator's wish to stop, during one run."""

    def __init__(self) -> None:
        self._first: str | None = None
        self._second: str | None = None
        self._going_back = False
        self._may_raise = False
        self._alarm: Exception | None = None
        self._main: int | None = None
        self._words: SimpleQueue[str | None] = SimpleQueue()

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Listen, in the main thread; what was there before is there again afterwards."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        speaker = threading.Thread(target=self._speak, name="ferryman-signals", daemon=True)
        speaker.start()
        before = {each: signal.signal(each, self._ring) for each in _not_ignored()}
        before[ALARM] = signal.signal(ALARM, self._ring_alarm)
        self._main = threading.get_ident()
        try:
            yield
        finally:
            self._main = None
            for each, handler in before.items():
                # The run has its ending: a late signal must not give the command another one.
                signal.signal(each, _let_end if handler is _interrupt else handler)
            self._words.put(None)
            speaker.join()

    def interruptible(self) -> AbstractContextManager[None]:
        """What is inside may be given up at any point; a signal raises out of it at once.

        Raises:
            InterruptedRunError: The operator said stop, even if what was inside took it for something else.
        """
        return _Scope(self, may_raise=True)

    def uninterruptible(self) -> AbstractContextManager[None]:
        """What is inside is an action: it is finished, and a signal raises when it is over.

        Raises as ``interruptible`` does.
        """
        return _Scope(self, may_raise=False)

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
            self.raise_pending()

    def raise_pending(self) -> None:
        """Act on a signal, or an alarm, that came while it could only be noted.

        Raises:
            InterruptedRunError: One came.
            Exception: The alarm's.
        """
        if self._wish is not None:
            raise self._interruption()
        if self._alarm is not None and not self._going_back:
            raise self._alarm

    def alarm(self, error: Exception) -> None:
        """From another thread: have this raised in the run's own, as if a signal had come."""
        self._alarm = error
        if self._main is not None:
            signal.pthread_kill(self._main, ALARM)

    def begin_rollback(self) -> None:
        """From now on the run goes back: what came until now has been heeded."""
        self._going_back = True
        self._may_raise = False

    @property
    def _wish(self) -> str | None:
        return self._second if self._going_back else self._first

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
            self._words.put(f"{name}: going back; {more}")
        elif self._going_back and self._second is None and number != signal.SIGHUP:
            # A dropped terminal sends SIGHUP more than once: shell and kernel each do. It is one wish.
            self._second = name
            self._words.put(f"{name}: the way back stops here")
        else:
            return
        if self._may_raise and self._wish is not None:
            # What raises leaves the scope, even where it does so before the scope's own exit can be reached.
            self._may_raise = False
            self.raise_pending()

    def _ring_alarm(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  # as above
        if self._may_raise and self._alarm is not None and not self._going_back:
            self._may_raise = False
            raise self._alarm

    def _speak(self) -> None:
        """Say each word in a thread of its own: the handler may stand where a lock of the screen is held."""
        import logging  # noqa: PLC0415  # a tenth of the start-up of a command that runs nothing

        log = logging.getLogger(__name__)
        while (word := self._words.get()) is not None:
            with suppress(Exception):
                log.warning(word)


class _Scope:
    """How a signal is taken until it is left; a class, for a signal must find no gap at its edges.

    After a generator's ``yield`` Python may run a handler once more before the ``with`` holds.
    """

    def __init__(self, signals: Signals, *, may_raise: bool) -> None:
        self._signals = signals
        self._may_raise = may_raise
        self._before = False

    def __enter__(self) -> None:
        self._signals.raise_pending()
        self._before = self._signals._may_raise  # noqa: SLF001  # one thing in two classes
        self._signals._may_raise = self._may_raise  # noqa: SLF001

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._signals._may_raise = self._before  # noqa: SLF001
        if error is None:
            self._signals.raise_pending()
        elif isinstance(error, Exception) and not isinstance(error, InterruptedRunError):
            try:
                self._signals.raise_pending()
            except Exception as stop:
                if stop is not error:
                    raise stop from error


def _not_ignored() -> list[signal.Signals]:
    return [each for each in HEEDED if signal.getsignal(each) is not signal.SIG_IGN]


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  # Python's signature
    raise KeyboardInterrupt(signal.Signals(number).name)


def _let_end(number: int, frame: FrameType | None) -> None:
    """Nothing: the process is on its way out."""
