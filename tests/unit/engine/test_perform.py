"""A new run: looks at everything, asks, goes over, and says how it ended."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from ferryman.engine.plan import Plan
from ferryman.engine.runner import Runner
from ferryman.engine.steps import Change, Look, NoChange, Report
from ferryman.errors import (
    DryRunError,
    InventoryError,
    NotFollowedError,
    RefusedError,
    UnknownOutcomeError,
    UnreachableError,
    VerifyError,
)
from ferryman.events import ChangeMade, FindingMade, RunFinished, StepFinished, StepStarted
from ferryman.model import Edit, Finding, Verdict
from ferryman.state import RunRequest, SqliteStore
from ferryman.state.sqlite.database import Database
from ferryman.testing import Becomes, Cut, Cuts, FakeWorld, Harness, Is

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ferryman.events import Occurrence

REQUEST = RunRequest(cookbook="test", operator="tester")


@dataclass(frozen=True)
class Raises(Look):
    """{error} is raised."""

    error: BaseException

    def look(self, report: Report) -> None:
        """Raise the error that the step was made with."""
        raise self.error


@dataclass(frozen=True)
class Finds(Look):
    """The findings are told."""

    findings: tuple[Finding, ...]
    error: Exception | None = None

    def look(self, report: Report) -> None:
        """Report the findings, then raise the error, if there is one."""
        for finding in self.findings:
            report.finding(finding)
        if self.error is not None:
            raise self.error


@dataclass(frozen=True)
class Meddles(Look):
    """Someone else writes to {key}."""

    world: FakeWorld
    key: str

    def look(self, report: Report) -> None:
        """Write, as somebody else would between two of our calls."""
        self.world.values[self.key] = "other"


@dataclass(frozen=True)
class FailsVerify(Becomes):
    """{key} becomes {wanted}, which is found wrong."""

    error: Exception = VerifyError("it is not")  # noqa: RUF009  # an error is raised, never changed

    def verify(self, report: Report) -> None:
        """Fail, whatever the value is."""
        raise self.error


@dataclass(frozen=True)
class StrangeBefore(Becomes):
    """{key} has a before that JSON changes."""

    def check(self, report: Report) -> Any:  # noqa: ANN401  # the mistake under test
        """RollbackResult a tuple, which comes back as a list."""
        return (self.world.read(self.key), 1)


@dataclass(frozen=True)
class FindsInVerify(Becomes):
    """{key} becomes {wanted}, with a finding."""

    verdict: Verdict = Verdict.FAIL

    def verify(self, report: Report) -> None:
        """Report the finding that the step was made with."""
        report.finding(found(self.verdict))


def found(verdict: Verdict, host: str = "web1") -> Finding:
    return Finding("rp-filter", host, verdict, "is 1", "0", "set it")


def events(harness: Harness, kind: type) -> list[Any]:
    return [occurrence.event for occurrence in harness.events if isinstance(occurrence.event, kind)]


def test_a_failing_look_refuses_the_run_and_changes_nothing(harness: Harness, world: FakeWorld) -> None:
    result = harness.perform(Plan([Is(world, "ready", "no"), Becomes(world, "a", "new")], ["web"]))

    assert (result.outcome, result.exit_code) == ("refused", 3)
    assert "ready: value: yes; wanted no" in result.reason
    assert world.values["a"] == "old"
    assert harness.locked == {}


def test_everything_that_stands_in_the_way_is_shown_at_once(harness: Harness, world: FakeWorld) -> None:
    plan = Plan(
        [
            Finds((found(Verdict.FAIL, "web1"), found(Verdict.FAIL, "web2"))),
            Raises(VerifyError("catalog: is odd")),
            Raises(UnreachableError("lvs1: silent")),
            Raises(RefusedError("web: not in production")),
            Is(world, "ready", "no"),
            Becomes(world, "a", "new"),
        ]
    )
    reason = harness.perform(plan).reason

    for each in (
        "web1: rp-filter",
        "web2: rp-filter",
        "is odd",
        "lvs1: silent",
        "not in production",
        "ready:",
    ):
        assert each in reason


def test_what_was_found_before_a_look_gave_up_is_not_lost(harness: Harness, world: FakeWorld) -> None:
    look = Finds((found(Verdict.FAIL),), UnreachableError("web2: silent"))
    reason = harness.perform(Plan([look, Becomes(world, "a", "new")])).reason

    assert "web1: rp-filter" in reason
    assert "web2: silent" in reason


def test_what_could_not_be_looked_at_refuses_like_a_failure(harness: Harness, world: FakeWorld) -> None:
    plan = Plan([Finds((found(Verdict.UNKNOWN),)), Becomes(world, "a", "new")])

    assert harness.perform(plan).outcome == "refused"
    assert world.values["a"] == "old"


@pytest.mark.parametrize("verdict", [Verdict.PASS, Verdict.WARN, Verdict.SKIP])
def test_other_findings_stop_nothing(harness: Harness, world: FakeWorld, verdict: Verdict) -> None:
    plan = Plan([Finds((found(verdict),)), Becomes(world, "a", "new")])

    assert harness.perform(plan).outcome == "done"


def test_a_host_that_is_silent_in_several_steps_is_told_of_once(harness: Harness, world: FakeWorld) -> None:
    looks = [Raises(UnreachableError("lvs1: connect: no answer; nothing ran there")) for _ in range(2)]
    result = harness.perform(Plan([*looks, Becomes(world, "a", "new")], ["web"]))

    assert result.exit_code == 3
    assert result.reason.count("lvs1: connect: no answer") == 1


def test_a_check_that_refuses_stops_what_comes_before_it_too(harness: Harness, world: FakeWorld) -> None:
    @dataclass(frozen=True)
    class Refuses(Becomes):
        """{key} must stay."""

        def check(self, report: Report) -> str | NoChange:
            raise RefusedError("b: must stay")

    result = harness.perform(Plan([Becomes(world, "a", "new"), Refuses(world, "b", "new")]))

    assert result.outcome == "refused"
    assert world.values["a"] == "old"


def test_a_look_after_a_change_waits_for_it(harness: Harness, world: FakeWorld) -> None:
    result = harness.perform(Plan([Becomes(world, "a", "new"), Is(world, "a", "new")]))

    assert (result.outcome, result.exit_code) == ("done", 0)


def test_a_bug_before_any_change_is_an_error_with_its_traceback_in_the_journal(
    harness: Harness, world: FakeWorld
) -> None:
    result = harness.perform(Plan([Raises(ZeroDivisionError("oops")), Becomes(world, "a", "new")]))

    assert (result.outcome, result.exit_code) == ("error", 1)
    assert "a bug: ZeroDivisionError: oops" in result.reason
    [trouble] = [record for record in harness.journal.show(result.run) if record.kind == "trouble"]
    assert "Traceback" in trouble.payload["traceback"]
    assert trouble.payload["at"].startswith("step 1, oops is raised (check)")


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [(InventoryError(["x", "y"]), 2), (DryRunError("wrote"), 1), (SystemExit(0), 1)],
)
def test_what_is_not_about_the_world_is_an_error_and_no_refusal(
    harness: Harness, world: FakeWorld, error: BaseException, exit_code: int
) -> None:
    result = harness.perform(Plan([Raises(error), Becomes(world, "a", "new")]))

    assert (result.outcome, result.exit_code) == ("error", exit_code)


def test_a_before_that_json_would_change_is_found_before_any_change(
    harness: Harness, world: FakeWorld
) -> None:
    result = harness.perform(Plan([Becomes(world, "a", "new"), StrangeBefore(world, "b", "new")]))

    assert result.outcome == "error"
    assert "the journal gives back as ['old', 1]" in result.reason
    assert world.values["a"] == "old"


def test_a_dry_run_shows_every_edit_and_changes_nothing(harness: Harness, world: FakeWorld) -> None:
    plan = Plan([Becomes(world, "a", "new"), Becomes(world, "b", "new"), Is(world, "a", "new")], ["web"])
    result = harness.perform(plan, dry_run=True)

    assert (result.outcome, result.exit_code) == ("done", 0)
    assert [(event.edit.command, event.applied) for event in events(harness, ChangeMade)] == [
        ("set a new", False),
        ("set b new", False),
    ]
    assert world.values["a"] == "old"


def test_a_refused_dry_run_still_shows_what_could_be_checked(harness: Harness, world: FakeWorld) -> None:
    plan = Plan([Is(world, "ready", "no"), Becomes(world, "a", "new")])
    result = harness.perform(plan, dry_run=True)

    assert (result.outcome, result.exit_code) == ("refused", 3)
    assert [event.edit.command for event in events(harness, ChangeMade)] == ["set a new"]


def test_a_dry_run_needs_no_state_and_no_lock(tmp_path: Path, world: FakeWorld) -> None:
    runner = Runner(store=SqliteStore(Database.at(tmp_path / "state" / "state.db")))
    order = RunRequest(cookbook="test", operator="tester", dry_run=True)

    assert runner.perform(order, Plan([Becomes(world, "a", "new")], ["web"])).outcome == "done"
    assert list(tmp_path.iterdir()) == []


def test_where_all_is_so_already_the_later_looks_are_made_too(harness: Harness, world: FakeWorld) -> None:
    world.values["a"] = "new"
    result = harness.perform(Plan([Becomes(world, "a", "new"), Is(world, "a", "new")]))

    assert (result.outcome, result.exit_code) == ("done", 0)
    assert result.reason == "no change needed: all is as wanted, verified"
    assert events(harness, ChangeMade) == []


def test_where_all_is_so_already_but_wrong_the_run_is_refused(harness: Harness, world: FakeWorld) -> None:
    world.values["a"] = "new"
    result = harness.perform(Plan([Becomes(world, "a", "new"), Is(world, "ready", "no")]))

    assert (result.outcome, result.exit_code) == ("refused", 3)


def test_what_was_so_already_and_is_no_longer_sends_ours_back(harness: Harness, world: FakeWorld) -> None:
    world.values["b"] = "new"
    result = harness.perform(
        Plan([Becomes(world, "a", "new"), Meddles(world, "b"), Becomes(world, "b", "new")])
    )

    assert result.outcome == "rolled-back"
    assert "it was as wanted, and is 'other'" in result.reason
    assert world.values["b"] == "other"


def test_why_nothing_is_to_be_done_is_told(harness: Harness, world: FakeWorld) -> None:
    world.values["a"] = "new"
    harness.perform(Plan([Becomes(world, "a", "new"), Becomes(world, "b", "new")]))

    found = [event.finding for event in events(harness, FindingMade)]
    assert Finding("already-so", "", Verdict.SKIP, "a is new", "a becomes new") in found
    assert StepFinished(0, "check", "skipped") in events(harness, StepFinished)


def test_nobody_is_asked_when_there_is_nothing_to_do(world: FakeWorld) -> None:
    world.values["a"] = "new"
    runner = Runner(
        store=SqliteStore(Database.in_memory()), confirm=lambda edits: pytest.fail(f"asked about {edits}")
    )

    assert runner.perform(REQUEST, Plan([Becomes(world, "a", "new")])).outcome == "done"


def test_a_change_that_is_declined_is_not_made(world: FakeWorld) -> None:
    asked: list[Sequence[Edit]] = []

    def decline(edits: Sequence[Edit]) -> bool:
        asked.append(edits)
        return False

    runner = Runner(store=SqliteStore(Database.in_memory()), confirm=decline)
    result = runner.perform(REQUEST, Plan([Becomes(world, "a", "new"), Becomes(world, "b", "new")], ["web"]))

    assert (result.outcome, result.exit_code) == ("interrupted", 130)
    assert [edit.command for edit in asked[0]] == ["set a new", "set b new"]
    assert world.values["a"] == "old"


def test_what_changed_while_the_operator_was_asked_is_not_overwritten(world: FakeWorld) -> None:
    def meddle(edits: Sequence[Edit]) -> bool:
        world.values["a"] = "other"
        return bool(edits)

    runner = Runner(store=SqliteStore(Database.in_memory()), confirm=meddle)
    result = runner.perform(REQUEST, Plan([Becomes(world, "a", "new")]))

    assert (result.outcome, result.exit_code) == ("refused", 3)
    assert (
        "someone else changed it since it was checked, and it was left alone: now 'other', was 'old'"
        in result.reason
    )
    assert world.values["a"] == "other"


def test_what_changed_after_an_earlier_change_sends_ours_back_and_leaves_theirs(
    harness: Harness, world: FakeWorld
) -> None:
    plan = Plan([Becomes(world, "a", "new"), Meddles(world, "b"), Becomes(world, "b", "new")], ["web"])
    result = harness.perform(plan)

    assert (result.outcome, result.exit_code) == ("rolled-back", 4)
    assert world.values == {"a": "old", "b": "other", "ready": "yes"}


def test_what_someone_else_made_so_meanwhile_is_left_alone_and_never_called_as_before(
    harness: Harness, world: FakeWorld
) -> None:
    @dataclass(frozen=True)
    class MakesIt(Look):
        """Somebody else does our work."""

        def look(self, report: Report) -> None:
            world.values["b"] = "new"

    result = harness.perform(Plan([Becomes(world, "a", "new"), MakesIt(), Becomes(world, "b", "new")]))

    assert result.outcome == "stranded"
    assert "step 3, b becomes new: b is new, though by the journal" in result.reason
    assert world.values == {"a": "old", "b": "new", "ready": "yes"}


def test_someone_elses_value_just_before_the_write_is_left_alone_and_is_nothing_of_ours(
    harness: Harness,
) -> None:
    world = FakeWorld(None, a="old", b="old")

    def meddle() -> None:
        world.values["b"] = "other"

    # Calls: two surveys, four for a, the second check of b, then do's own read.
    world = FakeWorld(Cuts(Cut(8, "before", meddle)), a="old", b="old")
    result = harness.perform(Plan([Becomes(world, "a", "new"), Becomes(world, "b", "new")], ["web"]))

    assert world.values == {"a": "old", "b": "other"}
    assert (result.outcome, result.exit_code) == ("rolled-back", 4)
    assert "left alone" in result.reason
    assert harness.locked == {}


def test_a_failed_verify_puts_everything_back(harness: Harness, world: FakeWorld) -> None:
    result = harness.perform(Plan([Becomes(world, "a", "new"), FailsVerify(world, "b", "new")], ["web"]))

    assert (result.outcome, result.exit_code) == ("rolled-back", 4)
    assert result.reason == "it is not\nrolled back: all is as before, verified"
    assert world.values == {"a": "old", "b": "old", "ready": "yes"}
    assert harness.locked == {}


def test_a_failed_look_after_a_change_puts_it_back(harness: Harness, world: FakeWorld) -> None:
    result = harness.perform(Plan([Becomes(world, "a", "new"), Is(world, "ready", "no")]))

    assert result.outcome == "rolled-back"
    assert world.values["a"] == "old"


def test_a_finding_that_fails_in_verify_puts_it_back(harness: Harness, world: FakeWorld) -> None:
    result = harness.perform(Plan([FindsInVerify(world, "a", "new")]))

    assert result.outcome == "rolled-back"
    assert "web1: rp-filter: is 1; wanted 0; set it" in result.reason
    assert world.values["a"] == "old"


def test_a_bug_after_a_change_puts_it_back_and_says_that_it_was_one(
    harness: Harness, world: FakeWorld
) -> None:
    result = harness.perform(Plan([Becomes(world, "a", "new"), Raises(ZeroDivisionError("oops"))]))

    assert (result.outcome, result.exit_code) == ("rolled-back", 4)
    assert "a bug: ZeroDivisionError: oops" in result.reason
    assert world.values["a"] == "old"


def test_a_step_that_leaves_the_program_after_a_change_is_put_back_like_a_bug(
    harness: Harness, world: FakeWorld
) -> None:
    result = harness.perform(Plan([Becomes(world, "a", "new"), Raises(SystemExit(3))]))

    assert result.outcome == "rolled-back"
    assert "called sys.exit(3)" in result.reason
    assert world.values["a"] == "old"


@pytest.mark.parametrize(
    "doubtful",
    [
        lambda world: FailsVerify(world, "b", "new", UnreachableError("lvs1: silent")),
        lambda world: FindsInVerify(world, "b", "new", Verdict.UNKNOWN),
        lambda _: Raises(UnreachableError("lvs1: silent")),
        lambda _: Finds((found(Verdict.UNKNOWN),)),
    ],
)
def test_a_doubt_after_a_change_holds_the_run_and_says_what_is_where(
    harness: Harness, world: FakeWorld, doubtful: Callable[[FakeWorld], Look | Change[Any]]
) -> None:
    plan = Plan([Becomes(world, "a", "new"), doubtful(world), Becomes(world, "ready", "no")], ["web"])
    result = harness.perform(plan)

    assert (result.outcome, result.exit_code) == ("held", 7)
    assert world.values["a"] == "new"
    assert harness.locked == {"web": result.run}
    for each in (
        "  a      made and verified",
        "  ready  not made by this run  step 3, ready becomes no",
        "by hand, on a:\n  set a old\n",
        f"ferryman resume {result.run}",
        f"ferryman rollback {result.run}",
    ):
        assert each in result.reason


def test_a_doubt_goes_back_when_the_operator_chose_so(harness: Harness, world: FakeWorld) -> None:
    plan = Plan([Becomes(world, "a", "new"), Raises(UnreachableError("lvs1: silent"))], ["web"])
    result = harness.perform(plan, on_doubt="rollback")

    assert (result.outcome, result.exit_code) == ("rolled-back", 4)
    assert world.values["a"] == "old"


def test_a_failure_beside_a_doubt_goes_back(harness: Harness, world: FakeWorld) -> None:
    look = Finds((found(Verdict.UNKNOWN), found(Verdict.FAIL)))

    assert harness.perform(Plan([Becomes(world, "a", "new"), look])).outcome == "rolled-back"


@pytest.mark.parametrize(("when", "outcome"), [("after", "done"), ("before", "rolled-back")])
def test_a_lost_answer_is_settled_by_reading_back_not_by_repeating(
    harness: Harness, when: str, outcome: str
) -> None:
    def lose() -> None:
        raise UnknownOutcomeError("a: the answer was lost")

    cut = Cut(3, when, lose)  # type: ignore[arg-type]  # the write of do; the parameters are its values
    world = FakeWorld(Cuts(cut), a="old")
    result = harness.perform(Plan([Becomes(world, "a", "new")]))

    assert result.outcome == outcome
    assert world.values["a"] == ("new" if outcome == "done" else "old")
    applied = [event.edit.command for event in events(harness, ChangeMade)]
    assert applied == (["set a new"] if outcome == "done" else [])


def test_the_intent_is_in_the_journal_before_the_change_is_made(harness: Harness, world: FakeWorld) -> None:
    seen: list[tuple[str, Any]] = []

    @dataclass(frozen=True)
    class Peeks(Becomes):
        """{key} becomes {wanted}, and the journal is read meanwhile."""

        def do(self, before: str) -> None:
            other = harness.database.another()
            rows = other.query("SELECT kind, payload FROM records WHERE kind = 'intent'")
            seen.extend((row["kind"], json.loads(row["payload"])["before"]) for row in rows)
            other.close()
            super().do(before)

    harness.perform(Plan([Peeks(world, "a", "new")]))

    assert seen == [("intent", "old")]


def test_events_come_in_the_order_of_the_story(harness: Harness, world: FakeWorld) -> None:
    harness.perform(Plan([Is(world, "ready", "yes"), Becomes(world, "a", "new"), Is(world, "a", "new")]))

    phases = [(event.step, event.phase) for event in events(harness, StepStarted)]
    assert phases == [
        (0, "check"),
        (1, "check"),
        (1, "check"),
        (1, "do"),
        (1, "verify"),
        (2, "check"),
    ]
    assert [event.edit.command for event in events(harness, ChangeMade) if event.applied] == ["set a new"]
    assert harness.events[0].event.event == "run-started"
    assert isinstance(harness.events[-1].event, RunFinished)
    assert {occurrence.run for occurrence in harness.events} == {harness.journal.runs()[0].id}


OF_THE_JOURNAL = {"begun", "checked", "intent", "made", "verified"}
"""Kinds of record that are no event."""


def test_the_journal_has_what_subscribers_heard(harness: Harness, world: FakeWorld) -> None:
    result = harness.perform(Plan([Is(world, "ready", "yes"), Becomes(world, "a", "new")]))

    heard = [occurrence.event.event for occurrence in harness.events]
    recorded = [record.kind for record in harness.journal.show(result.run)]
    assert [kind for kind in recorded if kind not in OF_THE_JOURNAL] == heard[:-1]
    assert heard[-1] == "run-finished", "which the journal has as the run's own result"


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError("no screen"), KeyError("a bug in the view")])
def test_a_listener_that_fails_hears_only_the_end_and_the_run_goes_on(
    world: FakeWorld, error: Exception
) -> None:
    calls: list[str] = []

    heard: list[str] = []

    def broken(occurrence: Occurrence) -> None:
        heard.append(occurrence.event.event)
        raise error

    runner = Runner(
        store=SqliteStore(Database.in_memory()), subscribers=[broken, lambda o: calls.append(o.event.event)]
    )
    result = runner.perform(REQUEST, Plan([Becomes(world, "a", "new")]))

    assert result.outcome == "done"
    assert heard == ["run-started", "run-finished"]
    assert calls[-1] == "run-finished"


def test_a_busy_service_is_not_touched_and_not_even_looked_at(harness: Harness, world: FakeWorld) -> None:
    held = harness.perform(
        Plan([Becomes(world, "a", "new"), Raises(UnreachableError("lvs1: silent"))], ["web"])
    )
    world.values["reads"] = "none"
    result = harness.perform(Plan([Is(world, "no such key", "x"), Becomes(world, "b", "new")], ["web"]))

    assert (result.outcome, result.exit_code) == ("busy", 6)
    assert f"run {held.run} is held" in result.reason
    assert world.values["b"] == "old"
    assert harness.locked == {"web": held.run}
    assert harness.journal.run(result.run).outcome == "busy"


def test_the_same_service_again_after_a_run_is_no_problem(harness: Harness, world: FakeWorld) -> None:
    plan = Plan([Becomes(world, "a", "new")], ["web"])
    harness.perform(plan)

    assert harness.perform(plan).reason.startswith("no change needed")


def test_a_lost_lock_before_the_first_change_is_busy(world: FakeWorld) -> None:
    database = Database.in_memory()
    runner = Runner(
        store=SqliteStore(database), confirm=lambda edits: database.execute("DELETE FROM locks") == len(edits)
    )
    result = runner.perform(REQUEST, Plan([Becomes(world, "a", "new")], ["web"]))

    assert (result.outcome, result.exit_code) == ("busy", 6)
    assert world.values["a"] == "old"


def test_a_lost_lock_after_a_change_stops_where_it_is_and_writes_no_more(
    harness: Harness, world: FakeWorld
) -> None:
    @dataclass(frozen=True)
    class LosesLock(Look):
        """The lock is lost."""

        def look(self, report: Report) -> None:
            harness.database.execute("DELETE FROM locks")

    plan = Plan([Becomes(world, "a", "new"), LosesLock(), Becomes(world, "b", "new")], ["web"])
    result = harness.perform(plan)

    assert (result.outcome, result.exit_code) == ("held", 7)
    assert world.values == {"a": "new", "b": "old", "ready": "yes"}


def test_a_lock_that_is_lost_while_somebody_is_told_stops_the_change(
    harness: Harness, world: FakeWorld
) -> None:
    def slow(occurrence: Occurrence) -> None:
        if isinstance(occurrence.event, StepStarted) and occurrence.event.phase == "do":
            harness.database.execute("DELETE FROM locks")

    runner = replace(harness.runner(), subscribers=[slow])
    result = runner.perform(REQUEST, Plan([Becomes(world, "a", "new")], ["web"]))

    assert (result.outcome, result.exit_code) == ("held", 7)
    assert world.values["a"] == "old"


def test_a_journal_that_cannot_be_written_stops_the_run_before_its_next_change_and_goes_back(
    harness: Harness, world: FakeWorld
) -> None:
    @dataclass(frozen=True)
    class FillsDisk(Look):
        """The disk is full."""

        def look(self, report: Report) -> None:
            pages = harness.database.query("PRAGMA page_count")[0][0]
            harness.database.query(f"PRAGMA max_page_count = {pages}")
            report.finding(Finding("disk", "control1", Verdict.PASS, "x" * 100_000, "full"))

    plan = Plan([Becomes(world, "a", "new"), FillsDisk(), Becomes(world, "b", "new")], ["web"])
    result = harness.perform(plan)

    assert (result.outcome, result.exit_code) == ("rolled-back", 4)
    assert "database or disk is full" in result.reason
    assert world.values == {"a": "old", "b": "old", "ready": "yes"}


def test_a_journal_that_stays_unwritable_still_lets_everything_be_put_back(
    harness: Harness, world: FakeWorld
) -> None:
    @dataclass(frozen=True)
    class GoesReadOnly(Look):
        """The file system goes read-only."""

        def look(self, report: Report) -> None:
            harness.database.query("PRAGMA query_only = ON")

    plan = Plan([Becomes(world, "a", "new"), GoesReadOnly(), Becomes(world, "b", "new")], ["web"])
    result = harness.perform(plan)

    assert (result.outcome, result.exit_code) == ("rolled-back", 4)
    assert world.values == {"a": "old", "b": "old", "ready": "yes"}
    assert "so the run is still open there" in result.reason

    harness.database.query("PRAGMA query_only = OFF")
    assert harness.recover(plan, "rollback").outcome == "rolled-back"
    assert harness.locked == {}


def test_a_journal_that_cannot_be_written_before_any_change_changes_nothing(world: FakeWorld) -> None:
    database = Database.in_memory()

    def fill(edits: Sequence[Edit]) -> bool:
        database.query("PRAGMA query_only = ON")
        return bool(edits)

    result = Runner(store=SqliteStore(database), confirm=fill).perform(
        REQUEST, Plan([Becomes(world, "a", "new")])
    )

    assert (result.outcome, result.exit_code) == ("error", 2)
    assert world.values["a"] == "old"


@pytest.mark.parametrize(("on_doubt", "outcome"), [("hold", "held"), ("rollback", "rolled-back")])
def test_what_does_not_follow_is_held_and_not_judged_by_its_verify(
    harness: Harness, world: FakeWorld, on_doubt: str, outcome: str
) -> None:
    class Stays(Becomes):
        """{key} becomes {wanted}, and does not."""

        def do(self, before: str) -> None:
            raise NotFollowedError("lvs2: reloaded, and 2 of 3 destinations are as before")

    plan = Plan([Becomes(world, "a", "new"), Stays(world, "b", "new")], ["web"])
    result = harness.perform(plan, on_doubt="rollback" if on_doubt == "rollback" else "hold")
    assert result.outcome == outcome
    assert "2 of 3 destinations are as before" in result.reason
    assert world.values["a"] == ("new" if outcome == "held" else "old")
