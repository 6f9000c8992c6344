"""Verifying again: before each later change, at the end, and at the end of a rollback."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from ferryman.engine.plan import Plan
from ferryman.engine.steps import Change, Look, NoChange, Report
from ferryman.errors import CommandFailedError, UnreachableError, VerifyError, WorldChangedError
from ferryman.events import ChangeMade
from ferryman.model import Edit, Finding, Verdict
from ferryman.testing import Becomes, Cut, Cuts, FakeWorld, Harness, Is, Killed, RecoveryCommand

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ferryman.errors import DoubtError


@dataclass(frozen=True)
class Meddles(Look):
    """Somebody else writes meanwhile."""

    act: Callable[[], object] = field(repr=False)

    def look(self, report: Report) -> None:
        """Let the third party write."""
        self.act()


@dataclass(frozen=True)
class Fails(Look):
    """Something is wrong."""

    def look(self, report: Report) -> None:
        """Fail, whatever the world is."""
        raise VerifyError("nothing flows")


def kill() -> None:
    raise Killed


def applied(harness: Harness) -> list[str | None]:
    events = [occurrence.event for occurrence in harness.events]
    return [event.edit.command for event in events if isinstance(event, ChangeMade) and event.applied]


def test_a_change_that_somebody_takes_back_meanwhile_stops_the_run_before_the_next_one(
    harness: Harness, world: FakeWorld
) -> None:
    back = Meddles(lambda: world.values.update(a="old"))
    result = harness.perform(Plan([Becomes(world, "a", "new"), back, Becomes(world, "b", "new")], ["web"]))

    assert (result.outcome, result.exit_code) == ("rolled-back", 4)
    assert "a becomes new: somebody changed it since 20" in result.reason
    assert "a: is old, wanted new" in result.reason
    assert "set b new" not in applied(harness)
    assert world.values == {"a": "old", "b": "old", "ready": "yes"}


def test_a_change_that_somebody_takes_back_before_the_end_is_never_called_done(
    harness: Harness, world: FakeWorld
) -> None:
    back = Meddles(lambda: world.values.update(a="old"))
    result = harness.perform(Plan([Becomes(world, "a", "new"), Becomes(world, "b", "new"), back], ["web"]))

    assert result.outcome == "rolled-back"
    assert "a becomes new: somebody changed it since 20" in result.reason
    assert world.values == {"a": "old", "b": "old", "ready": "yes"}


def test_what_needed_no_change_is_looked_at_again_at_the_end(harness: Harness, world: FakeWorld) -> None:
    back = Meddles(lambda: world.values.update(ready="no"))
    plan = Plan([Becomes(world, "ready", "yes"), Becomes(world, "a", "new"), back], ["web"])
    result = harness.perform(plan)

    assert result.outcome == "rolled-back"
    assert "ready becomes yes: somebody changed it since 20" in result.reason
    assert world.values == {"a": "old", "b": "old", "ready": "no"}


def test_a_change_that_a_later_one_takes_away_on_purpose_is_not_looked_at_again(
    harness: Harness, world: FakeWorld
) -> None:
    @dataclass(frozen=True)
    class Scaffold(Becomes):
        """{key} becomes {wanted}, for a while."""

        def superseded_by(self, later: Change[Any]) -> bool:
            return isinstance(later, Becomes) and later.key == self.key

    @dataclass(frozen=True)
    class Down(Becomes):
        """{key} becomes {wanted} again."""

        def check(self, report: Report) -> str:
            return "whatever"

        def do(self, before: str) -> None:
            self.world.values[self.key] = self.wanted

    plan = Plan([Scaffold(world, "a", "up"), Becomes(world, "b", "new"), Down(world, "a", "down")])
    assert harness.perform(plan).outcome == "done"
    assert world.values == {"a": "down", "b": "new", "ready": "yes"}


def test_one_that_goes_silent_after_it_was_seen_again_is_not_said_to_be_changed_by_anybody(
    harness: Harness, world: FakeWorld
) -> None:
    @dataclass(frozen=True)
    class GoesSilentLater(Becomes):
        """{key} becomes {wanted}."""

        def verify_again(self, before: str, report: Report) -> None:
            if self.world.values["b"] == "new":
                raise UnreachableError("lvs2: silent")

    plan = Plan([GoesSilentLater(world, "a", "new"), Becomes(world, "b", "new"), Becomes(world, "c", "new")])
    world.values["c"] = "old"
    result = harness.perform(plan)

    assert (result.outcome, result.exit_code) == ("held", 7)
    assert "somebody changed it" not in result.reason
    assert "a becomes new: it cannot be looked at again, it was last seen as made at 20" in result.reason
    assert "lvs2: silent" in result.reason


def test_one_that_cannot_be_looked_at_again_holds_the_run(harness: Harness, world: FakeWorld) -> None:
    @dataclass(frozen=True)
    class GoesSilent(Becomes):
        """{key} becomes {wanted}, and says no more."""

        def verify_again(self, before: str, report: Report) -> None:
            raise UnreachableError("lvs2: silent")

    result = harness.perform(Plan([GoesSilent(world, "a", "new"), Becomes(world, "b", "new")], ["web"]))

    assert (result.outcome, result.exit_code) == ("held", 7)
    assert "a becomes new: somebody changed it since" not in result.reason
    assert "lvs2: silent" in result.reason
    assert world.values == {"a": "new", "b": "old", "ready": "yes"}


def test_a_change_that_somebody_makes_again_after_its_undo_leaves_the_run_open(
    harness: Harness, world: FakeWorld
) -> None:
    @dataclass(frozen=True)
    class Meddled(Becomes):
        """{key} becomes {wanted}, while others look on."""

        def undo(self, before: str) -> None:
            super().undo(before)
            world.values["b"] = "new"

    plan = Plan([Meddled(world, "a", "new"), Becomes(world, "b", "new"), Fails()], ["web"])
    result = harness.perform(plan)

    assert (result.outcome, result.exit_code) == ("stranded", 5)
    assert "step 2, b becomes new: it was undone, and is not as before any more: b is new" in result.reason
    assert "a  as before, verified  step 1" in result.reason
    assert harness.locked


def test_a_later_rollback_puts_back_what_was_there_again(harness: Harness, world: FakeWorld) -> None:
    meddled = False

    @dataclass(frozen=True)
    class Meddled(Becomes):
        """{key} becomes {wanted}, while others look on."""

        def undo(self, before: str) -> None:
            nonlocal meddled
            super().undo(before)
            if not meddled:
                world.values["b"], meddled = "new", True

    plan = Plan([Meddled(world, "a", "new"), Becomes(world, "b", "new"), Fails()], ["web"])
    assert harness.perform(plan).outcome == "stranded"

    result = harness.recover(plan, "rollback")

    assert (result.outcome, result.exit_code) == ("rolled-back", 0)
    assert world.values == {"a": "old", "b": "old", "ready": "yes"}
    assert not harness.locked


def test_a_change_that_was_not_made_yet_and_is_there_all_the_same_is_never_called_as_before(
    harness: Harness, world: FakeWorld
) -> None:
    forward = Meddles(lambda: world.values.update(b="new"))
    plan = Plan([Becomes(world, "a", "new"), forward, Fails(), Becomes(world, "b", "new")], ["web"])
    result = harness.perform(plan)

    assert (result.outcome, result.exit_code) == ("stranded", 5)
    assert (
        "step 4, b becomes new: b is new, though by the journal this run did not change it" in result.reason
    )
    assert "by hand, on b:\n  set b old" in result.reason
    assert world.values == {"a": "old", "b": "new", "ready": "yes"}


def test_one_that_was_not_made_and_cannot_be_looked_at_is_never_called_as_before(
    harness: Harness, world: FakeWorld
) -> None:
    @dataclass(frozen=True)
    class GoesSilent(Becomes):
        """{key} becomes {wanted}, if it is ever heard of again."""

        def effect_seen(self, before: str | None, report: Report) -> str | None:
            raise UnreachableError("lvs1: silent")

    result = harness.perform(
        Plan([Becomes(world, "a", "new"), Fails(), GoesSilent(world, "b", "new")], ["web"])
    )

    assert result.outcome == "stranded"
    assert "by the journal it was not changed, and it cannot be looked at: lvs1: silent" in result.reason
    assert "by hand" not in result.reason, "nothing of it was changed"
    assert world.values == {"a": "old", "b": "old", "ready": "yes"}


def two(world: FakeWorld) -> Plan:
    return Plan([Becomes(world, "a", "new"), Becomes(world, "b", "new")], ["web"])


def killed_before_its_first_change(harness: Harness, **values: str) -> FakeWorld:
    """A world in which there is more than the journal of a dead run knows of."""
    world = FakeWorld(Cuts(Cut(2, "before", kill)), a="old", b="old")
    with pytest.raises(Killed):
        harness.perform(two(world))
    world.values.update(values)
    return world


@pytest.mark.parametrize("values", [{"a": "new"}, {"b": "new"}, {"a": "new", "b": "new"}])
def test_a_rollback_that_finds_fewer_changes_in_the_journal_than_in_the_world_says_what_it_sees(
    harness: Harness, values: dict[str, str]
) -> None:
    world = killed_before_its_first_change(harness, **values)
    result = harness.recover(two(world), "rollback")

    assert result.outcome == "stranded"
    for key in values:
        assert f"{key} is new, though by the journal this run did not change it" in result.reason
        assert f"by hand, on {key}:\n  set {key} old" in result.reason
    assert harness.locked

    world.values.update(a="old", b="old")  # by hand
    assert harness.recover(two(world), "rollback").reason == "nothing of the run is left"
    assert not harness.locked


@pytest.mark.parametrize("way", ["resume", "rollback"])
def test_neither_recovery_command_takes_it_for_its_own(harness: Harness, way: RecoveryCommand) -> None:
    world = killed_before_its_first_change(harness, b="new")
    result = harness.recover(two(world), way)

    assert result.outcome == "stranded"
    assert "though by the journal this run did not change it" in result.reason
    assert world.values["b"] == "new"
    assert harness.locked


def test_a_world_whose_before_nobody_wrote_down_is_taken_for_new_by_a_resume_alone(harness: Harness) -> None:
    world = FakeWorld(Cuts(Cut(1, "before", kill)), a="new", b="new")
    with pytest.raises(Killed):
        harness.perform(two(world))

    result = harness.recover(two(world), "rollback")

    assert result.outcome == "stranded", "nothing of it is known to be back"
    assert "step 1, a becomes new: a is new, though by the journal" in result.reason
    assert "step 2, b becomes new: b is new, though by the journal" in result.reason
    assert "what was there is not known" in result.reason

    assert harness.recover(two(world), "resume").reason == "no change needed: all is as wanted, verified"


def test_a_torn_world_whose_before_nobody_wrote_down_is_never_called_as_before(harness: Harness) -> None:
    world = FakeWorld(Cuts(Cut(1, "before", kill)), a="new", b="old")
    with pytest.raises(Killed):
        harness.perform(two(world))

    result = harness.recover(two(world), "rollback")

    assert result.outcome == "stranded"
    assert "step 1, a becomes new: a is new, though by the journal" in result.reason
    assert "step 2" not in result.reason.partition("state per host")[0]


def test_what_others_changed_beside_a_change_is_a_warning_and_strands_nobody(
    harness: Harness, world: FakeWorld
) -> None:
    @dataclass(frozen=True)
    class WithGuests(Becomes):
        """{key} becomes {wanted}, among guests."""

        def undo(self, before: str) -> None:
            super().undo(before)
            raise WorldChangedError("lvs2: a destination of somebody else's is there")

        def diff_after_undo(self, before: str, report: Report) -> str | None:
            report.finding(Finding("changed-by-others", "lvs2", Verdict.WARN, "a guest", "nobody"))
            return super().diff_after_undo(before, report)

    result = harness.perform(Plan([WithGuests(world, "a", "new"), Fails()], ["web"]))

    assert (result.outcome, result.exit_code) == ("rolled-back", 4)
    assert result.reason.splitlines() == [
        "nothing flows",
        "rolled back: all that this run changed is as before, verified; beside that:",
        "lvs2: changed-by-others: a guest; wanted nobody",
    ]


def test_what_undo_says_that_it_did_is_what_is_told(harness: Harness, world: FakeWorld) -> None:
    @dataclass(frozen=True)
    class Exact(Becomes):
        """{key} becomes {wanted}, exactly."""

        def undo(self, before: str) -> Sequence[Edit]:
            if self.world.read(self.key) == before:
                return []
            super().undo(before)
            return [Edit("host", self.key, command=f"really set {self.key} {before}")]

    back = Meddles(lambda: world.values.update(a="old"))
    plan = Plan([Exact(world, "a", "new"), Exact(world, "b", "new"), back, Fails()], ["web"])
    assert harness.perform(plan).outcome == "rolled-back"

    assert applied(harness) == ["set a new", "set b new", "really set b old"]


@dataclass(frozen=True)
class Choosy(Becomes):
    """{key} becomes {wanted}, and goes back only where nobody has built on it."""

    def require_undoable(self, before: str, report: Report) -> None:
        """Nobody may have built on it."""
        if self.world.values.get("built"):
            raise WorldChangedError(f"{self.key}: somebody has built on it")


def test_a_finished_run_is_rolled_back_only_if_every_undo_can_succeed(
    harness: Harness, world: FakeWorld
) -> None:
    plan = Plan([Becomes(world, "a", "new"), Choosy(world, "b", "new")], ["web"])
    run = harness.perform(plan).run
    world.values["built"] = "yes"

    result = harness.recover(plan, "rollback")

    assert (result.outcome, result.exit_code) == ("refused", 3)
    assert (
        "b becomes new, and goes back only where nobody has built on it: b: somebody has built on it"
        in result.reason
    )
    assert world.values == {"a": "new", "b": "new", "ready": "yes", "built": "yes"}
    assert harness.journal.run(run).outcome == "done"
    assert not harness.locked

    del world.values["built"]
    assert harness.recover(plan, "rollback").outcome == "rolled-back"


def test_a_rollback_that_is_refused_names_the_later_run_that_stands_in_between(
    harness: Harness, world: FakeWorld
) -> None:
    first = Plan([Choosy(world, "a", "new")], ["web"])
    run = harness.perform(first).run
    later = harness.perform(Plan([Becomes(world, "b", "new")], ["web"])).run
    other = harness.perform(Plan([Becomes(world, "ready", "no")], ["maps"])).run
    world.values["built"] = "yes"

    result = harness.runner().roll_back(run, first)

    assert result.outcome == "refused"
    assert f"ferryman rollback {later} goes first" in result.reason
    assert other not in result.reason


def test_a_resumed_run_whose_hosts_cannot_be_fenced_off_stays_open(harness: Harness) -> None:
    world = FakeWorld(Cuts(Cut(6, "before", kill)), a="old", b="old")
    with pytest.raises(Killed):
        harness.perform(two(world))
    assert world.values["a"] == "new"

    def refuses(run: str, token: int, hosts: Sequence[str]) -> Mapping[str, DoubtError]:
        raise CommandFailedError("lvs1: cannot keep the number: no space left")

    runner = replace(harness.runner(), fence_off=refuses)
    result = runner.resume(harness.journal.runs()[0].id, two(world))

    assert result.outcome in {"rolled-back", "stranded"}
    assert world.values == {"a": "old", "b": "old"} if result.outcome == "rolled-back" else harness.locked


@dataclass(frozen=True)
class Lingers(Becomes):
    """{key} becomes {wanted}, and its undo has to leave it for a while."""

    def check(self, report: Report) -> str | NoChange:
        """What an earlier undo left is answered for."""
        found = super().check(report)
        return NoChange(found.reason, before="old") if isinstance(found, NoChange) else found

    def undo(self, before: str) -> Sequence[Edit]:
        """Put nothing back yet, and say so."""
        return []

    def diff_after_undo(self, before: str, report: Report) -> str | None:
        """What stays is reported, and is no failure."""
        report.finding(Finding("stays", self.key, Verdict.WARN, "it stays for now", "gone"))
        return None


def test_what_an_undo_had_to_leave_is_the_run_s_own_when_it_is_resumed(harness: Harness) -> None:
    # Two surveys, four calls for each change and a look between, the failing look; then b goes back.
    world = FakeWorld(Cuts(Cut(15, "before", kill)), a="old", b="old", flows="no")
    plan = Plan([Lingers(world, "a", "new"), Becomes(world, "b", "new"), Is(world, "flows", "yes")], ["web"])
    with pytest.raises(Killed):
        harness.perform(plan)
    assert world.values == {"a": "new", "b": "old", "flows": "no"}
    world.values["flows"] = "yes"

    result = harness.recover(plan, "resume")

    assert result.outcome == "done", result.reason
    assert world.values == {"a": "new", "b": "new", "flows": "yes"}


def test_a_resumed_run_whose_changes_are_all_back_ends_rolled_back_and_never_refused(
    harness: Harness,
) -> None:
    world = FakeWorld(Cuts(Cut(18, "before", kill)), a="old", b="old", flows="no")
    plan = Plan([Becomes(world, "a", "new"), Becomes(world, "b", "new"), Is(world, "flows", "yes")], ["web"])
    with pytest.raises(Killed):
        harness.perform(plan)
    assert world.values == {"a": "old", "b": "old", "flows": "no"}

    def refuses(run: str, token: int, hosts: Sequence[str]) -> Mapping[str, DoubtError]:
        raise CommandFailedError("lvs1: cannot keep the number: no space left")

    result = replace(harness.runner(), fence_off=refuses).resume(harness.journal.runs()[0].id, plan)

    assert (result.outcome, result.exit_code) == ("rolled-back", 4)
    assert "rolled back: all is as before, verified" in result.reason
