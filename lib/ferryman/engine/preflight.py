"""Preflight: everything that can be checked is checked before anything is changed."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ferryman.engine.diff import diff, shortened
from ferryman.engine.own_code import call_own, plain_edits
from ferryman.engine.progress import checked
from ferryman.engine.steps import Change, NoChange
from ferryman.errors import (
    DoubtError,
    DryRunError,
    FerrymanError,
    InterruptedRunError,
    UsageError,
    VerifyError,
    WorldChangedError,
)
from ferryman.events import FindingMade
from ferryman.model import Finding, Verdict
from ferryman.plain_text import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.engine.plan import Step
    from ferryman.engine.run_context import RunContext
    from ferryman.engine.steps import Look
    from ferryman.model import Edit

_ENDS_AT_ONCE = (UsageError, DryRunError, InterruptedRunError)
"""Errors that end the preflight at once: they are not about one step."""


@dataclass(frozen=True, slots=True)
class PendingChange:
    """A change to be made: the state before it, as checked, and the edits that it makes."""

    before: Any
    edits: tuple[Edit, ...]
    cannot_tell_before: str | None = None
    """What must happen before it is known which of the edits are made; None: all of them are."""

    @classmethod
    def of(cls, change: Change[Any], before: object) -> PendingChange:
        """What this change would do from that state."""
        edits = plain_edits(call_own(lambda: change.edits(before)))
        unknown = call_own(lambda: change.cannot_tell_before(before))
        return cls(before, edits, unknown if edits or unknown else "it is made: the step names no edits")


@dataclass(slots=True)
class Preflight:
    """What was found: the changes to be made, by place, and the errors that block the run."""

    pending: dict[int, PendingChange] = field(default_factory=dict)
    already: dict[int, NoChange] = field(default_factory=dict)
    """The changes that need not be made, by place."""
    blockers: list[FerrymanError] = field(default_factory=list)

    @property
    def edits(self) -> tuple[Edit, ...]:
        """The edits of all changes to be made, in order."""
        return tuple(edit for pending in self.pending.values() for edit in pending.edits)

    def judge(self) -> None:
        """Raise when something blocks the run, with all of it in the message.

        Raises:
            DoubtError: Nothing is known to be wrong, but something could not be read.
            VerifyError: Something is wrong.
        """
        if self.blockers:
            doubtful = all(isinstance(blocker, DoubtError) for blocker in self.blockers)
            text = "\n".join(dict.fromkeys(map(str, self.blockers)))  # a host that is down blocks many steps
            raise (DoubtError if doubtful else VerifyError)(text)


def run_preflight(run: RunContext) -> Preflight:
    """Make every look before the first change and every change's check; one that fails stops no other."""
    preflight = Preflight()
    run.begin_moment((place, "check", None) for place in _places(run))
    for place, step in enumerate(run.plan.steps):
        try:
            _check_step(run, preflight, place, step)
        except _ENDS_AT_ONCE:
            raise
        except FerrymanError as error:
            preflight.blockers.append(error)
    run.end_moment()
    return preflight


def _places(run: RunContext) -> Iterator[int]:
    """The places of the steps that the preflight looks at."""
    for place, step in enumerate(run.plan.steps):
        if isinstance(step, Change) or (place < run.plan.first_change and not _is_skipped(run, step)):
            yield place


def _is_skipped(run: RunContext, look: Look) -> bool:
    """Whether a look cannot hold now: changes are applied, and it holds before them alone."""
    return bool(run.progress.applied) and not look.valid_after_change


def record_checked(run: RunContext, preflight: Preflight) -> None:
    """Record the state before the first change, which a rollback compares with, whatever was made.

    All of it at once, so that no part can be missing.
    """
    for place, title in enumerate(run.plan.titles):
        if place in run.progress.checked:
            continue
        if place in preflight.pending:
            pending = preflight.pending[place]
            payload = checked(title, pending.before, pending.edits)
        elif place in preflight.already:
            already = preflight.already[place]
            payload = checked(title, already.before, already=already.reason)
        else:
            continue
        run.log.note("checked", payload, place)
        run.progress.fold("checked", place, payload)
    run.log.flush()


