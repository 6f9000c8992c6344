"""For the tests of cookbooks and of the engine: a world of keys and values, and a way to cut runs short.

``cut_everywhere`` is the test that every cookbook must stand: whatever call to the outside goes wrong, and
however, the world must end as it was or as it was wanted, and the run must say which.
"""

from __future__ import annotations

import logging
import signal
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import cycle, product
from typing import TYPE_CHECKING, Literal, TypeVar

from ferryman.engine import signals
from ferryman.engine.owner import Owner
from ferryman.engine.runner import OnDoubt, Runner
from ferryman.engine.steps import AlreadySo, Change, Look, Report
from ferryman.engine.store import Order, SqliteStore
from ferryman.engine.store.database import Database
from ferryman.errors import UnknownOutcomeError, VerifyError, WorldChangedError
from ferryman.model import Edit, Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ferryman.engine.ending import Ending
    from ferryman.engine.plan import Plan
    from ferryman.events import Occurrence

T = TypeVar("T")

Moment = Literal["before", "after"]
"""Whether a call is cut before it takes effect, or after: then it was the answer that got lost."""
WayOn = Literal["resume", "rollback"]


class Killed(BaseException):
    """kill -9, as near as one process can come to it: the engine must not catch it."""


@dataclass(frozen=True, slots=True)
class Cut:
    """One call to the outside that goes wrong; calls count from 0, over all runs on the same world."""

    at: int
    moment: Moment
    blow: Callable[[], None]


class Cuts:
    """Stands between the steps and a fake world: counts the calls, and cuts those it is told to."""

    def __init__(self, *cuts: Cut) -> None:
        self.calls = 0
        self._cuts = cuts

    def call(self, effect: Callable[[], T]) -> T:
        """One call to the outside; every fake makes all of its calls through this."""
        number = self.calls
        self.calls += 1
        self._fall(number, "before")
        result = effect()
        self._fall(number, "after")
        return result

    def _fall(self, number: int, moment: Moment) -> None:
        for cut in self._cuts:
            if (cut.at, cut.moment) == (number, moment):
                cut.blow()


