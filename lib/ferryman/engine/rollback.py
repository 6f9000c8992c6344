"""Coming back: everything that stands is put back and verified, whatever fails on the way.

At its end everything is looked at once more, what was not changed by this run among it: a rollback is
complete when the world is as before, not when each undo was.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ferryman.engine.event_log import in_full, in_words
from ferryman.engine.verification import NotRestored, not_restored, unrecorded
from ferryman.errors import BusyError, InterruptedRunError, JournalError, VerifyError, WorldChangedError
from ferryman.events import ChangeMade

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ferryman.engine.progress import AppliedChange
    from ferryman.engine.run_context import RunContext, StepReport
    from ferryman.engine.steps import Change
    from ferryman.model import Edit, Finding


@dataclass(slots=True)
class RollbackResult:
    """What became of the changes that stood."""

    marks: Mapping[int, AppliedChange]
    """Those that stood, by place."""
    restored: list[int] = field(default_factory=list)
    """As before, verified."""
    foreign: list[str] = field(default_factory=list)
    """Someone else's by now, and left as they are; never ours."""
    left: list[NotRestored] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    """What others changed beside this run's own part, and what stays on purpose: told, and left alone."""


def roll_back(p: RunContext) -> RollbackResult:
    """Put everything back that stands; one that cannot be keeps none of the others from it."""
    p.begin_rollback()
    result = RollbackResult(dict(p.progress.applied))
    if _undo_all(p, result):
        p.at = "the end of the rollback, where everything is looked at again"
        _look_at_everything(p, result)
    return result


def _undo_all(p: RunContext, result: RollbackResult) -> bool:
    """Whether it went to its end: nobody stopped it, and the run stayed this process's."""
    waiting = order_back(p)
    while waiting:
        try:
            _require_hold(p, waiting[0])
            _put_back(p, waiting[0], result)
        except (InterruptedRunError, BusyError) as stop:
            result.left += [NotRestored(place, str(stop)) for place in waiting]
            return False
        except Exception as error:  # noqa: BLE001  # the rest must still be put back; it is reported
            p.log.journal("left", in_full(error, p.at), waiting[0])
            result.left.append(NotRestored(waiting[0], in_words(error)))
        waiting = waiting[1:]
    return True


def _look_at_everything(p: RunContext, result: RollbackResult) -> None:
    """What was put back must still be so, and what was not changed must be as before."""
    for left in list(not_restored(p, result.warnings)):
        p.mark("left", left.place, {"at": p.at, "message": left.why})
        if left.place in result.restored:
            result.restored.remove(left.place)
        result.left.append(left)
    for left in unrecorded(p, result.warnings):
        p.log.journal("left", {"at": p.at, "message": left.why}, left.place)
        result.left.append(left)


def order_back(p: RunContext) -> Sequence[int]:
    """The places of what stands, last in, first out; but what others follow goes back before them."""
    return sorted(p.progress.applied, key=lambda place: (not p.plan.change(place).undo_first, -place))


def _require_hold(p: RunContext, place: int) -> None:
    """The run must be this process's still: by a record, which would be refused else, and then by its lease.

    In this order, for writing the record may take longer than the lease lasts.
    """
    p.log.journal("undoing", {}, place)
    if isinstance(lost := p.log.journal_lost, BusyError):
        raise lost
    try:
        p.lease.require()
    except JournalError as error:
        p.log.lose_journal(error)


def _put_back(p: RunContext, place: int, result: RollbackResult) -> None:
    change, mark = p.plan.change(place), p.progress.applied[place]
    undoing = _Undoing(change, mark)
    try:
        p.read_phase(place, "undo", undoing)
    except WorldChangedError as error:
        # Neither do nor undo dared to touch it: nothing of it is ours, and it stays as the other left it.
        if not mark.foreign:
            raise
        result.foreign.append(str(error))
    else:
        result.restored.append(place)
        result.warnings += map(str, undoing.warnings)
        for edit in undoing.edits:
            p.log.emit(ChangeMade(place, edit, applied=True))
    p.mark("undone", place)


class _Undoing:
    """Undoes one change and looks: what the world says counts, whatever undo said."""

    def __init__(self, change: Change[Any], mark: AppliedChange) -> None:
        self._change = change
        self._mark = mark
        self.edits: Sequence[Edit] = ()
        """What it did."""
        self.warnings: Sequence[Finding] = ()

    def __call__(self, report: StepReport) -> None:
        before = self._mark.before
        refusal = self._attempt()
        try:
            differs = self._change.undone(before, report)
        except InterruptedRunError:
            raise
        except Exception as error:
            raise (refusal or error) from error
        self.warnings = report.warnings
        if differs is None:
            return
        if refusal is not None:
            raise refusal
        raise (WorldChangedError if self._mark.foreign else VerifyError)(differs)

    def _attempt(self) -> Exception | None:
        """Call undo; what it raises is kept until the world has been looked at."""
        change, mark = self._change, self._mark
        try:
            edits = change.undo(mark.before)
        except InterruptedRunError:
            raise
        except Exception as error:  # noqa: BLE001  # raised by the caller unless all is as before
            return error
        if edits is None and mark.made:
            edits = change.undo_edits(mark.before)
        self.edits = edits or ()
        return None
