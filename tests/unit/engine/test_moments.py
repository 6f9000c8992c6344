"""When the engine lets its steps share what they ask: at one moment, and never across a change."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from ferryman.engine.plan import Plan
from ferryman.engine.steps import Look, Report
from ferryman.errors import UnknownOutcomeError, VerifyError
from ferryman.hosts.fake import FakeHosts
from ferryman.hosts.shared import SharedReadings
from ferryman.testing import Becomes, Cut, Cuts, FakeWorld, Harness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ferryman.engine.plan import Step
    from ferryman.engine.steps import Purpose
    from ferryman.model import Edit


@dataclass
class Cached(FakeWorld):
    """A world whose values are read once in a moment, and that knows how a moment begins and ends."""

    told: list[str] = field(default_factory=list)

    def __init__(self, cuts: Cuts | None = None, **values: str) -> None:
        super().__init__(cuts, **values)
        self.told: list[str] = []
        self._known: dict[str, str] = {}
        self._asked: set[str] = set()

    def begin(self, questions: Iterable[Any], then: Iterable[Any] = (), *, continues: bool = False) -> None:
        asked, behind = list(questions), list(then)
        self._asked = {*asked, *behind}
        if not continues:
            self._known = {}
        words = [*asked, *(f"({question})" for question in behind)]
        self.told.append(f"{'goes on' if continues else 'begin'} {' '.join(words)}".strip())

    def end(self) -> None:
        self._asked, self._known = set(), {}
        self.told.append("end")

    def read(self, key: str) -> str:
        if key not in self._asked:
            self.told.append(f"ask {key}")
            return super().read(key)
        if key not in self._known:
            self.told.append(f"share {key}")
            self._known[key] = super().read(key)
        return self._known[key]

    def write(self, key: str, value: str, *, expected: str) -> None:
        self.told.append(f"write {key}")
        super().write(key, value, expected=expected)


@dataclass(frozen=True)
class Asked(Becomes):
    """{key} becomes {wanted}, and it says what it asks."""

    def questions(self, purpose: Purpose, before: str | None) -> Sequence[str]:
        del purpose, before
        return (self.key,)


@dataclass(frozen=True)
class Seen(Look):
    """{key} is there."""

    reads_last: ClassVar[bool] = True
    world: FakeWorld
    key: str

    def questions(self, purpose: Purpose, before: object) -> Sequence[str]:
        del purpose, before
        return (self.key,)

    def look(self, report: Report) -> None:
        del report
        self.world.read(self.key)


def plan_of(world: Cached, *steps: Step) -> Plan:
    return Plan(steps, readings=world)


def both(world: Cached, kind: Callable[..., Becomes] = Asked) -> Plan:
    return plan_of(world, kind(world, "a", "new"), kind(world, "b", "new"))


@pytest.fixture
def world() -> Cached:
    return Cached(None, a="old", b="old")


def test_each_change_is_a_moment_of_its_own_and_so_is_the_end(world: Cached, harness: Harness) -> None:
    assert harness.perform(both(world)).outcome == "done"
    assert world.told == [
        *("begin a b", "share a", "share b", "end"),
        *("begin a", "share a", "write a", "end", "ask a"),
        *("begin a b", "share a", "share b", "write b", "end", "ask b"),
        *("begin a b", "share a", "share b"),
    ]


def test_what_was_done_is_verified_by_a_reading_from_after_it(world: Cached, harness: Harness) -> None:
    class Lost(Asked):
        """{key} is said to be changed."""

        def do(self, before: str) -> None:
            del before

    assert harness.perform(plan_of(world, Lost(world, "a", "new"))).outcome == "rolled-back"
    first = world.told.index("end") + 1
    assert world.told[first:][:4] == ["begin a", "share a", "end", "ask a"]


def test_what_reads_back_itself_may_share_that_until_the_next_step(world: Cached, harness: Harness) -> None:
    class ReadsBack(Asked):
        """{key} becomes {wanted}, and is read back."""

        reads_back = True

        def do(self, before: str) -> Sequence[Edit] | None:
            made = super().do(before)
            assert isinstance(self.world, Cached)
            self.world.begin([self.key])
            return made

    assert harness.perform(both(world, ReadsBack)).outcome == "done"
    first = world.told.index("write a")
    assert world.told[first:] == [
        *("write a", "begin a", "share a"),
        *("begin a b", "share a", "share b", "write b", "begin b", "share b"),
        *("begin a b", "share a", "share b"),
    ]


def test_where_the_answer_was_lost_nothing_from_before_is_shared(harness: Harness) -> None:
    def lose() -> None:
        raise UnknownOutcomeError("the answer was lost")

    class ReadsBack(Asked):
        """{key} becomes {wanted}."""

        reads_back = True

    cuts = Cuts(Cut(2, "after", lose))
    world = Cached(cuts, a="old")
    assert harness.perform(plan_of(world, ReadsBack(world, "a", "new"))).outcome == "done"
    assert world.told[world.told.index("write a") :][:3] == ["write a", "end", "ask a"]


def test_each_undo_is_a_moment_and_everything_is_looked_at_anew_at_the_rollbacks_end(
    world: Cached, harness: Harness
) -> None:
    harness.perform(both(world))
    world.told.clear()
    assert harness.recover(both(world), "rollback").outcome == "rolled-back"
    assert world.told == [
        *("begin a a b b", "share a", "share b"),
        *("begin b", "share b", "write b", "end", "ask b"),
        *("begin a", "share a", "write a", "end", "ask a"),
        *("begin a b", "share a", "share b"),
    ]


def test_a_look_that_reads_last_shares_with_the_change_behind_it(world: Cached, harness: Harness) -> None:
    steps: list[Step] = [
        Asked(world, "a", "new"),
        Seen(world, "b"),
        Asked(world, "b", "new"),
        Seen(world, "a"),
    ]
    assert harness.perform(plan_of(world, *steps)).outcome == "done"
    begun = [line for line in world.told if line.startswith(("begin", "goes on"))]
    assert begun == ["begin a b", "begin a", "begin b (a) (b)", "goes on a b", "begin a", "begin a b"]


def test_a_look_that_does_not_read_last_shares_nothing(world: Cached, harness: Harness) -> None:
    class Otherwise(Seen):
        """{key} is there, and more is done then."""

        reads_last: ClassVar[bool] = False

    steps: list[Step] = [Asked(world, "a", "new"), Otherwise(world, "b"), Asked(world, "b", "new")]
    assert harness.perform(plan_of(world, *steps)).outcome == "done"
    begun = [line for line in world.told if line.startswith(("begin", "goes on"))]
    assert begun == ["begin a b", "begin a", "begin b", "begin a b", "begin a b"]


def test_looks_of_a_dry_run_are_one_moment_and_verifying_that_nothing_is_needed_another(
    harness: Harness,
) -> None:
    world = Cached(None, a="new", b="new")
    assert harness.perform(both(world), dry_run=True).outcome == "done"
    assert world.told == ["begin a b", "share a", "share b", "end", "begin a b", "share a", "share b"]


@pytest.mark.parametrize("asked", [(1,), 7, (("lvs1", "no verb"),)], ids=str)
def test_what_is_no_question_stops_neither_a_run_nor_its_rollback(harness: Harness, asked: Any) -> None:  # noqa: ANN401
    class Odd(Becomes):
        """{key} becomes {wanted}."""

        def questions(self, purpose: Purpose, before: str | None) -> Any:  # noqa: ANN401  # no questions
            del purpose, before
            return asked

    world = FakeWorld(None, a="old", b="old")
    plan = Plan([Odd(world, "a", "new"), Odd(world, "b", "new")], readings=SharedReadings(FakeHosts()))
    assert harness.perform(plan).outcome == "done"
    assert harness.recover(plan, "rollback").outcome == "rolled-back"


def test_a_step_that_cannot_say_what_it_asks_asks_for_itself(world: Cached, harness: Harness) -> None:
    class Broken(Becomes):
        """{key} becomes {wanted}."""

        def questions(self, purpose: Purpose, before: str | None) -> Sequence[str]:
            raise VerifyError(f"{purpose} of {before}")

    assert harness.perform(plan_of(world, Broken(world, "a", "new"))).outcome == "done"
    assert not any(line.startswith("share") for line in world.told)
