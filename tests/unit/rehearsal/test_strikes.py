"""What strikes, as far as it can be seen without a lab: the editor, the reviewer, and what comes too late."""

from __future__ import annotations

import signal
import subprocess
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from ferryman.errors import LabError
from ferryman.rehearsal.judging import Known, Parsed
from ferryman.rehearsal.review import BASE, Review, describe
from ferryman.rehearsal.schema import Kill, Merge, RestoreCatalog, Signal
from ferryman.rehearsal.strikes import Striker

if TYPE_CHECKING:
    from pathlib import Path

    from ferryman.rehearsal.schema import Strike

CATALOG = """\
service::catalog:
  web:
    description: The public site
    port: 80
  # a comment
  static:
    port: 8081
    description: "Static files"
  bare:
    port: 1
"""
KNOWN = Known(services=[], parse=lambda _: Parsed())


def made(kind: type[Strike], **keys: object) -> Strike:
    """A strike as a scenario has it."""
    return kind.model_validate(keys)


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    folder = tmp_path / "inventory"
    folder.mkdir()
    (folder / "services.yaml").write_text(CATALOG)
    return folder / "services.yaml"


def striker(catalog: Path, **more: Any) -> Striker:  # noqa: ANN401
    stage: Any = SimpleNamespace(catalog=catalog)
    return Striker(stage, KNOWN, CATALOG.encode(), **more)


def test_an_editor_changes_one_line_of_one_entry(catalog: Path) -> None:
    describe(catalog, "static")
    changed = [
        (old, new)
        for old, new in zip(CATALOG.splitlines(), catalog.read_text().splitlines(), strict=True)
        if old != new
    ]
    assert changed == [
        ('    description: "Static files"', "    description: 'Edited by somebody else meanwhile'")
    ]


@pytest.mark.parametrize("entry", ["bare", "no-such-entry"])
def test_an_entry_that_cannot_be_edited_is_told(catalog: Path, entry: str) -> None:
    with pytest.raises(LabError, match=f"{entry} has no description"):
        describe(catalog, entry)
    assert catalog.read_text() == CATALOG


def test_a_copy_from_before_the_run_takes_everything_out_again(catalog: Path) -> None:
    describe(catalog, "web")
    striker(catalog).strike(made(RestoreCatalog, restore="catalog", at="in soak"))
    assert catalog.read_text() == CATALOG
    assert [file.name for file in catalog.parent.iterdir()] == ["services.yaml"]


@pytest.mark.parametrize(
    "strike",
    [made(Kill, kill="run", at="in soak"), made(Signal, signal="run", send="INT", at="in soak")],
    ids=["kill", "signal"],
)
def test_a_process_that_is_over_is_struck_too_late_and_that_is_an_error(
    catalog: Path, strike: Strike
) -> None:
    with pytest.raises(LabError, match="too late"):
        striker(catalog).strike(strike)
    over: Any = SimpleNamespace(is_over=True)
    with pytest.raises(LabError, match="too late"):
        striker(catalog, process=over).strike(strike)


def test_a_signal_is_the_one_that_the_scenario_names(catalog: Path) -> None:
    sent: list[int] = []
    living: Any = SimpleNamespace(is_over=False, signal=sent.append)
    for strike in (
        made(Kill, kill="run", at="in soak"),
        made(Signal, signal="run", send="HUP", at="in soak"),
    ):
        striker(catalog, process=living).strike(strike)
    assert sent == [signal.SIGKILL, signal.SIGHUP]


def git(folder: Path, *words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.mark.parametrize("differently", [False, True])
def test_a_person_merges_the_branch_that_is_waited_for(
    catalog: Path, tmp_path: Path, differently: bool
) -> None:
    inventory = catalog.parent
    review = Review.of(inventory, tmp_path)
    author = ("-c", "user.name=Olga", "-c", "user.email=olga@example.org")
    git(inventory, "checkout", "-q", "-b", "proposal")
    catalog.write_text(CATALOG.replace("8081", "8082"))
    git(inventory, *author, "commit", "-q", "-a", "-m", "a proposal")
    git(inventory, "push", "-q", "origin", "proposal")
    event = {"event": "finding", "check": "catalog-review", "seen": "waiting for proposal to be merged"}
    merge = made(Merge, merge="proposal", differently=differently)
    told = striker(catalog, review=review, service="static", event=event).strike(merge)
    assert told == "proposal was merged" + (" with another edit" if differently else "")
    merged = git(tmp_path / "catalog.git", "show", f"{BASE}:services.yaml")
    assert "8082" in merged
    assert ("Edited by somebody else" in merged) is differently


def test_without_a_branch_there_is_nothing_to_merge(catalog: Path) -> None:
    with pytest.raises(LabError, match="no branch"):
        striker(catalog).strike(made(Merge, merge="proposal"))
