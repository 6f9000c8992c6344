"""Rollback: every applied change is put back and verified, whatever fails meanwhile.

At its end every change is looked at once more, also those that this run did not make: a rollback is complete
when all is as before, not when each undo succeeded.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from ferryman.engine.event_log import error_record, error_summary
from ferryman.engine.own_code import call_own, plain_edits
from ferryman.engine.verification import NotRestored, not_restored, unrecorded
from ferryman.errors import BusyError, InterruptedRunError, JournalError, VerifyError, WorldChangedError
from ferryman.events import ChangeMade

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ferryman.engine.progress import AppliedChange
    from ferryman.engine.run_context import RunContext, StepReport
    from ferryman.engine.steps import Change
    from ferryman.model import Edit, Finding


@dataclass(slots=True)
class RollbackResult:
    """What became of the applied changes."""

    applied: Mapping[int, AppliedChange]
    """Those that were applied when it began, by place."""
    restored: list[int] = field(default_factory=list)
    """The places of those that are as before, verified."""
    foreign: list[str] = field(default_factory=list)
    """Those that someone else changed, in words; left as they are."""
    not_restored: list[NotRestored] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    """What others changed beside this run's own part, and what stays on purpose: reported, and left alone."""
    kept: list[str] = field(default_factory=list)
    """What nothing takes back, in words: it stays as this run made it."""


def roll_back(run: RunContext) -> RollbackResult:
    """Put every applied change back; one that cannot be put back does not keep the others from it."""
    run.begin_rollback()
    result = RollbackResult(dict(run.progress.applied))
    if _undo_all(run, result):
        run.at = "the end of the rollback, where every change is looked at again"
        _verify_everything(run, result)
    result.kept += _kept(run)
    return result


def _kept(run: RunContext) -> Iterator[str]:
    """What nothing takes back of the changes that were undone, in this process or an earlier one."""
    for place, applied in sorted(run.progress.restored.items()):
        change = run.plan.change(place)
        with suppress(Exception):  # words alone: they must not keep the rollback from its result
            if kept := call_own(partial(change.kept_after_undo, applied.before)):
                yield kept


def _undo_all(run: RunContext, result: RollbackResult) -> bool:
    """Undo every applied change; False when it was interrupted, or the run is no longer this process's."""
    waiting = rollback_order(run)
    while waiting:
        try:
            _require_owned(run, waiting[0])
            _put_back(run, waiting[0], result)
        except (InterruptedRunError, BusyError) as stop:
            result.not_restored += [NotRestored(place, str(stop)) for place in waiting]
            return False
        except Exception as error:  # noqa: BLE001  # the rest must still be put back; it is reported
            run.log.journal("left", error_record(error, run.at), waiting[0])
            result.not_restored.append(NotRestored(waiting[0], error_summary(error)))
        waiting = waiting[1:]
    return True


def _verify_everything(run: RunContext, result: RollbackResult) -> None:
    """What was put back must still be so, and what was not changed must be as before."""
    run.begin_moment((place, "verify", run.known_before(place)) for place in sorted(run.plan.changes))
    for failed in list(not_restored(run, result.warnings)):
        run.mark("left", failed.place, {"at": run.at, "message": failed.why})
        if failed.place in result.restored:
            result.restored.remove(failed.place)
        result.not_restored.append(failed)
    for failed in unrecorded(run, result.warnings):
        run.log.journal("left", {"at": run.at, "message": failed.why}, failed.place)
        result.not_restored.append(failed)


def rollback_order(run: RunContext) -> Sequence[int]:
    """The places of the applied changes in the order of undo: last first, after those ``undo_first``."""
    return sorted(run.progress.applied, key=lambda place: (not _goes_first(run.plan.change(place)), -place))


def _goes_first(change: Change[Any]) -> bool:
    try:
        return call_own(lambda: change.undo_first)
    except Exception:  # noqa: BLE001  # a bug of the step's must not keep the others from going back
        return False


def _require_owned(run: RunContext, place: int) -> None:
    """The run must still be this process's: by a record, which is refused otherwise, and then by its lease.

    In this order, for writing the record may take longer than the lease lasts.
    """
    run.log.journal("undoing", {}, place)
    if isinstance(lost := run.log.journal_lost, BusyError):
        raise lost
    try:
        run.lease.require()
    except JournalError as error:
        run.log.lose_journal(error)


def _put_back(run: RunContext, place: int, result: RollbackResult) -> None:
    change, applied = run.plan.change(place), run.progress.applied[place]
    run.begin_moment([(place, "undo", applied.before)])
    undo = _Undo(run, change, applied)
    try:
        run.undo_phase(place, undo)
    except WorldChangedError as error:
        # Neither do nor undo touched it: nothing of it is this run's, and it stays as the other left it.
        if not applied.foreign:
            raise
        result.foreign.append(str(error))
    else:
        result.restored.append(place)
        result.warnings += map(str, undo.warnings)
        for edit in undo.edits:
            run.log.emit(ChangeMade(place, edit, applied=True))
    run.mark("undone", place)


class _Undo:
    """Undoes one change and reads it back: what is there counts, whatever undo said."""

    def __init__(self, run: RunContext, change: Change[Any], applied: AppliedChange) -> None:
        self._run = run
        self._change = change
        self._applied = applied
        self.edits: Sequence[Edit] = ()
        """What undo did, for the record."""
        self.warnings: Sequence[Finding] = ()

    def __call__(self, report: StepReport) -> None:
        before = self._applied.before
        refusal = self._attempt()
        if refusal is not None or not self._change.reads_back:
            self._run.end_moment()
        try:
            differs = call_own(lambda: self._change.diff_after_undo(before, report))
        except InterruptedRunError:
            raise
        except Exception as error:
            raise (refusal or error) from error
        self.warnings = report.warnings
        if differs is None:
            return
        if refusal is not None:
            raise refusal
        raise (WorldChangedError if self._applied.foreign else VerifyError)(differs)

    def _attempt(self) -> Exception | None:
        """Call undo, and return what it raises, for the state is read back first; None when it succeeded."""
        change, applied = self._change, self._applied
        try:
            edits = call_own(lambda: change.undo(applied.before))
            if edits is None and applied.made:
                edits = call_own(lambda: change.undo_edits(applied.before))
            self.edits = plain_edits(edits or ())
        except InterruptedRunError:
            raise
        except Exception as error:  # noqa: BLE001  # raised by the caller unless all is as before
            return error
        return None
