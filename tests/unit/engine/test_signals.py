"""Ctrl-C, SIGTERM and SIGHUP: what is under way is finished or given up cleanly, then it goes back."""

from __future__ import annotations

import contextlib
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
from ferryman.engine.signals import HEEDED
from ferryman.engine.steps import Look, Report
from ferryman.errors import UnreachableError, VerifyError
from ferryman.state import RunRequest, SqliteStore
from ferryman.testing import Becomes, FakeWorld, Harness, Is

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from ferryman.events import Occurrence
    from ferryman.model import Edit

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
        """Let it happen."""
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
    """{key} becomes {wanted}, and something happens on the way back."""

    act: Callable[[], None] = lambda: None

    def undo(self, before: str) -> None:
        """Let it happen first."""
        self.act()
        super().undo(before)


@dataclass(frozen=True)
class Fails(Look):
    """Everything flows."""

    def look(self, report: Report) -> None:
        """It does not."""
        raise VerifyError("nothing flows")


@pytest.mark.parametrize("number", HEEDED)
def test_before_any_change_it_ends_at_once_with_nothing_changed(
    dock: Harness, world: FakeWorld, number: signal.Signals
) -> None:
    def ring_and_go_on() -> None:
        signal.raise_signal(number)
        pytest.fail("the look went on")

    ending = dock.perform(Plan([Does(ring_and_go_on), Becomes(world, "a", "new")], ["web"]))

    assert (ending.outcome, ending.exit_code) == ("interrupted", 130)
    assert ending.reason == f"interrupted, nothing was changed: interrupted by {number.name}"
    assert world.values["a"] == "old"
    assert dock.locked == {}


def test_after_a_change_it_goes_back_and_says_so(dock: Harness, world: FakeWorld) -> None:
    ending = dock.perform(Plan([Becomes(world, "a", "new"), Does(ring())], ["web"]))

    assert (ending.outcome, ending.exit_code) == ("interrupted", 130)
    assert ending.reason == "interrupted by SIGINT\nrolled back: all is as before, verified"
    assert world.values["a"] == "old"


def test_a_change_under_way_is_finished_first(dock: Harness, world: FakeWorld) -> None:
    ending = dock.perform(Plan([DoesWhileChanging(world, "a", "new", ring())], ["web"]))

    assert (ending.outcome, ending.exit_code) == ("interrupted", 130)
    assert world.values == {"a": "old", "b": "old", "ready": "yes"}
    assert [record.kind for record in dock.journal.show(ending.run)].count("made") == 1


def test_pressing_again_during_a_change_is_still_one_wish(dock: Harness, world: FakeWorld) -> None:
    ending = dock.perform(
        Plan([DoesWhileChanging(world, "a", "new", ring(signal.SIGINT, signal.SIGINT, signal.SIGTERM))])
    )

    assert ending.outcome == "interrupted"
    assert world.values["a"] == "old"


def test_no_change_begins_after_it(dock: Harness, world: FakeWorld) -> None:
    world.values["b"] = "untouched"
    dock.perform(Plan([DoesWhileChanging(world, "a", "new", ring()), Becomes(world, "b", "new")]))

    assert world.values["b"] == "untouched"


def test_an_adapter_that_takes_it_for_something_else_does_not_hide_it(
    dock: Harness, world: FakeWorld
) -> None:
    def swallow() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except Exception as error:
            raise UnreachableError("lvs1: silent") from error

    assert dock.perform(Plan([Becomes(world, "a", "new"), Does(swallow)])).outcome == "interrupted"


def test_an_adapter_that_swallows_it_whole_does_not_hide_it(dock: Harness, world: FakeWorld) -> None:
    def swallow() -> None:
        with suppress(Exception):
            signal.raise_signal(signal.SIGINT)

    assert dock.perform(Plan([Does(swallow), Becomes(world, "a", "new")])).outcome == "interrupted"


def test_a_listener_is_not_interrupted(world: FakeWorld, dock: Harness) -> None:
    heard: list[str] = []

    def listener(occurrence: Occurrence) -> None:
        if occurrence.event.event == "finding":
            signal.raise_signal(signal.SIGINT)
        heard.append(occurrence.event.event)

    runner = Runner(store=SqliteStore(dock.database), subscribers=[listener])
    ending = runner.perform(
        RunRequest(cookbook="test", operator="tester"),
        Plan([Is(world, "ready", "yes"), Becomes(world, "a", "new")]),
    )

    assert ending.outcome == "interrupted"
    assert heard[:3] == ["run-started", "step-started", "finding"]
    assert heard[-1] == "run-finished"


def test_at_the_question_it_is_a_no(world: FakeWorld, dock: Harness) -> None:
    def ask(edits: Sequence[Edit]) -> bool:
        signal.raise_signal(signal.SIGINT)
        return bool(edits)

    runner = Runner(store=SqliteStore(dock.database), confirm=ask)
    ending = runner.perform(
        RunRequest(cookbook="test", operator="tester"), Plan([Becomes(world, "a", "new")])
    )

    assert (ending.outcome, ending.exit_code) == ("interrupted", 130)
    assert world.values["a"] == "old"


def test_the_second_one_stops_the_way_back_where_it_stands(dock: Harness, world: FakeWorld) -> None:
    plan = Plan(
        [Becomes(world, "a", "new"), DoesWhileUndoing(world, "b", "new", ring()), Does(ring())], ["web"]
    )
    ending = dock.perform(plan)

    assert (ending.outcome, ending.exit_code) == ("stranded", 5)
    assert world.values == {"a": "new", "b": "new", "ready": "yes"}
    assert dock.locked == {"web": ending.run}
    for each in (
        "step 1, a becomes new: interrupted by SIGINT",
        "by hand, on a:\n  set a old",
        "step 2, b becomes",
    ):
        assert each in ending.reason


