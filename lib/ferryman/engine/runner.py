"""Performs a plan, takes a run up again, and takes one back: every way in ends in an ``Ending``.

Whatever stops a run is raised, and comes together in one place, ``Runner._under_way``: what it means depends
on whether anything of the run stands in the world by then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from ferryman.engine import ending as endings
from ferryman.engine.clock import Clock, SystemClock
from ferryman.engine.crossing import cross
from ferryman.engine.database import Database
from ferryman.engine.lease import Lease
from ferryman.engine.owner import Owner, is_alive
from ferryman.engine.passage import Passage
from ferryman.engine.progress import Progress
from ferryman.engine.signals import Signals
from ferryman.engine.store import Store
from ferryman.engine.survey import Survey, announce, survey
from ferryman.engine.telling import Telling, in_full
from ferryman.engine.way_back import go_back
from ferryman.errors import (
    BusyError,
    DoubtError,
    InterruptedRunError,
    JournalError,
    RefusedError,
    UsageError,
    VerifyError,
)
from ferryman.events import RunFinished, RunStarted, Subscriber
from ferryman.model import Edit

if TYPE_CHECKING:
    from ferryman.engine.ending import Ending
    from ferryman.engine.journal import Order, RunEntry
    from ferryman.engine.plan import Plan

Confirm = Callable[[Sequence[Edit]], bool]
"""Asked once, before the first change, with everything that would be done; False changes nothing."""
OnDoubt = Literal["hold", "rollback"]


def without_asking(edits: Sequence[Edit]) -> bool:  # noqa: ARG001  # the shape of Confirm
    """What ``--yes`` says."""
    return True


@dataclass(frozen=True, kw_only=True)
class Runner:
    """Runs plans; one object serves any number of commands, one after the other.

    Raises:
        JournalError: From every method, before anything is done: the state file cannot be used.
    """

    database: Database
    """Where journal and locks live. A rehearsal does not touch it."""
    subscribers: Sequence[Subscriber] = ()
    confirm: Confirm = without_asking
    on_doubt: OnDoubt = "hold"
    clock: Clock = field(default_factory=SystemClock)
    owner: Owner = field(default_factory=Owner.this_process)
    alive: Callable[[Owner], bool] = is_alive

    def perform(self, order: Order, plan: Plan) -> Ending:
        """A new run of a plan."""
        if not order.dry_run:
            return self._perform(order, plan, self._store(self.database))
        with closing(Database.in_memory()) as database:
            return self._perform(order, plan, self._store(database))

    def resume(self, run: str, plan: Plan, *, accept_changed_plan: bool = False) -> Ending:
        """Go on with an open run: whatever the journal says, the world is looked at first.

        Raises:
            UsageError: There is no such run, it is over, or the plan is another one.
        """
        store = self._store(self.database)
        entry = store.journal.run(run)
        if not entry.is_open:
            raise UsageError(f"{run}: is over ({entry.outcome}), there is nothing to resume; start it anew")
        return self._take_up(store, entry, plan, accept_changed_plan, self._go_on)

    def roll_back(self, run: str, plan: Plan, *, accept_changed_plan: bool = False) -> Ending:
        """Put back what a run changed: an open run, or one that is done and still as it left things.

        Raises:
            UsageError: There is no such run, nothing of it is left, or the plan is another one.
        """
        store = self._store(self.database)
        entry = store.journal.run(run)
        if entry.is_open:
            return self._take_up(store, entry, plan, accept_changed_plan, _back)
        if entry.outcome != "done":
            raise UsageError(f"{run}: is over ({entry.outcome}), nothing of it is left to roll back")

        def back(p: Passage, progress: Progress) -> Ending:
            _require_as_left(p, progress)
            store.journal.take_up(run, self.owner)
            p.is_open = True
            return _back(p, progress)

        return self._take_up(store, entry, plan, accept_changed_plan, back)

    def _perform(self, order: Order, plan: Plan, store: Store) -> Ending:
        signals = Signals()
        with signals.installed():
            run = store.journal.begin(order, plan, self.owner)
            p = self._passage(store, run, order, plan, signals)
            return self._under_way(p, store, lambda: self._set_out(p, store))

    def _take_up(
        self,
        store: Store,
        entry: RunEntry,
        plan: Plan,
        accept_changed_plan: bool,
        movement: Callable[[Passage, Progress], Ending],
    ) -> Ending:
        signals = Signals()
        with signals.installed():
            p = self._passage(store, entry.id, entry.order, plan, signals)
            p.is_open = entry.is_open
            try:
                progress = store.claim(entry, plan, accept_changed_plan=accept_changed_plan)
            except BusyError as busy:
                return self._turned_away(p, busy)
            return self._under_way(p, store, lambda: movement(p, progress))

    def _set_out(self, p: Passage, store: Store) -> Ending:
        if not p.order.dry_run:
            store.locks.take(p.plan.locks, p.run, p.order.operator)
        return self._over(p)

    def _go_on(self, p: Passage, progress: Progress) -> Ending:
        p.progress = progress
        return self._over(p)

    def _over(self, p: Passage) -> Ending:
        """Look at everything, ask, and go."""
        seen = survey(p)
        if p.order.dry_run:
            announce(p, seen)
        seen.judge()
        if seen.pending and p.order.dry_run:
            return endings.rehearsed(p, seen)
        # What was agreed to before the process died, or was held, needs no second word.
        if seen.pending and not p.progress.standing:
            self._ask(p, seen)
        cross(p, seen)
        return endings.done(p, seen)

    def _ask(self, p: Passage, seen: Survey) -> None:
        p.telling.flush()
        with p.signals.abandonable():
            agreed = self.confirm(seen.edits)
        if not agreed:
            raise InterruptedRunError("it was not confirmed")

    def _under_way(self, p: Passage, store: Store, movement: Callable[[], Ending]) -> Ending:
        """Make the movement; whatever stops it, end the run in a state that has a name."""
        began = self.clock.monotonic()
        p.telling.tell(_run_started(p))
        with p.lease:
            try:
                ending = movement()
            except Exception as error:  # noqa: BLE001  # a bug in a step must not leave the world in between
                ending = self._stopped(p, error)
            ending = _entered(p, store, ending)
        p.telling.tell(
            RunFinished(ending.outcome, ending.exit_code, self.clock.monotonic() - began, ending.reason)
        )
        p.telling.flush()
        return ending

    def _stopped(self, p: Passage, error: Exception) -> Ending:
        p.telling.turn_back()
        p.telling.record("trouble", in_full(error, p.at))
        if not p.progress.standing:
            return endings.unchanged(p, error)
        if self._is_to_be_held(error):
            return endings.held(p, error)
        return endings.came_back(p, error, go_back(p))

    def _is_to_be_held(self, error: Exception) -> bool:
        # Without its lock a run must not write, not even to go back: another may be at work there.
        return isinstance(error, BusyError) or (isinstance(error, DoubtError) and self.on_doubt == "hold")

    def _turned_away(self, p: Passage, busy: BusyError) -> Ending:
        """Somebody else's run: told to whoever listens, and kept out of that run's journal."""
        telling = Telling(p.run, None, self.clock, p.signals, self.subscribers)
        telling.tell(_run_started(p))
        ending = endings.unchanged(p, busy)
        telling.tell(RunFinished(ending.outcome, ending.exit_code, 0.0, ending.reason))
        return ending

    def _store(self, database: Database) -> Store:
        return Store.over(database, self.clock, self.owner, self.alive)

    def _passage(self, store: Store, run: str, order: Order, plan: Plan, signals: Signals) -> Passage:
        telling = Telling(run, store.journal, self.clock, signals, self.subscribers)
        lease = Lease(store.locks, () if order.dry_run else plan.locks, run)
        return Passage(run, order, plan, Progress(), telling, signals, lease)


def _back(p: Passage, progress: Progress) -> Ending:
    p.progress = progress
    return endings.came_back(p, None, go_back(p))


def _require_as_left(p: Passage, progress: Progress) -> None:
    """Before a run that is done is rolled back: what it changed must still be as it left it."""
    differing: list[str] = []
    for place in sorted(progress.standing):
        try:
            p.looking(place, "verify", p.plan.change(place).verify)
        except (VerifyError, DoubtError) as error:
            differing.append(f"{p.plan.titles[place]}: {error}")
    if differing:
        text = "\n".join(differing)
        raise RefusedError(
            f"{p.run} left this otherwise, somebody changed it since; put it right by hand:\n{text}"
        )


def _run_started(p: Passage) -> RunStarted:
    order = p.order
    return RunStarted(order.cookbook, order.arguments, order.dry_run, order.operator, p.plan.titles)


def _entered(p: Passage, store: Store, ending: Ending) -> Ending:
    """The ending as it stands in the journal; one that cannot be written there says so."""
    p.telling.turn_back()
    p.telling.flush()
    try:
        store.enter(ending, is_final=p.is_open)
    except JournalError as error:
        p.telling.lose_journal(error)
    if (lost := p.telling.journal_lost) is None:
        return ending
    return replace(
        ending,
        reason=f"{ending.reason}\n{lost}\nso the run is still open there: when it can be written again, "
        f"ferryman rollback {p.run} or ferryman resume {p.run} closes it",
    )
