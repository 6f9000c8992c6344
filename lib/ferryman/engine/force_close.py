"""The end of a run that no machine can end: a person has put it right by hand, and says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.engine.clock import stamp
from ferryman.errors import UsageError
from ferryman.events import RunFinished
from ferryman.state import Close, NewRecord

if TYPE_CHECKING:
    from ferryman.state import Store


def force_close(store: Store, run: str, operator: str, reason: str) -> RunFinished:
    """Enter the run as ended by hand, and give its locks back; nothing is looked at. What it ended with.

    Raises:
        UsageError: There is no such run, or it is over.
        BusyError: A process works on it.
        JournalError: The store cannot be used.
    """
    entry = store.run(run)
    if not entry.is_open:
        raise UsageError(f"{run}: is over ({entry.outcome}), there is nothing to close")
    store.claim(entry, [lock.key for lock in store.locks() if lock.run == run], entry.order.operator)
    said = f"closed by {operator}, who put it right by hand: {reason}"
    store.append(
        run, [NewRecord(stamp(store.clock.now()), "closed", {"operator": operator, "reason": reason})]
    )
    store.finish(run, Close("error", 1, said, is_final=True))
    return RunFinished("error", 1, 0.0, said)
