"""Before a run is taken up again: what its records say stands, and whether its plan is the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.engine.progress import Progress
from ferryman.errors import DoubtError, RefusedError, UsageError, VerifyError

if TYPE_CHECKING:
    from ferryman.engine.passage import Passage
    from ferryman.engine.plan import Plan
    from ferryman.engine.store import RunEntry, Store


def recalled(store: Store, entry: RunEntry, plan: Plan, *, accept_changed_plan: bool) -> Progress:
    """What of the run stands, by its records.

    Raises:
        BusyError: A process works on it.
        JournalError: The records cannot be trusted.
        UsageError: The plan is not the one that the run began with.
    """
    store.require_left(entry)
    progress = Progress(store.trusted(entry))
    if plan.fingerprint != entry.fingerprint and not accept_changed_plan:
        raise UsageError(_what_changed(entry, plan))
    _require_same_changes(entry, plan, progress)
    return progress


def require_as_left(p: Passage, progress: Progress) -> None:
    """Before a run that is done is rolled back: what it changed must still be as it left it.

    Raises:
        RefusedError: Something is not; names each thing.
        DoubtError: Nothing is known to be otherwise, but something could not be looked at.
    """
    differing: list[str] = []
    doubtful: list[str] = []
    for place in sorted(progress.standing):
        try:
            p.looking(place, "verify", p.plan.change(place).verify)
        except VerifyError as error:
            differing.append(f"{p.plan.titles[place]}: {error}")
        except DoubtError as error:
            doubtful.append(f"{p.plan.titles[place]}: {error}")
    if doubtful and not differing:
        raise DoubtError("whether all is as the run left it is not known:\n" + "\n".join(doubtful))
    if differing:
        text = "\n".join([*differing, *doubtful])
        raise RefusedError(
            f"{p.run} left this otherwise, somebody changed it since; put it right by hand:\n{text}"
        )


def _what_changed(entry: RunEntry, plan: Plan) -> str:
    was, now = "; ".join(entry.plan), "; ".join(plan.titles)
    if was == now:
        what = "its steps have the same titles, but other hosts, values or locks"
    else:
        what = f"it was: {was}; it is now: {now}"
    return (
        f"{entry.id}: the plan is not the one that the run began with: {what}; use the inventory and the "
        "cookbook of that time, or accept the changed plan: --accept-changed-plan"
    )


def _require_same_changes(entry: RunEntry, plan: Plan, progress: Progress) -> None:
    """What stands in the world can only be put back by the step that made it."""
    for place, mark in progress.standing.items():
        now = "".join(plan.titles[place : place + 1])
        if now != mark.title:
            raise UsageError(
                f"{entry.id}: step {place + 1} was '{mark.title}' and is in the world, but the plan has "
                f"'{now}' there; use the cookbook that the run began with"
            )
