"""Fakes with a state: a world of keys and values, calls that go wrong, a clock, a harness to run plans in."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal, TypeVar

from ferryman.engine.clock import Clock, SystemClock
from ferryman.engine.process import ProcessId
from ferryman.engine.runner import OnDoubt, Runner
from ferryman.engine.steps import Change, Look, NoChange, Report
from ferryman.errors import VerifyError, WorldChangedError
from ferryman.model import Edit, Finding, Verdict
from ferryman.state import RunRequest, SqliteStore
from ferryman.state.sqlite.database import Database

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from ferryman.engine.plan import Plan
    from ferryman.events import Occurrence
    from ferryman.outcomes import RunResult
    from ferryman.state.foretellings import Foretellings

T = TypeVar("T")

When = Literal["before", "after"]
"""Whether a call is cut before it takes effect, or after: then it was the answer that got lost."""
RecoveryCommand = Literal["resume", "rollback"]
"""How a run that is not over is taken to its end."""


class Killed(KeyboardInterrupt):
    """Stands for kill -9 within one process: as a ``KeyboardInterrupt``, nothing of the engine catches it."""


@dataclass(frozen=True, slots=True)
class Cut:
    """One call to the outside that goes wrong; calls count from 0, over all runs on the same world."""

    at: int
    when: When
    fault: Callable[[], None]


class Cuts:
    """Between the steps and a fake world: counts the calls, and cuts those that it was given."""

    whole_scripts = False
    """Whether a script that has several effects makes one call, for nothing comes between its lines."""

    def __init__(self, *cuts: Cut) -> None:
        self.calls = 0
        self._cuts = cuts

    def call(self, effect: Callable[[], T]) -> T:
        """One call to the outside; every fake makes all of its calls through this."""
        number = self.calls
        self.calls += 1
        self._apply_cut(number, "before")
        result = effect()
        self._apply_cut(number, "after")
        return result

    def _apply_cut(self, number: int, when: When) -> None:
        for cut in self._cuts:
            if (cut.at, cut.when) == (number, when):
                cut.fault()


class FakeWorld:
    """Keys and values, read and written one call at a time."""

    def __init__(self, cuts: Cuts | None = None, **values: str) -> None:
        self.values = values
        """What is there; a test writes here as a third party, which is not counted as a call."""
        self._cuts = cuts or Cuts()

    def read(self, key: str) -> str:
        """The value of this key, in one call."""
        return self._cuts.call(lambda: self.values[key])

    def write(self, key: str, value: str, *, expected: str) -> None:
        """Write, if what is there is what the caller believes to be there.

        Raises:
            WorldChangedError: What is there is something else.
        """

        def effect() -> None:
            if self.values[key] != expected:
                raise WorldChangedError(f"{key}: is {self.values[key]}, expected {expected}; left alone")
            self.values[key] = value

        self._cuts.call(effect)


@dataclass(frozen=True)
class Is(Look):
    """{key} is {wanted}."""

    world: FakeWorld
    key: str
    wanted: str

    def look(self, report: Report) -> None:
        """Read the value, and report a finding."""
        seen = self.world.read(self.key)
        verdict = Verdict.PASS if seen == self.wanted else Verdict.FAIL
        report.finding(Finding("value", self.key, verdict, seen, self.wanted))


@dataclass(frozen=True)
class Becomes(Change[str]):
    """{key} becomes {wanted}."""

    world: FakeWorld
    key: str
    wanted: str

    def check(self, report: Report) -> str | NoChange:
        """Return the value that the key has now."""
        del report
        seen = self.world.read(self.key)
        return NoChange(f"{self.key} is {seen}") if seen == self.wanted else seen

    def edits(self, before: str) -> Sequence[Edit]:
        """The one write, as a command."""
        del before
        return [Edit("host", self.key, command=f"set {self.key} {self.wanted}")]

    def do(self, before: str) -> Sequence[Edit] | None:
        """Write the wanted value, unless it is there."""
        if self.world.read(self.key) != self.wanted:
            self.world.write(self.key, self.wanted, expected=before)
        return None

    def verify(self, report: Report) -> None:
        """Read the value back, and compare it with the wanted one."""
        del report
        if (seen := self.world.read(self.key)) != self.wanted:
            raise VerifyError(f"{self.key}: is {seen}, wanted {self.wanted}")

    def undo(self, before: str) -> Sequence[Edit] | None:
        """Write the before, unless it is there; only over what ``do`` wrote."""
        if self.world.read(self.key) == before:
            return []
        self.world.write(self.key, before, expected=self.wanted)
        return self.undo_edits(before)

    def diff_after_undo(self, before: str, report: Report) -> str | None:
        """Whether it is what ``do`` wrote; what others have written over it is reported as a warning."""
        if (seen := self.world.read(self.key)) == before:
            return None
        if seen == self.wanted:
            return f"{self.key}: is still {seen}, was {before}"
        report.finding(Finding("value", self.key, Verdict.WARN, seen, before, "see who wrote it"))
        return None

    def undo_edits(self, before: str) -> Sequence[Edit]:
        """The one write that takes it back."""
        return [Edit("host", self.key, command=f"set {self.key} {before}")]


class TurningClock:
    """A clock that stands still until a test turns it."""

    def __init__(self, start: datetime = datetime(2026, 11, 22, 22, 19, 43, tzinfo=UTC)) -> None:
        self._start = start
        self._turned_s = 0.0

    def turn(self, seconds: float) -> None:
        """Let this many seconds pass."""
        self._turned_s += seconds

    def now(self) -> datetime:
        """The time of day, in UTC."""
        return self._start + timedelta(seconds=self._turned_s)

    def monotonic(self) -> float:
        """Seconds since the clock was made."""
        return self._turned_s


@dataclass
class Harness:
    """Runs plans as the command line does; its journal, in memory, outlives every ``Killed`` process."""

    database: Database = field(default_factory=Database.in_memory)
    events: list[Occurrence] = field(default_factory=list)
    """What subscribers got, over all runs."""
    clock: Clock = field(default_factory=SystemClock)
    foretellings: Foretellings | None = None
    """Where dry runs keep what they foretold; None: nowhere."""
    _processes: int = 0

    def runner(self, on_doubt: OnDoubt = "hold") -> Runner:
        """A runner in a new process; those before it are dead."""
        self._processes += 1
        owner = ProcessId("harness", self._processes, self._processes, "one boot")
        store = SqliteStore(
            self.database,
            clock=self.clock,
            owner=owner,
            alive=lambda other: other.pid == self._processes,
        )
        return Runner(
            store=store,
            subscribers=[self.events.append],
            on_doubt=on_doubt,
            clock=self.clock,
            foretellings=self.foretellings,
        )

    def perform(self, plan: Plan, *, on_doubt: OnDoubt = "hold", dry_run: bool = False) -> RunResult:
        """Perform a plan as a new run, in a new process."""
        request = RunRequest(cookbook="test", operator="tester", dry_run=dry_run)
        return self.runner(on_doubt).perform(request, plan)

    def recover(
        self,
        plan: Plan,
        way: RecoveryCommand,
        *,
        on_doubt: OnDoubt = "hold",
        accept_changed_plan: bool = False,
    ) -> RunResult:
        """Resume the latest run, or roll it back, in a new process."""
        runner, run = self.runner(on_doubt), self.journal.runs()[0].id
        go = runner.resume if way == "resume" else runner.roll_back
        return go(run, plan, accept_changed_plan=accept_changed_plan)

    @property
    def journal(self) -> SqliteStore:
        """The journal of all runs, to be read."""
        return SqliteStore(self.database, owner=ProcessId("harness", 0, 0, "one boot"))

    @property
    def locked(self) -> dict[str, str]:
        """Each lock that is taken, and the run that has it."""
        return {lock.key: lock.run for lock in self.journal.locks()}


@dataclass(frozen=True, slots=True)
class ThirdParty:
    """Someone else who writes to the same world: they know of no run, and no run knows of them."""

    name: str
    """What they do, as in ``reboots lvs2``."""
    words: Sequence[str]
    """Where they do it: a run that they block says one of these."""
    write: Callable[[], None]
    """What they do to the world as it is by then; it is no call of the run."""


@dataclass(frozen=True, slots=True)
class OwnPart:
    """Which part of a world a plan changes. A line is ``where: what``, with the run's name for where."""

    in_place: Callable[[], Collection[str]]
    """What of the change is in the world now, a line for each thing."""
    missing: Callable[[], Collection[str]]
    """What of the change is not in the world now, a line for each thing."""
    rest: Callable[[], object]
    """All the rest of the world, as a value: no run of this plan may change that."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A fresh world with a plan for it."""

    plan: Callable[[], Plan]
    """Builds the plan, as the command line does anew for each process."""
    world: Callable[[], object]
    """What is there now, without a call to the outside: compared with ``==``."""
    third_parties: Sequence[ThirdParty] = ()
    """For ``meddle_everywhere``: whoever else may write there; in the same order each time."""
    own: OwnPart | None = None
    """For ``meddle_everywhere`` and ``lose_records_everywhere``: what is the plan's own part."""
