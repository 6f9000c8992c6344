"""Every cookbook in the tree keeps the house's rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from ferryman.cli import shelf

FOLDER = Path(__file__).parents[3] / "cookbooks"
VOLUMES = list(shelf.read([FOLDER]).all())


def test_there_are_some() -> None:
    assert {"check", "migrate"} <= {volume.name for volume in VOLUMES}


@pytest.mark.parametrize("volume", VOLUMES, ids=lambda volume: volume.name)
def test_it_imports_has_an_owner_and_a_line_for_help(volume: shelf.Volume) -> None:
    command = volume.load()
    assert volume.owner
    assert volume.summary.endswith((".", "?", "!"))
    assert (command.help or "").startswith(volume.summary)


@pytest.mark.parametrize("volume", VOLUMES, ids=lambda volume: volume.name)
def test_its_help_says_why_what_can_break_how_long_and_how_it_goes_back(volume: shelf.Volume) -> None:
    text = volume.load().help or ""
    assert [label for label in ("Why:", "Risk:", "Takes:", "Undo:") if label not in text] == []


@pytest.mark.parametrize("volume", VOLUMES, ids=lambda volume: volume.name)
def test_it_imports_no_adapter(volume: shelf.Volume) -> None:
    """A runbook says what, through the names of ``ferryman.cookbook``; how it is done lives below."""
    lines = volume.file.read_text().splitlines()
    imported = {line.split()[1] for line in lines if line.startswith(("import ", "from "))}
    assert {name for name in imported if name.startswith("ferryman")} <= {"ferryman.cookbook"}
