"""Performs a plan, resumes a run, and rolls one back: each ends in a ``RunResult``.

Whatever stops a run is raised and caught in one place, ``Runner._supervise``: what it means depends on
whether a change of the run is applied by then.
"""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from ferryman import __version__, retry
from ferryman.engine import results
from ferryman.engine.clock import Clock, SystemClock, stamp
from ferryman.engine.dry_run import announce, keep_or_compare, verify_no_change
from ferryman.engine.event_log import EventLog, error_record, error_summary
from ferryman.engine.execute import execute
from ferryman.engine.foretold import Course
from ferryman.engine.lease import Lease
from ferryman.engine.observer import NoObserver, RunObserver
from ferryman.engine.preflight import Preflight, reconcile, record_checked, run_preflight
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
from ferryman.outcomes import Outcome, RunResult
from ferryman.plain_text import storable
from ferryman.state import Run, RunRequest, SqliteStore, Store
from ferryman.state.sqlite.database import Database

if TYPE_CHECKING:
    from ferryman.engine.plan import Plan
    from ferryman.engine.process import ProcessId
    from ferryman.state.foretellings import Foretellings

Confirm = Callable[[Sequence[Edit]], bool]
"""Asked once, before the first change, with everything that would be done; False changes nothing."""
FenceOff = Callable[[str, int, Sequence[str]], Mapping[str, DoubtError]]
"""Gets the run that this process holds, its fencing number, and the hosts on which an earlier holder may
still have a command under way; returns those that could not be reached, with the error."""
OnDoubt = Literal["hold", "rollback"]
_LOCK_POLL_S = 1.0

_log = logging.getLogger(__name__)


def without_asking(edits: Sequence[Edit]) -> bool:  # noqa: ARG001  # the shape of Confirm
    """Confirm anything, as ``--yes`` does."""
    return True


