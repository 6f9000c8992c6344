"""Every cookbook in the tree keeps the house's rules, is cut at each of its calls to the outside, and has
somebody else write between any two of them.

Always at one call by every fault and with each way on; with somebody else, and with records lost, at a
share of the places. In ``make test-all`` at more of them, and at every call, before and after it, by kill -9
and SIGTERM. With
``-m slow`` by everything at all of them, which takes many minutes.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ferryman.cli import discovery
from ferryman.testing import (
    Cuts,
    Harness,
    Scene,
    cut_everywhere,
    lose_records_everywhere,
    meddle_everywhere,
)
from tools import first_of
from unit.cookbooks.scenes import Part, cut_the_rollback, scenes_of

if TYPE_CHECKING:
    from collections.abc import Callable

TESTS = Path(__file__).parent
FOLDER = TESTS.parents[2] / "cookbooks"
COOKBOOKS = list(discovery.read([FOLDER]).all())
FEW = 2
"""Calls that are cut by every fault, as far apart as can be; one of them in every run of the tests."""
FIRST = 3
"""The first of them: the others, in a migration, are calls that change something then."""
BRIEF_PARTS, PARTS = 2, 8
"""Where all calls are cut, they are dealt out to so many tests."""

SHARE = {"meddle": 93, "lose": 97}
"""Of the trials in which somebody else writes, or records are lost, each so-manieth is in every run."""
MORE_SHARES = (31, 62)
"""Where the shares begin that are in ``make test-all`` alone."""


def scenes() -> dict[str, Callable[[Cuts], Scene]]:
    """The scenes of every cookbook that has some; that each has is for a test of its own to say."""
    found = {}
    for cookbook in COOKBOOKS:
        with suppress(AssertionError):
            for name, scene in scenes_of(cookbook.file, FOLDER, TESTS).items():
                found[f"{cookbook.name} {name}"] = scene
    return found


SCENES = scenes()
_ONE_OF_EACH = {name.rpartition(" ")[0]: name for name in reversed(SCENES)}.values()
BRIEF_SCENES = first_of(sorted(SCENES, key=lambda name: name not in _ONE_OF_EACH), len(_ONE_OF_EACH))
"""The first scene of each cookbook is in every run; those with another driver are in ``make test-all``."""


def test_there_are_some() -> None:
    assert {"check", "migrate"} <= {cookbook.name for cookbook in COOKBOOKS}


@pytest.mark.parametrize("cookbook", COOKBOOKS, ids=lambda cookbook: cookbook.name)
def test_it_imports_has_an_owner_and_a_line_for_help(cookbook: discovery.CookbookFile) -> None:
    command = cookbook.load()
    assert cookbook.owner
    assert cookbook.summary.endswith((".", "?", "!"))
    assert (command.help or "").startswith(cookbook.summary)


@pytest.mark.parametrize("cookbook", COOKBOOKS, ids=lambda cookbook: cookbook.name)
def test_its_help_says_why_what_can_break_how_long_and_how_it_goes_back(
    cookbook: discovery.CookbookFile,
) -> None:
    text = cookbook.load().help or ""
    assert [label for label in ("Why:", "Risk:", "Takes:", "Undo:") if label not in text] == []


@pytest.mark.parametrize("cookbook", COOKBOOKS, ids=lambda cookbook: cookbook.name)
def test_it_imports_no_adapter(cookbook: discovery.CookbookFile) -> None:
    """A runbook says what, through the names of ``ferryman.cookbook``; how it is done lives below."""
    lines = cookbook.file.read_text().splitlines()
    imported = {line.split()[1] for line in lines if line.startswith(("import ", "from "))}
    assert {name for name in imported if name.startswith("ferryman")} <= {"ferryman.cookbook"}


@pytest.mark.parametrize("cookbook", COOKBOOKS, ids=lambda cookbook: cookbook.name)
def test_it_has_a_scene_to_be_cut_in(cookbook: discovery.CookbookFile) -> None:
    assert scenes_of(cookbook.file, FOLDER, TESTS)


def test_one_without_a_scene_is_told_what_to_write(tmp_path: Path) -> None:
    book, test = tmp_path / "books" / "mtu" / "rollout.py", tmp_path / "tests" / "mtu" / "test_rollout.py"
    with pytest.raises(AssertionError, match=rf"write {test} with `def scene\(cuts: Cuts\) -> Scene`"):
        scenes_of(book, tmp_path / "books", tmp_path / "tests")
    test.parent.mkdir(parents=True)
    test.write_text("def scenery(cuts): ...")
    with pytest.raises(AssertionError, match="has no scene to be cut in"):
        scenes_of(book, tmp_path / "books", tmp_path / "tests")


@pytest.mark.extended
@pytest.mark.timeout(600)  # seconds of work, and more on a machine that has much else to do
@pytest.mark.parametrize("part", range(BRIEF_PARTS))
@pytest.mark.parametrize("scene", SCENES)
def test_killed_or_told_to_end_at_any_call_it_ends_all_old_or_all_new(scene: str, part: int) -> None:
    build = SCENES[scene]
    assert cut_everywhere(Part(build, part, BRIEF_PARTS), briefly=True) > 0 or not calls(build)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("place", first_of(range(FEW)))
@pytest.mark.parametrize("scene", BRIEF_SCENES)
def test_cut_at_a_few_calls_it_ends_all_old_or_all_new(scene: str, place: int) -> None:
    build = SCENES[scene]
    count = calls(build)
    if not count:
        return  # it asks nobody: there is nothing to cut
    assert cut_everywhere(Part(build, min(FIRST + place * (count // FEW), count - 1), count)) > 0


@pytest.mark.timeout(600)
@pytest.mark.parametrize("place", first_of(range(FEW)))
@pytest.mark.parametrize("scene", BRIEF_SCENES)
def test_its_rollback_cut_at_a_few_calls_ends_all_old(scene: str, place: int) -> None:
    cut_the_rollback(SCENES[scene], first=place, of=FEW)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", first_of([0, *MORE_SHARES]))
@pytest.mark.parametrize("scene", BRIEF_SCENES)
def test_whatever_others_change_right_after_it_changed_something_what_it_says_is_true(
    scene: str, first: int
) -> None:
    count = meddle_everywhere(SCENES[scene], briefly=True, first=first, every=SHARE["meddle"])
    assert count > 0 or first > 0 or not calls(SCENES[scene])


@pytest.mark.timeout(600)
@pytest.mark.parametrize("scene", BRIEF_SCENES)
def test_with_its_latest_records_lost_nothing_untrue_is_said_of_it(scene: str) -> None:
    lose_records_everywhere(SCENES[scene], every=SHARE["lose"])


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("scene", SCENES)
def test_whatever_others_change_between_any_two_calls_what_it_says_is_true(scene: str, part: int) -> None:
    meddle_everywhere(SCENES[scene], first=part, every=PARTS)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("scene", SCENES)
def test_whatever_records_are_lost_nothing_untrue_is_said_of_it(scene: str, part: int) -> None:
    lose_records_everywhere(SCENES[scene], first=part, every=PARTS)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("scene", SCENES)
def test_cut_at_any_call_it_ends_all_old_or_all_new(scene: str, part: int) -> None:
    cut_everywhere(Part(SCENES[scene], part, PARTS))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("scene", SCENES)
def test_its_rollback_cut_at_any_call_ends_all_old(scene: str) -> None:
    cut_the_rollback(SCENES[scene])


def calls(build: Callable[[Cuts], Scene]) -> int:
    """How many calls to the outside a scene makes when nobody cuts it."""
    cuts = Cuts()
    Harness().perform(build(cuts).plan())
    return cuts.calls
