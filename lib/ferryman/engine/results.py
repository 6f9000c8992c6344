"""What became of a run, for the operator: the row of the table of outcomes, and the reason in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.engine.event_log import error_summary
from ferryman.engine.recovery import manual_commands, status_table
from ferryman.engine.rollback import rollback_order
from ferryman.engine.steps import Change
from ferryman.errors import (
    BusyError,
    DoubtError,
    InterruptedRunError,
    RefusedError,
    UsageError,
    VerifyError,
    WorldChangedError,
)
from ferryman.outcomes import Outcome, RunResult

if TYPE_CHECKING:
    from ferryman.engine.preflight import Preflight
    from ferryman.engine.progress import AppliedChange
    from ferryman.engine.rollback import RollbackResult
    from ferryman.engine.run_context import RunContext


def done(run: RunContext, preflight: Preflight) -> RunResult:
    """The result when every change is made and verified, or none was needed."""
    changes = sum(isinstance(step, Change) for step in run.plan.steps)
    if not changes:
        reason = "nothing blocks"
    elif not preflight.pending and not run.progress.applied:
        reason = "no change needed: all is as wanted, verified"
    else:
        reason = "done: every change is made and verified"
    return RunResult(Outcome.DONE, reason, run.id)


def dry_run_passed(run: RunContext, preflight: Preflight) -> RunResult:
    """The result of a dry run when nothing blocks the changes that would be made."""
    unknown = sum(pending.cannot_tell_before is not None for pending in preflight.pending.values())
    count = len(preflight.pending) - unknown
    changes = f"{count} change{'' if count == 1 else 's'}"
    more = f"; {unknown} more cannot be told beforehand" if unknown else ""
    return RunResult(Outcome.DONE, f"dry run: nothing blocks {changes}{more}; nothing was changed", run.id)


def unchanged(run: RunContext, error: Exception) -> RunResult:
    """The result when the run was stopped before anything was changed."""
    outcome = _before_any_change(error)
    summary = error_summary(error)
    gap = "\n" if "\n" in summary else " "
    return RunResult(outcome, f"{outcome.word}, nothing was changed:{gap}{summary}", run.id)


def _before_any_change(error: Exception) -> Outcome:
    match error:
        case InterruptedRunError():
            return Outcome.INTERRUPTED
        case BusyError():
            return Outcome.BUSY
        case UsageError():
            return Outcome.USAGE
        case RefusedError() | VerifyError() | DoubtError() | WorldChangedError():
            return Outcome.REFUSED
    return Outcome.ERROR


def held(run: RunContext, error: Exception) -> RunResult:
    """The result when the run stopped in between on purpose: the state per host, and how to go on."""
    states = {place: _held_state(run.progress.applied.get(place)) for place in _changes(run)}
    lines = [
        f"held at {run.at}: {error_summary(error)}",
        "nothing was put back and the run stays open. State per host:",
        *status_table(run, states),
        *manual_commands(run, rollback_order(run)),
        f"then: ferryman resume {run.id} looks again, and goes on",
        f"or:   ferryman rollback {run.id} looks again, and goes back",
    ]
    return RunResult(Outcome.HELD, "\n".join(lines), run.id)


def stopped_by_bug(run: RunContext, cause: Exception, bug: BaseException) -> RunResult:
    """The result when putting things back, or saying what is where, was itself cut short by a bug."""
    if not run.progress.applied and not run.progress.restored:
        return unchanged(run, cause)
    lines = [
        error_summary(cause),
        f"the rollback, or the report of it, was cut short by {error_summary(bug)}",
        "the run stays open and keeps its lock. By the journal:",
        *(f"  step {place + 1}, {run.plan.titles[place]}: may be made" for place in run.progress.applied),
        *(f"  step {place + 1}, {run.plan.titles[place]}: was put back" for place in run.progress.restored),
        f"then: ferryman rollback {run.id} looks again, and closes the run when all is as before",
    ]
    return RunResult(Outcome.STRANDED, "\n".join(lines), run.id)


def rolled_back(run: RunContext, cause: Exception | None, result: RollbackResult) -> RunResult:
    """The result after a rollback, which came from an error, or was asked for (``cause`` is None)."""
    if result.not_restored:
        return _stranded(run, cause, result)
    others = [
        *(f"changed by someone else since, and left alone: {change}" for change in result.foreign),
        *dict.fromkeys(result.warnings),
    ]
    headline = "nothing of the run is left"
    if run.progress.restored:
        headline = "rolled back: all is as before, verified"
        if others:
            headline = "rolled back: all that this run changed is as before, verified; beside that:"
        if result.kept:
            headline = "rolled back as far as anything can be; nothing takes this back, and it stays:"
            others = [*result.kept, "all else that this run changed is as before, verified", *others]
    reason = "\n".join([*([error_summary(cause)] if cause else []), headline, *others])
    if isinstance(cause, InterruptedRunError):
        return RunResult(Outcome.INTERRUPTED, reason, run.id)
    # Whoever asked for it has what was wanted: that is no failure of this command.
    return RunResult(Outcome.ROLLED_BACK if cause else Outcome.ROLLED_BACK_AS_ASKED, reason, run.id)


def _stranded(run: RunContext, cause: Exception | None, result: RollbackResult) -> RunResult:
    states = dict.fromkeys(_changes(run), "not changed by this run")
    states |= dict.fromkeys(result.applied, "changed by someone else since, left alone")
    states |= dict.fromkeys(result.restored, "as before, verified")
    states |= {failed.place: "not restored" for failed in result.not_restored}
    lines = [
        *([error_summary(cause)] if cause else []),
        "the rollback could not be completed; the run stays open and keeps its lock. Not restored:",
        *(
            f"  step {failed.place + 1}, {run.plan.titles[failed.place]}: {failed.why}"
            for failed in result.not_restored
        ),
        *(f"  beside that: {warning}" for warning in dict.fromkeys(result.warnings)),
        "state per host:",
        *status_table(run, states),
        *manual_commands(run, [failed.place for failed in result.not_restored if not failed.unseen]),
        f"then: ferryman rollback {run.id} looks again, and closes the run when all is as before",
        f"or:   ferryman resume {run.id} looks again, and goes forward instead",
    ]
    return RunResult(Outcome.STRANDED, "\n".join(lines), run.id)


def _changes(run: RunContext) -> list[int]:
    return [place for place, step in enumerate(run.plan.steps) if isinstance(step, Change)]


def _held_state(applied: AppliedChange | None) -> str:
    if applied is None:
        return "not made by this run"
    if applied.verified:
        return "made and verified"
    return "made, not verified" if applied.made else "unknown whether made"