@dataclass(frozen=True, kw_only=True)
class Runner:
    """Runs plans; one object serves any number of commands, one after the other.

    Raises:
        JournalError: From every method, before anything is done: the store cannot be used.
    """

    store: Store
    """Where journal and locks are kept. A dry run does not touch it."""
    subscribers: Sequence[Subscriber] = ()
    confirm: Confirm = without_asking
    on_doubt: OnDoubt = "hold"
    clock: Clock = field(default_factory=SystemClock)
    fence_off: FenceOff | None = None
    """Keeps late commands of dead processes from taking effect; None where a plan has no hosts."""
    observer: RunObserver = field(default_factory=NoObserver)
    """Who follows the run from beside it, such as the recorder of its tape."""
    wait_s: float = 0.0
    """Seconds to wait for runs that are at work on something that this one writes too."""
    foretellings: Foretellings | None = None
    """Where what a dry run foretold is kept, for the run that follows; None: nowhere."""

    def perform(self, request: RunRequest, plan: Plan) -> RunResult:
        """Run a plan, as a new run."""
        if not request.dry_run:
            return self._perform(request, plan, self.store)
        with closing(SqliteStore(Database.in_memory(), clock=self.clock)) as store:
            return self._perform(request, plan, store)

    def resume(
        self, run: str, plan: Plan, *, accept_changed_plan: bool = False, operator: str = ""
    ) -> RunResult:
        """Go on with an open run: whatever the journal says, everything is checked first.

        The operator is who resumes it; who began it is in the run.

        Raises:
            UsageError: There is no such run, it is over, or the plan is another one.
        """
        entry = self.store.run(run)
        if not entry.is_open:
            raise UsageError(f"{run}: is over ({entry.outcome}), there is nothing to resume; start it anew")
        who = {"way": "on", "operator": operator}
        return self._continue(entry, plan, accept_changed_plan, self._go_forward, who)

    def roll_back(
        self, run: str, plan: Plan, *, accept_changed_plan: bool = False, operator: str = ""
    ) -> RunResult:
        """Put back what a run changed: an open run, or one that is done and whose changes are unmodified.

        The operator is who rolls it back; who began it is in the run.

        Raises:
            UsageError: There is no such run, nothing of it is left, or the plan is another one.
        """
        entry = self.store.run(run)
        who = {"way": "back", "operator": operator}
        if entry.is_open:
            return self._continue(entry, plan, accept_changed_plan, _reconcile_and_roll_back, who)
        if entry.outcome != "done":
            raise UsageError(f"{run}: is over ({entry.outcome}), nothing of it is left to roll back")

        def roll_back_done(context: RunContext, progress: Progress) -> RunResult:
            require_undoable(context, progress, self.store)
            self.store.reopen(run)
            context.is_open, context.progress = True, progress
            return _roll_back(context)

        return self._continue(entry, plan, accept_changed_plan, roll_back_done, who)

    def _perform(self, request: RunRequest, plan: Plan, store: Store) -> RunResult:
        signals = Signals(self.observer)
        self.observer.run_begins(signals)
        with signals.installed():
            run = self._context(store, store.begin(request, plan), request, plan, signals)
            return self._supervise(run, store, lambda: self._begin(run, store))

    def _continue(
        self,
        entry: Run,
        plan: Plan,
        accept_changed_plan: bool,
        action: Callable[[RunContext, Progress], RunResult],
        who: Mapping[str, str],
    ) -> RunResult:
        signals = Signals(self.observer)
        self.observer.run_begins(signals)
        with signals.installed():
            run = self._context(self.store, entry.id, entry.request, plan, signals)
            run.is_open, run.resumed, run.started = entry.is_open, True, entry.started
            run.goes_back = who["way"] == "back"
            try:
                progress = load_progress(self.store, entry, plan, accept_changed_plan=accept_changed_plan)
                self._when_free(run, lambda: self.store.adopt(entry, plan.keys, entry.request.operator))
            except (BusyError, InterruptedRunError) as busy:
                return self._turned_away(run, busy)

            def act() -> RunResult:
                recorded = self._with_spooled(run, progress, accept_changed_plan=accept_changed_plan)
                run.log.journal("taken-up", {**who, **_process_and_versions(self.store.owner)})
                self._fence_off(run, self.store, recorded)
                return action(run, recorded)

            return self._supervise(run, self.store, act)

    def _with_spooled(self, run: RunContext, progress: Progress, *, accept_changed_plan: bool) -> Progress:
        """How far the run is, with the records that an earlier process on this control host could only spool.

        Applied changes count from here, whatever stops the run; a run that had ended is only looked at.
        """
        if run.is_open:
            run.progress = progress
        before = self.store.run(run.id).records
        if left := self.store.replay_spool(run.id):
            _log.warning(left)
            run.log.journal("spool-left", {"why": left})
        entry = self.store.run(run.id)
        if entry.records == before:
            return progress
        progress = load_progress(self.store, entry, run.plan, accept_changed_plan=accept_changed_plan)
        if run.is_open:
            run.progress = progress
        return progress

    def _begin(self, run: RunContext, store: Store) -> RunResult:
        run.log.journal("begun", {**_process_and_versions(store.owner), "locks": list(run.plan.locks)})
        if not run.request.dry_run:
            self._when_free(run, lambda: store.acquire(run.id, run.plan.keys, run.request.operator))
            self._fence_off(run, store, Progress())
        return self._go_forward(run, run.progress)

    def _fence_off(self, run: RunContext, store: Store, progress: Progress) -> None:
        """Fence off the run's earlier holders on every host where one may still have a command under way."""
        if self.fence_off is None:
            return
        targets = [
            edit
            for applied in progress.applied.values()
            for edit in applied.edits
            if edit.kind not in ("catalog", "cluster")
        ]
        hosts = list(dict.fromkeys(_host_of(edit) for edit in targets))
        silent = self.fence_off(run.id, store.run(run.id).records, hosts)
        for host, error in silent.items():
            run.log.journal("not-fenced", {"host": host, "error": str(error)})

    def _when_free(self, run: RunContext, acquire: Callable[[], None]) -> None:
        """Acquire locks; wait while the only obstacle is another run at work on something that both write.

        Raises:
            BusyError: There is another obstacle, or it takes too long.
        """
        reported: set[str] = set()

        def attempt() -> BusyError | None:
            try:
                with run.signals.deferred():
                    self.observer.acquire(acquire)
            except BusyError as busy:
                if not (busy.at_work and busy.keys <= set(run.plan.writes)):
                    raise
                if str(busy) not in reported:
                    _log.warning("waiting for another run, %g seconds at most: %s", self.wait_s, busy)
                reported.add(str(busy))
                return busy
            return None

        with run.signals.interruptible():
            busy = retry.poll_until(
                attempt, lambda busy: busy is None, within_s=self.wait_s, every_s=_LOCK_POLL_S
            )
        if busy is not None:
            raise busy

    def _go_forward(self, run: RunContext, progress: Progress) -> RunResult:  # noqa: ARG002  # an action
        """Check everything, ask, execute, and return the result."""
        preflight = run_preflight(run)
        if run.request.dry_run:
            announce(run, preflight)
        preflight.judge()
        if preflight.pending and run.request.dry_run:
            return results.dry_run_passed(run, preflight)
        if run.request.dry_run:
            verify_no_change(run)
            return results.done(run, preflight)
        if preflight.pending:
            record_checked(run, preflight)
        with WatchThread(run) if preflight.pending else nullcontext():
            # What was confirmed before the process died, or was held, is not asked again.
            if preflight.pending and not run.progress.applied:
                self._ask(run, preflight)
            execute(run, preflight)
        return results.done(run, preflight)

    def _ask(self, run: RunContext, preflight: Preflight) -> None:
        run.log.flush()
        with run.signals.interruptible():
            confirmed = self.confirm(preflight.edits)
        if not confirmed:
            raise InterruptedRunError("it was not confirmed")

    def _supervise(self, run: RunContext, store: Store, action: Callable[[], RunResult]) -> RunResult:
        """Perform the action; whatever stops it, end the run in a state that has a name."""
        began = self.clock.monotonic()
        run.log.emit(_run_started(run))
        with ExitStack() as kept:
            try:
                kept.enter_context(run.lease)
                result = action()
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001  # a bug in a step must not leave a run half made
                result = self._ended_by(run, error)
            if self.foretellings is not None and not run.goes_back:
                keep_or_compare(run, store, self.foretellings, result)
            result = _recorded(run, store, replace(result, reason=storable(result.reason)))
        seconds = self.clock.monotonic() - began
        # Its record is the run's own row.
        run.log.emit(RunFinished(result.outcome, result.exit_code, seconds, result.reason), recorded=False)
        return result

    def _ended_by(self, run: RunContext, error: BaseException) -> RunResult:
        """The result of a run that was stopped; also where the rollback, or its report, has a bug."""
        stop = error if isinstance(error, Exception) else RuntimeError(error_summary(error))
        try:
            return self._stopped(run, stop)
        except KeyboardInterrupt:
            raise
        except BaseException as bug:  # noqa: BLE001  # whatever it is, the run's end must be told
            _log.debug("the rollback had a bug", exc_info=True)
            return results.stopped_by_bug(run, stop, bug)

    def _stopped(self, run: RunContext, error: Exception) -> RunResult:
        run.begin_rollback()
        run.log.journal("trouble", error_record(error, run.at))
        if not run.progress.applied:
            # A process that did not begin the run knows of its changes by the journal alone.
            rollback = roll_back(run) if run.resumed and run.is_open else RollbackResult({})
            if rollback.not_restored or run.progress.restored:
                return results.rolled_back(run, error, rollback)
            return results.unchanged(run, error)
        if self._must_be_held(error):
            return results.held(run, error)
        return results.rolled_back(run, error, roll_back(run))

    def _must_be_held(self, error: Exception) -> bool:
        # Without its lock a run must not write, not even to roll back: another may be at work there.
        return isinstance(error, BusyError) or (isinstance(error, DoubtError) and self.on_doubt == "hold")

    def _turned_away(self, run: RunContext, busy: BusyError | InterruptedRunError) -> RunResult:
        """Another process has the run: report that to the subscribers, and not in the run's journal."""
        log = EventLog(run.id, None, self.clock, run.signals, self.subscribers)
        log.emit(_run_started(run))
        result = results.unchanged(run, busy)
        log.emit(RunFinished(result.outcome, result.exit_code, 0.0, result.reason))
        return result

    def _context(
        self, store: Store, run: str, request: RunRequest, plan: Plan, signals: Signals
    ) -> RunContext:
        course = Course.of(run, plan.titles)
        log = EventLog(run, store, self.clock, signals, [course, *self.subscribers])
        lease = Lease(store, run, alarm=signals.alarm, renewed=not request.dry_run)
        context = RunContext(run, request, plan, Progress(), log, signals, lease, self.clock, course)
        context.started = stamp(self.clock.now())
        return context


