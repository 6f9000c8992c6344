"""What comes out of a journal is typed before it becomes a word of a command, for a host or for people.

Whoever can write to the store must not be able to run anything with it on a director: each value that a
change has recorded is replaced by words of a shell, and the way back is asked what it would do.
"""

from __future__ import annotations

import re
import shlex
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ferryman.cookbook.steps import review
from ferryman.engine.progress import Progress, intent
from ferryman.engine.steps import Change, NoChange
from ferryman.errors import ArgumentError, FerrymanError, JournalError
from ferryman.model import Edit
from ferryman.state.records import Record
from ferryman.testing import Cuts, Harness
from unit.cookbooks.scenes import scenes_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.testing import Scene

ROOT = Path(__file__).parents[3]
COOKBOOKS = ROOT / "cookbooks"
TESTS = ROOT / "tests" / "unit" / "cookbooks"
WORDS = (
    "80; touch pwned",
    "$(touch pwned)",
    "`touch pwned`",
    "eth0\ntouch pwned",
    "' touch pwned '",
    "a && touch pwned",
    "-otouch=pwned",
    5,
    None,
    ["touch pwned"],
)
"""What may stand in the place of a value."""
SCENES = [
    (book, name)
    for book in sorted(COOKBOOKS.rglob("*.py"))
    if not book.name.startswith("_")
    for name in scenes_of(book, COOKBOOKS, TESTS)
]


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:  # noqa: ANN401  # JSON
    """Where the values stand, and the keys of mappings that are made of values, such as paths."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from leaves(item, (*path, key))
    if not isinstance(value, dict | list):
        yield path


def replaced(value: Any, path: tuple[Any, ...], by: object) -> Any:  # noqa: ANN401  # JSON
    tampered = deepcopy(value)
    part = tampered
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = by
    return tampered


def before_of(scene: Scene) -> list[tuple[Change[Any], Any]]:
    """Each change of the plan, with what it recorded as its before."""
    plan, harness = scene.plan(), Harness()
    result = harness.perform(plan)
    progress = Progress(harness.journal.show(result.run))
    return [(plan.change(place), known.before) for place, known in sorted(progress.applied.items())]


def runs_touch(command: str) -> bool:
    """Whether a shell would run ``touch``, or expand anything that does."""
    try:
        lexer = shlex.shlex(command, posix=False, punctuation_chars=True)
        lexer.whitespace_split = False
        tokens = list(lexer)
    except ValueError:
        return True
    bare = re.sub(r"'[^']*'", "''", command)
    return "touch" in tokens or "$(touch" in bare or "`touch" in bare


@pytest.mark.parametrize(("book", "name"), SCENES, ids=lambda value: getattr(value, "stem", value))
def test_no_word_of_a_recorded_before_becomes_a_command(book: Path, name: str) -> None:
    scene = scenes_of(book, COOKBOOKS, TESTS)[name](Cuts())
    for change, before in before_of(scene):
        for path in leaves(before):
            for words in WORDS:
                where = f"{change.title}: {path} is {words!r}"
                tampered = replaced(before, path, words) if path else words
                for edit in edits_back(change, tampered, where):
                    for line in (edit.command or "").splitlines():
                        assert line.startswith("#") or not runs_touch(edit.command or ""), f"{where}: {line}"


def edits_back(change: Change[Any], before: object, where: str) -> list[Edit]:
    try:
        return list(change.undo_edits(before))
    except FerrymanError:
        return []
    except (LookupError, TypeError, ValueError, AttributeError):
        return []  # the engine shows the before instead, as Python writes it
    except BaseException as error:
        raise AssertionError(where) from error


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"title": "a", "before": 1},
        {"title": 5, "before": 1, "edits": []},
        {"title": "a", "before": 1, "edits": 5},
        {"title": "a", "before": 1, "edits": [5]},
        {"title": "a", "before": 1, "edits": [{"kind": "host"}]},
        {"title": "a", "before": 1, "edits": [{"kind": "shell", "target": "a"}]},
        {"title": "a", "before": 1, "edits": [{"kind": "host", "target": 5}]},
        {"title": "a", "before": 1, "edits": [{"kind": "host", "target": "a", "command": ["x"]}]},
    ],
)
@pytest.mark.parametrize("kind", ["intent", "checked"])
def test_a_record_that_ferryman_did_not_write_is_not_acted_on(kind: str, payload: dict[str, Any]) -> None:
    record = Record("run", 1, "", kind, 0, None, payload, sound=True)
    with pytest.raises(JournalError, match=rf"\({kind}, step 1\) has not what ferryman writes"):
        Progress([record])


@pytest.mark.parametrize("branch", [*WORDS, "", "-D", "a..b", "a.lock", "/a", "a/", "a@{1}", "a~1", "a^"])
def test_what_is_no_name_of_a_branch_is_not_asked_of_git(branch: Any) -> None:  # noqa: ANN401  # as above
    with pytest.raises(ArgumentError, match="out of the journal"):
        review.branch_of(branch)


@pytest.mark.parametrize("branch", ["ferryman/web-lab-20261130-141516-abcd", "é/#12", "a;b", "$(id)"])
def test_a_name_that_git_allows_is_quoted_where_people_paste_it(branch: str) -> None:
    assert review.branch_of(branch) == branch
    assert shlex.split(review.delete_command(branch)) == ["git", "branch", "-D", branch]


def test_what_ferryman_writes_is_read_back() -> None:
    edits = [Edit("director", "lvs1", command="x"), Edit("catalog", "c", diff="d")]
    record = Record("run", 1, "", "intent", 0, None, intent("a", {"b": [1]}, edits), sound=True)
    known = Progress([record]).applied[0]
    assert (known.title, known.before, list(known.edits)) == ("a", {"b": [1]}, edits)


def test_no_change_is_left_out_because_nothing_was_recorded() -> None:
    """The scenes have changes of directors, of routes and of the catalog, or this file proves nothing."""
    kinds = {
        type(change).__name__
        for book, name in SCENES
        for change, before in before_of(scenes_of(book, COOKBOOKS, TESTS)[name](Cuts()))
        if not isinstance(before, NoChange)
    }
    assert {"DirectorConverged", "HostRoutesUp"} <= kinds
