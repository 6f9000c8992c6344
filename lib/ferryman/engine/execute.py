"""Execution: each change in order, with its intent on disk first, and each look that comes after a change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ferryman.engine.clock import stamp
from ferryman.engine.diff import diff, shortened
from ferryman.engine.own_code import plain_edits
from ferryman.engine.progress import intent
from ferryman.engine.steps import Change, Look, NoChange
from ferryman.engine.verification import applied_but, to_verify, verify_applied, verify_at_the_end
from ferryman.errors import DoubtError, NotFollowedError, VerifyError, WorldChangedError
from ferryman.events import ChangeMade

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferryman.engine.preflight import PendingChange, Preflight
    from ferryman.engine.run_context import Questioned, RunContext
    from ferryman.model import Edit


def execute(run: RunContext, preflight: Preflight) -> None:
    """Make each pending change, verify all of them, and make the looks that follow a change.

    Raises:
        VerifyError: Something is not as wanted.
        DoubtError: Something could not be determined.
        WorldChangedError: Someone else wrote meanwhile.
        InterruptedRunError: The operator said stop.
    """
    for place, step in enumerate(run.plan.steps):
        if not isinstance(step, Change):
            if place > run.plan.first_change:
                run.begin_moment([(place, "check", None)], _right_behind(run, place, preflight))
                run.read_phase(place, "check", step.look)
        elif place in preflight.pending:
            run.begin_moment(_looked_at(run, place, preflight), continues=_is_read_last(run, place - 1))
            verify_applied(run, but=[later for later in preflight.pending if later >= place])
            _make(run, place, step, preflight.pending[place])
        else:
            _require_no_change_needed(run, place, step)
    run.at = "the end, where every change is verified again"
    verify_at_the_end(run)


def _looked_at(run: RunContext, place: int, preflight: Preflight) -> list[Questioned]:
    """What is looked at right before a change: what is verified then, and what it looks at itself."""
    later = [other for other in preflight.pending if other >= place]
    made = [to_verify(run, other) for other in applied_but(run, later)]
    return [*made, (place, "check", preflight.pending[place].before)]


def _right_behind(run: RunContext, place: int, preflight: Preflight) -> list[Questioned]:
    """What is looked at right after a look, before the change behind it."""
    if place + 1 not in preflight.pending or not _is_read_last(run, place):
        return []
    return _looked_at(run, place + 1, preflight)


def _is_read_last(run: RunContext, place: int) -> bool:
    """Whether the step at this place is a look that ends with what it reads."""
    step = run.plan.steps[place] if place >= 0 else None
    return isinstance(step, Look) and step.reads_last


def _make(run: RunContext, place: int, change: Change[Any], pending: PendingChange) -> None:
    now = run.read_phase(place, "check", change.check)
    if isinstance(now, NoChange) and now.own and place in run.progress.applied:
        _confirm(run, place, change, now)
        return
    if isinstance(now, NoChange) or now != pending.before:
        seen = now.reason if isinstance(now, NoChange) else diff(pending.before, now)
        raise WorldChangedError(_changed_meanwhile(run, place, seen))
    run.lease.require()
    run.mark("intent", place, intent(run.plan.titles[place], pending.before, pending.edits))
    doubt = _do(run, place, change, pending)
    _verify(run, place, change, doubt)
    if doubt is not None:
        _made(run, place, pending.edits)


def _do(run: RunContext, place: int, change: Change[Any], pending: PendingChange) -> DoubtError | None:
    """Make the change; a lost answer is no failure yet: verify reads the state back, nothing is repeated.

    ``NotFollowedError`` is raised at once: the state was read, and verify would find no more.
    """

    def do() -> None:
        run.lease.require()  # again: recording and reporting may have taken longer than the lease lasts
        made = change.do(pending.before)
        _made(run, place, pending.edits if made is None else made)

    try:
        run.write_phase(place, "do", do)
        if not change.reads_back:
            run.end_moment()
    except WorldChangedError:
        run.mark("foreign", place)
        raise
    except NotFollowedError:
        raise
    except DoubtError as doubt:
        run.end_moment()
        return doubt
    return None


def _verify(run: RunContext, place: int, change: Change[Any], doubt: DoubtError | None = None) -> None:
    try:
        run.read_phase(place, "verify", change.verify)
    except (VerifyError, DoubtError) as error:
        if doubt is None:
            raise
        kind = DoubtError if isinstance(error, DoubtError) else VerifyError
        raise kind(f"{doubt}\n{error}") from error
    run.seen_at[place] = stamp(run.clock.now())
    run.mark("verified", place)


def _require_no_change_needed(run: RunContext, place: int, change: Change[Any]) -> None:
    """A change that was not needed must still not be needed, and is verified like the others."""
    run.begin_moment([(place, "check", None)])
    now = run.read_phase(place, "check", change.check)
    if not isinstance(now, NoChange):
        raise WorldChangedError(_changed_meanwhile(run, place, f"it was as wanted, and is {shortened(now)}"))
    _confirm(run, place, change, now)


def _confirm(run: RunContext, place: int, change: Change[Any], now: NoChange) -> None:
    """Verify what is there already, and record it as made where this run made it."""
    if now.before is not None and place not in run.progress.applied:
        run.lease.require()
        run.mark("intent", place, intent(run.plan.titles[place], now.before, ()))
    _verify(run, place, change)
    applied = run.progress.applied.get(place)
    if applied is not None and not applied.made:  # the process that made it died before it could say so
        _made(run, place, applied.edits)


def _made(run: RunContext, place: int, edits: Sequence[Edit]) -> None:
    for edit in plain_edits(edits):
        run.log.emit(ChangeMade(place, edit, applied=True))
    run.mark("made", place)


def _changed_meanwhile(run: RunContext, place: int, seen: str) -> str:
    return (
        f"{run.plan.titles[place]}: someone else changed it since it was checked, and it was left alone: "
        f"{seen}; see who did, then start again"
    )
