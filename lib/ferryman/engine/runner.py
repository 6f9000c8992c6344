"""Performs a plan, takes a run up again, and takes one back: every way in ends in an ``Ending``.

Whatever stops a run is raised, and comes together in one place, ``Runner._under_way``: what it means depends
on whether anything of the run stands in the world by then.
"""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from ferryman import __version__, retry
from ferryman.engine import endings
from ferryman.engine.clock import Clock, SystemClock
from ferryman.engine.event_log import EventLog, in_full
from ferryman.engine.execute import cross
from ferryman.engine.lease import Lease
from ferryman.engine.preflight import Preflight, announce, reconcile, record_checked, survey
from ferryman.engine.progress import Progress
from ferryman.engine.resume import load_progress, require_undoable
from ferryman.engine.rollback import RollbackResult, roll_back
from ferryman.engine.run_context import RunContext
from ferryman.engine.signals import Signals
from ferryman.engine.watch import WatchThread
from ferryman.errors import (
    BusyError,
    DoubtError,
    InterruptedRunError,
    JournalError,
    UsageError,
)
from ferryman.events import RunFinished, RunStarted, Subscriber
from ferryman.model import Edit
from ferryman.state import Close, Run, RunRequest, SqliteStore, Store
from ferryman.state.database import Database

if TYPE_CHECKING:
    from ferryman.engine.endings import Ending
    from ferryman.engine.plan import Plan
    from ferryman.engine.process import ProcessId

Confirm = Callable[[Sequence[Edit]], bool]
"""Asked once, before the first change, with everything that would be done; False changes nothing."""
FenceOff = Callable[[str, int, Sequence[str]], Mapping[str, DoubtError]]
"""Told which run this process holds, a number that grows with each holder, and the hosts on which an earlier
holder may still have a command on the way; returns those that could not be told."""
OnDoubt = Literal["hold", "rollback"]
_LOOK_EVERY_S = 1.0

_log = logging.getLogger(__name__)


def without_asking(edits: Sequence[Edit]) -> bool:  # noqa: ARG001  # the shape of Confirm
    """What ``--yes`` says."""
    return True


