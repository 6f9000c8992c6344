"""Somebody else writes between any two calls to the outside: "done" and "rolled back" stay true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from ferryman.engine.plan import Plan, Step
from ferryman.testing import (
    Becomes,
    Cuts,
    FakeWorld,
    Is,
    OwnPart,
    Scene,
    ThirdParty,
    lose_records_everywhere,
    meddle_everywhere,
)
from tools import first_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from ferryman.engine.steps import Change, Report

KEYS = ("key-1", "key-2", "key-3")


@dataclass(frozen=True)
class GoesFirst(Becomes):
    """{key} becomes {wanted}, and goes back before the others."""

    @property
    def undo_first(self) -> bool:
        return True


def third_parties(world: FakeWorld) -> list[ThirdParty]:
    def put(key: str, value: str) -> Callable[[], None]:
        return lambda: world.values.update({key: value})

    found = [
        ThirdParty(f"makes {key} {value}", (key,), put(key, value))
        for key in KEYS
        for value in ("old", "new", "third")
    ]
    return [*found, ThirdParty("writes elsewhere", ("elsewhere",), put("elsewhere", "third"))]


def own(world: FakeWorld) -> OwnPart:
    def those(unlike: str) -> Callable[[], Collection[str]]:
        return lambda: [f"{key}: is {world.values[key]}" for key in KEYS if world.values[key] != unlike]

    return OwnPart(those("old"), those("new"), lambda: world.values["elsewhere"])


def scene_of(*kinds: Callable[[FakeWorld, str, str], Change[Any]]) -> Callable[[Cuts], Scene]:
    """A scene with a change of each kind, and looks between them."""

    def build(cuts: Cuts) -> Scene:
        world = FakeWorld(cuts, **dict.fromkeys(KEYS, "old"), ready="yes", elsewhere="theirs")
        steps: list[Step] = [Is(world, "ready", "yes")]
        for kind, key in zip(kinds, KEYS, strict=True):
            steps += [kind(world, key, "new"), Is(world, "ready", "yes")]
        return Scene(
            lambda: Plan(steps, ["web"]),
            lambda: dict(world.values),
            third_parties(world),
            own(world),
        )

    return build


KINDS = [(Becomes, Becomes, Becomes), (GoesFirst, Becomes, Becomes), (Becomes, GoesFirst, Becomes)]
SHARES = 9
"""Each kind has three shares of the trials, none of which another kind has: one of them in every run."""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("share", first_of(range(0, SHARES, len(KINDS))))
@pytest.mark.parametrize("number", range(len(KINDS)))
def test_whatever_others_change_right_after_a_change_what_a_run_says_is_true(number: int, share: int) -> None:
    scene = scene_of(*KINDS[number])
    assert meddle_everywhere(scene, briefly=True, first=number + share, every=SHARES) > 15


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kinds", KINDS, ids=lambda kinds: " ".join(kind.__name__ for kind in kinds))
def test_whatever_others_change_meanwhile_what_a_run_says_is_true(kinds: tuple[type[Becomes], ...]) -> None:
    assert meddle_everywhere(scene_of(*kinds)) > 500


@pytest.mark.timeout(300)
@pytest.mark.parametrize("share", first_of(range(0, SHARES, len(KINDS))))
@pytest.mark.parametrize("number", range(len(KINDS)))
def test_with_its_latest_records_lost_nothing_untrue_is_said_of_a_run(number: int, share: int) -> None:
    assert lose_records_everywhere(scene_of(*KINDS[number]), first=number + share, every=SHARES) > 6


@dataclass(frozen=True)
class LooksOnce(Becomes):
    """{key} becomes {wanted}, and is never looked at again."""

    def verify_again(self, before: str, report: Report) -> None:
        """Take the value for right without reading it."""


@dataclass(frozen=True)
class PutsBackOverOthers(Becomes):
    """{key} becomes {wanted}, and goes back whatever is there."""

    def undo(self, before: str) -> None:
        """Put it back, and something else too."""
        super().undo(before)
        self.world.write("elsewhere", "tidied", expected=self.world.read("elsewhere"))


@pytest.mark.parametrize(
    ("broken", "fault"),
    [
        (LooksOnce, "done, and the world is otherwise: key-2: is "),
        (PutsBackOverOthers, "what is not the run's own was changed"),
    ],
)
def test_a_step_that_believes_too_much_is_found(broken: type[Becomes], fault: str) -> None:
    with pytest.raises(AssertionError, match=fault):
        meddle_everywhere(scene_of(Becomes, broken, Becomes), briefly=True, every=5)  # enough for both


def test_a_scene_with_nobody_else_in_it_is_told_apart() -> None:
    def build(cuts: Cuts) -> Scene:
        world = FakeWorld(cuts, a="old")
        return Scene(lambda: Plan([Becomes(world, "a", "new")]), lambda: dict(world.values))

    with pytest.raises(AssertionError, match="does not say what is its own"):
        meddle_everywhere(build)
