"""Keeps a run's locks while its process lives, and notices when they are lost."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Self

from ferryman.engine.locks import LEASE_S
from ferryman.errors import BusyError, JournalError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from ferryman.engine.locks import Locks

BEAT_S = LEASE_S / 3
"""Two beats may fail before anybody doubts us."""

_log = logging.getLogger(__name__)


class Lease:
    """The locks of one run: renewed by a thread of its own, on a connection of its own.

    Leaving it stops the thread and gives nothing back: whether locks are kept is for the run's ending to say.
    """

    def __init__(self, locks: Locks, keys: Sequence[str], run: str) -> None:
        self._locks = locks
        self._keys = keys
        self._run = run
        self._lost = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"lease of {run}", daemon=True)

    def __enter__(self) -> Self:
        if self._keys:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._keys:
            self._thread.join()

    def require(self) -> None:
        """Called before every change: the locks must still be this run's.

        Raises:
            BusyError: They were taken away.
        """
        if self._keys and (self._lost.is_set() or not self._locks.are_ours(self._keys, self._run)):
            raise BusyError(
                f"{', '.join(self._keys)}: the lock of {self._run} was lost: somebody removed or took it; "
                f"nothing more is changed; see ferryman runs, then ferryman show {self._run}"
            )

    def beat(self, locks: Locks) -> None:
        """One heartbeat; a state file that cannot be written now is tried again at the next."""
        try:
            if not locks.renew(self._keys, self._run):
                self._lost.set()
        except JournalError as error:
            _log.warning("run %s: its lease could not be renewed: %s", self._run, error)

    def _beat(self) -> None:
        locks = self._locks.another()
        while not self._stop.wait(BEAT_S):
            self.beat(locks)
        locks.close()
