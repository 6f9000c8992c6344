"""What became of a run: the outcome, the exit code, and the words for the operator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferryman.engine.event_log import in_words
from ferryman.engine.recovery import by_hand, table
from ferryman.engine.rollback import order_back
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

if TYPE_CHECKING:
    from ferryman.engine.preflight import Preflight
    from ferryman.engine.progress import AppliedChange
    from ferryman.engine.rollback import RollbackResult
    from ferryman.engine.run_context import RunContext
    from ferryman.events import RunOutcome


@dataclass(frozen=True, slots=True)
class Ending:
    """How a command about a run ended."""

    outcome: RunOutcome
    exit_code: int
    reason: str
    """For people; several lines when several things stand in the way or are left."""
    run: str


def done(p: RunContext, seen: Preflight) -> Ending:
    """All made and verified."""
    changes = sum(isinstance(step, Change) for step in p.plan.steps)
    if not changes:
        reason = "nothing stands in the way"
    elif not seen.pending and not p.progress.applied:
        reason = "nothing to do: all is already so, verified"
    else:
        reason = "done: every change is made and verified"
    return Ending("done", 0, reason, p.run)


def rehearsed(p: RunContext, seen: Preflight) -> Ending:
    """Nothing stands in the way of what would be done."""
    count = f"{len(seen.pending)} change{'' if len(seen.pending) == 1 else 's'}"
    return Ending("done", 0, f"rehearsal: nothing stands in the way of {count}; nothing was changed", p.run)


def unchanged(p: RunContext, error: Exception) -> Ending:
    """Stopped before anything was changed."""
    outcome, exit_code = _before_any_change(error)
    said = in_words(error)
    gap = "\n" if "\n" in said else " "
    return Ending(outcome, exit_code, f"{outcome}, nothing was changed:{gap}{said}", p.run)


def _before_any_change(error: Exception) -> tuple[RunOutcome, int]:
    match error:
        case InterruptedRunError():
            return "interrupted", 130
        case BusyError():
            return "busy", 6
        case UsageError():
            return "error", 2
        case RefusedError() | VerifyError() | DoubtError() | WorldChangedError():
            return "refused", 3
    return "error", 1


def held(p: RunContext, error: Exception) -> Ending:
    """Stopped in between on purpose: what is where, and how to go on."""
    standing = p.progress.applied
    states = {place: _held_state(standing.get(place)) for place in _changes(p)}
    lines = [
        f"held at {p.at}: {in_words(error)}",
        "nothing was put back and the run stays open. State per host:",
        *table(p, states),
        *by_hand(p, order_back(p)),
        f"then: ferryman resume {p.run} looks again, and goes on",
        f"or:   ferryman rollback {p.run} looks again, and goes back",
    ]
    return Ending("held", 7, "\n".join(lines), p.run)


def rolled_back(p: RunContext, cause: Exception | None, result: RollbackResult) -> Ending:
    """After the way back, for ``cause`` or because it was asked for."""
    if result.left:
        return _stranded(p, cause, result)
    others = [
        *(f"someone else's by now, and left alone: {each}" for each in result.foreign),
        *dict.fromkeys(result.warnings),
    ]
    headline = "nothing of the run is left"
    if p.progress.restored:
        headline = "rolled back: all is as before, verified"
        if others:
            headline = "rolled back: all that this run changed is as before, verified; beside that:"
    lines = [*([in_words(cause)] if cause else []), headline, *others]
    reason = "\n".join(lines)
    if isinstance(cause, InterruptedRunError):
        return Ending("interrupted", 130, reason, p.run)
    # Whoever asked for it has what was wanted: that is no failure of this command.
    return Ending("rolled-back", 4 if cause else 0, reason, p.run)


def _stranded(p: RunContext, cause: Exception | None, result: RollbackResult) -> Ending:
    states = dict.fromkeys(_changes(p), "not changed by this run")
    states |= dict.fromkeys(result.marks, "someone else's by now, left alone")
    states |= dict.fromkeys(result.restored, "as before, verified")
    states |= {left.place: "not as before" for left in result.left}
    lines = [
        *([in_words(cause)] if cause else []),
        "the rollback could not be completed; the run stays open and keeps its lock. Not as before, to mend:",
        *(f"  step {left.place + 1}, {p.plan.titles[left.place]}: {left.why}" for left in result.left),
        *(f"  beside that: {each}" for each in dict.fromkeys(result.warnings)),
        "state per host:",
        *table(p, states),
        *by_hand(p, [left.place for left in result.left if not left.unseen]),
        f"then: ferryman rollback {p.run} looks again, and closes the run when all is as before",
        f"or:   ferryman resume {p.run} looks again, and goes forward instead",
    ]
    return Ending("stranded", 5, "\n".join(lines), p.run)


def _changes(p: RunContext) -> list[int]:
    return [place for place, step in enumerate(p.plan.steps) if isinstance(step, Change)]


def _held_state(mark: AppliedChange | None) -> str:
    if mark is None:
        return "not made by this run"
    if mark.verified:
        return "made and verified"
    return "made, not verified" if mark.made else "in doubt"
