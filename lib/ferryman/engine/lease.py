"""Keeps a run this process's own while it lives, and notices when it no longer is."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Self

from ferryman.errors import BusyError, JournalError

if TYPE_CHECKING:
    from types import TracebackType

    from ferryman.engine.store import Store

_log = logging.getLogger(__name__)


class Lease:
    """The hold of one process on one run, renewed by a thread of its own.

    Leaving it stops the thread and gives nothing back: whether locks are kept is for the run's ending to say.
    """

    def __init__(self, store: Store, run: str, *, renewed: bool = True) -> None:
        """``renewed`` says whether there is anybody to renew it for: a rehearsal's store is its own."""
        self._store = store
        self._renewed = renewed
        self._run = run
        self._lost: BusyError | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"lease of {run}", daemon=True)

    def __enter__(self) -> Self:
        if self._renewed:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._renewed:
            self._thread.join()

    def require(self) -> None:
        """Called before every change: the run must still be this process's.

        Raises:
            BusyError: It was taken away.
            JournalError: The store cannot be asked.
        """
        if self._lost is not None:
            raise self._lost
        self._store.require_hold()

    def beat(self) -> None:
        """One heartbeat; a store that cannot be reached now is tried again at the next."""
        try:
            self._store.beat()
        except BusyError as lost:
            self._lost = lost
        except JournalError as error:
            _log.warning("run %s: its lease could not be renewed: %s", self._run, error)

    def _beat(self) -> None:
        while not self._stop.wait(self._store.beat_s):
            self.beat()