def test_a_stopped_way_back_can_be_taken_up_again(dock: Harness, world: FakeWorld) -> None:
    rings = iter([ring(), ring()])

    def ring_twice() -> None:
        next(rings, lambda: None)()

    plan = Plan(
        [Becomes(world, "a", "new"), DoesWhileUndoing(world, "b", "new", ring_twice), Does(ring_twice)],
        ["web"],
    )
    assert dock.perform(plan).outcome == "stranded"
    assert dock.go_on(plan, "rollback").outcome == "rolled-back"
    assert world.values == {"a": "old", "b": "old", "ready": "yes"}


def test_the_first_one_on_the_way_back_is_only_noted(
    dock: Harness, world: FakeWorld, caplog: pytest.LogCaptureFixture
) -> None:
    ending = dock.perform(Plan([DoesWhileUndoing(world, "a", "new", ring()), Fails()], ["web"]))

    assert (ending.outcome, ending.exit_code) == ("rolled-back", 4)
    assert "SIGINT: going back; again stops it where it stands" in caplog.messages


def test_two_on_a_way_back_that_had_another_reason_stop_it(dock: Harness, world: FakeWorld) -> None:
    act = ring(signal.SIGINT, signal.SIGTERM)
    ending = dock.perform(Plan([DoesWhileUndoing(world, "a", "new", act), Fails()], ["web"]))

    assert ending.outcome == "stranded"
    assert "interrupted by SIGTERM" in ending.reason


def test_a_dropped_terminal_that_says_so_again_and_again_is_one_wish(dock: Harness, world: FakeWorld) -> None:
    hangups = ring(signal.SIGHUP, signal.SIGHUP)
    plan = Plan([DoesWhileUndoing(world, "a", "new", hangups), Does(ring(signal.SIGHUP))], ["web"])
    ending = dock.perform(plan)

    assert (ending.outcome, ending.exit_code) == ("interrupted", 130)
    assert world.values["a"] == "old"


def test_a_rollback_that_was_asked_for_stops_at_the_second_one_too(dock: Harness, world: FakeWorld) -> None:
    act = ring(signal.SIGINT, signal.SIGINT)
    plan = Plan([DoesWhileUndoing(world, "a", "new", act)], ["web"])
    dock.perform(plan)

    assert dock.go_on(plan, "rollback").outcome == "stranded"
    assert world.values["a"] == "new"


def test_the_handlers_of_before_are_there_again_afterwards(dock: Harness, world: FakeWorld) -> None:
    during: list[object] = []
    before = [signal.getsignal(number) for number in HEEDED]
    look = Does(lambda: during.extend(signal.getsignal(number) for number in HEEDED))
    dock.perform(Plan([look, Becomes(world, "a", "new")]))

    assert [signal.getsignal(number) for number in HEEDED] == before
    assert not set(during) & set(before)


def test_what_the_process_was_started_to_ignore_stays_ignored(dock: Harness, world: FakeWorld) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        ending = dock.perform(Plan([Does(ring(signal.SIGHUP)), Becomes(world, "a", "new")]))
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)

    assert ending.outcome == "done"


def test_a_word_waits_for_no_lock_that_the_interrupted_holds(dock: Harness, world: FakeWorld) -> None:
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
        ending = dock.perform(Plan([Does(ring_while_printing), Becomes(world, "a", "new")]))
    finally:
        log.removeHandler(handler)

    assert ending.outcome == "interrupted"
    assert shown.is_set()


def test_outside_a_run_each_of_them_ends_the_command_and_after_one_none_does(
    dock: Harness, world: FakeWorld
) -> None:
    before = {number: signal.getsignal(number) for number in HEEDED}
    try:
        signals.end_the_command()
        for number in HEEDED:
            with pytest.raises(KeyboardInterrupt, match=number.name):
                signal.raise_signal(number)
        assert dock.perform(Plan([Becomes(world, "a", "new")])).outcome == "done"
        for number in HEEDED:
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
    """Run a plan, and name its ending; the world, the journal and the locks must all agree with it."""
    dock, world = Harness(), FakeWorld(None, a="old", b="old", ready="yes")
    plan = Plan([Is(world, "ready", "yes"), Becomes(world, "a", "new"), Becomes(world, "b", "new")], ["web"])
    before = signal.signal(
        signal.SIGTERM, lambda *_: None
    )  # before and after the run, nothing is to be stopped
    tracer = sys.gettrace()
    sys.settrace(moment)
    try:
        ending = dock.perform(plan)
    finally:
        sys.settrace(tracer)
        signal.signal(signal.SIGTERM, before)
    value = {"done": "new", "interrupted": "old"}[ending.outcome]
    assert world.values == {"a": value, "b": value, "ready": "yes"}
    assert dock.journal.run(ending.run).outcome == ending.outcome
    assert dock.locked == {}
    dock.database.close()
    return ending.outcome


def test_at_whatever_instruction_it_comes_all_is_old_or_all_is_new() -> None:
    whole = Moment(0)
    assert interrupted_at(whole) == "done"
    pace = 1 if "FERRYMAN_THOROUGH" in os.environ else 2003
    outcomes = [interrupted_at(Moment(at)) for at in range(1, whole.passed, pace)]
    assert outcomes.count("interrupted") > len(outcomes) / 2


def test_outside_the_main_thread_a_run_works_without_them(dock: Harness, world: FakeWorld) -> None:
    outcomes: list[str] = []
    dock.database.query("SELECT 1")
    dock.database.close()

    def run() -> None:
        outcomes.append(dock.perform(Plan([Becomes(world, "a", "new")])).outcome)
        dock.database.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()

    assert outcomes == ["done"]