@dataclass(frozen=True, kw_only=True)
class Runner:
    """Runs plans; one object serves any number of commands, one after the other.

    Raises:
        JournalError: From every method, before anything is done: the store cannot be used.
    """

    store: Store
    """Where journal and locks live. A rehearsal does not touch it."""
    subscribers: Sequence[Subscriber] = ()
    confirm: Confirm = without_asking
    on_doubt: OnDoubt = "hold"
    clock: Clock = field(default_factory=SystemClock)
    fence_off: FenceOff | None = None
    """What keeps late commands of dead processes from taking effect, where there are hosts."""
    wait_s: float = 0.0
    """How long to wait for runs at work on something that this one writes too."""

    def perform(self, order: RunRequest, plan: Plan) -> Ending:
        """A new run of a plan."""
        if not order.dry_run:
            return self._perform(order, plan, self.store)
        with closing(SqliteStore(Database.in_memory(), clock=self.clock)) as store:
            return self._perform(order, plan, store)

    def resume(
        self, run: str, plan: Plan, *, accept_changed_plan: bool = False, operator: str = ""
    ) -> Ending:
        """Go on with an open run: whatever the journal says, the world is looked at first.

        The operator is who goes on now; who began is in the run.

        Raises:
            UsageError: There is no such run, it is over, or the plan is another one.
        """
        entry = self.store.run(run)
        if not entry.is_open:
            raise UsageError(f"{run}: is over ({entry.outcome}), there is nothing to resume; start it anew")
        return self._take_up(
            entry, plan, accept_changed_plan, self._go_on, {"way": "on", "operator": operator}
        )

    def roll_back(
        self, run: str, plan: Plan, *, accept_changed_plan: bool = False, operator: str = ""
    ) -> Ending:
        """Put back what a run changed: an open run, or one that is done and still as it left things.

        The operator is who goes back now; who began is in the run.

        Raises:
            UsageError: There is no such run, nothing of it is left, or the plan is another one.
        """
        entry = self.store.run(run)
        who = {"way": "back", "operator": operator}
        if entry.is_open:
            return self._take_up(entry, plan, accept_changed_plan, _looked_and_back, who)
        if entry.outcome != "done":
            raise UsageError(f"{run}: is over ({entry.outcome}), nothing of it is left to roll back")

        def back(p: RunContext, progress: Progress) -> Ending:
            require_undoable(p, progress, self.store)
            self.store.reopen(run)
            p.is_open, p.progress = True, progress
            return _back(p)

        return self._take_up(entry, plan, accept_changed_plan, back, who)

    def _perform(self, order: RunRequest, plan: Plan, store: Store) -> Ending:
        signals = Signals()
        with signals.installed():
            run = store.begin(order, plan)
            p = self._passage(store, run, order, plan, signals)
            return self._under_way(p, store, lambda: self._set_out(p, store))

    def _take_up(
        self,
        entry: Run,
        plan: Plan,
        accept_changed_plan: bool,
        movement: Callable[[RunContext, Progress], Ending],
        who: Mapping[str, str],
    ) -> Ending:
        signals = Signals()
        with signals.installed():
            p = self._passage(self.store, entry.id, entry.order, plan, signals)
            p.is_open, p.resumed = entry.is_open, True
            try:
                progress = load_progress(self.store, entry, plan, accept_changed_plan=accept_changed_plan)
                self._when_free(p, lambda: self.store.claim(entry, plan.keys, entry.order.operator))
            except (BusyError, InterruptedRunError) as busy:
                return self._turned_away(p, busy)

            def moved() -> Ending:
                now = self._with_spooled(p, progress, accept_changed_plan=accept_changed_plan)
                p.log.journal("taken-up", {**who, **_place_and_versions(self.store.owner)})
                self._fence_off(p, self.store, now)
                return movement(p, now)

            return self._under_way(p, self.store, moved)

    def _with_spooled(self, p: RunContext, progress: Progress, *, accept_changed_plan: bool) -> Progress:
        """How far the run is, with what an earlier process on this control host could not write.

        What stands counts from here, whatever stops the run: a run that had ended is only looked at first.
        """
        if p.is_open:
            p.progress = progress
        before = self.store.run(p.run).records
        if left := self.store.replay_spool(p.run):
            _log.warning(left)
            p.log.journal("spool-left", {"why": left})
        entry = self.store.run(p.run)
        if entry.records == before:
            return progress
        progress = load_progress(self.store, entry, p.plan, accept_changed_plan=accept_changed_plan)
        if p.is_open:
            p.progress = progress
        return progress

    def _set_out(self, p: RunContext, store: Store) -> Ending:
        p.log.journal("begun", {**_place_and_versions(store.owner), "locks": list(p.plan.locks)})
        if not p.order.dry_run:
            self._when_free(p, lambda: store.take(p.run, p.plan.keys, p.order.operator))
            self._fence_off(p, store, Progress())
        return self._over(p)

    def _fence_off(self, p: RunContext, store: Store, progress: Progress) -> None:
        """From now on no command of an earlier holder of the run takes effect where it may have sent one."""
        if self.fence_off is None:
            return
        targets = [
            edit for mark in progress.applied.values() for edit in mark.edits if edit.kind != "catalog"
        ]
        hosts = list(dict.fromkeys(edit.target for edit in targets))
        silent = self.fence_off(p.run, store.run(p.run).records, hosts)
        for host, error in silent.items():
            p.log.journal("not-fenced", {"host": host, "error": str(error)})

    def _when_free(self, p: RunContext, take: Callable[[], None]) -> None:
        """Take locks; wait while all that is in the way is another run at work on what both write.

        Raises:
            BusyError: Something else is in the way, or it takes too long.
        """
        told: set[str] = set()

        def attempt() -> BusyError | None:
            try:
                with p.signals.deferred():
                    take()
            except BusyError as busy:
                if not (busy.at_work and busy.keys <= set(p.plan.writes)):
                    raise
                if str(busy) not in told:
                    _log.warning("waiting for another run, %g seconds at most: %s", self.wait_s, busy)
                told.add(str(busy))
                return busy
            return None

        with p.signals.interruptible():
            busy = retry.poll_until(
                attempt, lambda one: one is None, within_s=self.wait_s, every_s=_LOOK_EVERY_S
            )
        if busy is not None:
            raise busy

    def _go_on(self, p: RunContext, progress: Progress) -> Ending:  # noqa: ARG002  # the shape of a movement
        return self._over(p)

    def _over(self, p: RunContext) -> Ending:
        """Look at everything, ask, and go."""
        seen = survey(p)
        if p.order.dry_run:
            announce(p, seen)
        seen.judge()
        if seen.pending and p.order.dry_run:
            return endings.rehearsed(p, seen)
        if seen.pending:
            record_checked(p, seen)
        with WatchThread(p) if seen.pending else nullcontext():
            # What was agreed to before the process died, or was held, needs no second word.
            if seen.pending and not p.progress.applied:
                self._ask(p, seen)
            cross(p, seen)
        return endings.done(p, seen)

    def _ask(self, p: RunContext, seen: Preflight) -> None:
        p.log.flush()
        with p.signals.interruptible():
            agreed = self.confirm(seen.edits)
        if not agreed:
            raise InterruptedRunError("it was not confirmed")

    def _under_way(self, p: RunContext, store: Store, movement: Callable[[], Ending]) -> Ending:
        """Make the movement; whatever stops it, end the run in a state that has a name."""
        began = self.clock.monotonic()
        p.log.emit(_run_started(p))
        with p.lease:
            try:
                ending = movement()
            except Exception as error:  # noqa: BLE001  # a bug in a step must not leave the world in between
                ending = self._stopped(p, error)
            ending = _entered(p, store, ending)
        seconds = self.clock.monotonic() - began
        # Recorded it is as the run's own ending.
        p.log.emit(RunFinished(ending.outcome, ending.exit_code, seconds, ending.reason), recorded=False)
        return ending

    def _stopped(self, p: RunContext, error: Exception) -> Ending:
        p.begin_rollback()
        p.log.journal("trouble", in_full(error, p.at))
        if not p.progress.applied:
            # A process that did not begin the run knows of its changes by the journal alone.
            result = roll_back(p) if p.resumed and p.is_open else RollbackResult({})
            if result.left or p.progress.restored:
                return endings.rolled_back(p, error, result)
            return endings.unchanged(p, error)
        if self._is_to_be_held(error):
            return endings.held(p, error)
        return endings.rolled_back(p, error, roll_back(p))

    def _is_to_be_held(self, error: Exception) -> bool:
        # Without its lock a run must not write, not even to go back: another may be at work there.
        return isinstance(error, BusyError) or (isinstance(error, DoubtError) and self.on_doubt == "hold")

    def _turned_away(self, p: RunContext, busy: BusyError | InterruptedRunError) -> Ending:
        """Somebody else's run: told to whoever listens, and kept out of that run's journal."""
        telling = EventLog(p.run, None, self.clock, p.signals, self.subscribers)
        telling.emit(_run_started(p))
        ending = endings.unchanged(p, busy)
        telling.emit(RunFinished(ending.outcome, ending.exit_code, 0.0, ending.reason))
        return ending

    def _passage(self, store: Store, run: str, order: RunRequest, plan: Plan, signals: Signals) -> RunContext:
        telling = EventLog(run, store, self.clock, signals, self.subscribers)
        lease = Lease(store, run, alarm=signals.alarm, renewed=not order.dry_run)
        return RunContext(run, order, plan, Progress(), telling, signals, lease, self.clock)


