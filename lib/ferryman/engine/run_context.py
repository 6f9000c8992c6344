"""One run while it is made: calls the steps' verbs, reports what happens, and judges the findings."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from ferryman.engine.own_code import call_own, plain_finding
from ferryman.engine.steps import NoChange
from ferryman.errors import DoubtError, FerrymanError, InterruptedRunError, VerifyError
from ferryman.events import FindingMade, ProbeAnswered, StepFinished, StepStarted
from ferryman.model import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ferryman.engine.clock import Clock
    from ferryman.engine.event_log import EventLog
    from ferryman.engine.foretold import Course
    from ferryman.engine.lease import Lease
    from ferryman.engine.plan import Plan
    from ferryman.engine.progress import ChangeState, Checked, Progress
    from ferryman.engine.signals import Signals
    from ferryman.engine.steps import Purpose
    from ferryman.events import Phase, StepOutcome
    from ferryman.model import Finding, ProbeResult
    from ferryman.state import RunRequest

    Questioned = tuple[int, Purpose, object]
    """A step's place, what it looks for, and its before where that is known."""

T = TypeVar("T")

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class RunContext:
    """One run under way, and how far it is."""

    id: str
    request: RunRequest
    plan: Plan
    progress: Progress
    log: EventLog
    signals: Signals
    lease: Lease
    clock: Clock
    course: Course
    """What of this run can be compared with what a dry run foretold."""
    at: str = "before the first step"
    """Step and phase, in words."""
    place: int = 0
    """The step's place in the plan."""
    is_open: bool = True
    """Whether how this command ends is how the run ends; not while a run that is done is only looked at."""
    resumed: bool = False
    """Whether another process began the run: then what was changed is known from the journal alone."""
    started: str = ""
    """When the run began, in its first process; RFC 3339 in UTC."""
    goes_back: bool = False
    """Whether the operator asked for the rollback: no dry run foretells one."""
    seen_at: dict[int, str] = field(default_factory=dict)
    """When each change was last seen to be as it was made, by its place."""
    _reported: set[str] = field(default_factory=set)

    def begin_rollback(self) -> None:
        """From now on the run only goes back: no earlier signal, and no lost journal or lease, stops it."""
        self.signals.begin_rollback()
        self.log.begin_rollback()
        self.lease.begin_rollback()

    def read_phase(self, place: int, phase: Phase, call: Callable[[StepReport], T]) -> T:
        """Call a verb that reads; the operator may cut it short, and what it found is judged.

        Raises:
            VerifyError: A finding fails.
            DoubtError: A finding is unknown.
        """
        return self._judged_phase(place, phase, call)

    def undo_phase(self, place: int, call: Callable[[StepReport], None]) -> None:
        """Undo one change and read it back; a second signal interrupts it. Raises as ``read_phase``."""
        self._judged_phase(place, "undo", call)

    def _judged_phase(self, place: int, phase: Phase, call: Callable[[StepReport], T]) -> T:
        report = StepReport(self.log, place)
        with self._phase(place, phase), self.signals.interruptible():
            result = report.judged(call)
        self._reported |= {str(warning) for warning in report.warnings}
        self._finished(place, phase, result)
        return result

    def read_quietly(self, place: int, call: Callable[[StepReport], T]) -> T:
        """As ``read_phase``, but for what was read before: only what does not pass is reported, and once."""
        report = _QuietReport(self.log, place, self._reported)
        with self.signals.interruptible():
            return report.judged(call)

    def begin_moment(
        self, steps: Iterable[Questioned], then: Iterable[Questioned] = (), *, continues: bool = False
    ) -> None:
        """Begin a moment: what was read until now counts no more; these steps' questions are asked together.

        ``then`` and ``continues`` are those of ``Readings.begin``. A step that cannot say what it asks asks
        for itself.
        """
        try:
            self.plan.readings.begin(self._questions(steps), self._questions(then), continues=continues)
        except Exception:  # noqa: BLE001  # for speed alone: what is no question must not stop a rollback
            _log.debug("what the steps ask is no question", exc_info=True)
            self.plan.readings.end()

    def _questions(self, steps: Iterable[Questioned]) -> list[object]:
        questions: list[object] = []
        for place, purpose, before in steps:
            step = self.plan.steps[place]
            try:
                questions += call_own(lambda: list(step.questions(purpose, before)))  # noqa: B023  # at once
            except Exception:  # noqa: BLE001  # for speed alone: the step will say what is wrong, when it looks
                _log.debug("%s: it cannot say what it asks", self.plan.titles[place], exc_info=True)
        return questions

    def end_moment(self) -> None:
        """End the moment: whatever is asked from now on is asked anew."""
        self.plan.readings.end()

    def checked_before(self, place: int) -> Checked | None:
        """What was there before the run changed anything, by the journal; None where it has nothing."""
        found = self.progress.checked.get(place)
        return found if found is not None and found.title == self.plan.titles[place] else None

    def known_before(self, place: int) -> object:
        """What was there before a change, as far as it is known; None where it is not."""
        for known in (self.progress.restored, self.progress.applied):
            if place in known:
                return known[place].before
        checked = self.checked_before(place)
        return None if checked is None else checked.before

    def skip(self, place: int) -> None:
        """Report that a look is skipped, because it cannot hold now."""
        self.log.emit(StepStarted(place, self.plan.titles[place], "check"))
        self.log.emit(StepFinished(place, "check", "skipped"))

    def write_phase(self, place: int, phase: Phase, call: Callable[[], None]) -> None:
        """Call a verb that writes; it is finished before a signal is acted on."""
        with self.signals.uninterruptible():
            with self._phase(place, phase):
                call_own(call)
            self._finished(place, phase)

    def mark(self, state: ChangeState, place: int, payload: Mapping[str, Any] | None = None) -> None:
        """Record that a change moved on: on disk first, then in ``progress``."""
        self.log.journal(state, payload or {}, place)
        self.progress.fold(state, place, payload or {})

    @contextmanager
    def _phase(self, place: int, phase: Phase) -> Iterator[None]:
        title = self.plan.titles[place]
        self.place = place
        self.at = f"step {place + 1}, {title} ({phase})"
        self.log.emit(StepStarted(place, title, phase))
        try:
            yield
        except Exception:
            self.log.emit(StepFinished(place, phase, "failed"))
            raise

    def _finished(self, place: int, phase: Phase, result: object = None) -> None:
        outcome: StepOutcome = "skipped" if isinstance(result, NoChange) else "ok"
        self.log.emit(StepFinished(place, phase, outcome))
        self.log.flush()