def _check_step(run: RunContext, preflight: Preflight, place: int, step: Step) -> None:
    if isinstance(step, Change):
        before = run.read_phase(place, "check", step.check)
        compare_with_journal(run, place, before)
        if isinstance(before, NoChange):
            _report_no_change(run, place, before)
            _require_recorded(run, place, before)
            preflight.already[place] = before
        else:
            _require_json(run, place, before)
            _require_same_as_begun(run, place, before)
            preflight.pending[place] = PendingChange.of(step, before)
    elif place < run.plan.first_change:
        if _is_skipped(run, step):
            run.skip(place)
        else:
            run.read_phase(place, "check", step.look)


def reconcile(run: RunContext) -> None:
    """Before a rollback in a new process: compare each change, applied by the journal, with what is there.

    It judges nothing: each undo looks again. What cannot be read is reported as unknown.
    """
    run.begin_moment((place, "check", None) for place in sorted(run.progress.applied))
    for place in sorted(run.progress.applied):
        try:
            now = run.read_phase(place, "check", run.plan.change(place).check)
        except InterruptedRunError:
            raise
        except Exception as error:  # noqa: BLE001  # whatever the error, the rollback comes next
            _report_journal(run, place, Verdict.UNKNOWN, text_of(error))
        else:
            compare_with_journal(run, place, now)


def compare_with_journal(run: RunContext, place: int, now: object) -> None:
    """Report what is there of a change that is applied by the journal, and whether both agree."""
    if (applied := run.progress.applied.get(place)) is None:
        return
    if isinstance(now, NoChange):
        _report_journal(run, place, Verdict.PASS if applied.made else Verdict.WARN, f"made: {now.reason}")
    elif now == applied.before:
        _report_journal(run, place, Verdict.WARN if applied.made else Verdict.PASS, "as before the run")
    else:
        seen = f"neither as before nor as wanted: {diff(applied.before, now)}"
        _report_journal(run, place, Verdict.WARN, seen)


def _report_journal(run: RunContext, place: int, verdict: Verdict, seen: str) -> None:
    applied = run.progress.applied[place]
    host = applied.edits[0].target if applied.edits else ""
    recorded = "made" if applied.made else "begun, and not known to be made"
    run.log.emit(FindingMade(place, Finding("journal", host, verdict, seen, f"by the journal: {recorded}")))


def _report_no_change(run: RunContext, place: int, already: NoChange) -> None:
    title = run.plan.titles[place]
    run.log.emit(FindingMade(place, Finding("already-so", "", Verdict.SKIP, already.reason, title)))


def _require_recorded(run: RunContext, place: int, already: NoChange) -> None:
    """What this run had to change, and by the journal did not, is somebody else's work, or a lost record.

    Except what the step itself takes over (``NoChange.before``): an earlier undo had to leave it.
    """
    checked_before = run.checked_before(place)
    if place in run.progress.applied or checked_before is None or checked_before.already:
        return
    if already.before is not None:
        return
    raise DoubtError(
        f"{run.plan.titles[place]}: {already.reason}, though by the journal this run did not change it: "
        f"somebody else did, or the journal has lost records; find out, then put it back by hand, or all "
        f"of it with ferryman rollback {run.id}"
    )


def _require_json(run: RunContext, place: int, before: object) -> None:
    """The state before is kept as JSON and compared after it was read back, so it must come back the same."""
    written = json.dumps(before)
    if (kept := json.loads(written)) != before:
        raise TypeError(
            f"{run.plan.titles[place]}: check returned {shortened(before)}, "
            f"which the journal gives back as {shortened(kept)}; "
            "return lists, dicts with text keys, text, numbers"
        )


def _require_same_as_begun(run: RunContext, place: int, now: object) -> None:
    """A change that this run already began may be made or not; in any other state someone else changed it."""
    applied = run.progress.applied.get(place)
    if applied is not None and now != applied.before:
        raise WorldChangedError(
            f"{applied.title}: neither made nor as it was when the run began it: {diff(applied.before, now)}"
        )
