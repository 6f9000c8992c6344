"""Where the scenes of a cookbook stand; a part of ``cut_everywhere``; and cuts during the rollback."""

from __future__ import annotations

import importlib.util
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, get_args

from ferryman.cli.template import test_file_of as file_of
from ferryman.errors import UnknownOutcomeError, VerifyError
from ferryman.testing import Cut, Cuts, Harness, Killed, Scene, When

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ferryman.outcomes import RunResult

T = TypeVar("T")


def scenes_of(book: Path, cookbooks: Path, tests: Path) -> dict[str, Callable[[Cuts], Scene]]:
    """The functions ``scene`` and ``scene_…`` of the test that stands where ``ferryman new`` writes it.

    Raises:
        AssertionError: There is none; says what to write.
    """
    file = file_of(book.relative_to(cookbooks), tests)
    todo = (
        f"{book} has no scene to be cut in: write {file} with `def scene(cuts: Cuts) -> Scene`, which makes a"
        " fresh fake world whose every outside call goes through `cuts.call`; docs/cookbooks.md, Its test"
    )
    assert file.exists(), todo
    spec = importlib.util.spec_from_file_location(f"scenes_of_{file.stem}", file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    scenes = {name: made for name, made in vars(module).items() if (name + "_").startswith("scene_")}
    assert "scene" in scenes, todo
    return scenes


@dataclass
class Part:
    """Every n-th call to the outside, beginning with the first-th; the others are never cut."""

    build: Callable[[Cuts], Scene]
    first: int
    of: int

    def __call__(self, cuts: Cuts) -> Scene:
        return self.build(_Sieve(cuts, self))


class _Sieve(Cuts):
    """Lets its part of the calls be counted, and cut."""

    def __init__(self, cuts: Cuts, part: Part) -> None:
        super().__init__()
        self._counted = cuts
        self._part = part

    def call(self, effect: Callable[[], T]) -> T:
        number = self.calls
        self.calls += 1
        ours = number % self._part.of == self._part.first
        return self._counted.call(effect) if ours else effect()


def cut_the_rollback(
    build: Callable[[Cuts], Scene], *, first: int | None = None, of: int | None = None
) -> int:
    """Make a run, roll it back when it is done, and cut that: asked again, it ends all old.

    Args:
        build: Makes a fresh scene.
        first: With ``of``: only at one call, the one at so many parts of the rollback's length; without, at
            every call.
        of: The number of those parts.

    Returns:
        How many rollbacks were cut.

    Raises:
        AssertionError: One did not end all old.
    """
    cuts = Cuts()
    scene, harness = build(cuts), Harness()
    old = deepcopy(scene.world())
    harness.perform(scene.plan())
    begin = cuts.calls
    harness.recover(scene.plan(), "rollback")
    places = range(begin, cuts.calls)
    if first is not None and of is not None and places:
        places = places[first * len(places) // of :][:1]
    count = 0
    for at in places:
        for when in get_args(When):
            for fault in (_refuse, _lose_the_answer, _kill):
                _roll_back_until_it_is(build, Cut(at, when, fault), old)
                count += 1
    return count


_WAYS = 3
"""How often it may be asked for: with the cut, and what is left, and one to spare."""


def _roll_back_until_it_is(build: Callable[[Cuts], Scene], cut: Cut, old: object) -> None:
    where = f"{cut.fault.__name__} {cut.when} call {cut.at}"
    scene, harness = build(Cuts(cut)), Harness()
    assert harness.perform(scene.plan()).outcome == "done"
    endings: list[str] = []
    while "rolled-back" not in endings:
        assert len(endings) < _WAYS, f"{where}: ended {endings}"
        ending = _attempt(harness, scene)
        endings.append(ending.outcome if ending else "killed")
    assert scene.world() == old, f"{where}: ended {endings}, and left {scene.world()}"
    assert not harness.locked, f"{where}: ended {endings}, and kept its lock"


def _attempt(harness: Harness, scene: Scene) -> RunResult | None:
    try:
        return harness.recover(scene.plan(), "rollback")
    except Killed:
        return None


def _refuse() -> None:
    raise VerifyError("the host said no")


def _lose_the_answer() -> None:
    raise UnknownOutcomeError("the answer was lost")


def _kill() -> None:
    raise Killed