class FakeWorld:
    """Keys and values, read and written one call at a time."""

    def __init__(self, cuts: Cuts | None = None, **values: str) -> None:
        self.values = values
        """What is there; whoever writes here is a stranger, and is not counted."""
        self._cuts = cuts or Cuts()

    def read(self, key: str) -> str:
        """What is there now."""
        return self._cuts.call(lambda: self.values[key])

    def write(self, key: str, value: str, *, expected: str) -> None:
        """Write, if what is there is what the caller believes to be there.

        Raises:
            WorldChangedError: It is not.
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
        """Read it, and tell a finding."""
        seen = self.world.read(self.key)
        verdict = Verdict.PASS if seen == self.wanted else Verdict.FAIL
        report.finding(Finding("value", self.key, verdict, seen, self.wanted))


@dataclass(frozen=True)
class Becomes(Change[str]):
    """{key} becomes {wanted}."""

    world: FakeWorld
    key: str
    wanted: str

    def check(self, report: Report) -> str | AlreadySo:
        """Read it."""
        del report
        seen = self.world.read(self.key)
        return AlreadySo(f"{self.key} is {seen}") if seen == self.wanted else seen

    def edits(self, before: str) -> Sequence[Edit]:
        """The one write."""
        del before
        return [Edit("host", self.key, command=f"set {self.key} {self.wanted}")]

    def do(self, before: str) -> None:
        """Write it, unless it is there."""
        if self.world.read(self.key) != self.wanted:
            self.world.write(self.key, self.wanted, expected=before)

    def verify(self, report: Report) -> None:
        """Read it back."""
        del report
        if (seen := self.world.read(self.key)) != self.wanted:
            raise VerifyError(f"{self.key}: is {seen}, wanted {self.wanted}")

    def undo(self, before: str) -> Sequence[Edit] | None:
        """Write the before, unless it is there; only over what we wrote."""
        if self.world.read(self.key) == before:
            return []
        self.world.write(self.key, before, expected=self.wanted)
        return self.edits_back(before)

    def edits_back(self, before: str) -> Sequence[Edit]:
        """The one write that takes it back."""
        return [Edit("host", self.key, command=f"set {self.key} {before}")]


class TurningClock:
    """A clock that stands still until it is turned."""

    def __init__(self, start: datetime = datetime(2026, 11, 22, 22, 19, 43, tzinfo=UTC)) -> None:
        self._start = start
        self._turned_s = 0.0

    def turn(self, seconds: float) -> None:
        """Let time pass."""
        self._turned_s += seconds

    def now(self) -> datetime:
        """The wall clock, in UTC."""
        return self._start + timedelta(seconds=self._turned_s)

    def monotonic(self) -> float:
        """Seconds since the clock was made."""
        return self._turned_s


@dataclass
class Dock:
    """Runs plans as the command line does; its journal, in memory, outlives every ``Killed`` process."""

    database: Database = field(default_factory=Database.in_memory)
    heard: list[Occurrence] = field(default_factory=list)
    """What subscribers were told, over all runs."""
    _born: int = 0

    def runner(self, on_doubt: OnDoubt = "hold") -> Runner:
        """A runner in a new process; those before it are dead."""
        self._born += 1
        owner = Owner("dock", self._born, self._born, "one boot")
        store = SqliteStore(self.database, owner=owner, alive=lambda other: other.pid == self._born)
        return Runner(store=store, subscribers=[self.heard.append], on_doubt=on_doubt)

    def perform(self, plan: Plan, *, on_doubt: OnDoubt = "hold", dry_run: bool = False) -> Ending:
        """A new run, in a new process."""
        order = Order(cookbook="test", operator="tester", dry_run=dry_run)
        return self.runner(on_doubt).perform(order, plan)

    def go_on(self, plan: Plan, way: WayOn, *, on_doubt: OnDoubt = "hold") -> Ending:
        """Resume the latest run, or roll it back, in a new process."""
        runner, run = self.runner(on_doubt), self.journal.runs()[0].id
        return runner.resume(run, plan) if way == "resume" else runner.roll_back(run, plan)

    @property
    def journal(self) -> SqliteStore:
        """The journal of all runs, to be read."""
        return SqliteStore(self.database, owner=Owner("dock", 0, 0, "one boot"))

    @property
    def locked(self) -> dict[str, str]:
        """Each lock that is taken, and the run that has it."""
        return {lock.key: lock.run for lock in self.journal.locks()}


@dataclass(frozen=True, slots=True)
class Scene:
    """A fresh world with a plan for it."""

    plan: Callable[[], Plan]
    """Builds the plan, as the command line does anew for each process."""
    world: Callable[[], object]
    """What is there now, without a call to the outside: compared with ``==``."""


def cut_everywhere(build: Callable[[Cuts], Scene], *, twice: bool = False, briefly: bool = False) -> int:
    """Cut a plan at every call to the outside, in every way, and look what is left.

    Args:
        build: Makes a fresh scene, the same each time, whose every outside call goes through the cuts.
        twice: After a refusal or a kill, kill once more at every call that follows; many more runs.
        briefly: At every call too, but by kill -9 before and after it, and SIGTERM; each way on in turn.

    Returns:
        How many runs were cut.

    Raises:
        AssertionError: The world ended in between, or otherwise than the run said; with the way to get there.
    """
    with _quietly():
        return _cut_everywhere(build, twice, briefly)


def _cut_everywhere(build: Callable[[Cuts], Scene], twice: bool, briefly: bool) -> int:
    bank = _uncut(build)
    count = 0
    for trial in _brief_trials(bank.calls) if briefly else _trials(bank.calls):
        used = _try(build, bank, trial)
        count += 1
        again = twice and trial.cuts[0].blow in {_say_no, _kill}
        for at in range(trial.cuts[0].at + 1, used if again else 0):
            for moment in ("before", "after"):
                _try(build, bank, trial.again(Cut(at, moment, _kill)))
                count += 1
    return count


@dataclass(frozen=True, slots=True)
class _Banks:
    """How the world is before and after, and how many calls lie between."""

    old: object
    new: object
    calls: int


@dataclass(frozen=True, slots=True)
class _Trial:
    name: str
    cuts: tuple[Cut, ...]
    way: WayOn
    on_doubt: OnDoubt

    def again(self, cut: Cut) -> _Trial:
        name = f"{self.name}, and kill -9 {cut.moment} call {cut.at}"
        return _Trial(name, (*self.cuts, cut), self.way, self.on_doubt)


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the word that the operator gets for each signal: there are hundreds."""
    log = logging.getLogger(signals.__name__)
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


