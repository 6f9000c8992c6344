"""Keeps a run this process's own while it lives, and stops it in time when it no longer can.

Two threads: one sends heartbeats, and may be stuck in one for as long as names, networks and disks like; the
other looks only at the clock. When no heartbeat has got through for a third of the lease, it stops the run,
whatever that is doing, so that what was changed can go back while the lease lasts.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Self

from ferryman.errors import BusyError, JournalError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from ferryman.state import Store

_LOOKS = 20
"""How often the clock is looked at in the time after which a silence stops the run."""

_log = logging.getLogger(__name__)


class Lease:
    """The hold of one process on one run, renewed by a thread of its own.

    Leaving it stops the threads and gives nothing back: whether locks are kept is for the run's ending to
    say.
    """

    def __init__(
        self,
        store: Store,
        run: str,
        *,
        alarm: Callable[[Exception], None] | None = None,
        renewed: bool = True,
    ) -> None:
        """Watch over the hold that ``store`` has on ``run``.

        Args:
            store: What the run is kept in.
            run: The run's id.
            alarm: Has an error raised in the run's own thread; called once for each way to lose the lease.
            renewed: Whether there is anybody to renew it for: a rehearsal's store is its own.
        """
        self._store = store
        self._renewed = renewed
        self._run = run
        self._alarm = alarm
        self._heard = store.clock.monotonic()
        self._trouble: JournalError | None = None
        """Why the last heartbeat failed, if it did."""
        self._lost: BusyError | None = None
        self._silence: JournalError | None = None
        self._overdue = False
        self._going_back = False
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._beat, name=f"lease of {run}", daemon=True),
            threading.Thread(target=self._guard, name=f"guard of the lease of {run}", daemon=True),
        ]

    def __enter__(self) -> Self:
        self._heard = self._store.clock.monotonic()
        if self._renewed:
            for thread in self._threads:
                thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._renewed:
            for thread in self._threads:
                thread.join(self._store.beat_s)  # one that is stuck in a heartbeat keeps nobody

    def require(self) -> None:
        """Called before every change: the run must still be this process's.

        Raises:
            BusyError: It was taken away, or too little is left of the lease to change anything.
            JournalError: The store cannot be asked; or nothing was heard of it for too long, until the run
                turns back.
        """
        if self._lost is not None:
            raise self._lost
        self._store.require_hold()
        if self._silence is not None and not self._going_back:
            raise self._silence

    def begin_rollback(self) -> None:
        """From now on a silent store stops nothing while the lease lasts: things must be put back."""
        self._going_back = True

    def beat(self) -> None:
        """One heartbeat; a store that cannot be reached now is tried again at the next."""
        sent = self._store.clock.monotonic()
        try:
            self._store.beat()
        except BusyError as lost:
            if self._lost is None:
                self._lost = lost
                self._raise(lost)
        except JournalError as error:
            if self._trouble is None:
                _log.warning("run %s: its lease could not be renewed; tried again: %s", self._run, error)
            self._trouble = error
        else:
            if self._trouble is not None:
                _log.warning("run %s: its lease is renewed again", self._run)
            self._heard, self._trouble = sent, None

    def look(self) -> None:
        """Look at the clock; a silence that is there at two looks in a row stops the run.

        At the first look after this process itself was stopped (a laptop's lid, SIGSTOP) no heartbeat can
        have been heard, though nothing is wrong with the store: it has until the next look.
        """
        silent_s = self._store.clock.monotonic() - self._heard
        before, self._overdue = self._overdue, silent_s >= self._store.silence_s
        if before and self._overdue and self._silence is None:
            self._silence = self._silent(silent_s)
            self._raise(self._silence)

    def _silent(self, silent_s: float) -> JournalError:
        return JournalError(
            f"run {self._run}: its lease could not be renewed for {silent_s:.0f} seconds, so it stops while "
            f"there is time to put things back: {self._trouble or f'{self._store.where}: no answer'}"
        )

    def _raise(self, error: Exception) -> None:
        if self._alarm is not None:
            self._alarm(error)

    def _beat(self) -> None:
        while not self._stop.wait(self._store.beat_s):
            self.beat()

    def _guard(self) -> None:
        while not self._stop.wait(self._store.silence_s / _LOOKS):
            self.look()