def _looked_and_back(p: RunContext, progress: Progress) -> Ending:  # noqa: ARG001  # the shape of a movement
    reconcile(p)
    return _back(p)


def _back(p: RunContext) -> Ending:
    return endings.rolled_back(p, None, roll_back(p))


def _place_and_versions(owner: ProcessId) -> dict[str, Any]:
    """What a run's records say of the process that makes it."""
    versions = {
        "ferryman": __version__,
        "python": platform.python_version(),
        "kernel": platform.release(),
    }
    return {**owner.as_row(), "versions": versions}


def _run_started(p: RunContext) -> RunStarted:
    order = p.order
    return RunStarted(order.cookbook, order.arguments, order.dry_run, order.operator, p.plan.titles)


def _entered(p: RunContext, store: Store, ending: Ending) -> Ending:
    """The ending as it stands in the journal; one that cannot be written there says so."""
    p.log.begin_rollback()
    p.log.flush()
    p.log.replay_spool()
    close = Close(ending.outcome, ending.exit_code, ending.reason, p.is_open)
    if p.log.journal_lost is None:
        try:
            store.finish(p.run, close)
        except (JournalError, BusyError) as error:
            p.log.lose_journal(error)
    if isinstance(p.log.journal_lost, JournalError):
        p.log.journal("ended", {"outcome": close.outcome, "exit_code": close.exit_code})
    return _with_the_loss(ending, p.log.journal_lost, p.log.spooled())


def _with_the_loss(ending: Ending, lost: JournalError | BusyError | None, spooled: str) -> Ending:
    if lost is None:
        return ending
    if isinstance(lost, BusyError):
        # Whoever took it over decides how it ends: whatever this process made of it is not the ending.
        reason = f"{lost}\nuntil then: {ending.reason}"
        return replace(ending, outcome="busy", exit_code=lost.exit_code, reason=reason)
    return replace(
        ending,
        reason=f"{ending.reason}\n{lost}\nso the run is still open there: when it can be written again, "
        f"ferryman rollback {ending.run} or ferryman resume {ending.run} closes it"
        + (f"\n{spooled}" if spooled else ""),
    )
