"""A dry run says one thing of each change; the run that follows says where it went differently."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from ferryman.engine.plan import Plan
from ferryman.engine.steps import Look, Report
from ferryman.errors import RefusedError, VerifyError
from ferryman.events import CannotTell, ChangeMade, ForetoldCompared, NoChangeNeeded, StepStarted
from ferryman.model import Edit, Finding, Verdict
from ferryman.state.foretellings import Foretellings
from ferryman.testing import Becomes, Cut, Cuts, FakeWorld, Harness, Killed, TurningClock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ferryman.engine.steps import NoChange


@dataclass(frozen=True)
class Blocked(Becomes):
    """{key} would become {wanted}, and must not."""

    def check(self, report: Report) -> str | NoChange:
        del report
        raise RefusedError(f"{self.key}: must not be changed now")


@dataclass(frozen=True)
class Depends(Becomes):
    """{key} becomes {wanted}, unless it has by then."""

    def cannot_tell_before(self, before: str) -> str | None:
        del before
        return "the other one is changed"


@dataclass(frozen=True)
class Silent(Becomes):
    """{key} becomes {wanted}, and nobody is told how."""

    def edits(self, before: str) -> Sequence[Edit]:
        del before
        return []


@dataclass(frozen=True)
class Lies(Becomes):
    """{key} becomes {wanted}, by another command than it says."""

    def do(self, before: str) -> Sequence[Edit]:
        super().do(before)
        return [Edit("host", self.key, command=f"force {self.key} {self.wanted}")]


@dataclass(frozen=True)
class Judges(Look):
    """{key} is judged."""

    world: FakeWorld
    key: str

    def look(self, report: Report) -> None:
        """What the key says is the verdict."""
        report.finding(Finding("judged", self.key, Verdict(self.world.read(self.key)), "", ""))


@dataclass(frozen=True)
class Waits(Look):
    """Some time has passed."""

    def look(self, report: Report) -> None:
        """Nobody may wait in a dry run."""
        del report
        pytest.fail("a dry run waited")


@pytest.fixture
def clock() -> TurningClock:
    return TurningClock()


@pytest.fixture
def harness(tmp_path: Path, clock: TurningClock) -> Harness:
    return Harness(clock=clock, foretellings=Foretellings(tmp_path / "foretold"))


def answers(harness: Harness) -> list[tuple[int, str]]:
    """Of each change: its place, and what was said of it."""
    found = []
    for line in harness.events:
        match line.event:
            case ChangeMade(step, edit, applied):
                assert not applied
                found.append((step, f"would change: {edit.command}"))
            case NoChangeNeeded(step, reason):
                found.append((step, f"no change: {reason}"))
            case CannotTell(step, before, edits):
                found.append((step, f"before {before}: {[edit.command for edit in edits]}"))
    return found


def compared(harness: Harness) -> list[ForetoldCompared]:
    return [line.event for line in harness.events if isinstance(line.event, ForetoldCompared)]


def differences(harness: Harness) -> list[tuple[str, str, str, str]]:
    """The differences that the only comparison has."""
    (found,) = compared(harness)
    return [(each.kind, each.target, each.foretold, each.found) for each in found.differences]


def test_each_change_has_exactly_one_answer_in_the_plans_order(harness: Harness, world: FakeWorld) -> None:
    world.values |= {"c": "new", "d": "old", "e": "old"}
    plan = Plan(
        [
            Blocked(world, "a", "new"),
            Becomes(world, "b", "new"),
            Becomes(world, "c", "new"),
            Depends(world, "d", "new"),
            Silent(world, "e", "new"),
        ]
    )
    assert harness.perform(plan, dry_run=True).outcome == "refused"
    assert answers(harness) == [
        (0, "before what blocks it is put right: []"),
        (1, "would change: set b new"),
        (2, "no change: c is new"),
        (3, "before the other one is changed: ['set d new']"),
        (4, "before it is made: the step names no edits: []"),
    ]


def test_what_cannot_be_told_is_not_counted_among_what_would_be_changed(
    harness: Harness, world: FakeWorld
) -> None:
    plan = Plan([Becomes(world, "a", "new"), Depends(world, "b", "new")])
    ending = harness.perform(plan, dry_run=True)
    assert ending.reason == (
        "dry run: nothing blocks 1 change; 1 more cannot be told beforehand; nothing was changed"
    )


def test_where_no_change_is_needed_it_verifies_and_waits_for_nothing(
    harness: Harness, world: FakeWorld
) -> None:
    world.values["a"] = "new"
    ending = harness.perform(Plan([Becomes(world, "a", "new"), Waits()]), dry_run=True)
    assert ending.reason == "no change needed: all is as wanted, verified"
    phases = [
        (line.event.step, line.event.phase) for line in harness.events if isinstance(line.event, StepStarted)
    ]
    assert phases == [(0, "check"), (0, "verify")]


def test_its_own_id_stands_nowhere_in_what_it_foretells(harness: Harness, world: FakeWorld) -> None:
    @dataclass(frozen=True)
    class Signed(Becomes):
        """{key} becomes {wanted}, signed."""

        def edits(self, before: str) -> Sequence[Edit]:
            del before
            return [Edit("host", self.key, command=f"sign {harness.events[0].run}")]

    harness.perform(Plan([Signed(world, "a", "new")]), dry_run=True)
    assert answers(harness) == [(0, "would change: sign <run>")]


def test_nothing_is_said_when_nothing_was_foretold(harness: Harness, world: FakeWorld) -> None:
    assert harness.perform(Plan([Becomes(world, "a", "new")])).outcome == "done"
    assert compared(harness) == []


def test_a_run_as_foretold_says_so_and_how_old_the_dry_run_is(
    harness: Harness, world: FakeWorld, clock: TurningClock
) -> None:
    plan = Plan([Becomes(world, "a", "new"), Depends(world, "b", "new")])
    harness.perform(plan, dry_run=True)
    clock.turn(90)
    harness.perform(plan)
    (found,) = compared(harness)
    assert (found.dry_run, found.age_s, found.differences) == (harness.events[0].run, 90.0, ())


def test_it_is_compared_with_one_run_alone_for_the_next_begins_in_another_world(
    harness: Harness, world: FakeWorld
) -> None:
    plan = Plan([Becomes(world, "a", "new")])
    harness.perform(plan, dry_run=True)
    harness.perform(plan)
    harness.perform(plan)
    assert len(compared(harness)) == 1


def test_a_change_that_was_foretold_and_not_made_is_told(harness: Harness, world: FakeWorld) -> None:
    plan = Plan([Becomes(world, "a", "new"), Becomes(world, "b", "new")])
    harness.perform(plan, dry_run=True)
    world.values["a"] = "new"
    harness.perform(plan)
    assert differences(harness) == [("not-made", "a", "set a new", "")]


def test_a_change_that_was_made_and_not_foretold_is_told(harness: Harness, world: FakeWorld) -> None:
    world.values["a"] = "new"
    plan = Plan([Becomes(world, "a", "new"), Becomes(world, "b", "new")])
    harness.perform(plan, dry_run=True)
    world.values["a"] = "old"
    harness.perform(plan)
    assert differences(harness) == [("not-foretold", "a", "", "set a new")]


def test_another_command_than_foretold_is_told(harness: Harness, world: FakeWorld) -> None:
    plan = Plan([Lies(world, "a", "new")])
    harness.perform(plan, dry_run=True)
    harness.perform(plan)
    assert differences(harness) == [("other-edit", "a", "set a new", "force a new")]


def test_another_plan_than_foretold_is_told_by_its_steps(harness: Harness, world: FakeWorld) -> None:
    harness.perform(Plan([Becomes(world, "a", "new")]), dry_run=True)
    harness.perform(Plan([Becomes(world, "b", "new")]))
    assert differences(harness) == [
        ("not-made", "a", "set a new", ""),
        ("not-foretold", "b", "", "set b new"),
    ]


@pytest.mark.parametrize(
    ("then", "now", "expected"),
    [
        ("pass", "warn", [("verdict", "judged x", "pass", "warn")]),
        ("warn", "pass", [("verdict", "judged x", "warn", "pass")]),
        ("skip", "warn", []),
        ("pass", "skip", []),
        ("pass", "pass", []),
    ],
)
def test_a_verdict_that_changed_is_told_but_not_where_one_of_them_did_not_look(
    harness: Harness, world: FakeWorld, then: str, now: str, expected: list[tuple[str, str, str, str]]
) -> None:
    plan = Plan([Judges(world, "x"), Becomes(world, "a", "new")])
    world.values["x"] = then
    harness.perform(plan, dry_run=True)
    world.values["x"] = now
    harness.perform(plan)
    assert differences(harness) == expected


def test_a_refusal_that_was_not_foretold_names_its_verdict_and_what_was_not_made(
    harness: Harness, world: FakeWorld
) -> None:
    plan = Plan([Judges(world, "x"), Becomes(world, "a", "new")])
    world.values["x"] = "pass"
    harness.perform(plan, dry_run=True)
    world.values["x"] = "fail"
    assert harness.perform(plan).outcome == "refused"
    assert differences(harness) == [
        ("verdict", "judged x", "pass", "fail"),
        ("not-made", "a", "set a new", ""),
    ]


def test_a_refusal_that_was_foretold_is_no_difference(harness: Harness, world: FakeWorld) -> None:
    plan = Plan([Judges(world, "x"), Becomes(world, "a", "new")])
    world.values["x"] = "fail"
    harness.perform(plan, dry_run=True)
    harness.perform(plan)
    assert differences(harness) == []


@dataclass(frozen=True)
class Fails(Becomes):
    """{key} becomes {wanted}, and is not well."""

    def verify(self, report: Report) -> None:
        del report
        raise VerifyError("it is not well")


def test_what_a_rollback_undoes_was_made_and_is_no_difference(harness: Harness, world: FakeWorld) -> None:
    plan = Plan([Becomes(world, "a", "new"), Fails(world, "b", "new")])
    harness.perform(plan, dry_run=True)
    assert harness.perform(plan).outcome == "rolled-back"
    assert differences(harness) == []


def test_a_rollback_that_is_asked_for_was_not_foretold_and_is_not_compared(
    harness: Harness, world: FakeWorld
) -> None:
    plan = Plan([Becomes(world, "a", "new")])
    harness.perform(plan)
    harness.perform(plan, dry_run=True)
    assert harness.recover(plan, "rollback").outcome == "rolled-back"
    assert compared(harness) == []


def test_a_resumed_run_is_compared_with_all_that_it_made_in_every_process(
    harness: Harness, world: FakeWorld
) -> None:
    cuts = Cuts(Cut(6, "before", _kill))
    broken = FakeWorld(cuts, **world.values)
    plan = Plan([Becomes(broken, "a", "new"), Becomes(broken, "b", "new")])
    harness.perform(Plan([Becomes(world, "a", "new"), Becomes(world, "b", "new")]), dry_run=True)
    with pytest.raises(Killed):
        harness.perform(plan)
    assert broken.values["a"] == "new"
    assert harness.recover(plan, "resume").outcome == "done"
    assert differences(harness) == []


def _kill() -> None:
    raise Killed


def test_a_dry_run_made_after_the_run_began_foretells_nothing_of_it(
    harness: Harness, world: FakeWorld, clock: TurningClock
) -> None:
    plan = Plan([Becomes(world, "a", "new")])

    @dataclass(frozen=True)
    class DryRunMeanwhile(Look):
        """Somebody makes a dry run meanwhile."""

        def look(self, report: Report) -> None:
            """Make it, a second later."""
            del report
            clock.turn(1)
            harness.perform(plan, dry_run=True)

    harness.perform(Plan([DryRunMeanwhile(), *plan.steps]))
    assert compared(harness) == []


def kept(**parts: object) -> bytes:
    """What is kept of a dry run, with some parts that are not as they should be."""
    whole = {
        "schema": 1,
        "run": "r",
        "ended": "",
        "refused": False,
        "said": {},
        "effects": {},
        "verdicts": [],
    }
    return json.dumps(whole | parts).encode()


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\x00\xff",
        b"[" * 100_000,
        b"null",
        b'{"schema": 1}',
        kept(schema=2),
        kept(run=7),
        kept(ended="yesterday"),
        kept(said={"a": "green"}),
        kept(effects={"a": [["x"]]}),
        kept(verdicts=[["a", "b", "c", "splendid"]]),
    ],
)
def test_garbage_foretells_nothing_and_fails_no_run(
    harness: Harness, world: FakeWorld, tmp_path: Path, garbage: bytes
) -> None:
    plan = Plan([Becomes(world, "a", "new")])
    harness.perform(plan, dry_run=True)
    (file,) = (tmp_path / "foretold").iterdir()
    file.write_bytes(garbage)
    assert harness.perform(plan).outcome == "done"
    assert compared(harness) == []


def unwritable(folder: Path) -> None:
    folder.write_text("no folder")


def dangling(folder: Path) -> None:
    folder.symlink_to(folder.parent / "nowhere" / "at" / "all")


@pytest.mark.parametrize("obstruct", [unwritable, dangling])
def test_where_it_cannot_be_kept_the_dry_run_ends_as_it_would(
    harness: Harness, world: FakeWorld, tmp_path: Path, obstruct: Callable[[Path], None]
) -> None:
    obstruct(tmp_path / "foretold")
    plan = Plan([Becomes(world, "a", "new")])
    assert harness.perform(plan, dry_run=True).exit_code == 0
    assert harness.perform(plan).outcome == "done"
    assert compared(harness) == []


def test_secrets_are_not_kept(harness: Harness, world: FakeWorld, tmp_path: Path) -> None:
    secret = "hunter2hunter2"

    @dataclass(frozen=True)
    class Authenticates(Becomes):
        """{key} becomes {wanted} by https://me:hunter2hunter2@example.org/."""

        def edits(self, before: str) -> Sequence[Edit]:
            del before
            header = f"curl -H 'Authorization: Bearer {secret}' https://ops:{secret}@example.org/"
            return [
                Edit("host", self.key, diff=f"-  auth_pass {secret}\n+  auth_pass {secret}\n"),
                Edit("host", self.key, command=header),
                Edit("host", self.key, command=f"tool --token={secret} --password '{secret}'"),
            ]

    plan = Plan([Authenticates(world, "a", "new")])
    harness.perform(plan, dry_run=True)
    (file,) = (tmp_path / "foretold").iterdir()
    assert secret not in file.read_text()
    harness.perform(plan)
    assert differences(harness) == []


def test_the_comparison_is_in_the_journal_and_has_its_keys(harness: Harness, world: FakeWorld) -> None:
    plan = Plan([Lies(world, "a", "new")])
    harness.perform(plan, dry_run=True)
    ending = harness.perform(plan)
    records: list[Any] = [
        record.payload for record in harness.journal.show(ending.run) if record.kind == "foretold"
    ]
    (record,) = json.loads(json.dumps(records))
    assert record == {
        "dry_run": harness.events[0].run,
        "age_seconds": 0.0,
        "differences": [
            {
                "difference": "other-edit",
                "title": "a becomes new, by another command than it says",
                "target": "a",
                "foretold": "set a new",
                "found": "force a new",
            }
        ],
    }
