"""A run that outlives its lease many times, with others who come and go between any two of its calls."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import pytest

from ferryman.engine.plan import Plan, Step
from ferryman.engine.process import ProcessId
from ferryman.engine.runner import Runner
from ferryman.errors import BusyError, DoubtError
from ferryman.state import RunRequest, SqliteStore
from ferryman.state.sqlite.database import Database
from ferryman.state.sqlite.store import LEASE_S
from ferryman.testing import Becomes, Cuts, FakeWorld, Is, TurningClock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ferryman.outcomes import RunResult
    from ferryman.testing import RecoveryCommand

T = TypeVar("T")
AT_WORK = ProcessId("control1", 100, 1, "one boot")
BESIDE = ProcessId("control1", 200, 2, "one boot")
ELSEWHERE = ProcessId("control2", 300, 3, "another boot")
REQUEST = RunRequest(cookbook="test", operator="tester")
CALL_S = 0.9 * LEASE_S
"""How long each call to the outside takes: a lease that is not renewed is over after the second."""


@dataclass
class Control:
    """A state file that several processes have open, and a world that they all may change."""

    path: Path
    clock: TurningClock = field(default_factory=TurningClock)
    world: FakeWorld = field(default_factory=lambda: FakeWorld(None, a="old", b="old", ready="yes"))

    def store(self, owner: ProcessId) -> SqliteStore:
        """As that process opens it; the kernel of the first host says that both of its processes live."""
        database = Database.at(self.path)
        return SqliteStore(database, clock=self.clock, owner=owner, alive=lambda _: True)

    def plan(self, world: FakeWorld) -> Plan:
        steps: list[Step] = [
            Becomes(world, "a", "new"),
            Is(world, "ready", "yes"),
            Becomes(world, "b", "new"),
        ]
        return Plan(steps, ["web"])

    def perform(self, store: SqliteStore, world: FakeWorld) -> RunResult:
        return Runner(store=store, clock=self.clock).perform(REQUEST, self.plan(world))

    def seen_by(self, cuts: Cuts) -> Fenced:
        """The same world, through calls that are counted."""
        world = Fenced(cuts)
        world.values = self.world.values
        return world


class Fenced(FakeWorld):
    """A world that can be told to take nothing more from whoever writes to it this way."""

    shut = False

    def write(self, key: str, value: str, *, expected: str) -> None:
        if self.shut:
            raise BusyError(f"{key}: another process has the run by now")
        super().write(key, value, expected=expected)


class Slow(Cuts):
    """Each call takes long, and somebody comes after it."""

    def __init__(self, control: Control, come: Callable[[int], None]) -> None:
        super().__init__()
        self._control, self._come = control, come

    def call(self, effect: Callable[[], T]) -> T:
        number = self.calls
        result = super().call(effect)
        self._control.clock.turn(CALL_S)
        self._come(number)
        return result


@pytest.fixture
def control(tmp_path: Path) -> Control:
    return Control(tmp_path / "state.db")


@pytest.fixture(autouse=True)
def no_looks_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard looks by the real clock: on a slow machine between a turn of the clock and the renewal."""
    monkeypatch.setattr("ferryman.engine.lease._LOOKS", 1e-6)


def test_visitors_between_any_two_calls_find_it_under_way_and_take_nothing_from_it(control: Control) -> None:
    store, answers = control.store(AT_WORK), set[tuple[str, bool]]()

    def visit(number: int) -> None:
        """As the lease's own thread does it; then others list, show, and ask for the same service."""
        with ThreadPoolExecutor(1) as thread:
            thread.submit(store.renew).result()
        for owner in (BESIDE, ELSEWHERE):
            visitor = control.store(owner)
            mine = next(entry.id for entry in visitor.runs() if entry.owner == AT_WORK)
            visitor.show(mine)
            assert [lock.run for lock in visitor.locks()] == [mine]
            turned_away = control.perform(visitor, control.world)
            answers.add((turned_away.outcome, "is under way" in turned_away.reason))
            visitor.close()

    cuts = Slow(control, visit)
    result = control.perform(store, control.seen_by(cuts))
    assert (result.outcome, answers) == ("done", {("busy", True)})
    assert cuts.calls * CALL_S > 5 * LEASE_S
    assert control.world.values == {"a": "new", "b": "new", "ready": "yes"}
    assert store.faults(result.run) == []
    assert store.locks() == []


def calls(control: Control) -> int:
    cuts = Slow(control, lambda _: None)
    control.perform(control.store(AT_WORK), control.seen_by(cuts))
    return cuts.calls


def taken_over(control: Control, way: RecoveryCommand, at: int) -> tuple[RunResult, RunResult]:
    """How it ended for a process that was taken over after this call, and for the one that did so."""
    results: list[RunResult] = []

    def take_over(number: int) -> None:
        if number != at:
            return

        def shut(run: str, token: int, hosts: object) -> dict[str, DoubtError]:
            world.shut = True
            return {}

        store = control.store(ELSEWHERE)
        runner, run = Runner(store=store, clock=control.clock, fence_off=shut), store.runs()[0].id
        go = runner.resume if way == "resume" else runner.roll_back
        results.append(go(run, control.plan(control.world)))

    world = control.seen_by(Slow(control, take_over))
    return control.perform(control.store(AT_WORK), world), results[0]


@pytest.mark.parametrize(("way", "value"), [("resume", "new"), ("rollback", "old")])
def test_one_that_gave_no_sign_of_life_for_a_lease_stops_wherever_it_is_taken_over(
    tmp_path: Path, way: RecoveryCommand, value: str
) -> None:
    for at in range(1, calls(Control(tmp_path / "counted.db"))):
        control = Control(tmp_path / f"{at}.db")
        result, other = taken_over(control, way, at)
        assert (result.outcome, other.exit_code) == ("busy", 0), f"after call {at}: {result.reason}"
        assert control.world.values == {"a": value, "b": value, "ready": "yes"}, f"after call {at}"
