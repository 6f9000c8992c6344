"""Each deliberate change turns exactly the tapes red that decide otherwise (``decision_changes``)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ferryman.tape.file import read
from unit.tape.decision_changes import CHANGES, Change

REPOSITORY = Path(__file__).parents[3]
TAPES = sorted((REPOSITORY / "tests" / "tapes").glob("*.tape"))


@pytest.mark.extended  # each replays every tape
@pytest.mark.timeout(300)
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_it_turns_exactly_these_tapes_red(change: Change, tmp_path: Path) -> None:
    for folder in ("lib", "cookbooks"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    file = tmp_path / change.file
    text = file.read_text()
    assert change.there in text, f"{change.file} has changed: {change.name} must be told anew"
    file.write_text(text.replace(change.there, change.instead))
    assert red(tmp_path) == expected(change)


def expected(change: Change) -> set[str]:
    if isinstance(change.turns_red, frozenset):
        return set(change.turns_red)
    return {path.stem for path in TAPES if change.turns_red(path.stem, read(path).header)}


def red(copy: Path) -> set[str]:
    """The tapes that go differently with the code of a copy."""
    config = copy / "ferryman.toml"
    config.write_text('cookbooks = ["cookbooks"]\ninventory = "nowhere"\n')
    command = [sys.executable, "-m", "ferryman", "--config", str(config), "--output", "json", "replay"]
    done = subprocess.run(
        [*command, str(REPOSITORY / "tests" / "tapes")],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env={**os.environ, "PYTHONPATH": str(copy / "lib")},
    )
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(results) == len(TAPES), done.stderr
    assert {result["result"] for result in results} <= {"equal", "different"}, done.stdout
    return {Path(result["tape"]).stem for result in results if result["result"] == "different"}
