"""Before a run is resumed or rolled back: what is applied by its records, and that its plan is the same."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ferryman.engine.progress import Progress
from ferryman.engine.verification import is_superseded
from ferryman.errors import DoubtError, RefusedError, UsageError, VerifyError, WorldChangedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.engine.plan import Plan
    from ferryman.engine.run_context import RunContext
    from ferryman.engine.steps import Purpose
    from ferryman.state import Run, Store


def load_progress(store: Store, entry: Run, plan: Plan, *, accept_changed_plan: bool) -> Progress:
    """How far the run is, by its records.

    Raises:
        BusyError: A process is at work on it.
        JournalError: The records cannot be trusted.
        UsageError: The plan is not the one that the run began with.
    """
    store.require_idle(entry)
    progress = Progress(store.verified_records(entry))
    if plan.fingerprint != entry.fingerprint and not accept_changed_plan:
        raise UsageError(_what_changed(entry, plan))
    _require_same_changes(entry, plan, progress)
    return progress


def require_undoable(run: RunContext, progress: Progress, store: Store) -> None:
    """Before a run that is done is rolled back: each undo must be able to succeed, or none is begun.

    Each change must still be as the run made it, and says whether it could be undone.

    Raises:
        RefusedError: A change was modified, or cannot be undone; names each, and later runs of the service.
        DoubtError: No change is known to be modified, but one could not be read.
    """
    differing: list[str] = []
    doubtful: list[str] = []
    run.begin_moment(
        (place, purpose, applied.before)
        for place, applied in sorted(progress.applied.items())
        for purpose in _looked_for(run, place, progress)
    )
    for place, applied in sorted(progress.applied.items()):
        change = run.plan.change(place)
        looks = [change.require_undoable]
        if not is_superseded(run.plan, place, progress.applied):
            looks.insert(0, change.verify_again)
        for look in looks:
            try:
                run.read_phase(place, "verify", partial(look, applied.before))
            except (VerifyError, RefusedError, WorldChangedError) as error:
                differing.append(f"{run.plan.titles[place]}: {error}")
                break
            except DoubtError as error:
                doubtful.append(f"{run.plan.titles[place]}: {error}")
                break
    if doubtful and not differing:
        raise DoubtError("whether all is as the run left it is not known:\n" + "\n".join(doubtful))
    if differing:
        text = "\n".join([*differing, *doubtful, *_later_runs(run, store)])
        raise RefusedError(f"{run.id} left this otherwise, somebody changed it since:\n{text}")


def _looked_for(run: RunContext, place: int, progress: Progress) -> Iterator[Purpose]:
    """For what a change is looked at before a run that is done is rolled back."""
    if not is_superseded(run.plan, place, progress.applied):
        yield "verify"
    yield "undo"


def _later_runs(run: RunContext, store: Store) -> list[str]:
    """Runs of the same virtual services that came later: what they changed has to go back first."""
    mine, began = set(run.plan.locks), store.run(run.id).started
    later = [
        entry
        for entry in store.runs()
        if entry.id != run.id
        and entry.started >= began
        and entry.outcome in ("done", "held", "stranded", None)
        and mine & locks_of(store, entry)
    ]
    if not later:
        return ["put it right by hand, or leave it as it is"]
    return [
        f"a later run changed the same: {entry.id} ({entry.request.cookbook} {entry.request.given}, "
        f"{entry.outcome or 'open'}); ferryman rollback {entry.id} goes first"
        for entry in later
    ]


def locks_of(store: Store, entry: Run) -> set[str]:
    """The locks of what a run works on alone, as recorded when it began; empty without that record."""
    begun = next((record for record in store.show(entry.id) if record.kind == "begun"), None)
    return set(begun.payload.get("locks", ())) if begun is not None else set()


def _what_changed(entry: Run, plan: Plan) -> str:
    was, now = "; ".join(entry.plan), "; ".join(plan.titles)
    if was == now:
        what = "its steps have the same titles, but other hosts, values or locks"
    else:
        what = f"it was: {was}; it is now: {now}"
    return (
        f"{entry.id}: the plan is not the one that the run began with: {what}; use the inventory and the "
        "cookbook of that time, or accept the changed plan: --accept-changed-plan"
    )


def _require_same_changes(entry: Run, plan: Plan, progress: Progress) -> None:
    """An applied change can only be put back by the step that made it."""
    for place, applied in progress.applied.items():
        now = "".join(plan.titles[place : place + 1])
        if now != applied.title:
            raise UsageError(
                f"{entry.id}: step {place + 1} was '{applied.title}' and is in the world, but the plan has "
                f"'{now}' there; use the cookbook that the run began with"
            )
