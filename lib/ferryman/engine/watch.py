"""The watch: looks that go on while a run asks, waits or soaks.

They are made again and again in a thread of their own, from when everything has been checked until the run is
done or rolls back. One that fails is made again at once; if it fails ``failures`` times in a row, whatever
the run is looking at is given up, and what the watch found decides: the run is rolled back, or held. A change
under way is finished first. What passes, but only on a second try, is reported, and counts too.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Self

from ferryman import waits
from ferryman.engine.own_code import plain_finding
from ferryman.engine.retries import Retries
from ferryman.engine.run_context import StepReport
from ferryman.errors import DoubtError, FerrymanError
from ferryman.model import RETRIED

if TYPE_CHECKING:
    from types import TracebackType

    from ferryman.engine.plan import Watch
    from ferryman.engine.run_context import RunContext
    from ferryman.engine.steps import Look
    from ferryman.model import Finding, ProbeResult

_log = logging.getLogger(__name__)


class WatchThread:
    """A plan's watch, kept while the ``with`` lasts.

    Raises:
        VerifyError: On leaving, or in whatever look the run was at: something failed, and failed again.
        DoubtError: As above, but it could not be determined, or it flaps.
    """

    def __init__(self, run: RunContext) -> None:
        self._run = run
        self._watch = run.plan.watch
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._flaps = 0
        self._retries = Retries(run.plan.watch.retries if run.plan.watch is not None else 0)
        self._thread = threading.Thread(target=self._keep, name=f"watch of {run.id}", daemon=True)

    def __enter__(self) -> Self:
        if self._watch is not None:
            waits.current().thread_begins()
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._over.set()
        waits.current().thread_is_over(is_joined=error is None)
        if error is None:
            if self._watch is not None:
                self._thread.join()
            self._run.signals.raise_pending()

    def _keep(self) -> None:
        assert self._watch is not None
        waits.become_the_watch()
        try:
            while True:
                self._look_often(self._watch)
                for look in self._watch.looks:
                    self._judge(look)
        except (_OverError, waits.StoppedError):
            return
        except Exception as error:  # noqa: BLE001  # whatever it is, it is raised where the run is
            self._alarm(error)
        finally:
            waits.current().thread_ends()

    def _look_often(self, watch: Watch) -> None:
        """Let ``every_s`` pass, and meanwhile make the looks of ``often``."""
        now = waits.current()
        until = now.monotonic() + watch.every_s
        pause_s = watch.often_s if watch.often else watch.every_s
        while not now.is_past(until):
            if now.wait_for(self._over, max(0.0, min(until - now.monotonic(), pause_s))):
                raise _OverError
            for look in watch.often:
                self._judge(look)

    def _judge(self, look: Look) -> None:
        """Make a look, and again at once when it fails; raise its error after ``failures`` times in a row."""
        assert self._watch is not None
        error: FerrymanError | None = None
        for _ in range(self._watch.failures):
            report = _WatchReport(self._run, self._over)
            before, error = error, self._error_of(look, report)
            if error is None:
                self._passed(look, before)
                return self._count_retries(look, report)
        assert error is not None
        raise type(error)(f"the watch: {error}")

    def _passed(self, look: Look, before: FerrymanError | None) -> None:
        """Count a look that passed after it had failed; with too many of those, raise."""
        assert self._watch is not None
        if before is None:
            return
        self._flaps += 1
        _log.warning("the watch: it failed, and passed when it was made again: %s", before)
        if self._flaps > self._watch.flaps:
            raise DoubtError(f"the watch: {look.title}: it flaps, {self._flaps} times until now: {before}")

    def _count_retries(self, look: Look, report: _WatchReport) -> None:
        """Count hosts that answered only on a retry; with too many of those, raise."""
        error = self._retries.count(id(look), report.retried, waits.monotonic())
        if error is not None:
            raise type(error)(f"the watch: {look.title}: {error}")

    def _error_of(self, look: Look, report: _WatchReport) -> FerrymanError | None:
        try:
            report.judged(look.look)
        except FerrymanError as error:
            return error
        return None

    def _alarm(self, error: Exception) -> None:
        with self._lock:
            if not self._over.is_set():
                self._run.signals.alarm(error)


class _OverError(Exception):
    """Raised in the watch's thread when the run needs no watch any more."""


class _WatchReport(StepReport):
    """Reports what does not pass, at the step where the run is; what passes would be repeated for ever."""

    def __init__(self, run: RunContext, over: threading.Event) -> None:
        super().__init__(run.log, run.place)
        self._is_over = over
        self.retried: set[str] = set()
        """The hosts that answered only on a retry."""

    def finding(self, finding: Finding) -> None:
        """Emit it when it blocks, and keep it; also when it says that a host answered only on a retry."""
        self._require_running()
        finding = plain_finding(finding)
        if finding.check == RETRIED:
            self.retried.add(finding.host)
        if finding.verdict.stops or finding.check == RETRIED:
            super().finding(finding)

    def probe(self, result: ProbeResult) -> None:
        """Do nothing: what it means is reported as a finding."""
        del result
        self._require_running()

    def _require_running(self) -> None:
        if self._is_over.is_set():
            raise _OverError
