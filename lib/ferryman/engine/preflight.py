"""Looking at the far bank: everything that can be checked, before anything is changed."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ferryman.engine.diff import diff, in_short
from ferryman.engine.progress import checked
from ferryman.engine.steps import Change, NoChange
from ferryman.errors import (
    DoubtError,
    FerrymanError,
    InterruptedRunError,
    RehearsalError,
    UsageError,
    VerifyError,
    WorldChangedError,
)
from ferryman.events import ChangeMade, FindingMade
from ferryman.model import Finding, Verdict

if TYPE_CHECKING:
    from ferryman.engine.plan import Step
    from ferryman.engine.run_context import RunContext
    from ferryman.model import Edit

_NOT_ABOUT_THE_WORLD = (UsageError, RehearsalError, InterruptedRunError)
"""What ends a survey at once: looking further would not make it better."""


@dataclass(frozen=True, slots=True)
class PendingChange:
    """A change to be made: what was there when it was surveyed, and what making it does."""

    before: Any
    edits: tuple[Edit, ...]


@dataclass(slots=True)
class Preflight:
    """What was seen: the changes to be made, by place, and whatever stands in the way."""

    pending: dict[int, PendingChange] = field(default_factory=dict)
    already: dict[int, NoChange] = field(default_factory=dict)
    """The changes that need not be made, by place."""
    stops: list[FerrymanError] = field(default_factory=list)

    @property
    def edits(self) -> tuple[Edit, ...]:
        """Everything that would be done, in order."""
        return tuple(edit for pending in self.pending.values() for edit in pending.edits)

    def judge(self) -> None:
        """Raise when something stands in the way, with all of it in the message.

        Raises:
            DoubtError: Nothing is known to be wrong, but something could not be looked at.
            VerifyError: Something is wrong.
        """
        if self.stops:
            doubtful = all(isinstance(stop, DoubtError) for stop in self.stops)
            text = "\n".join(str(stop) for stop in self.stops)
            raise (DoubtError if doubtful else VerifyError)(text)


def survey(p: RunContext) -> Preflight:
    """Run every look before the first change and every change's check; one that fails stops no other."""
    seen = Preflight()
    for place, step in enumerate(p.plan.steps):
        try:
            _survey_step(p, seen, place, step)
        except _NOT_ABOUT_THE_WORLD:
            raise
        except FerrymanError as error:
            seen.stops.append(error)
    return seen


def record_checked(p: RunContext, seen: Preflight) -> None:
    """Write down what was there before the first change: a rollback compares all of it, whatever was made.

    All of it at once: of a plan's before no part may be missing.
    """
    for place, title in enumerate(p.plan.titles):
        if place in p.progress.checked:
            continue
        if place in seen.pending:
            pending = seen.pending[place]
            payload = checked(title, pending.before, pending.edits)
        elif place in seen.already:
            already = seen.already[place]
            payload = checked(title, already.before, already=already.reason)
        else:
            continue
        p.log.note("checked", payload, place)
        p.progress.fold("checked", place, payload)
    p.log.flush()


def announce(p: RunContext, seen: Preflight) -> None:
    """Tell what would be done, for a rehearsal."""
    for place, pending in seen.pending.items():
        for edit in pending.edits:
            p.log.emit(ChangeMade(place, edit, applied=False))


def _survey_step(p: RunContext, seen: Preflight, place: int, step: Step) -> None:
    if isinstance(step, Change):
        before = p.read_phase(place, "check", step.check)
        tell_against_journal(p, place, before)
        if isinstance(before, NoChange):
            _tell_already(p, place, before)
            _require_recorded(p, place, before)
            seen.already[place] = before
        else:
            _require_plain(p, place, before)
            _require_same_as_marked(p, place, before)
            seen.pending[place] = PendingChange(before, tuple(step.edits(before)))
    elif place < p.plan.first_change:
        if p.progress.applied and not step.valid_after_change:
            p.skip(place)
        else:
            p.read_phase(place, "check", step.look)


def reconcile(p: RunContext) -> None:
    """Before a way back in a new process: what the world says of each change that the journal has standing.

    It judges nothing: each undo looks again. What cannot be looked at is told as such.
    """
    for place in sorted(p.progress.applied):
        try:
            now = p.read_phase(place, "check", p.plan.change(place).check)
        except InterruptedRunError:
            raise
        except Exception as error:  # noqa: BLE001  # whatever is wrong with looking, the way back comes next
            _tell_of_journal(p, place, Verdict.UNKNOWN, str(error))
        else:
            tell_against_journal(p, place, now)


def tell_against_journal(p: RunContext, place: int, now: object) -> None:
    """What the world says of a change that the journal has standing, and whether both agree."""
    if (mark := p.progress.applied.get(place)) is None:
        return
    if isinstance(now, NoChange):
        _tell_of_journal(p, place, Verdict.PASS if mark.made else Verdict.WARN, f"made: {now.reason}")
    elif now == mark.before:
        _tell_of_journal(p, place, Verdict.WARN if mark.made else Verdict.PASS, "as before the run")
    else:
        seen = f"neither as before nor as wanted: {diff(mark.before, now)}"
        _tell_of_journal(p, place, Verdict.WARN, seen)


def _tell_of_journal(p: RunContext, place: int, verdict: Verdict, seen: str) -> None:
    mark = p.progress.applied[place]
    host = mark.edits[0].target if mark.edits else ""
    said = "made" if mark.made else "begun, and not known to be made"
    p.log.emit(FindingMade(place, Finding("journal", host, verdict, seen, f"by the journal: {said}")))


def _tell_already(p: RunContext, place: int, already: NoChange) -> None:
    title = p.plan.titles[place]
    p.log.emit(FindingMade(place, Finding("already-so", "", Verdict.SKIP, already.reason, title)))


def _require_recorded(p: RunContext, place: int, already: NoChange) -> None:
    """What this run had to change, and by the journal did not, is somebody else's work, or a lost record.

    Not so what the step itself calls left over, and answers for from now on: an earlier undo had to leave it.
    """
    checked_before = p.checked_before(place)
    if place in p.progress.applied or checked_before is None or checked_before.already:
        return
    if already.before is not None:
        return
    raise DoubtError(
        f"{p.plan.titles[place]}: {already.reason}, though by the journal this run did not change it: "
        f"somebody else did, or the journal has lost records; find out, then put it back by hand, or all "
        f"of it with ferryman rollback {p.run}"
    )


def _require_plain(p: RunContext, place: int, before: object) -> None:
    """The before is written down as JSON and compared after it was read back: it must come back the same."""
    written = json.dumps(before)
    if (kept := json.loads(written)) != before:
        raise TypeError(
            f"{p.plan.titles[place]}: check returned {in_short(before)}, "
            f"which the journal gives back as {in_short(kept)}; "
            "return lists, dicts with text keys, text, numbers"
        )


def _require_same_as_marked(p: RunContext, place: int, now: object) -> None:
    """A change that this run already began may be there or not; anything else is someone else's work."""
    mark = p.progress.applied.get(place)
    if mark is not None and now != mark.before:
        raise WorldChangedError(
            f"{mark.title}: neither made nor as it was when the run began it: {diff(mark.before, now)}"
        )
