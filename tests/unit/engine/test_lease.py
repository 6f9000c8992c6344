"""The lease: a store that stays silent, or a run that was taken away, stops what the run is doing."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from ferryman.engine.lease import Lease
from ferryman.engine.plan import Plan
from ferryman.engine.runner import Runner
from ferryman.engine.signals import Signals
from ferryman.engine.steps import Look, Report
from ferryman.errors import BusyError, JournalError
from ferryman.events import StepStarted
from ferryman.retry import poll_until
from ferryman.state import RunRequest, SqliteStore
from ferryman.state.sqlite.database import Database
from ferryman.testing import Becomes, Cut, Cuts, FakeWorld, TurningClock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ferryman.model import Edit

LONG_S = 10.0
"""Longer than any test may take: whoever waits for it to end was not woken."""
REQUEST = RunRequest(cookbook="test", operator="tester")


class Moody(SqliteStore):
    """A store whose heartbeats get through, or fail, as it is told; its journal is well."""

    mood: Exception | None = None

    def renew(self) -> None:
        """Renew the lease, or fail as it was set to."""
        if self.mood is not None:
            raise self.mood


class Hasty(Moody):
    """Looked at often, by a clock that stands still until the outage comes."""

    heartbeat_s = 0.02
    silence_s = 1.0


@dataclass
class Held:
    """The lease of a run, and what it raised in the run's thread."""

    clock: TurningClock = field(default_factory=TurningClock)
    raised: list[Exception] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = Moody(Database.in_memory(), clock=self.clock)
        self.run = self.store.begin(REQUEST, Plan([Becomes(FakeWorld(), "a", "b")]))
        self.lease = Lease(self.store, self.run, alarm=self.raised.append)

    def pass_silently(self, seconds: float) -> None:
        """Time goes by, in which no heartbeat gets through; the clock is looked at as often as it is."""
        self.store.mood = JournalError("no answer")
        for _ in range(10):
            self.clock.turn(seconds / 10)
            self.lease.renew()
            self.lease.look()

    def recover(self) -> None:
        """Let a heartbeat reach the store again, and look."""
        self.store.mood = None
        self.lease.renew()
        self.lease.look()


@pytest.fixture
def held() -> Held:
    return Held()


def test_a_store_that_was_silent_for_a_third_of_the_lease_stops_the_run_and_its_next_change(
    held: Held,
) -> None:
    held.pass_silently(held.store.silence_s * 1.3)

    [error] = held.raised
    assert isinstance(error, JournalError)
    assert "could not be renewed for 23 seconds" in str(error)
    assert "no answer" in str(error)
    with pytest.raises(JournalError, match="could not be renewed"):
        held.lease.require()


def test_a_loss_that_was_told_counts_though_the_store_is_back(held: Held) -> None:
    held.pass_silently(held.store.silence_s * 1.3)
    held.recover()

    with pytest.raises(JournalError):
        held.lease.require()


def test_what_goes_back_is_not_stopped_by_a_silence(held: Held) -> None:
    held.pass_silently(held.store.silence_s * 1.3)
    held.lease.begin_rollback()

    held.lease.require()


def test_a_shorter_stall_stops_nothing_however_often_it_comes(held: Held) -> None:
    for _ in range(5):
        held.pass_silently(held.store.silence_s * 0.9)
        held.recover()

    assert held.raised == []
    held.lease.require()


def test_a_process_that_was_stopped_itself_has_time_for_a_heartbeat(held: Held) -> None:
    held.clock.turn(held.store.silence_s * 2)
    held.lease.look()
    held.recover()

    assert held.raised == []


def test_a_heartbeat_that_never_returns_stops_the_run(held: Held) -> None:
    """Names that nobody resolves, a disk that hangs: no heartbeat has failed, and none has got through."""
    held.clock.turn(held.store.silence_s)
    held.lease.look()
    held.lease.look()

    [error] = held.raised
    assert f"{held.store.where}: no answer" in str(error)


def test_a_run_that_was_taken_away_is_stopped_once(held: Held) -> None:
    held.store.mood = BusyError("somebody took it over")
    held.lease.renew()
    held.lease.renew()

    assert held.raised == [held.store.mood]
    with pytest.raises(BusyError):
        held.lease.require()


