"""A dry run says one thing of each change of the plan, waits for nothing, and is compared with what follows.

``change`` (not applied): it would be made, by this diff or command. ``no-change``: it need not be made.
``cannot-tell``: that is not known before something else has happened; it is no promise either way.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from ferryman.engine.clock import stamp
from ferryman.engine.foretold import RUN, Course, Foretelling
from ferryman.engine.steps import Change
from ferryman.events import CannotTell, ChangeMade, ForetoldCompared, NoChangeNeeded
from ferryman.outcomes import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ferryman.engine.preflight import Preflight
    from ferryman.engine.run_context import RunContext
    from ferryman.events import Event
    from ferryman.model import Edit
    from ferryman.outcomes import RunResult
    from ferryman.state import Store
    from ferryman.state.foretellings import Foretellings

_NOTHING_WAS_TRIED = (Outcome.BUSY, Outcome.INTERRUPTED, Outcome.ERROR, Outcome.USAGE)
"""Where nothing was changed either, these say nothing about what was foretold."""

_log = logging.getLogger(__name__)


def announce(run: RunContext, preflight: Preflight) -> None:
    """Say of each change, in order, whether it would be made, need not be, or cannot be told beforehand."""
    for place, step in enumerate(run.plan.steps):
        if isinstance(step, Change):
            for event in _answer(run, preflight, place):
                run.log.emit(event)


def _answer(run: RunContext, preflight: Preflight, place: int) -> Iterator[Event]:
    if place in preflight.already:
        yield NoChangeNeeded(place, preflight.already[place].reason)
    elif place not in preflight.pending:
        yield CannotTell(place, "what blocks it is put right")
    else:
        pending = preflight.pending[place]
        edits = tuple(_without_id(run.id, pending.edits))
        if pending.cannot_tell_before is not None:
            yield CannotTell(place, pending.cannot_tell_before, edits)
            return
        for edit in edits:
            yield ChangeMade(place, edit, applied=False)


def _without_id(run: str, edits: Iterable[Edit]) -> Iterator[Edit]:
    """The edits without the dry run's own id: the run that makes them will have another."""
    for edit in edits:
        texts = {
            name: text.replace(run, RUN)
            for name in ("target", "diff", "command")
            if (text := getattr(edit, name)) is not None
        }
        yield replace(edit, **texts)


def verify_no_change(run: RunContext) -> None:
    """Verify every change where none is needed, each by one look; raises as ``execute`` does.

    Looks after a change are not made: they wait for what a change brings about, and nothing was changed.
    """
    run.begin_moment((place, "check", None) for place in sorted(run.plan.changes))
    for place, step in enumerate(run.plan.steps):
        if isinstance(step, Change):
            run.read_phase(place, "verify", step.verify)


def keep_or_compare(run: RunContext, store: Store, foretellings: Foretellings, result: RunResult) -> None:
    """Keep what a dry run foretold; at the end of any other run, say in what it went differently.

    Nothing is said when nothing was foretold before the run began. It never fails the run.
    """
    if run.plan.first_change == len(run.plan.steps):
        return
    try:
        if run.request.dry_run:
            _keep(run, foretellings, result)
        else:
            _compare(run, store, foretellings, result)
    except Exception:  # noqa: BLE001  # a convenience; the run is what matters
        _log.debug("what was foretold could not be kept, or compared", exc_info=True)


def _keep(run: RunContext, foretellings: Foretellings, result: RunResult) -> None:
    if result.ended in (Outcome.DONE, Outcome.REFUSED):
        refused = result.ended is Outcome.REFUSED
        foretelling = Foretelling(run.course, stamp(run.clock.now()), refused)
        foretellings.write(run.request, foretelling.as_json())


def _compare(run: RunContext, store: Store, foretellings: Foretellings, result: RunResult) -> None:
    if result.ended in _NOTHING_WAS_TRIED and not (run.progress.applied or run.progress.restored):
        return
    foretelling = Foretelling.from_json(foretellings.read(run.request))
    if foretelling is None or foretelling.ended > run.started:
        return
    course = run.course
    if run.resumed:
        if run.log.journal_lost is not None:  # what earlier processes did is not known then
            return
        course = Course.of(run.id, run.plan.titles)
        course.take_records(store.verified_records(store.run(run.id)))
    differences = foretelling.differences(course, refused=result.ended is Outcome.REFUSED)
    age = run.clock.now() - datetime.fromisoformat(foretelling.ended)
    run.log.emit(ForetoldCompared(foretelling.course.run, max(0.0, age.total_seconds()), differences))
    if result.ended is Outcome.DONE:
        foretellings.remove(run.request)  # the next run begins in another world than the dry run saw
