"""Going over: each change in order, with its intent on disk first; each look that comes after a change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ferryman.engine.clock import stamp
from ferryman.engine.diff import diff, in_short
from ferryman.engine.progress import intent
from ferryman.engine.steps import Change, NoChange
from ferryman.engine.verification import verify_at_the_end, verify_standing
from ferryman.errors import DoubtError, NotFollowedError, VerifyError, WorldChangedError
from ferryman.events import ChangeMade

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferryman.engine.preflight import PendingChange, Preflight
    from ferryman.engine.run_context import RunContext
    from ferryman.model import Edit


def cross(p: RunContext, seen: Preflight) -> None:
    """Make what is pending, verify everything, and look where the plan looks.

    Raises:
        VerifyError: Something is not as wanted.
        DoubtError: Something could not be determined.
        WorldChangedError: Someone else wrote meanwhile.
        InterruptedRunError: The operator said stop.
    """
    for place, step in enumerate(p.plan.steps):
        if not isinstance(step, Change):
            if place > p.plan.first_change:
                p.read_phase(place, "check", step.look)
        elif place in seen.pending:
            verify_standing(p, but=[later for later in seen.pending if later >= place])
            _make(p, place, step, seen.pending[place])
        else:
            _still_so(p, place, step)
    p.at = "the end, where every change is verified again"
    verify_at_the_end(p)


def _make(p: RunContext, place: int, change: Change[Any], pending: PendingChange) -> None:
    now = p.read_phase(place, "check", change.check)
    if isinstance(now, NoChange) and now.own and place in p.progress.applied:
        _stands(p, place, change, now)
        return
    if isinstance(now, NoChange) or now != pending.before:
        seen = now.reason if isinstance(now, NoChange) else diff(pending.before, now)
        raise WorldChangedError(_meddled(p, place, seen))
    p.lease.require()
    p.mark("intent", place, intent(p.plan.titles[place], pending.before, pending.edits))
    doubt = _do(p, place, change, pending)
    _verify(p, place, change, doubt)
    if doubt is not None:
        _made(p, place, pending.edits)


def _do(p: RunContext, place: int, change: Change[Any], pending: PendingChange) -> DoubtError | None:
    """Make the change; a lost answer is no failure yet: verify reads the state back, nothing is repeated.

    Of what does not follow the state is known: it was read, and verify would say no more.
    """

    def do() -> None:
        p.lease.require()  # again: writing it down, and telling, may have taken longer than the lease lasts
        change.do(pending.before)
        _made(p, place, pending.edits)

    try:
        p.write_phase(place, "do", do)
    except WorldChangedError:
        p.mark("foreign", place)
        raise
    except NotFollowedError:
        raise
    except DoubtError as doubt:
        return doubt
    return None


def _verify(p: RunContext, place: int, change: Change[Any], doubt: DoubtError | None = None) -> None:
    try:
        p.read_phase(place, "verify", change.verify)
    except (VerifyError, DoubtError) as error:
        if doubt is None:
            raise
        kind = DoubtError if isinstance(error, DoubtError) else VerifyError
        raise kind(f"{doubt}\n{error}") from error
    p.seen_at[place] = stamp(p.clock.now())
    p.mark("verified", place)


def _still_so(p: RunContext, place: int, change: Change[Any]) -> None:
    """What needed no change must still need none, and is verified like everything else."""
    now = p.read_phase(place, "check", change.check)
    if not isinstance(now, NoChange):
        raise WorldChangedError(_meddled(p, place, f"it was as wanted, and is {in_short(now)}"))
    _stands(p, place, change, now)


def _stands(p: RunContext, place: int, change: Change[Any], now: NoChange) -> None:
    """What is there already is verified like everything else, and answered for where this run made it."""
    if now.before is not None and place not in p.progress.applied:
        p.lease.require()
        p.mark("intent", place, intent(p.plan.titles[place], now.before, ()))
    _verify(p, place, change)
    mark = p.progress.applied.get(place)
    if mark is not None and not mark.made:  # the process that made it died before it could say so
        _made(p, place, mark.edits)


def _made(p: RunContext, place: int, edits: Sequence[Edit]) -> None:
    for edit in edits:
        p.log.emit(ChangeMade(place, edit, applied=True))
    p.mark("made", place)


def _meddled(p: RunContext, place: int, seen: str) -> str:
    return (
        f"{p.plan.titles[place]}: someone else changed it since it was checked, and it was left alone: "
        f"{seen}; see who did, then start again"
    )