def test_an_outage_is_told_once_and_so_is_its_end(held: Held, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    held.pass_silently(1)
    held.recover()

    first, last = caplog.messages
    assert "could not be renewed; tried again: no answer" in first
    assert "renewed again" in last


@dataclass(frozen=True)
class Waits(Look):
    """It takes its time."""

    wait: Callable[[], object]

    def look(self, report: Report) -> None:
        """Wait until the outage is noticed."""
        del report
        self.wait()


@dataclass
class Outage:
    """Comes when a run is there, which then waits for long."""

    clock: TurningClock = field(default_factory=TurningClock)
    noticed: threading.Event = field(default_factory=threading.Event)
    """Set when the run's thread was told."""

    def __post_init__(self) -> None:
        self.store = Hasty(Database.in_memory(), clock=self.clock)

    def begin(self, mood: Exception) -> None:
        """From now on no heartbeat gets through, and as much time goes by as stops a run."""
        self.store.mood = mood
        self.clock.turn(self.store.silence_s)

    def for_long(self) -> None:
        """Wait for an event that never comes."""
        self.begin(JournalError("the file is gone"))
        assert not threading.Event().wait(LONG_S), "never set"
        pytest.fail("nobody woke it")

    def polling(self) -> None:
        """Poll in a loop that ends long after the test."""
        self.begin(JournalError("the file is gone"))
        poll_until(lambda: False, bool, within_s=LONG_S, every_s=0.01)
        pytest.fail("nobody woke it")

    def until_it_is_noticed(self) -> None:
        """What cannot be given up: it ends by itself, after it was to be stopped."""
        self.begin(JournalError("the file is gone"))
        assert self.noticed.wait(LONG_S)


@pytest.fixture
def outage(monkeypatch: pytest.MonkeyPatch) -> Outage:
    outage = Outage()
    ring = Signals.alarm

    def alarm(signals: Signals, error: Exception) -> None:
        ring(signals, error)
        outage.noticed.set()

    monkeypatch.setattr(Signals, "alarm", alarm)
    return outage


@pytest.mark.parametrize("wait", ["for_long", "polling"])
def test_a_run_that_looks_is_stopped_where_it_is_and_goes_back(outage: Outage, wait: str) -> None:
    world = FakeWorld(None, a="old", b="old")
    stays = Waits(getattr(outage, wait))
    plan = Plan([Becomes(world, "a", "new"), stays, Becomes(world, "b", "new")], ["web"])

    result = Runner(store=outage.store).perform(REQUEST, plan)

    assert (result.outcome, result.exit_code) == ("rolled-back", 4)
    assert "could not be renewed" in result.reason
    assert "the file is gone" in result.reason
    assert world.values == {"a": "old", "b": "old"}


def test_a_change_under_way_is_finished_and_no_other_begun(outage: Outage) -> None:
    writes_first = 3
    world = FakeWorld(Cuts(Cut(writes_first, "before", outage.until_it_is_noticed)), a="old", b="old")
    begun: list[tuple[int, str]] = []
    runner = Runner(
        store=outage.store,
        subscribers=[
            lambda occurrence: (
                begun.append((occurrence.event.step, occurrence.event.phase))
                if isinstance(occurrence.event, StepStarted)
                else None
            )
        ],
    )

    result = runner.perform(REQUEST, Plan([Becomes(world, "a", "new"), Becomes(world, "b", "new")], ["web"]))

    assert result.outcome == "rolled-back"
    assert begun[-2:] == [(0, "do"), (0, "undo")]


def test_a_question_that_waits_is_answered_by_the_outage(outage: Outage) -> None:
    world = FakeWorld(None, a="old")

    def ask(edits: Sequence[Edit]) -> bool:
        assert edits
        outage.for_long()
        return True

    runner = Runner(store=outage.store, confirm=ask)

    result = runner.perform(REQUEST, Plan([Becomes(world, "a", "new")], ["web"]))

    assert (result.outcome, result.exit_code, world.values) == ("error", 2, {"a": "old"})


def test_a_run_that_was_taken_away_is_held_where_it_is(outage: Outage) -> None:
    world = FakeWorld(None, a="old")

    def taken_away() -> None:
        outage.begin(BusyError("somebody took it over"))
        assert not threading.Event().wait(LONG_S), "never set"

    result = Runner(store=outage.store).perform(
        REQUEST, Plan([Becomes(world, "a", "new"), Waits(taken_away)], ["web"])
    )

    assert (result.outcome, world.values) == ("held", {"a": "new"})
