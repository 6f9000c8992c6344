"""Plans cut at every call to the outside, in every way: the world ends all old or all new, never between."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from ferryman.engine.plan import Plan, Step
from ferryman.engine.steps import Change, NoChange, Report
from ferryman.errors import VerifyError, WorldChangedError
from ferryman.state.sqlite.database import Database
from ferryman.testing import Becomes, Cuts, FakeWorld, Harness, Is, Killed, Scene, cut_everywhere
from tools import first_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ferryman.model import Edit


@dataclass(frozen=True)
class Flipped(Becomes):
    """The catalog says {wanted}."""

    @property
    def undo_first(self) -> bool:
        return True


@dataclass(frozen=True)
class Converged(Change[list[str]]):
    """{director} forwards both families as the catalog says."""

    world: FakeWorld
    director: str

    @property
    def _keys(self) -> list[str]:
        return [f"{self.director}_{family}" for family in ("v4", "v6")]

    def check(self, report: Report) -> list[str] | NoChange:
        now = [self.world.read(key) for key in self._keys]
        return NoChange("both do") if now == ["ipip", "ipip"] else now

    def edits(self, before: list[str]) -> Sequence[Edit]:
        return ()

    def do(self, before: list[str]) -> None:
        """Reload one family after the other: each takes what the catalog says."""
        says = self.world.read("catalog")
        for key, was in zip(self._keys, before, strict=True):
            if (now := self.world.read(key)) != says:
                if now != was:
                    raise WorldChangedError(f"{key} is {now}, expected {was}")
                self.world.write(key, says, expected=now)

    def verify(self, report: Report) -> None:
        if any(self.world.read(key) != "ipip" for key in self._keys):
            raise VerifyError(f"{self.director}: not every family is tunnelled")

    def undo(self, before: list[str]) -> None:
        says = self.world.read("catalog")
        for key in self._keys:
            if (now := self.world.read(key)) != says:
                self.world.write(key, says, expected=now)


def migration(cuts: Cuts) -> Scene:
    world = FakeWorld(cuts, catalog="direct", lvs1_v4="direct", lvs1_v6="direct", ready="yes")

    def plan() -> Plan:
        steps: list[Step] = [
            Is(world, "ready", "yes"),
            Flipped(world, "catalog", "ipip"),
            Converged(world, "lvs1"),
            Is(world, "ready", "yes"),
        ]
        return Plan(steps, ["web"])

    return Scene(plan, lambda: world.values)


def short(cuts: Cuts) -> Scene:
    world = FakeWorld(cuts, a="old")
    steps: list[Step] = [Becomes(world, "a", "new"), Is(world, "a", "new")]
    return Scene(lambda: Plan(steps, ["web"]), lambda: world.values)


def with_one(step: Callable[[FakeWorld], Change[Any]]) -> Callable[[Cuts], Scene]:
    def build(cuts: Cuts) -> Scene:
        world = FakeWorld(cuts, a="old", b="old")
        steps = [Becomes(world, "a", "new"), step(world)]
        return Scene(lambda: Plan(steps, ["web"]), lambda: world.values)

    return build


@dataclass(frozen=True)
class Forgets(Becomes):
    """{key} becomes {wanted}, and undo forgets it."""

    def undo(self, before: str) -> None:
        """Leave the value as it is."""

    def diff_after_undo(self, before: str, report: Report) -> str | None:
        """Claim that all is as before."""


@dataclass(frozen=True)
class TrustsItself(Becomes):
    """{key} becomes {wanted}, and undo believes that do was done."""

    def undo(self, before: str) -> None:
        """Fail where there is nothing to put back."""
        self.world.write(self.key, before, expected=self.wanted)

    def diff_after_undo(self, before: str, report: Report) -> str | None:
        """Claim that all is as before."""


@dataclass(frozen=True)
class VerifiesNothing(Becomes):
    """{key} becomes {wanted}, perhaps."""

    def verify(self, report: Report) -> None:
        """Take the value for right without reading it."""


@pytest.mark.parametrize(("briefly", "trials"), first_of([(True, 40), (False, 300)]))
def test_a_migration_is_never_left_in_between(briefly: bool, trials: int) -> None:
    assert cut_everywhere(migration, briefly=briefly) > trials


@pytest.mark.extended
def test_a_run_cut_once_and_killed_once_more_is_never_left_in_between() -> None:
    assert cut_everywhere(short, twice=True) > 200


@pytest.mark.parametrize("broken", [Forgets, VerifiesNothing])
def test_a_step_with_a_broken_verb_is_found(broken: type[Becomes]) -> None:
    with pytest.raises(AssertionError, match=r"call \d+.*: ended (done|rolled-back|interrupted), and left"):
        cut_everywhere(with_one(lambda world: broken(world, "b", "new")))


def test_a_plan_that_fails_by_itself_cannot_be_cut() -> None:
    def build(cuts: Cuts) -> Scene:
        world = FakeWorld(cuts, a="old")
        return Scene(lambda: Plan([Is(world, "a", "new")]), lambda: world.values)

    with pytest.raises(AssertionError, match="without any cut, it ended refused"):
        cut_everywhere(build)


class CutDatabase(Database):
    """A state file whose owner is killed at one of its commits, just before or just after."""

    def __init__(self, number: int, when: str) -> None:
        super().__init__(Database.in_memory().where)
        self.cut = (number, when)
        self.commits = 0

    @contextmanager
    def transaction(self) -> Iterator[None]:
        if self._connection is not None and self._connection.in_transaction:
            with super().transaction():
                yield
            return
        number = self.commits
        self.commits += 1
        with super().transaction():
            yield
            self._die_at(number, "before")
        self._die_at(number, "after")

    def _die_at(self, number: int, when: str) -> None:
        if self.cut == (number, when):
            raise Killed


def commits() -> int:
    database = CutDatabase(-1, "never")
    Harness(database=database).perform(short(Cuts()).plan())
    return database.commits


@pytest.mark.parametrize(
    ("way", "outcome", "a"), [("resume", "done", "new"), ("rollback", "rolled-back", "old")]
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_run_killed_at_any_commit_of_its_journal_is_never_left_in_between(
    when: str, way: str, outcome: str, a: str
) -> None:
    for number in range(commits()):
        harness, scene = Harness(database=CutDatabase(number, when)), short(Cuts())
        with pytest.raises(Killed):
            harness.perform(scene.plan())

        if not harness.journal.runs():  # killed before it was entered
            assert scene.world() == {"a": "old"}
        elif harness.journal.runs()[0].outcome == "done":  # killed after its end was entered
            assert scene.world() == {"a": "new"}
        else:
            assert harness.recover(scene.plan(), way).outcome == outcome  # type: ignore[arg-type]  # its values
            assert scene.world() == {"a": a}
        assert harness.locked == {}
