"""Resume and rollback: after a death, a doubt, a stranding, or because somebody asks for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import pytest

from ferryman.engine.force_close import force_close
from ferryman.engine.plan import Plan
from ferryman.engine.process import ProcessId
from ferryman.engine.runner import Runner
from ferryman.engine.steps import Look, Report
from ferryman.errors import BusyError, JournalError, UnreachableError, UsageError, VerifyError
from ferryman.events import FindingMade, StepStarted
from ferryman.model import Verdict
from ferryman.state import RunRequest, SqliteStore
from ferryman.testing import Becomes, Cut, Cuts, FakeWorld, Harness, Is, Killed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ferryman.errors import DoubtError
    from ferryman.model import Edit

REQUEST = RunRequest(cookbook="test", operator="tester")
PREFLIGHT = 2
"""Calls of the preflight of ``two``; then each change makes check, do's read, do's write, verify."""


def kill() -> None:
    raise Killed


def unreachable() -> None:
    raise UnreachableError("lvs1: silent")


def two(world: FakeWorld) -> Plan:
    return Plan([Becomes(world, "a", "new"), Becomes(world, "b", "new")], ["web"])


def killed(harness: Harness, at: int, plan: Callable[[FakeWorld], Plan] = two) -> FakeWorld:
    """A world in which a run was killed before this call."""
    world = FakeWorld(Cuts(Cut(at, "before", kill)), a="old", b="old")
    with pytest.raises(Killed):
        harness.perform(plan(world))
    return world


def finished(harness: Harness, world: FakeWorld) -> str:
    result = harness.perform(two(world))
    assert result.outcome == "done"
    return result.run


@dataclass(frozen=True)
class Flows(Look):
    """Everything flows."""

    world: FakeWorld

    def look(self, report: Report) -> None:
        """Ask, and believe what is answer."""
        answer = self.world.read("flows")
        if answer == "?":
            raise UnreachableError("lvs1: silent")
        if answer == "no":
            raise VerifyError("nothing flows")


@dataclass(frozen=True)
class StaysReady(Is):
    """{key} is {wanted}, on both banks."""

    valid_after_change: ClassVar[bool] = True


def test_a_run_that_is_over_is_not_resumed(harness: Harness, world: FakeWorld) -> None:
    run = finished(harness, world)

    with pytest.raises(UsageError, match=rf"{run}: is over \(done\)"):
        harness.runner().resume(run, two(world))


def test_a_run_of_which_nothing_is_left_is_not_rolled_back(harness: Harness, world: FakeWorld) -> None:
    plan = Plan([Is(world, "ready", "no"), Becomes(world, "a", "new")])
    run = harness.perform(plan).run

    with pytest.raises(UsageError, match=r"is over \(refused\), nothing of it is left"):
        harness.runner().roll_back(run, plan)


@pytest.mark.parametrize("way", ["resume", "roll_back"])
def test_another_plan_is_refused_and_touches_nothing(harness: Harness, way: str) -> None:
    world = killed(harness, PREFLIGHT + 4)
    run = harness.journal.runs()[0].id
    other = Plan([Becomes(world, "a", "new"), Becomes(world, "b", "newest")], ["web"])

    with pytest.raises(
        UsageError, match=r"it was: a becomes new; b becomes new; it is now: .* b becomes newest"
    ):
        getattr(harness.runner(), way)(run, other)

    assert world.values == {"a": "new", "b": "old"}
    assert harness.journal.run(run).is_open


def test_another_plan_may_be_accepted_where_what_stands_is_the_same(harness: Harness) -> None:
    world = killed(harness, PREFLIGHT + 4)
    other = Plan([Becomes(world, "a", "new"), Becomes(world, "b", "newest")], ["web"])
    run = harness.journal.runs()[0].id

    assert harness.runner().resume(run, other, accept_changed_plan=True).outcome == "done"
    assert world.values == {"a": "new", "b": "newest"}


def test_another_plan_is_never_accepted_for_what_stands_in_the_world(harness: Harness) -> None:
    world = killed(harness, PREFLIGHT + 4)
    other = Plan([Becomes(world, "b", "new"), Becomes(world, "a", "new")], ["web"])
    run = harness.journal.runs()[0].id

    with pytest.raises(UsageError, match="step 1 was 'a becomes new' and is in the world"):
        harness.runner().roll_back(run, other, accept_changed_plan=True)

    assert world.values == {"a": "new", "b": "old"}


def test_a_damaged_journal_is_not_acted_upon(harness: Harness) -> None:
    world = killed(harness, PREFLIGHT + 4)
    harness.database.execute("DROP TRIGGER records_are_never_rewritten")
    harness.database.execute(
        "UPDATE records SET payload = replace(payload, 'old', 'odd') WHERE kind = 'intent'"
    )

    with pytest.raises(JournalError, match=r"damaged: record \d+ \(intent\)"):
        harness.recover(two(world), "rollback")

    assert world.values == {"a": "new", "b": "old"}
    assert harness.locked


def in_a_live_process(harness: Harness) -> Runner:
    """A process to which all others are alive."""
    owner = ProcessId("harness", 999, 999, "one boot")
    return Runner(store=SqliteStore(harness.database, owner=owner, alive=lambda _: True))


@pytest.mark.parametrize("way", ["resume", "roll_back"])
def test_a_run_that_is_alive_is_busy_and_stays_as_it_is(harness: Harness, way: str) -> None:
    world = killed(harness, PREFLIGHT + 4)
    run = harness.journal.runs()[0].id
    before = harness.journal.run(run), len(harness.journal.show(run))
    runner = in_a_live_process(harness)
    result = getattr(runner, way)(run, two(world))

    assert (result.outcome, result.exit_code) == ("busy", 6)
    assert "is under way" in result.reason
    assert (harness.journal.run(run), len(harness.journal.show(run))) == before
    assert world.values == {"a": "new", "b": "old"}


def test_a_run_without_locks_is_not_resumed_while_it_is_alive(harness: Harness) -> None:
    def unlocked(world: FakeWorld) -> Plan:
        return Plan([Becomes(world, "a", "new")])

    world = killed(harness, 2, unlocked)
    runner = in_a_live_process(harness)

    assert runner.resume(harness.journal.runs()[0].id, unlocked(world)).outcome == "busy"


@pytest.mark.parametrize("at", range(PREFLIGHT + 8))
def test_a_killed_run_goes_on_to_the_end(harness: Harness, at: int) -> None:
    world = killed(harness, at)
    result = harness.recover(two(world), "resume")

    assert (result.outcome, result.exit_code) == ("done", 0)
    assert world.values == {"a": "new", "b": "new"}
    assert harness.locked == {}


@pytest.mark.parametrize("at", range(PREFLIGHT + 8))
def test_a_killed_run_goes_back_to_the_beginning(harness: Harness, at: int) -> None:
    world = killed(harness, at)
    result = harness.recover(two(world), "rollback")

    assert (result.outcome, result.exit_code) == ("rolled-back", 0)
    assert world.values == {"a": "old", "b": "old"}
    assert harness.locked == {}


def test_a_dead_run_keeps_a_new_one_out(harness: Harness) -> None:
    world = killed(harness, PREFLIGHT + 4)
    result = harness.perform(two(world))

    assert result.outcome == "busy"
    assert "has died and is open" in result.reason


def test_the_world_is_trusted_over_the_journal(harness: Harness) -> None:
    world = killed(harness, PREFLIGHT + 4)  # a is made and verified
    world.values["a"] = "old"  # put back by hand
    result = harness.recover(two(world), "resume")

    assert result.outcome == "done"
    assert world.values == {"a": "new", "b": "new"}


def test_a_change_that_someone_else_wrote_over_is_not_gone_on_with(harness: Harness) -> None:
    world = killed(harness, PREFLIGHT + 8 - 1)  # a is verified, b is written
    world.values["b"] = "other"
    result = harness.recover(two(world), "resume")

    assert result.outcome == "rolled-back"
    assert world.values == {"a": "old", "b": "other"}
    assert "b: value: other; wanted old" in result.reason
    assert (
        "b becomes new: neither made nor as it was when the run began it: now 'other', was 'old'"
        in result.reason
    )


def test_what_is_verified_in_the_journal_is_verified_again(harness: Harness) -> None:
    world = killed(harness, PREFLIGHT + 4)
    harness.events.clear()
    harness.recover(two(world), "resume")

    starts = [occurrence.event for occurrence in harness.events if isinstance(occurrence.event, StepStarted)]
    assert StepStarted(0, "a becomes new", "verify") in starts
    assert StepStarted(0, "a becomes new", "do") not in starts


def test_a_look_at_the_near_bank_is_passed_over_once_something_is_changed(harness: Harness) -> None:
    def plan(world: FakeWorld) -> Plan:
        return Plan([Is(world, "a", "old"), Becomes(world, "a", "new"), Becomes(world, "b", "new")], ["web"])

    world = killed(harness, 7, plan)
    assert world.values == {"a": "new", "b": "old"}

    assert harness.recover(plan(world), "resume").outcome == "done"


def test_a_look_at_the_near_bank_is_made_again_when_nothing_is_changed_yet(harness: Harness) -> None:
    def plan(world: FakeWorld) -> Plan:
        return Plan([Is(world, "b", "old"), Becomes(world, "a", "new")], ["web"])

    world = killed(harness, 2, plan)
    world.values["b"] = "odd"

    assert harness.recover(plan(world), "resume").outcome == "refused"


def test_a_look_that_holds_on_both_banks_is_made_again_and_sends_back(harness: Harness) -> None:
    def plan(world: FakeWorld) -> Plan:
        return Plan([StaysReady(world, "b", "old"), Becomes(world, "a", "new")], ["web"])

    world = killed(harness, 5, plan)
    assert world.values["a"] == "new"
    world.values["b"] = "odd"

    assert harness.recover(plan(world), "resume").outcome == "rolled-back"
    assert world.values == {"a": "old", "b": "odd"}


def test_a_rollback_goes_on_though_its_journal_can_no_longer_be_written(harness: Harness) -> None:
    @dataclass(frozen=True)
    class FillsDisk(Becomes):
        """{key} becomes {wanted}, and the disk is full in the rollback."""

        def undo(self, before: str) -> None:
            super().undo(before)
            harness.database.query("PRAGMA query_only = ON")

    world = FakeWorld(None, a="old", b="old")
    plan = Plan([Becomes(world, "a", "new"), FillsDisk(world, "b", "new")], ["web"])
    harness.perform(plan)
    result = harness.recover(plan, "rollback")

    assert (result.outcome, result.exit_code) == ("rolled-back", 0)
    assert "so the run is still open there" in result.reason
    assert world.values == {"a": "old", "b": "old"}


def test_nobody_is_asked_twice(harness: Harness) -> None:
    world = killed(harness, PREFLIGHT + 4)
    entry = harness.journal.runs()[0]
    runner = replace(harness.runner(), confirm=lambda edits: pytest.fail(f"asked about {edits}"))

    assert runner.resume(entry.id, two(world)).outcome == "done"


def test_a_run_that_died_before_it_changed_anything_asks_again(harness: Harness) -> None:
    world = killed(harness, PREFLIGHT)
    asked: list[Sequence[Edit]] = []

    def decline(edits: Sequence[Edit]) -> bool:
        asked.append(edits)
        return False

    runner = replace(harness.runner(), confirm=decline)

    assert runner.resume(harness.journal.runs()[0].id, two(world)).outcome == "interrupted"
    assert len(asked[0]) == 2


@pytest.mark.parametrize(
    ("way", "outcome", "a"), [("resume", "done", "new"), ("rollback", "rolled-back", "old")]
)
def test_a_held_run_goes_on_or_back_when_the_doubt_is_gone(
    harness: Harness, way: str, outcome: str, a: str
) -> None:
    world = FakeWorld(None, a="old", flows="?")
    plan = Plan([Becomes(world, "a", "new"), Flows(world)], ["web"])
    assert harness.perform(plan).outcome == "held"

    world.values["flows"] = "yes"
    result = harness.recover(plan, way)  # type: ignore[arg-type]  # the parameters are its values

    assert (result.outcome, world.values["a"], harness.locked) == (outcome, a, {})


def test_a_held_run_whose_doubt_stays_is_held_again(harness: Harness) -> None:
    world = FakeWorld(None, a="old", flows="?")
    plan = Plan([Becomes(world, "a", "new"), Flows(world)], ["web"])
    harness.perform(plan)

    assert harness.recover(plan, "resume").outcome == "held"
    assert harness.locked


def test_a_held_run_that_fails_when_it_is_resumed_goes_back(harness: Harness) -> None:
    world = FakeWorld(None, a="old", flows="?")
    plan = Plan([Becomes(world, "a", "new"), Flows(world)], ["web"])
    harness.perform(plan)
    world.values["flows"] = "no"

    assert (harness.recover(plan, "resume").outcome, world.values["a"]) == ("rolled-back", "old")


def test_a_run_is_resumed_after_half_of_it_went_back(harness: Harness) -> None:
    # 2 surveys, 2 x 4 calls and a look at a between them, flows; then b's undo reads, writes and looks:
    # killed when a's undo begins.
    world = FakeWorld(Cuts(Cut(15, "before", kill)), a="old", b="old", flows="no")
    plan = Plan([Becomes(world, "a", "new"), Becomes(world, "b", "new"), Flows(world)], ["web"])
    with pytest.raises(Killed):
        harness.perform(plan)
    assert world.values == {"a": "new", "b": "old", "flows": "no"}

    world.values["flows"] = "yes"

    assert harness.recover(plan, "resume").outcome == "done"
    assert world.values == {"a": "new", "b": "new", "flows": "yes"}


def test_what_already_went_back_is_no_longer_the_run_s_to_touch(harness: Harness) -> None:
    world = FakeWorld(Cuts(Cut(15, "before", kill)), a="old", b="old", flows="no")
    plan = Plan([Becomes(world, "a", "new"), Becomes(world, "b", "new"), Flows(world)], ["web"])
    with pytest.raises(Killed):
        harness.perform(plan)

    world.values["b"] = "somebody's own"

    result = harness.recover(plan, "rollback")
    assert result.outcome == "rolled-back", result.reason
    assert "b: value: somebody's own; wanted old" in result.reason
    assert world.values == {"a": "old", "b": "somebody's own", "flows": "no"}


def test_a_done_run_is_rolled_back_when_it_is_still_as_left(harness: Harness, world: FakeWorld) -> None:
    run = finished(harness, world)
    result = harness.recover(two(world), "rollback")

    assert (result.outcome, result.exit_code) == ("rolled-back", 0)
    assert world.values == {"a": "old", "b": "old", "ready": "yes"}
    assert harness.journal.run(run).outcome == "rolled-back"


def test_a_done_run_that_somebody_changed_since_is_not_rolled_back(
    harness: Harness, world: FakeWorld
) -> None:
    run = finished(harness, world)
    world.values["a"] = world.values["b"] = "other"
    result = harness.recover(two(world), "rollback")

    assert (result.outcome, result.exit_code) == ("refused", 3)
    assert "a becomes new: a: is other, wanted new" in result.reason
    assert "b becomes new: b: is other, wanted new" in result.reason
    assert world.values["a"] == "other"
    assert harness.journal.run(run).outcome == "done"
    assert harness.locked == {}


def test_a_done_run_is_not_rolled_back_while_another_is_at_work(harness: Harness, world: FakeWorld) -> None:
    run = finished(harness, world)
    world.values |= {"c": "old", "flows": "?"}
    harness.perform(Plan([Becomes(world, "c", "new"), Flows(world)], ["web"]))

    assert harness.runner().roll_back(run, two(world)).outcome == "busy"
    assert world.values["a"] == "new"


def against_the_journal(harness: Harness) -> list[tuple[str, Verdict, str, str]]:
    found = [line.event.finding for line in harness.events if isinstance(line.event, FindingMade)]
    return [
        (finding.host, finding.verdict, finding.seen, finding.wanted)
        for finding in found
        if finding.check == "journal"
    ]


@pytest.mark.parametrize("way", ["resume", "rollback"])
def test_whoever_takes_a_run_up_is_told_where_the_world_and_the_journal_differ(
    harness: Harness, way: str
) -> None:
    world = killed(harness, PREFLIGHT + 8 - 2)  # a is verified, and b's intent is on disk
    world.values |= {"a": "old", "b": "new"}  # a was put back by hand, b took effect all the same
    harness.events.clear()
    harness.recover(two(world), way)  # type: ignore[arg-type]  # the parameters are its values

    assert against_the_journal(harness) == [
        ("a", Verdict.WARN, "as before the run", "by the journal: made"),
        ("b", Verdict.WARN, "made: b is new", "by the journal: begun, and not known to be made"),
    ]


def test_what_cannot_be_looked_at_before_a_rollback_is_told_and_goes_back_all_the_same(
    harness: Harness,
) -> None:
    world = killed(harness, PREFLIGHT + 8 - 1)
    blind = FakeWorld(Cuts(Cut(0, "before", unreachable)), **world.values)
    harness.events.clear()
    result = harness.recover(two(blind), "rollback")

    assert result.outcome == "rolled-back"
    assert against_the_journal(harness)[0] == ("a", Verdict.UNKNOWN, "lvs1: silent", "by the journal: made")
    assert blind.values == {"a": "old", "b": "old"}


def test_who_began_and_who_took_it_up_is_in_the_journal(harness: Harness) -> None:
    world = killed(harness, PREFLIGHT + 4)
    run = harness.journal.runs()[0].id
    harness.runner().roll_back(run, two(world), operator="bob@control2")
    records = harness.journal.show(run)
    begun = next(record for record in records if record.kind == "begun").payload
    resumed = next(record for record in records if record.kind == "taken-up").payload

    assert {"ferryman", "python", "kernel"} <= begun["versions"].keys()
    assert (resumed["way"], resumed["operator"], resumed["host"]) == ("back", "bob@control2", "harness")


def test_a_run_that_was_put_right_by_hand_is_closed_with_who_and_why_and_its_lock_is_free(
    harness: Harness,
) -> None:
    world = killed(harness, PREFLIGHT + 4)
    run = harness.journal.runs()[0].id
    force_close(harness.runner().store, run, "bob", "the hosts are gone")
    entry = harness.journal.run(run)

    assert (entry.outcome, entry.is_open, harness.locked) == ("error", False, {})
    assert entry.ending == "closed by bob, who put it right by hand: the hosts are gone"
    assert world.values == {"a": "new", "b": "old"}, "nothing was touched"
    with pytest.raises(UsageError, match="is over"):
        force_close(harness.runner().store, run, "bob", "again")


def test_a_run_at_work_is_not_closed(harness: Harness) -> None:
    killed(harness, PREFLIGHT + 4)

    with pytest.raises(BusyError, match="under way"):
        force_close(in_a_live_process(harness).store, harness.journal.runs()[0].id, "bob", "impatient")


def test_whoever_takes_a_run_up_shuts_earlier_commands_out_before_it_looks(harness: Harness) -> None:
    fenced: list[tuple[str, int, tuple[str, ...], int]] = []
    cuts = Cuts(Cut(PREFLIGHT + 4, "before", kill))
    world = FakeWorld(cuts, a="old", b="old")

    def fence_off(run: str, token: int, hosts: Sequence[str]) -> dict[str, DoubtError]:
        fenced.append((run, token, tuple(hosts), cuts.calls))
        return {"a": UnreachableError("a: silent")} if hosts else {}

    with pytest.raises(Killed):
        replace(harness.runner(), fence_off=fence_off).perform(REQUEST, two(world))
    run, calls = harness.journal.runs()[0].id, cuts.calls
    assert replace(harness.runner(), fence_off=fence_off).roll_back(run, two(world)).outcome == "rolled-back"

    (_, first, nowhere, before_all), (_, second, standing, before_the_rest) = fenced
    assert (nowhere, before_all) == ((), 0)
    assert (standing, before_the_rest) == (("a",), calls)
    assert first < second
    assert "not-fenced" in {record.kind for record in harness.journal.show(run)}
