"""Whatever a store, a subscriber or a cookbook does, and whenever: the run goes back, and tells its end."""

from __future__ import annotations

import io
import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle, product
from typing import TYPE_CHECKING, Any

import pytest

from ferryman.console.json_lines import JsonLines
from ferryman.console.screen import Screen
from ferryman.engine import results
from ferryman.engine.plan import Plan
from ferryman.engine.runner import Runner
from ferryman.errors import VerifyError
from ferryman.model import Edit, Finding
from ferryman.state import RunRequest, SqliteStore
from ferryman.state.sqlite.database import Database
from ferryman.testing import Becomes, Cut, Cuts, FakeWorld, Harness
from unit.engine.wrong import ERRORS, OLD, LastingCuts, NothingFlows, Trial, plan, raising

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ferryman.engine.steps import NoChange, Report
    from ferryman.events import Occurrence
    from ferryman.testing import When

REQUEST = RunRequest(cookbook="test", operator="tester")
BYTE = "caf\udce9"
"""A host's byte that is no UTF-8, as it is kept."""


class CutDatabase(Database):
    """A state file each statement of which can go wrong, before it takes effect or after."""

    def __init__(self, cuts: Cuts) -> None:
        super().__init__(Database.in_memory().where)
        self.cuts = cuts

    def execute(self, sql: str, values: Sequence[object] = ()) -> int:
        """As ``Database.execute``."""
        return self.cuts.call(lambda: super(CutDatabase, self).execute(sql, values))

    def query(self, sql: str, values: Sequence[object] = ()) -> list[Any]:
        """As ``Database.query``."""
        return self.cuts.call(lambda: super(CutDatabase, self).query(sql, values))


def statements(*, fails: bool) -> int:
    """How many statements a run makes when nothing goes wrong in its journal."""
    cuts = Cuts()
    Harness(CutDatabase(cuts)).perform(plan(FakeWorld(None, **OLD), fails=fails))
    return cuts.calls


BOTH: tuple[When, ...] = ("before", "after")
ENDS = pytest.mark.parametrize("fails", [False, True], ids=["a sound run", "a run that goes back"])
LASTING = pytest.mark.parametrize("lasting", [False, True], ids=["once", "from then on"])


@ENDS
@LASTING
def test_at_every_statement_of_the_journal_something_may_be_raised(lasting: bool, fails: bool) -> None:
    """Each statement with one kind of error, in turn."""
    for (at, when), kind in zip(product(range(statements(fails=fails)), BOTH), cycle(ERRORS)):
        try_statement(at, when, kind, lasting=lasting, fails=fails)


@pytest.mark.extended
@ENDS
@LASTING
@pytest.mark.parametrize("kind", ERRORS)
def test_at_every_statement_of_the_journal_anything_may_be_raised(
    kind: str, lasting: bool, fails: bool
) -> None:
    for at, when in product(range(statements(fails=fails)), BOTH):
        try_statement(at, when, kind, lasting=lasting, fails=fails)


def try_statement(at: int, when: When, kind: str, *, lasting: bool, fails: bool) -> None:
    trial = Trial(f"{kind} {when} statement {at}")
    cuts = (LastingCuts if lasting else Cuts)(Cut(at, when, raising(kind)))
    harness = Harness(CutDatabase(cuts))
    scene = plan(trial.world, fails=fails)
    result = trial.expect(lambda: harness.perform(scene), harness)
    if isinstance(cuts, LastingCuts):
        cuts.healed = True
    if result is not None:
        expect_closable(harness, scene, trial)


def expect_closable(harness: Harness, scene: Plan, trial: Trial) -> None:
    """Whatever became of its journal: an open run can be rolled back with it, and then holds no lock."""
    if harness.journal.runs()[0].is_open:
        closed = harness.recover(scene, "rollback")
        assert (closed.outcome, trial.world.values) == ("rolled-back", OLD), f"{trial.name}: {closed.reason}"
    assert harness.locked == {}, trial.name


def test_a_run_whose_reason_is_no_utf8_is_recorded_to_its_end() -> None:
    @dataclass(frozen=True)
    class Says(NothingFlows):
        """The host says what flows."""

        def look(self, report: Report) -> None:
            """Raise what a host printed."""
            raise VerifyError(f"rs1: {BYTE}")

    harness, world = Harness(), FakeWorld(None, **OLD)

    result = harness.perform(Plan([Becomes(world, "a", "new"), Says()], ["web"]))

    entry = harness.journal.run(result.run)
    assert (result.outcome, entry.outcome, world.values) == ("rolled-back", "rolled-back", OLD)
    assert r"rs1: caf\udce9" in entry.ending
    assert harness.locked == {}


