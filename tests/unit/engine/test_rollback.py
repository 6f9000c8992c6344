"""The rollback: its order, what it does when a step fails, and what it says of what is not restored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from ferryman.engine.plan import Plan
from ferryman.engine.steps import Change, Look, NoChange, Report
from ferryman.errors import BusyError, UnknownOutcomeError, UnreachableError, VerifyError
from ferryman.events import ChangeMade, StepFinished, StepStarted
from ferryman.testing import Becomes, Cut, Cuts, FakeWorld, Killed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferryman.model import Edit
    from ferryman.testing import Harness


@dataclass(frozen=True)
class Fails(Look):
    """Everything flows."""

    def look(self, report: Report) -> None:
        """Fail as a service does that gets no traffic."""
        raise VerifyError("nothing flows")


@dataclass(frozen=True)
class WillNotGoBack(Becomes):
    """{key} becomes {wanted} for good."""

    error: Exception = UnreachableError("lvs1: silent")  # noqa: RUF009  # an error is raised, never changed

    def undo(self, before: str) -> None:
        """Fail, and put nothing back."""
        raise self.error


@dataclass(frozen=True)
class PretendsToGoBack(Becomes):
    """{key} becomes {wanted} and undo does nothing."""

    def undo(self, before: str) -> None:
        """Put nothing back, and claim that it succeeded."""


@dataclass(frozen=True)
class Leads(Becomes):
    """{key} becomes {wanted}, and others follow it."""

    @property
    def undo_first(self) -> bool:
        return True


@dataclass(frozen=True)
class Follows(Change[str]):
    """{key} says what {leader} says."""

    world: FakeWorld
    key: str
    leader: str
    wanted: str

    def check(self, report: Report) -> str | NoChange:
        now = self.world.read(self.key)
        return NoChange("it does") if now == self.wanted else now

    def edits(self, before: str) -> Sequence[Edit]:
        return ()

    def do(self, before: str) -> None:
        self.world.write(self.key, self.world.read(self.leader), expected=self.world.read(self.key))

    def verify(self, report: Report) -> None:
        if (now := self.world.read(self.key)) != self.wanted:
            raise VerifyError(f"{self.key} is {now}")

    def undo(self, before: str) -> None:
        """Only ever what the leader says: useless before the leader went back."""
        self.do(before)


def undone(harness: Harness) -> list[int]:
    starts = [occurrence.event for occurrence in harness.events if isinstance(occurrence.event, StepStarted)]
    return [event.step for event in starts if event.phase == "undo"]


def test_one_that_cannot_be_put_back_keeps_no_other_from_it(harness: Harness, world: FakeWorld) -> None:
    plan = Plan(
        [
            Becomes(world, "a", "new"),
            WillNotGoBack(world, "b", "new"),
            Becomes(world, "ready", "no"),
            Fails(),
        ],
        ["web"],
    )
    result = harness.perform(plan)

    assert (result.outcome, result.exit_code) == ("stranded", 5)
    assert world.values == {"a": "old", "b": "new", "ready": "yes"}
    assert harness.locked == {"web": result.run}
    assert harness.journal.run(result.run).is_open


def test_what_is_left_is_named_with_where_why_and_what_to_do_by_hand(
    harness: Harness, world: FakeWorld
) -> None:
    result = harness.perform(Plan([Becomes(world, "a", "new"), WillNotGoBack(world, "b", "new"), Fails()]))

    assert result.reason.splitlines() == [
        "nothing flows",
        "the rollback could not be completed; the run stays open and keeps its lock. Not restored:",
        "  step 2, b becomes new for good: lvs1: silent",
        "state per host:",
        "  a  as before, verified  step 1, a becomes new",
        "  b  not restored         step 2, b becomes new for good",
        "by hand, on b:",
        "  set b old",
        f"then: ferryman rollback {result.run} looks again, and closes the run when all is as before",
        f"or:   ferryman resume {result.run} looks again, and goes forward instead",
    ]


def test_a_stranded_run_is_closed_when_it_was_put_back_by_hand(harness: Harness, world: FakeWorld) -> None:
    plan = Plan([WillNotGoBack(world, "b", "new"), Fails()], ["web"])
    harness.perform(plan)
    world.values["b"] = "old"
    result = harness.recover(plan, "rollback")

    assert (result.outcome, result.exit_code) == ("rolled-back", 0)
    assert harness.locked == {}


def test_an_undo_that_only_says_that_it_worked_is_found_out(harness: Harness, world: FakeWorld) -> None:
    result = harness.perform(Plan([PretendsToGoBack(world, "b", "new"), Fails()]))

    assert result.outcome == "stranded"
    assert "b: is still new, was old" in result.reason


def test_an_undo_whose_answer_was_lost_counts_when_the_world_is_as_before(
    harness: Harness, world: FakeWorld
) -> None:
    @dataclass(frozen=True)
    class LosesAnswer(Becomes):
        """{key} becomes {wanted}, and the answer is lost in the rollback."""

        def undo(self, before: str) -> None:
            super().undo(before)
            raise UnknownOutcomeError("b: the answer was lost")

    result = harness.perform(Plan([LosesAnswer(world, "b", "new"), Fails()]))

    assert result.outcome == "rolled-back"
    assert world.values["b"] == "old"


def test_a_bug_in_undo_strands_that_change_alone(harness: Harness, world: FakeWorld) -> None:
    broken = WillNotGoBack(world, "b", "new", ZeroDivisionError("oops"))
    result = harness.perform(Plan([Becomes(world, "a", "new"), broken, Fails()]))

    assert result.outcome == "stranded"
    assert "a bug: ZeroDivisionError: oops" in result.reason
    assert world.values["a"] == "old"
    [left] = [record for record in harness.journal.show(result.run) if record.kind == "left"]
    assert "Traceback" in left.payload["traceback"]


def test_someone_else_who_wrote_over_our_change_is_not_overwritten(
    harness: Harness, world: FakeWorld
) -> None:
    @dataclass(frozen=True)
    class Meddles(Look):
        """Somebody writes over it."""

        def look(self, report: Report) -> None:
            world.values["b"] = "other"
            raise VerifyError("nothing flows")

    result = harness.perform(
        Plan([Becomes(world, "a", "new"), Becomes(world, "b", "new"), Meddles()], ["web"])
    )

    assert world.values == {"a": "old", "b": "other", "ready": "yes"}
    assert result.outcome == "rolled-back"
    assert "b: value: other; wanted old" in result.reason


def test_a_report_whose_words_cannot_be_had_is_still_a_report(harness: Harness, world: FakeWorld) -> None:
    @dataclass(frozen=True)
    class NoWords(WillNotGoBack):
        """{key} becomes {wanted}, and cannot say how to go back."""

        def undo_edits(self, before: str) -> Sequence[Edit]:
            raise ZeroDivisionError

    result = harness.perform(Plan([NoWords(world, "b", "new"), Fails()]))

    assert result.outcome == "stranded"
    assert "by hand, for step 1, b becomes new, and cannot say how to go back: it was 'old'" in result.reason


def test_the_last_goes_back_first(harness: Harness, world: FakeWorld) -> None:
    harness.perform(Plan([Becomes(world, "a", "new"), Becomes(world, "b", "new"), Fails()]))

    assert undone(harness) == [1, 0]


def test_what_others_follow_goes_back_before_them(harness: Harness) -> None:
    world = FakeWorld(None, catalog="direct", lvs1="direct", lvs2="direct", other="x")
    plan = Plan(
        [
            Becomes(world, "other", "y"),
            Leads(world, "catalog", "ipip"),
            Follows(world, "lvs2", "catalog", "ipip"),
            Follows(world, "lvs1", "catalog", "ipip"),
            Fails(),
        ]
    )
    result = harness.perform(plan)

    assert result.outcome == "rolled-back"
    assert world.values == {"catalog": "direct", "lvs1": "direct", "lvs2": "direct", "other": "x"}
    assert undone(harness) == [1, 3, 2, 0]


def test_what_was_not_begun_is_not_undone(harness: Harness, world: FakeWorld) -> None:
    harness.perform(Plan([Becomes(world, "a", "new"), Fails(), Becomes(world, "b", "new")]))

    assert undone(harness) == [0]


def test_what_was_so_already_is_not_undone(harness: Harness, world: FakeWorld) -> None:
    world.values["a"] = "new"
    harness.perform(Plan([Becomes(world, "a", "new"), Becomes(world, "b", "new"), Fails()]))

    assert world.values["a"] == "new"
    assert world.values["b"] == "old"


def test_what_is_put_back_is_told_as_a_change(harness: Harness, world: FakeWorld) -> None:
    harness.perform(Plan([Becomes(world, "a", "new"), Fails()]))

    events = [occurrence.event for occurrence in harness.events]
    made = [event.edit.command for event in events if isinstance(event, ChangeMade)]
    assert made == ["set a new", "set a old"]
    assert StepFinished(0, "undo", "ok") in events


def test_a_rollback_without_the_lock_writes_nothing(harness: Harness, world: FakeWorld) -> None:
    @dataclass(frozen=True)
    class LosesLock(Look):
        """The lock is lost."""

        def look(self, report: Report) -> None:
            harness.database.execute("DELETE FROM locks")
            raise VerifyError("nothing flows")

    result = harness.perform(Plan([Becomes(world, "a", "new"), LosesLock()], ["web"]))

    assert result.outcome == "stranded"
    assert "no longer this process's" in result.reason
    assert world.values["a"] == "new"


@pytest.mark.parametrize("error", [BusyError("x"), UnreachableError("x"), ZeroDivisionError("x")])
def test_whatever_fails_after_a_change_something_is_said_about_it(harness: Harness, error: Exception) -> None:
    world = FakeWorld(Cuts(), a="old")

    @dataclass(frozen=True)
    class Breaks(Look):
        """It breaks."""

        def look(self, report: Report) -> None:
            raise error

    result = harness.perform(Plan([Becomes(world, "a", "new"), Breaks()], ["web"]), on_doubt="rollback")
    entry = harness.journal.run(result.run)

    assert (entry.outcome, entry.exit_code, entry.ending) == (result.outcome, result.exit_code, result.reason)
    assert bool(harness.locked) == entry.is_open


def kill() -> None:
    raise Killed


@dataclass(frozen=True)
class Inherits(Becomes):
    """{key} becomes {wanted}, and goes even if an earlier run left it."""

    def check(self, report: Report) -> str | NoChange:
        seen = super().check(report)
        return NoChange(seen.reason, before="old") if isinstance(seen, NoChange) else seen


def test_what_an_earlier_run_left_is_undone_by_the_run_that_took_it_on(
    harness: Harness, world: FakeWorld
) -> None:
    world.values["a"] = "new"
    result = harness.perform(Plan([Inherits(world, "a", "new"), Becomes(world, "b", "new")], ["web"]))
    assert result.outcome == "done"

    back = harness.recover(
        Plan([Inherits(world, "a", "new"), Becomes(world, "b", "new")], ["web"]), "rollback"
    )
    assert back.outcome == "rolled-back"
    assert (world.values["a"], world.values["b"]) == ("old", "old")


def test_what_a_killed_run_made_itself_is_not_taken_on_twice(harness: Harness) -> None:
    cuts = Cuts(Cut(7, "before", kill))
    world = FakeWorld(cuts, a="old", b="old")
    plan = Plan([Inherits(world, "a", "new"), Becomes(world, "b", "new")], ["web"])
    with pytest.raises(Killed):
        harness.perform(plan)
    run = harness.journal.runs()[0].id

    assert harness.recover(plan, "resume").outcome == "done"
    assert [record.step for record in harness.journal.show(run) if record.kind == "intent"].count(0) == 1
