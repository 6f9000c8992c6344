"""Going over: each change in order, with its intent on disk first; each look that comes after a change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ferryman.engine.clock import stamp
from ferryman.engine.differences import in_short, what_differs
from ferryman.engine.progress import intent
from ferryman.engine.steps import AlreadySo, Change
from ferryman.engine.verification import verify_at_the_end, verify_standing
from ferryman.errors import DoubtError, NotFollowedError, VerifyError, WorldChangedError
from ferryman.events import ChangeMade

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferryman.engine.passage import Passage
    from ferryman.engine.survey import Pending, Survey
    from ferryman.model import Edit


def cross(p: Passage, seen: Survey) -> None:
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
                p.looking(place, "check", step.look)
        elif place in seen.pending:
            verify_standing(p, but=[later for later in seen.pending if later >= place])
            _make(p, place, step, seen.pending[place])
        else:
            _still_so(p, place, step)
    p.at = "the end, where every change is verified again"
    verify_at_the_end(p)


def _make(p: Passage, place: int, change: Change[Any], pending: Pending) -> None:
    now = p.looking(place, "check", change.check)
    if isinstance(now, AlreadySo) and now.own and place in p.progress.standing:
        _stands(p, place, change, now)
        return
    if isinstance(now, AlreadySo) or now != pending.before:
        seen = now.reason if isinstance(now, AlreadySo) else what_differs(pending.before, now)
        raise WorldChangedError(_meddled(p, place, seen))
    p.lease.require()
    p.mark("intent", place, intent(p.plan.titles[place], pending.before, pending.edits))
    doubt = _do(p, place, change, pending)
    _verify(p, place, change, doubt)
    if doubt is not None:
        _made(p, place, pending.edits)


def _do(p: Passage, place: int, change: Change[Any], pending: Pending) -> DoubtError | None:
    """Make the change; a lost answer is no failure yet: verify reads the state back, nothing is repeated.

    Of what does not follow the state is known: it was read, and verify would say no more.
    """

    def do() -> None:
        p.lease.require()  # again: writing it down, and telling, may have taken longer than the lease lasts
        change.do(pending.before)
        _made(p, place, pending.edits)

    try:
        p.acting(place, "do", do)
    except WorldChangedError:
        p.mark("foreign", place)
        raise
    except NotFollowedError:
        raise
    except DoubtError as doubt:
        return doubt
    return None


def _verify(p: Passage, place: int, change: Change[Any], doubt: DoubtError | None = None) -> None:
    try:
        p.looking(place, "verify", change.verify)
    except (VerifyError, DoubtError) as error:
        if doubt is None:
            raise
        kind = DoubtError if isinstance(error, DoubtError) else VerifyError
        raise kind(f"{doubt}\n{error}") from error
    p.seen_at[place] = stamp(p.clock.now())
    p.mark("verified", place)


def _still_so(p: Passage, place: int, change: Change[Any]) -> None:
    """What needed no change must still need none, and is verified like everything else."""
    now = p.looking(place, "check", change.check)
    if not isinstance(now, AlreadySo):
        raise WorldChangedError(_meddled(p, place, f"it was as wanted, and is {in_short(now)}"))
    _stands(p, place, change, now)


def _stands(p: Passage, place: int, change: Change[Any], now: AlreadySo) -> None:
    """What is there already is verified like everything else, and answered for where this run made it."""
    if now.before is not None and place not in p.progress.standing:
        p.lease.require()
        p.mark("intent", place, intent(p.plan.titles[place], now.before, ()))
    _verify(p, place, change)
    mark = p.progress.standing.get(place)
    if mark is not None and not mark.made:  # the process that made it died before it could say so
        _made(p, place, mark.edits)


def _made(p: Passage, place: int, edits: Sequence[Edit]) -> None:
    for edit in edits:
        p.telling.tell(ChangeMade(place, edit, applied=True))
    p.mark("made", place)


def _meddled(p: Passage, place: int, seen: str) -> str:
    return (
        f"{p.plan.titles[place]}: someone else changed it since it was checked, and it was left alone: "
        f"{seen}; see who did, then start again"
    )
