"""Keeps a run this process's own while it lives, and stops it in time when it can no longer be.

Two threads: one sends heartbeats, and may hang in one for as long as DNS, network or disk do; the other only
reads the clock. When no heartbeat has succeeded for a third of the lease, it stops the run, whatever that is
doing, so that what was changed can be put back while the lease lasts.
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
"""How often the clock is read in the time after which a silence stops the run."""

_log = logging.getLogger(__name__)


class Lease:
    """One process's lease of one run, renewed by a thread of its own.

    Leaving it stops the threads and frees no lock: whether locks are kept depends on the run's result.
    """

    def __init__(
        self,
        store: Store,
        run: str,
        *,
        alarm: Callable[[Exception], None] | None = None,
        renewed: bool = True,
    ) -> None:
        """Prepare to keep the lease that ``store`` has of ``run``.

        Args:
            store: What the run is kept in.
            run: The run's id.
            alarm: Has an error raised in the run's own thread; called once for each way to lose the lease.
            renewed: Whether it needs renewing: the store of a dry run is its own.
        """
        self._store = store
        self._renewed = renewed
        self._run = run
        self._alarm = alarm
        self._renewed_at = store.clock.monotonic()
        self._trouble: JournalError | None = None
        """Why the last heartbeat failed, if it did."""
        self._lost: BusyError | None = None
        self._silence: JournalError | None = None
        self._overdue = False
        self._rolling_back = False
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._beat, name=f"lease of {run}", daemon=True),
            threading.Thread(target=self._guard, name=f"guard of the lease of {run}", daemon=True),
        ]

    def __enter__(self) -> Self:
        self._renewed_at = self._store.clock.monotonic()
        if self._renewed:
            try:
                for thread in self._threads:
                    thread.start()
            except BaseException:  # no more threads to be had: then none of them may stay
                self._stop.set()
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._renewed:
            for thread in self._threads:
                thread.join(self._store.heartbeat_s)  # one that is stuck in a heartbeat keeps nobody

    def require(self) -> None:
        """Called before every change: the run must still be this process's.

        Raises:
            BusyError: It was taken away, or too little is left of the lease to change anything.
            JournalError: The store cannot be asked; or no heartbeat has succeeded for too long, unless the
                run is rolling back.
        """
        if self._lost is not None:
            raise self._lost
        self._store.require_owned()
        if self._silence is not None and not self._rolling_back:
            raise self._silence

    def begin_rollback(self) -> None:
        """From now on a silent store stops nothing while the lease lasts: changes must be put back."""
        self._rolling_back = True

    def renew(self) -> None:
        """One heartbeat; a store that cannot be reached now is tried again at the next."""
        sent = self._store.clock.monotonic()
        try:
            self._store.renew()
        except BusyError as lost:
            if self._lost is None:
                self._lost = lost
                self._report(lost)
        except JournalError as error:
            if self._trouble is None:
                _log.warning("run %s: its lease could not be renewed; tried again: %s", self._run, error)
            self._trouble = error
        else:
            if self._trouble is not None:
                _log.warning("run %s: its lease is renewed again", self._run)
            self._renewed_at, self._trouble = sent, None

    def look(self) -> None:
        """Read the clock; a silence that is there at two looks in a row stops the run.

        At the first look after this process itself was stopped (suspend, SIGSTOP) no heartbeat can have
        succeeded, though nothing is wrong with the store: it has until the next look.
        """
        silent_s = self._store.clock.monotonic() - self._renewed_at
        before, self._overdue = self._overdue, silent_s >= self._store.silence_s
        if before and self._overdue and self._silence is None:
            self._silence = self._silent(silent_s)
            self._report(self._silence)

    def _silent(self, silent_s: float) -> JournalError:
        return JournalError(
            f"run {self._run}: its lease could not be renewed for {silent_s:.0f} seconds, so it stops while "
            f"there is time to put things back: {self._trouble or f'{self._store.where}: no answer'}"
        )

    def _report(self, error: Exception) -> None:
        if self._alarm is not None:
            self._alarm(error)

    def _beat(self) -> None:
        while not self._stop.wait(self._store.heartbeat_s):
            self.renew()

    def _guard(self) -> None:
        while not self._stop.wait(self._store.silence_s / _LOOKS):
            self.look()