def _uncut(build: Callable[[Cuts], Scene]) -> _Banks:
    cuts = Cuts()
    scene = build(cuts)
    old, ending = _frozen(scene), Dock().perform(scene.plan())
    _expect(ending.outcome == "done", f"without any cut, it ended {ending.outcome}: {ending.reason}")
    return _Banks(old, _frozen(scene), cuts.calls)


def _trials(calls: int) -> Iterator[_Trial]:
    moments: tuple[Moment, ...] = ("before", "after")
    ways: tuple[WayOn, ...] = ("resume", "rollback")
    choices: tuple[OnDoubt, ...] = ("hold", "rollback")
    for at in range(calls):
        for moment in moments:
            for name, blow in _BLOWS.items():
                for way in ways:
                    for on_doubt in choices if blow is _lose_the_answer else choices[:1]:
                        text = f"{name} {moment} call {at}, on doubt {on_doubt}, then {way}"
                        yield _Trial(text, (Cut(at, moment, blow),), way, on_doubt)


def _brief_trials(calls: int) -> Iterator[_Trial]:
    ways: Iterator[WayOn] = cycle(("resume", "rollback"))
    for at, (name, moment) in product(range(calls), _BRIEFLY):
        way = next(ways)
        yield _Trial(f"{name} {moment} call {at}, then {way}", (Cut(at, moment, _BLOWS[name]),), way, "hold")


_WAYS = 4
"""How often a run may be taken up again: once for each thing that went wrong in it, and once to spare."""


def _try(build: Callable[[Cuts], Scene], banks: _Banks, trial: _Trial) -> int:
    """Run one trial until it has settled; how many calls that took."""
    cuts = Cuts(*trial.cuts)
    scene, dock = build(cuts), Dock()
    ending = _attempt(lambda: dock.perform(scene.plan(), on_doubt=trial.on_doubt))
    ways = 0
    while ending is None or ending.outcome in {"held", "stranded"}:
        ways += 1
        _expect(ways <= _WAYS, f"{trial.name}: still not settled: {ending and ending.reason}")
        kept = not scene.plan().locks or dock.locked
        _expect(bool(kept), f"{trial.name}: the run is open, and has no lock")
        ending = _attempt(lambda: dock.go_on(scene.plan(), trial.way, on_doubt=trial.on_doubt))
    wanted = banks.new if ending.outcome == "done" else banks.old
    seen = scene.world()
    _expect(seen == wanted, f"{trial.name}: ended {ending.outcome}, and left {seen!r}, wanted {wanted!r}")
    _expect(not dock.locked, f"{trial.name}: ended {ending.outcome}, and kept its lock")
    return cuts.calls


def _attempt(run: Callable[[], Ending]) -> Ending | None:
    try:
        return run()
    except Killed:
        return None


def _frozen(scene: Scene) -> object:
    """The world as it is now, whatever happens to it later."""
    return deepcopy(scene.world())


def _expect(so: bool, otherwise: str) -> None:
    if not so:
        raise AssertionError(otherwise)


def _lose_the_answer() -> None:
    raise UnknownOutcomeError("the answer was lost")


def _say_no() -> None:
    raise VerifyError("the host said no")


def _break() -> None:
    raise ZeroDivisionError("a bug in a step")


def _kill() -> None:
    raise Killed


def _terminate() -> None:
    _expect(
        signal.getsignal(signal.SIGTERM) != signal.SIG_DFL, "nobody listens: call this in the main thread"
    )
    signal.raise_signal(signal.SIGTERM)


_BLOWS: Mapping[str, Callable[[], None]] = {
    "an answer lost": _lose_the_answer,
    "a refusal": _say_no,
    "a bug": _break,
    "SIGTERM": _terminate,
    "kill -9": _kill,
}
_BRIEFLY: Sequence[tuple[str, Moment]] = (("kill -9", "before"), ("kill -9", "after"), ("SIGTERM", "after"))