def _host_of(edit: Edit) -> str:
    """The host of an edit on one; the target of a file's is ``HOST:/PATH``."""
    return edit.target.partition(":/")[0]


def _reconcile_and_roll_back(run: RunContext, progress: Progress) -> RunResult:  # noqa: ARG001  # an action
    reconcile(run)
    return _roll_back(run)


def _roll_back(run: RunContext) -> RunResult:
    return results.rolled_back(run, None, roll_back(run))


def _process_and_versions(owner: ProcessId) -> dict[str, Any]:
    """The process at work on a run, and its versions, for the run's records."""
    versions = {
        "ferryman": __version__,
        "python": platform.python_version(),
        "kernel": platform.release(),
    }
    return {**owner.as_row(), "versions": versions}


def _run_started(run: RunContext) -> RunStarted:
    request, plan = run.request, run.plan
    return RunStarted(
        request.cookbook, request.arguments, request.dry_run, request.operator, plan.titles, plan.changes
    )


def _recorded(run: RunContext, store: Store, result: RunResult) -> RunResult:
    """Write the result into the journal; one that cannot be written there says so, in what is returned."""
    run.log.begin_rollback()
    run.log.flush()
    run.log.replay_spool()
    if run.log.journal_lost is None:
        try:
            store.finish(result, is_final=run.is_open)
        except (JournalError, BusyError) as error:
            run.log.lose_journal(error)
    if isinstance(run.log.journal_lost, JournalError):
        run.log.journal("ended", {"outcome": result.outcome, "exit_code": result.exit_code})
    return _with_loss(result, run.log.journal_lost, run.log.spooled())


def _with_loss(result: RunResult, lost: JournalError | BusyError | None, spooled: str) -> RunResult:
    if lost is None:
        return result
    if isinstance(lost, BusyError):
        # Whoever took it over decides how it ends: whatever this process made of it is not the run's result.
        reason = f"{lost}\nuntil then: {result.reason}"
        return replace(result, ended=Outcome.BUSY, reason=reason)
    return replace(
        result,
        reason=f"{result.reason}\n{lost}\nso the run is still open there: when it can be written again, "
        f"ferryman rollback {result.run} or ferryman resume {result.run} closes it"
        + (f"\n{spooled}" if spooled else ""),
    )
