"""One run while it is made: calls the steps' verbs, tells what happens, and judges what was found."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from ferryman.engine.steps import AlreadySo
from ferryman.errors import DoubtError, FerrymanError, InterruptedRunError, VerifyError
from ferryman.events import FindingMade, ProbeAnswered, StepFinished, StepStarted
from ferryman.model import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ferryman.engine.lease import Lease
    from ferryman.engine.plan import Plan
    from ferryman.engine.progress import Progress, Stage
    from ferryman.engine.signals import Signals
    from ferryman.engine.store import Order
    from ferryman.engine.telling import Telling
    from ferryman.events import Phase, StepOutcome
    from ferryman.model import Finding, ProbeResult

T = TypeVar("T")


@dataclass(slots=True)
class Passage:
    """One run under way, and how far it is."""

    run: str
    order: Order
    plan: Plan
    progress: Progress
    telling: Telling
    signals: Signals
    lease: Lease
    at: str = "before the first step"
    """Step and phase, in words."""
    place: int = 0
    """The step's place in the plan."""
    is_open: bool = True
    """Whether how this command ends is how the run ends; not while a run that is done is only looked at."""

    def looking(self, place: int, phase: Phase, call: Callable[[StepReport], T]) -> T:
        """Call a verb that reads; the operator may cut it short, and what it found is judged.

        Raises:
            VerifyError: A finding fails.
            DoubtError: A finding is unknown.
        """
        report = StepReport(self.telling, place)
        with self._phase(place, phase), self.signals.abandonable():
            result = report.judged(call)
        self._finished(place, phase, result)
        return result

    def pass_over(self, place: int) -> None:
        """Tell that a look is not made, because it can say nothing now."""
        self.telling.tell(StepStarted(place, self.plan.titles[place], "check"))
        self.telling.tell(StepFinished(place, "check", "skipped"))

    def acting(self, place: int, phase: Phase, call: Callable[[], None]) -> None:
        """Call a verb that writes; it is finished before a signal is heeded."""
        with self.signals.finished_first():
            with self._phase(place, phase):
                call()
            self._finished(place, phase)

    def mark(self, stage: Stage, place: int, payload: Mapping[str, Any] | None = None) -> None:
        """A change moved on: on disk first, then in what we know."""
        self.telling.record(stage, payload or {}, place)
        self.progress.fold(stage, place, payload or {})

    @contextmanager
    def _phase(self, place: int, phase: Phase) -> Iterator[None]:
        title = self.plan.titles[place]
        self.place = place
        self.at = f"step {place + 1}, {title} ({phase})"
        self.telling.tell(StepStarted(place, title, phase))
        try:
            yield
        except SystemExit as error:
            self.telling.tell(StepFinished(place, phase, "failed"))
            raise RuntimeError(f"{title}: called sys.exit({error.code!r}); a step raises an error") from error
        except Exception:
            self.telling.tell(StepFinished(place, phase, "failed"))
            raise

    def _finished(self, place: int, phase: Phase, result: object = None) -> None:
        outcome: StepOutcome = "skipped" if isinstance(result, AlreadySo) else "ok"
        self.telling.tell(StepFinished(place, phase, outcome))
        self.telling.flush()


class StepReport:
    """Where one verb of a step tells what it sees."""

    def __init__(self, telling: Telling, place: int) -> None:
        self._telling = telling
        self._place = place
        self._stopping: list[Finding] = []

    def finding(self, finding: Finding) -> None:
        """Tell it, and keep it when it stands in the way."""
        if finding.verdict.stops:
            self._stopping.append(finding)
        self._telling.tell(FindingMade(self._place, finding))

    def probe(self, result: ProbeResult) -> None:
        """Tell it; a finding judges."""
        self._telling.tell(ProbeAnswered(self._place, result))

    def judged(self, call: Callable[[StepReport], T]) -> T:
        """What the verb returns, unless a finding stands in the way; all of those are in the error then."""
        try:
            result = call(self)
        except InterruptedRunError:
            raise
        except FerrymanError as error:
            if self._stopping:
                raise self._judgement(error) from error
            raise
        if self._stopping:
            raise self._judgement()
        return result

    def _judgement(self, error: FerrymanError | None = None) -> FerrymanError:
        lines = [str(finding) for finding in self._stopping] + ([str(error)] if error else [])
        failed = any(finding.verdict is Verdict.FAIL for finding in self._stopping)
        doubtful = not failed and (error is None or isinstance(error, DoubtError))
        return (DoubtError if doubtful else VerifyError)("\n".join(lines))