@pytest.mark.parametrize("name", ["operator", "reason", "task", "version", "cookbook"])
def test_what_the_command_line_gave_is_made_storable(name: str) -> None:
    harness, world = Harness(), FakeWorld(None, **OLD)
    given: dict[str, Any] = {
        "cookbook": "test",
        "operator": "tester",
        name: BYTE,
        "arguments": {"service": BYTE},
    }

    result = harness.runner().perform(RunRequest(**given), plan(world, fails=False))

    entry = harness.journal.run(result.run)
    assert result.outcome == "done"
    assert getattr(entry.request, name) == r"caf\udce9"
    assert entry.request.arguments == {"service": BYTE}, "arguments are JSON, and come back as they were"
    assert harness.journal.faults(result.run) == []


# --- subscribers ---


def events_of_a_rollback() -> int:
    harness = Harness()
    harness.perform(plan(FakeWorld(None, **OLD), fails=True))
    return len(harness.events)


@LASTING
@pytest.mark.parametrize("kind", ERRORS)
def test_at_every_event_a_subscriber_may_raise_anything(kind: str, lasting: bool) -> None:
    events = events_of_a_rollback()
    for at in range(events):
        trial, harness = Trial(f"{kind} at event {at}"), Harness()
        cuts = (LastingCuts if lasting else Cuts)(Cut(at, "before", raising(kind)))
        heard: list[str] = []

        def broken(occurrence: Occurrence, cuts: Cuts = cuts, heard: list[str] = heard) -> None:
            cuts.call(lambda: heard.append(occurrence.event.event))

        store = SqliteStore(harness.database)
        runner = Runner(store=store, subscribers=[broken, harness.events.append])
        scene = plan(trial.world, fails=True)

        result = trial.expect(lambda: runner.perform(REQUEST, scene), harness)  # noqa: B023  # called at once

        assert result is not None
        assert result.outcome == store.run(result.run).outcome == "rolled-back"
        assert lasting or (heard.count("run-finished"), heard[-1]) == (1, "run-finished")


def test_a_subscriber_that_cannot_even_show_the_end_has_the_log_say_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(occurrence: Occurrence) -> None:
        del occurrence
        raise RecursionError("in a formatter")

    runner = Runner(store=SqliteStore(Database.in_memory()), subscribers=[broken])
    result = runner.perform(REQUEST, plan(FakeWorld(None, **OLD), fails=True))

    assert f"run {result.run}: rolled-back (exit code 4)" in caplog.text
    assert "nothing flows" in caplog.text


class _Full(io.StringIO):
    def write(self, text: str, /) -> int:
        raise OSError(28, "No space left on device")


def closed() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


