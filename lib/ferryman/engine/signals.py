"""Ctrl-C, SIGTERM and SIGHUP during a run: a rollback, never a half-made change.

The first signal ends a look at once, while a change is finished first; then the run is rolled back. During a
rollback the first one is only noted, and the next stops it where it is. A signal that the process was
started to ignore (``nohup``, a job in a script's background) stays ignored.
"""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING

from ferryman.engine.observer import NoObserver
from ferryman.engine.wakeup import KICK, Wakeup
from ferryman.errors import InterruptedRunError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from types import FrameType, TracebackType

    from ferryman.engine.observer import RunObserver

HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def interrupt_on_signals() -> None:
    """Outside a run, each of them is a ``KeyboardInterrupt``; after one, the process ends undisturbed.

    For the command line, which calls it in the main thread before anything else.
    """
    for number in _not_ignored():
        signal.signal(number, _interrupt)


def ignore_signals() -> None:
    """Ignore all of them from here to the process's end, for its exit code is decided.

    Python removes its own handlers some time before it ends, and leaves ignored signals ignored.
    """
    for number in HANDLED:
        signal.signal(number, signal.SIG_IGN)


class Signals:
    """The signals that came during one run, and when they may interrupt it."""

    def __init__(self, observer: RunObserver | None = None) -> None:
        self._observer = observer or NoObserver()
        self._first: str | None = None
        self._second: str | None = None
        self._rolling_back = False
        self._may_raise = False
        self._alarm: Exception | None = None
        self._wakeup: Wakeup | None = None
        self._messages: SimpleQueue[str | None] = SimpleQueue()

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Handle the signals, in the main thread; the earlier handlers are there again afterwards."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        logger = threading.Thread(target=self._log_messages, name="ferryman-signals", daemon=True)
        logger.start()
        before = {number: signal.signal(number, self._on_signal) for number in _not_ignored()}
        before[KICK] = signal.signal(KICK, self._on_kick)
        try:
            with Wakeup() as self._wakeup:
                yield
        finally:
            self._wakeup = None
            for number, handler in before.items():
                # The run has its result: a late signal must not give the command another one.
                signal.signal(number, _ignore if handler is _interrupt else handler)
            self._messages.put(None)
            logger.join()

    def interruptible(self) -> AbstractContextManager[None]:
        """What is inside may be abandoned at any point; a signal raises out of it at once.

        Raises:
            InterruptedRunError: A signal came, even if the code inside turned it into another error.
        """
        return _Scope(self, may_raise=True)

    def uninterruptible(self) -> AbstractContextManager[None]:
        """What is inside is finished first: a signal raises when it is over.

        Raises as ``interruptible`` does.
        """
        return _Scope(self, may_raise=False)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """What is inside is the engine's bookkeeping: it is finished first, in whatever scope it runs."""
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

    @property
    def is_about_to_raise(self) -> bool:
        """Whether something came that raises in the run's thread as soon as that runs its handlers."""
        alarmed = self._alarm is not None and not self._rolling_back
        return self._may_raise and (alarmed or self._to_raise is not None)

    def raise_where_allowed(self) -> None:
        """As ``raise_pending``, but only where a signal would raise at once; else it stays noted."""
        if self._may_raise:
            self.raise_pending()

    def raise_pending(self) -> None:
        """Raise for a signal, or an alarm, that came while it could only be noted.

        Raises:
            InterruptedRunError: A signal came.
            Exception: The alarm's.
        """
        if self._to_raise is not None:
            raise self._interruption()
        if self._alarm is not None and not self._rolling_back:
            raise self._alarm

    def alarm(self, error: Exception) -> None:
        """From another thread: have this raised in the run's own, as if a signal had come."""
        with suppress(Exception):  # whoever follows the run must not keep it from being stopped
            self._observer.alarmed(error)
        self._alarm = error
        if (wakeup := self._wakeup) is not None:
            wakeup.wake()

    def begin_rollback(self) -> None:
        """From now on the run is rolled back: what came until now has been acted on."""
        self._rolling_back = True
        self._may_raise = False

    @property
    def _to_raise(self) -> str | None:
        return self._second if self._rolling_back else self._first

    def _interruption(self) -> InterruptedRunError:
        return InterruptedRunError(f"interrupted by {self._to_raise}")

    def _on_signal(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  # Python's signature
        name = signal.Signals(number).name
        self._observer.signalled(name)
        if self._first is None:
            self._first = name
            more = (
                "again stops it where it is" if self._rolling_back else "a change under way is finished first"
            )
            self._messages.put(f"{name}: rolling back; {more}")
        elif self._rolling_back and self._second is None and number != signal.SIGHUP:
            # A dropped terminal sends SIGHUP more than once: shell and kernel each do. They count as one.
            self._second = name
            self._messages.put(f"{name}: the rollback stops here")
        else:
            return
        if self._may_raise and self._to_raise is not None:
            # What raises leaves the scope, even where it does so before the scope's own exit can be reached.
            self._may_raise = False
            self.raise_pending()

    def _on_kick(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  # as above
        if self._wakeup is not None:
            self._wakeup.answered()
        if self._may_raise and self._alarm is not None and not self._rolling_back:
            self._may_raise = False
            raise self._alarm

    def _log_messages(self) -> None:
        """Log each message in a thread of its own: the handler may run where the screen's lock is held."""
        import logging  # noqa: PLC0415  # a tenth of the start-up of a command that runs nothing

        log = logging.getLogger(__name__)
        while (message := self._messages.get()) is not None:
            with suppress(Exception):
                log.warning(message)


class _Scope:
    """Whether a signal raises at once until the scope is left; a class, so that there is no gap at its edges.

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
    return [number for number in HANDLED if signal.getsignal(number) is not signal.SIG_IGN]


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  # Python's signature
    raise KeyboardInterrupt(signal.Signals(number).name)


def _ignore(number: int, frame: FrameType | None) -> None:
    """Do nothing: the process is about to end."""
