"""Journal and locks of one state file, used together: a run's ending and its locks change at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferryman.engine.journal import Journal
from ferryman.engine.locks import Locks
from ferryman.engine.progress import Progress
from ferryman.errors import BusyError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ferryman.engine.clock import Clock
    from ferryman.engine.database import Database
    from ferryman.engine.ending import Ending
    from ferryman.engine.journal import RunEntry
    from ferryman.engine.owner import Owner
    from ferryman.engine.plan import Plan


@dataclass(frozen=True, slots=True)
class Store:
    """What one process reads and writes of the runs.

    Raises:
        JournalError: From every method: the state file cannot be used.
    """

    database: Database
    journal: Journal
    locks: Locks
    owner: Owner

    @classmethod
    def over(cls, database: Database, clock: Clock, owner: Owner, alive: Callable[[Owner], bool]) -> Store:
        """The journal and the locks of this database."""
        return cls(database, Journal(database, clock), Locks(database, clock, owner, alive), owner)

    def claim(self, entry: RunEntry, plan: Plan, *, accept_changed_plan: bool) -> Progress:
        """Make a run this process's own, to go on or back with this plan; what stands of it.

        Raises:
            BusyError: It is under way elsewhere, or another run works on the same things.
            UsageError: The plan is not the one that the run began with.
        """
        with self.database.transaction():
            self._require_left(entry)
            self.locks.take(plan.locks, entry.id, entry.order.operator)
            if plan.fingerprint != entry.fingerprint and not accept_changed_plan:
                raise UsageError(_what_changed(entry, plan))
            progress = Progress(self.journal.trusted(entry.id))
            _require_same_changes(entry, plan, progress)
            if entry.is_open:
                self.journal.take_up(entry.id, self.owner)
        return progress

    def enter(self, ending: Ending, *, is_final: bool) -> None:
        """How a command about a run ended, and its locks given back unless something is in between."""
        with self.database.transaction():
            if is_final:
                self.journal.end(ending.run, ending.outcome, ending.exit_code, ending.reason)
            if ending.outcome == "held" or ending.outcome == "stranded":  # noqa: PLR1714  # mypy narrows only this
                self.locks.park(ending.run, ending.outcome)
            else:
                self.locks.release(ending.run)

    def _require_left(self, entry: RunEntry) -> None:
        """The run is as it was read, and no process works on it."""
        now = self.journal.run(entry.id)
        works = now.outcome is None and now.owner != self.owner and self.locks.is_alive(now.owner)
        if works or now.outcome != entry.outcome:
            raise BusyError(
                f"run {entry.id} is under way ({entry.order.operator} on {now.owner.host}, pid "
                f"{now.owner.pid}, since {now.started}); wait for it, or look: ferryman show {entry.id}"
            )


def _what_changed(entry: RunEntry, plan: Plan) -> str:
    was, now = "; ".join(entry.plan), "; ".join(plan.titles)
    if was == now:
        what = "its steps have the same titles, but other hosts, values or locks"
    else:
        what = f"it was: {was}; it is now: {now}"
    return (
        f"{entry.id}: the plan is not the one that the run began with: {what}; use the inventory and the "
        "cookbook of that time, or accept the changed plan"
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