STREAMS: dict[str, Callable[[], Any]] = {
    "closed": closed,
    "full": _Full,
    "ASCII, as with LANG=C": lambda: io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="strict"),
}


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("kind", ["json", "screen"])
def test_what_people_and_programs_read_may_be_gone(
    stream: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "screen":
        monkeypatch.setattr("sys.stdout", STREAMS[stream]() if stream != "closed" else _Full())
    view = JsonLines(STREAMS[stream]()) if kind == "json" else Screen()
    trial, harness = Trial(f"{kind} on a stream that is {stream}"), Harness()
    runner = Runner(store=SqliteStore(harness.database), subscribers=[view, harness.events.append])

    result = trial.expect(lambda: runner.perform(REQUEST, plan(trial.world, fails=True)), harness)

    assert result is not None
    assert result.outcome == "rolled-back"


# --- cookbooks ---


@dataclass(frozen=True)
class OddlyBecomes(Becomes):
    """{key} becomes {wanted}, by a step with bugs."""

    verbs: Cuts = field(default_factory=Cuts)

    @property
    def undo_first(self) -> bool:
        return self.verbs.call(lambda: False)

    def check(self, report: Report) -> str | NoChange:
        return self.verbs.call(lambda: Becomes.check(self, report))

    def edits(self, before: str) -> Sequence[Edit]:
        return self.verbs.call(lambda: Becomes.edits(self, before))

    def cannot_tell_before(self, before: str) -> str | None:
        return self.verbs.call(lambda: Becomes.cannot_tell_before(self, before))

    def do(self, before: str) -> Sequence[Edit] | None:
        return self.verbs.call(lambda: Becomes.do(self, before))

    def verify(self, report: Report) -> None:
        self.verbs.call(lambda: Becomes.verify(self, report))

    def superseded_by(self, later: Any) -> bool:  # noqa: ANN401  # any change
        return self.verbs.call(lambda: Becomes.superseded_by(self, later))

    def undo(self, before: str) -> Sequence[Edit] | None:
        return self.verbs.call(lambda: Becomes.undo(self, before))

    def undo_edits(self, before: str) -> Sequence[Edit]:
        return self.verbs.call(lambda: Becomes.undo_edits(self, before))

    def diff_after_undo(self, before: str, report: Report) -> str | None:
        return self.verbs.call(lambda: Becomes.diff_after_undo(self, before, report))

    def effect_seen(self, before: str | None, report: Report) -> str | None:
        return self.verbs.call(lambda: Becomes.effect_seen(self, before, report))


def odd(world: FakeWorld, cuts: Cuts) -> Plan:
    return Plan([*(OddlyBecomes(world, key, "new", verbs=cuts) for key in OLD), NothingFlows()], ["web"])


@pytest.mark.parametrize("kind", ERRORS)
def test_at_every_call_of_a_step_anything_may_be_raised(kind: str) -> None:
    uncut = Cuts()
    Harness().perform(odd(FakeWorld(None, **OLD), uncut))
    for at, when in product(range(uncut.calls), BOTH):
        trial, harness = Trial(f"{kind} {when} call {at}"), Harness()
        scene = odd(trial.world, Cuts(Cut(at, when, raising(kind))))
        result = trial.expect(lambda: harness.perform(scene), harness)  # noqa: B023  # called at once
        assert result is not None
        assert harness.journal.run(result.run).outcome == result.outcome, trial.name
        expect_closable(harness, scene, trial)


@dataclass(frozen=True)
class ReportsOddly(Becomes):
    """{key} becomes {wanted}, and the step reports what is no text."""

    def verify(self, report: Report) -> None:
        """Report values of every kind."""
        for seen in ({1, 2}, b"\xff", float("nan"), object(), BYTE, _deep(), ERRORS["recursion"]()):
            report.finding(Finding("odd", "rs1", "warn", seen, None, 5))  # type: ignore[arg-type]  # the point
        super().verify(report)

    def diff_after_undo(self, before: str, report: Report) -> str | None:
        """As the step's own; and report the same."""
        report.finding(Finding(b"odd", 1, None, {}, [], ()))  # type: ignore[arg-type]  # as above
        return super().diff_after_undo(before, report)

    def edits(self, before: str) -> Sequence[Edit]:
        """Edits that are no texts."""
        return [Edit("host", 5, command=b"set a")]  # type: ignore[arg-type]  # as above


def _deep() -> Any:  # noqa: ANN401  # lists within lists
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    return deep


def test_findings_and_edits_that_are_no_texts_are_recorded_as_texts() -> None:
    harness, world = Harness(), FakeWorld(None, **OLD)

    result = harness.perform(Plan([ReportsOddly(world, "a", "new"), NothingFlows()], ["web"]))

    assert world.values == OLD
    assert (result.outcome, harness.locked) == ("stranded", {"web": result.run}), "of a verdict that is none"
    assert harness.journal.faults(result.run) == []
    for occurrence in harness.events:
        json.dumps(occurrence.as_dict(), ensure_ascii=False).encode()


def test_a_rollback_that_has_a_bug_itself_is_stranded_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OSError("in the report")

    monkeypatch.setattr(results, "rolled_back", broken)
    harness, world = Harness(), FakeWorld(None, **OLD)

    result = harness.perform(plan(world, fails=True))

    assert (result.outcome, harness.locked) == ("stranded", {"web": result.run})
    assert "nothing flows" in result.reason
    assert "was put back" in result.reason
    assert f"ferryman rollback {result.run}" in result.reason


def test_a_machine_without_room_for_a_thread_refuses_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(self: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("ferryman.engine.lease.threading.Thread.start", no_room)
    store = SqliteStore(Database.in_memory())
    events: list[str] = []
    runner = Runner(store=store, subscribers=[lambda each: events.append(each.event.event)])
    world = FakeWorld(None, **OLD)
    scene = plan(world, fails=False)
    with _no_signals(monkeypatch):
        result = runner.perform(REQUEST, scene)

    assert (result.outcome, world.values) == ("error", OLD)
    assert events == ["run-started", "run-finished"]
    assert store.run(result.run).outcome == "error"


@contextmanager
def _no_signals(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Without the thread of the signals, which would be the first that there is no room for."""

    @contextmanager
    def nothing(self: object) -> Iterator[None]:
        yield

    monkeypatch.setattr("ferryman.engine.signals.Signals.installed", nothing)
    yield