class StepReport:
    """Where one verb of a step reports what it found."""

    def __init__(self, log: EventLog, place: int) -> None:
        self._log = log
        self._place = place
        self._blocking: list[Finding] = []
        self.warnings: list[Finding] = []

    def finding(self, finding: Finding) -> None:
        """Emit it, and keep it when it blocks or warns."""
        finding = plain_finding(finding)
        if finding.verdict.stops:
            self._blocking.append(finding)
        elif finding.verdict is Verdict.WARN:
            self.warnings.append(finding)
        self._log.emit(FindingMade(self._place, finding))

    def probe(self, result: ProbeResult) -> None:
        """Emit it; whether it is good or bad is for a finding to say."""
        self._log.emit(ProbeAnswered(self._place, result))

    def judged(self, call: Callable[[StepReport], T]) -> T:
        """Call the verb and return its result, unless a finding blocks; the error then has all that block."""
        try:
            result = call_own(lambda: call(self))
        except InterruptedRunError:
            raise
        except FerrymanError as error:
            if self._blocking:
                raise self._judgement(error) from error
            raise
        if self._blocking:
            raise self._judgement()
        return result

    def _judgement(self, error: FerrymanError | None = None) -> FerrymanError:
        lines = [str(finding) for finding in self._blocking] + ([str(error)] if error else [])
        failed = any(finding.verdict is Verdict.FAIL for finding in self._blocking)
        doubtful = not failed and (error is None or isinstance(error, DoubtError))
        return (DoubtError if doubtful else VerifyError)("\n".join(lines))


class _QuietReport(StepReport):
    """Reports what does not pass, once: looks that are made again and again would report it each time."""

    def __init__(self, log: EventLog, place: int, reported: set[str]) -> None:
        super().__init__(log, place)
        self._reported = reported

    def finding(self, finding: Finding) -> None:
        """Emit it when it does not pass and was not reported yet; keep it when it blocks or warns."""
        finding = plain_finding(finding)
        if not (finding.verdict.stops or finding.verdict is Verdict.WARN):
            return
        if finding.verdict is Verdict.WARN and str(finding) in self._reported:
            self.warnings.append(finding)
            return
        self._reported.add(str(finding))
        super().finding(finding)

    def probe(self, result: ProbeResult) -> None:
        """Do nothing: what it means is reported as a finding."""
        del result
