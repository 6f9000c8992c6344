"""Coming back: everything that stands is put back and verified, whatever fails on the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ferryman.engine.telling import in_full, in_words
from ferryman.errors import BusyError, InterruptedRunError, JournalError, VerifyError, WorldChangedError
from ferryman.events import ChangeMade

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ferryman.engine.passage import Passage, StepReport
    from ferryman.engine.progress import Mark
    from ferryman.engine.steps import Change


@dataclass(frozen=True, slots=True)
class Left:
    """A change that could not be put back, and why."""

    place: int
    why: str


@dataclass(slots=True)
class Return:
    """What became of the changes that stood."""

    marks: Mapping[int, Mark]
    """Those that stood, by place."""
    restored: list[int] = field(default_factory=list)
    """As before, verified."""
    foreign: list[str] = field(default_factory=list)
    """Someone else's by now, and left as they are; never ours."""
    left: list[Left] = field(default_factory=list)


def go_back(p: Passage) -> Return:
    """Put everything back that stands; one that cannot be keeps none of the others from it."""
    p.signals.turn_back()
    p.telling.turn_back()
    result = Return(dict(p.progress.standing))
    waiting = order_back(p)
    while waiting:
        try:
            _require_hold(p, waiting[0])
            _put_back(p, waiting[0], result)
        except (InterruptedRunError, BusyError) as stop:
            result.left += [Left(place, str(stop)) for place in waiting]
            break
        except Exception as error:  # noqa: BLE001  # the rest must still be put back; it is reported
            p.telling.record("left", in_full(error, p.at), waiting[0])
            result.left.append(Left(waiting[0], in_words(error)))
        waiting = waiting[1:]
    return result


def order_back(p: Passage) -> Sequence[int]:
    """The places of what stands, last in, first out; but what others follow goes back before them."""
    return sorted(p.progress.standing, key=lambda place: (not p.plan.change(place).goes_back_first, -place))


def _require_hold(p: Passage, place: int) -> None:
    """The run must be this process's still: by a record, which would be refused else, and then by its lease.

    In this order, for writing the record may take longer than the lease lasts.
    """
    p.telling.record("undoing", {}, place)
    if isinstance(lost := p.telling.journal_lost, BusyError):
        raise lost
    try:
        p.lease.require()
    except JournalError as error:
        p.telling.lose_journal(error)


def _put_back(p: Passage, place: int, result: Return) -> None:
    change, mark = p.plan.change(place), p.progress.standing[place]
    try:
        p.looking(place, "undo", lambda report: _undo(change, mark, report))
    except WorldChangedError as error:
        # Neither do nor undo dared to touch it: nothing of it is ours, and it stays as the other left it.
        if not mark.foreign:
            raise
        result.foreign.append(str(error))
    else:
        result.restored.append(place)
        if mark.made:
            for edit in change.edits_back(mark.before):
                p.telling.tell(ChangeMade(place, edit, applied=True))
    p.mark("undone", place)


def _undo(change: Change[Any], mark: Mark, report: StepReport) -> None:
    """Undo and look: what the world says counts, whatever undo said."""
    refusal = _attempt(change, mark)
    try:
        differs = change.undone(mark.before, report)
    except InterruptedRunError:
        raise
    except Exception as error:
        raise (refusal or error) from error
    if differs is None:
        return
    if refusal is not None:
        raise refusal
    raise (WorldChangedError if mark.foreign else VerifyError)(differs)


def _attempt(change: Change[Any], mark: Mark) -> Exception | None:
    """Call undo; what it raises is kept until the world has been looked at."""
    try:
        change.undo(mark.before)
    except InterruptedRunError:
        raise
    except Exception as error:  # noqa: BLE001  # the caller raises it unless all is as before
        return error
    return None
