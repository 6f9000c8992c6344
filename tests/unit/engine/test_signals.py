"""Ctrl-C, SIGTERM and SIGHUP: what is under way is finished or given up cleanly, then it goes back."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ferryman.engine import signals
from ferryman.engine.plan import Plan
from ferryman.engine.runner import Runner
from ferryman.engine.signals import HANDLED
from ferryman.engine.steps import Look, Report
from ferryman.errors import UnreachableError, VerifyError
from ferryman.state import RunRequest, SqliteStore
from ferryman.testing import Becomes, FakeWorld, Harness, Is

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from ferryman.events import Occurrence
    from ferryman.model import Edit

LONG_S = 10.0
"""Longer than any test may take: whoever waits for it to end was not woken."""

TraceFunction = Callable[["FrameType", str, Any], Any]


def ring(*numbers: int) -> Callable[[], None]:
    def fall() -> None:
        for number in numbers or (signal.SIGINT,):
            signal.raise_signal(number)

    return fall


@dataclass(frozen=True)
class Does(Look):
    """Something happens."""

    act: Callable[[], None]

    def look(self, report: Report) -> None:
        """Run the action that the step was made with."""
        self.act()


@dataclass(frozen=True)
class DoesWhileChanging(Becomes):
    """{key} becomes {wanted}, and something happens meanwhile."""

    act: Callable[[], None] = lambda: None

    def do(self, before: str) -> None:
        """Let it happen in the middle."""
        self.world.values["half"] = "begun"
        self.act()
        del self.world.values["half"]
        super().do(before)


@dataclass(frozen=True)
class DoesWhileUndoing(Becomes):
    """{key} becomes {wanted}, and something happens in the rollback."""

    act: Callable[[], None] = lambda: None

    def undo(self, before: str) -> None:
        """Run the action, then put the value back."""
        self.act()
        super().undo(before)


@dataclass(frozen=True)
class Fails(Look):
    """Everything flows."""

    def look(self, report: Report) -> None:
        """Fail as a service does that gets no traffic."""
        raise VerifyError("nothing flows")


@pytest.mark.parametrize("number", HANDLED)
def test_before_any_change_it_ends_at_once_with_nothing_changed(
    harness: Harness, world: FakeWorld, number: signal.Signals
) -> None:
    def ring_and_go_on() -> None:
        signal.raise_signal(number)
        pytest.fail("the look went on")

    result = harness.perform(Plan([Does(ring_and_go_on), Becomes(world, "a", "new")], ["web"]))

    assert (result.outcome, result.exit_code) == ("interrupted", 130)
    assert result.reason == f"interrupted, nothing was changed: interrupted by {number.name}"
    assert world.values["a"] == "old"
    assert harness.locked == {}


def test_after_a_change_it_goes_back_and_says_so(harness: Harness, world: FakeWorld) -> None:
    result = harness.perform(Plan([Becomes(world, "a", "new"), Does(ring())], ["web"]))

    assert (result.outcome, result.exit_code) == ("interrupted", 130)
    assert result.reason == "interrupted by SIGINT\nrolled back: all is as before, verified"
    assert world.values["a"] == "old"


def test_a_change_under_way_is_finished_first(harness: Harness, world: FakeWorld) -> None:
    result = harness.perform(Plan([DoesWhileChanging(world, "a", "new", ring())], ["web"]))

    assert (result.outcome, result.exit_code) == ("interrupted", 130)
    assert world.values == {"a": "old", "b": "old", "ready": "yes"}
    assert [record.kind for record in harness.journal.show(result.run)].count("made") == 1


def test_pressing_again_during_a_change_is_still_one_wish(harness: Harness, world: FakeWorld) -> None:
    result = harness.perform(
        Plan([DoesWhileChanging(world, "a", "new", ring(signal.SIGINT, signal.SIGINT, signal.SIGTERM))])
    )

    assert result.outcome == "interrupted"
    assert world.values["a"] == "old"


def test_no_change_begins_after_it(harness: Harness, world: FakeWorld) -> None:
    world.values["b"] = "untouched"
    harness.perform(Plan([DoesWhileChanging(world, "a", "new", ring()), Becomes(world, "b", "new")]))

    assert world.values["b"] == "untouched"


def test_an_adapter_that_takes_it_for_something_else_does_not_hide_it(
    harness: Harness, world: FakeWorld
) -> None:
    def swallow() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except Exception as error:
            raise UnreachableError("lvs1: silent") from error

    assert harness.perform(Plan([Becomes(world, "a", "new"), Does(swallow)])).outcome == "interrupted"


def test_an_adapter_that_swallows_it_whole_does_not_hide_it(harness: Harness, world: FakeWorld) -> None:
    def swallow() -> None:
        with suppress(Exception):
            signal.raise_signal(signal.SIGINT)

    assert harness.perform(Plan([Does(swallow), Becomes(world, "a", "new")])).outcome == "interrupted"


def test_a_listener_is_not_interrupted(world: FakeWorld, harness: Harness) -> None:
    heard: list[str] = []

    def listener(occurrence: Occurrence) -> None:
        if occurrence.event.event == "finding":
            signal.raise_signal(signal.SIGINT)
        heard.append(occurrence.event.event)

    runner = Runner(store=SqliteStore(harness.database), subscribers=[listener])
    result = runner.perform(
        RunRequest(cookbook="test", operator="tester"),
        Plan([Is(world, "ready", "yes"), Becomes(world, "a", "new")]),
    )

    assert result.outcome == "interrupted"
    assert heard[:3] == ["run-started", "step-started", "finding"]
    assert heard[-1] == "run-finished"


def test_at_the_question_it_is_a_no(world: FakeWorld, harness: Harness) -> None:
    def ask(edits: Sequence[Edit]) -> bool:
        signal.raise_signal(signal.SIGINT)
        return bool(edits)

    runner = Runner(store=SqliteStore(harness.database), confirm=ask)
    result = runner.perform(
        RunRequest(cookbook="test", operator="tester"), Plan([Becomes(world, "a", "new")])
    )

    assert (result.outcome, result.exit_code) == ("interrupted", 130)
    assert world.values["a"] == "old"


def test_the_second_one_stops_the_rollback_where_it_stands(harness: Harness, world: FakeWorld) -> None:
    plan = Plan(
        [Becomes(world, "a", "new"), DoesWhileUndoing(world, "b", "new", ring()), Does(ring())], ["web"]
    )
    result = harness.perform(plan)

    assert (result.outcome, result.exit_code) == ("stranded", 5)
    assert world.values == {"a": "new", "b": "new", "ready": "yes"}
    assert harness.locked == {"web": result.run}
    for each in (
        "step 1, a becomes new: interrupted by SIGINT",
        "by hand, on a:\n  set a old",
        "step 2, b becomes",
    ):
        assert each in result.reason


def test_a_stopped_way_back_can_be_resumed(harness: Harness, world: FakeWorld) -> None:
    rings = iter([ring(), ring()])

    def ring_twice() -> None:
        next(rings, lambda: None)()

    plan = Plan(
        [Becomes(world, "a", "new"), DoesWhileUndoing(world, "b", "new", ring_twice), Does(ring_twice)],
        ["web"],
    )
    assert harness.perform(plan).outcome == "stranded"
    assert harness.recover(plan, "rollback").outcome == "rolled-back"
    assert world.values == {"a": "old", "b": "old", "ready": "yes"}


def test_the_first_one_on_the_rollback_is_only_noted(
    harness: Harness, world: FakeWorld, caplog: pytest.LogCaptureFixture
) -> None:
    result = harness.perform(Plan([DoesWhileUndoing(world, "a", "new", ring()), Fails()], ["web"]))

    assert (result.outcome, result.exit_code) == ("rolled-back", 4)
    assert "SIGINT: rolling back; again stops it where it is" in caplog.messages


def test_two_on_a_rollback_that_had_another_reason_stop_it(harness: Harness, world: FakeWorld) -> None:
    act = ring(signal.SIGINT, signal.SIGTERM)
    result = harness.perform(Plan([DoesWhileUndoing(world, "a", "new", act), Fails()], ["web"]))

    assert result.outcome == "stranded"
    assert "interrupted by SIGTERM" in result.reason


def test_a_dropped_terminal_that_says_so_again_and_again_is_one_wish(
    harness: Harness, world: FakeWorld
) -> None:
    hangups = ring(signal.SIGHUP, signal.SIGHUP)
    plan = Plan([DoesWhileUndoing(world, "a", "new", hangups), Does(ring(signal.SIGHUP))], ["web"])
    result = harness.perform(plan)

    assert (result.outcome, result.exit_code) == ("interrupted", 130)
    assert world.values["a"] == "old"


def test_a_rollback_that_was_asked_for_stops_at_the_second_one_too(
    harness: Harness, world: FakeWorld
) -> None:
    act = ring(signal.SIGINT, signal.SIGINT)
    plan = Plan([DoesWhileUndoing(world, "a", "new", act)], ["web"])
    harness.perform(plan)

    assert harness.recover(plan, "rollback").outcome == "stranded"
    assert world.values["a"] == "new"


def test_one_that_arrives_just_before_a_wait_is_heeded_at_once(harness: Harness, world: FakeWorld) -> None:
    """CPython notes it and interrupts no system call, as when it comes between the last look and the wait."""
    waits, woken_late = threading.Event(), threading.Event()

    def wait() -> None:
        waits.set()
        woken_late.wait()

    def note() -> None:
        assert waits.wait(LONG_S)
        ctypes.pythonapi.PyErr_SetInterruptEx(int(signal.SIGTERM))

    noting, giving_up = threading.Thread(target=note), threading.Timer(LONG_S, woken_late.set)
    noting.start()
    giving_up.start()
    result = harness.perform(Plan([Becomes(world, "a", "new"), Does(wait)], ["web"]))
    giving_up.cancel()
    noting.join()

    assert not woken_late.is_set(), "it waited to the end"
    assert result.outcome == "interrupted"
    assert result.reason.startswith("interrupted by SIGTERM")
    assert world.values["a"] == "old"


def test_the_handlers_of_before_are_there_again_afterwards(harness: Harness, world: FakeWorld) -> None:
    during: list[object] = []
    before = [signal.getsignal(number) for number in HANDLED]
    look = Does(lambda: during.extend(signal.getsignal(number) for number in HANDLED))
    harness.perform(Plan([look, Becomes(world, "a", "new")]))

    assert [signal.getsignal(number) for number in HANDLED] == before
    assert not set(during) & set(before)


def test_what_the_process_was_started_to_ignore_stays_ignored(harness: Harness, world: FakeWorld) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        result = harness.perform(Plan([Does(ring(signal.SIGHUP)), Becomes(world, "a", "new")]))
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)

    assert result.outcome == "done"


def test_a_word_waits_for_no_lock_that_the_interrupted_holds(harness: Harness, world: FakeWorld) -> None:
    screen, shown = threading.Lock(), threading.Event()

    class Screen(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            with screen:
                shown.set()

    def ring_while_printing() -> None:
        with screen:
            signal.raise_signal(signal.SIGINT)

    log, handler = logging.getLogger(signals.__name__), Screen()
    log.addHandler(handler)
    try:
        result = harness.perform(Plan([Does(ring_while_printing), Becomes(world, "a", "new")]))
    finally:
        log.removeHandler(handler)

    assert result.outcome == "interrupted"
    assert shown.is_set()


def test_outside_a_run_each_of_them_ends_the_command_and_after_one_none_does(
    harness: Harness, world: FakeWorld
) -> None:
    before = {number: signal.getsignal(number) for number in HANDLED}
    try:
        signals.interrupt_on_signals()
        for number in HANDLED:
            with pytest.raises(KeyboardInterrupt, match=number.name):
                signal.raise_signal(number)
        assert harness.perform(Plan([Becomes(world, "a", "new")])).outcome == "done"
        for number in HANDLED:
            signal.raise_signal(number)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Moment:
    """Rings at one of the instructions of the engine that are traced, counted from 1."""

    def __init__(self, at: int) -> None:
        self.passed = 0
        self._at = at
        self._engine = str(Path(signals.__file__).parent)

    def __call__(self, frame: FrameType, event: str, argument: object) -> TraceFunction | None:
        """Trace the engine; not the handler itself, nor the thread that speaks for it."""
        code = frame.f_code
        if not code.co_filename.startswith((self._engine, contextlib.__file__)) or code.co_name == "_ring":
            return None
        frame.f_trace_opcodes = True
        return self._pass

    def _pass(self, frame: FrameType, event: str, argument: object) -> TraceFunction:
        if event == "opcode":
            self.passed += 1
            if self.passed == self._at:
                signal.raise_signal(signal.SIGTERM)
        return self._pass


def interrupted_at(moment: Moment) -> str:
    """Run a plan, and name its result; the world, the journal and the locks must all agree with it."""
    harness, world = Harness(), FakeWorld(None, a="old", b="old", ready="yes")
    plan = Plan([Is(world, "ready", "yes"), Becomes(world, "a", "new"), Becomes(world, "b", "new")], ["web"])
    before = signal.signal(
        signal.SIGTERM, lambda *_: None
    )  # before and after the run, nothing is to be stopped
    tracer = sys.gettrace()
    sys.settrace(moment)
    try:
        result = harness.perform(plan)
    finally:
        sys.settrace(tracer)
        signal.signal(signal.SIGTERM, before)
    value = {"done": "new", "interrupted": "old"}[result.outcome]
    assert world.values == {"a": value, "b": value, "ready": "yes"}
    assert harness.journal.run(result.run).outcome == result.outcome
    assert harness.locked == {}
    harness.database.close()
    return result.outcome


def test_at_whatever_instruction_it_comes_all_is_old_or_all_is_new() -> None:
    whole = Moment(0)
    assert interrupted_at(whole) == "done"
    pace = 1 if "FERRYMAN_THOROUGH" in os.environ else 2003
    outcomes = [interrupted_at(Moment(at)) for at in range(1, whole.passed, pace)]
    assert outcomes.count("interrupted") > len(outcomes) / 2


def test_outside_the_main_thread_a_run_works_without_them(harness: Harness, world: FakeWorld) -> None:
    outcomes: list[str] = []
    harness.database.query("SELECT 1")
    harness.database.close()

    def run() -> None:
        outcomes.append(harness.perform(Plan([Becomes(world, "a", "new")])).outcome)
        harness.database.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()

    assert outcomes == ["done"]
