"""The end of a run that no command can end: a person has put it right by hand, and says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.engine.clock import stamp
from ferryman.errors import UsageError
from ferryman.events import RunFinished
from ferryman.outcomes import Outcome, RunResult
from ferryman.state import NewRecord

if TYPE_CHECKING:
    from ferryman.state import Store


def force_close(store: Store, run: str, operator: str, reason: str) -> RunFinished:
    """Record the run as ended by hand, free its locks, and return how it ended; no host is looked at.

    Raises:
        UsageError: There is no such run, or it is over.
        BusyError: A process is at work on it.
        JournalError: The store cannot be used.
    """
    entry = store.run(run)
    if not entry.is_open:
        raise UsageError(f"{run}: is over ({entry.outcome}), there is nothing to close")
    store.adopt(entry, [lock.key for lock in store.locks() if lock.run == run], entry.request.operator)
    summary = f"closed by {operator}, who put it right by hand: {reason}"
    if lost := store.replay_spool(run):
        summary += f"\n{lost}"
    store.append(
        run, [NewRecord(stamp(store.clock.now()), "closed", {"operator": operator, "reason": reason})]
    )
    result = RunResult(Outcome.ERROR, summary, run)
    store.finish(result, is_final=True)
    return RunFinished(result.outcome, result.exit_code, 0.0, summary)
