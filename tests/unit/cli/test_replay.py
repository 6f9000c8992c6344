"""``ferryman replay``: exit codes, suites, what is told, and what is written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree as ET

import pytest

from ferryman.tape.file import Entry, Tape, read, write

REPOSITORY = Path(__file__).parents[3]
TAPES = REPOSITORY / "tests" / "tapes"


def ferryman(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command where there is no inventory, no lab and no journal; only the cookbooks."""
    config = folder / "ferryman.toml"
    config.write_text(f'cookbooks = ["{REPOSITORY / "cookbooks"}"]\ninventory = "nowhere"\n')
    command = [sys.executable, "-m", "ferryman", "--config", str(config), *words]
    environment = {**os.environ, "COLUMNS": "300"}
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=60, env=environment
    )


def different(was: Tape, to: Path) -> None:
    """Write a tape that says of a check that it failed."""
    entries = [
        Entry(entry.after_s, entry.kind, {**entry.data, "verdict": "fail"})
        if entry.data.get("check") == "tunnel-device"
        else entry
        for entry in was.entries
    ]
    write(to, was.header, entries)


def test_an_equal_tape_ends_with_0_and_changes_no_file(tmp_path: Path) -> None:
    done = ferryman(tmp_path, "replay", str(TAPES / "check.tape"))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("equal")
    assert [path.name for path in tmp_path.iterdir()] == ["ferryman.toml"]


def test_a_suite_names_what_is_different_and_ends_with_8(tmp_path: Path) -> None:
    suite = tmp_path / "suite"
    suite.mkdir()
    different(read(TAPES / "check.tape"), suite / "b.tape")
    (suite / "a.tape").write_bytes((TAPES / "check.tape").read_bytes())
    done = ferryman(tmp_path, "replay", str(suite), "--junit", str(tmp_path / "out.xml"))
    assert done.returncode == 8
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["equal", "different"]
    assert "tunnel-device: pass, and was fail" in lines[2]
    (cases,) = ET.parse(tmp_path / "out.xml").getroot()  # our own file
    assert [len(case) for case in cases] == [0, 1]


def test_what_cannot_be_read_ends_with_2_and_the_others_are_replayed(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.tape"
    garbage.write_bytes(b"\x1f\x8b garbage")
    done = ferryman(tmp_path, "replay", str(garbage), str(TAPES / "check.tape"))
    assert done.returncode == 2
    assert "unusable" in done.stdout
    assert "equal" in done.stdout


@pytest.mark.parametrize(
    ("name", "why"), [("gone.tape", "cannot be read: No such file"), ("empty", "has no tape in it")]
)
def test_what_is_not_there_is_named(tmp_path: Path, name: str, why: str) -> None:
    (tmp_path / "empty").mkdir()
    done = ferryman(tmp_path, "replay", str(tmp_path / name))
    assert done.returncode == 2
    assert why in done.stdout + done.stderr


def test_a_cookbook_that_is_gone_is_named(tmp_path: Path) -> None:
    was = read(TAPES / "check.tape")
    write(tmp_path / "a.tape", replace(was.header, cookbook="sunk"), was.entries)
    done = ferryman(tmp_path, "replay", str(tmp_path / "a.tape"))
    assert done.returncode == 2
    assert "no cookbook 'sunk'" in done.stdout


def test_programs_get_a_line_for_each_tape(tmp_path: Path) -> None:
    done = ferryman(tmp_path, "--output", "json", "replay", str(TAPES / "check.tape"))
    (line,) = map(json.loads, done.stdout.splitlines())
    assert (line["result"], line["difference"], line["error"], line["told"]) == ("equal", None, None, [])


def test_only_a_tape_that_differs_in_reads_is_written_anew(tmp_path: Path) -> None:
    was = read(TAPES / "check.tape")
    facts = next(entry for entry in was.entries if entry.data.get("verb") == "facts")
    more, other = tmp_path / "more.tape", tmp_path / "other.tape"
    write(more, was.header, (*was.entries[:-2], facts, *was.entries[-2:]))
    different(was, other)
    before = other.read_bytes()
    told = ferryman(tmp_path, "replay", str(more))
    assert "told: it did not ask" in told.stdout
    done = ferryman(tmp_path, "replay", "--update", str(more), str(other))
    assert done.returncode == 8
    assert read(more).entries == was.entries
    assert other.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--keep", "check.tape"], "--keep goes with --lab"),
        (["--lab", "--update", "check.tape"], "--update writes what a replay reads"),
        (["--lab", "--keep", "check.tape", "check-warns.tape"], "--keep leaves one lab up"),
    ],
)
def test_words_that_do_not_go_together_with_a_lab_are_refused(
    tmp_path: Path, words: list[str], why: str
) -> None:
    named = [str(TAPES / word) if word.endswith(".tape") else word for word in words]
    done = ferryman(tmp_path, "replay", *named)
    assert (done.returncode, why in done.stderr) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["ferryman.toml"]


@pytest.mark.parametrize("action", ["resume", "rollback"])
def test_a_run_that_was_taken_up_again_is_unusable_in_a_lab_and_none_is_booted(
    tmp_path: Path, action: Literal["resume", "rollback"]
) -> None:
    was = read(TAPES / "check.tape")
    write(tmp_path / "a.tape", replace(was.header, action=action), was.entries)
    done = ferryman(tmp_path, "replay", "--lab", str(tmp_path / "a.tape"))
    assert done.returncode == 2
    assert f"is of a {action}; in a lab only whole runs can be run" in done.stdout
    assert not (tmp_path / ".ferryman").exists()
