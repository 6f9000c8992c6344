"""Output that cannot be written, whose reader has gone, or whose window is narrow."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tools import first_of
from unit.cli.stage import NEW, OLD, Stage, Streams

if TYPE_CHECKING:
    from collections.abc import Iterator

FULL = Path("/dev/full")
PAINT = re.compile(r"\x1b\[[0-9;]*m")

STREAMS_THAT_TAKE_NOTHING = [
    "all closed",
    "stderr closed",
    "stdout full",
    "both full",
    "stdout closed",
    "both closed",
    "stderr full",
]


@contextmanager
def streams_that_take_nothing(which: str, stage: Stage, shown: Path) -> Iterator[Streams]:
    """Standard input, output and error; what is said on one that works is in ``shown``."""
    place, state = which.split()
    with FULL.open("wb") as full, shown.open("wb") as file:
        hole = full.fileno() if state == "full" else None
        yield (
            None if place == "all" else stage.nowhere,
            file.fileno() if place == "stderr" else hole,
            file.fileno() if place == "stdout" else hole,
        )


@pytest.mark.parametrize(
    ("which", "form"),
    [
        ("both closed", "json"),
        ("both full", "json"),
        *first_of([(which, "human") for which in STREAMS_THAT_TAKE_NOTHING], 4),
    ],
)
def test_streams_that_take_nothing_leave_a_run_its_rollback(
    stage: Stage, tmp_path: Path, which: str, form: str
) -> None:
    stage.workspace.have("fault-after")
    with streams_that_take_nothing(which, stage, tmp_path / "shown") as streams:
        assert stage.elsewhere("--output", form, "waiting", "--yes", streams=streams).code() == 4
    stage.expect(OLD, "rolled-back", 4)
    stage.expect_whole_journal()
    text = (tmp_path / "shown").read_text()
    assert "Traceback" not in text
    assert "Exception ignored" not in text


@pytest.mark.parametrize("form", first_of(["human", "json"]))
@pytest.mark.parametrize("which", first_of(["stdout full", "all closed", "both full", "stdout closed"], 2))
def test_a_run_that_could_not_tell_is_done_all_the_same_and_says_so_in_its_exit_code(
    stage: Stage, tmp_path: Path, which: str, form: str
) -> None:
    with streams_that_take_nothing(which, stage, tmp_path / "shown") as streams:
        assert stage.elsewhere("--output", form, "waiting", "--yes", streams=streams).code() == 1
    stage.expect(NEW, "done", 0)
    said = (tmp_path / "shown").read_text()
    if which.startswith("stdout"):
        assert f"run {stage.run()['run']}: done (exit code 0)" in said
        assert "the output is not whole: [Errno " in said


@pytest.mark.parametrize("which", ["stderr closed", "stderr full"])
def test_standard_error_alone_is_not_what_a_run_is_asked_for(
    stage: Stage, tmp_path: Path, which: str
) -> None:
    with streams_that_take_nothing(which, stage, tmp_path / "shown") as streams:
        assert stage.elsewhere("waiting", "--yes", streams=streams).code() == 0
    stage.expect(NEW, "done", 0)


@pytest.mark.parametrize("form", first_of(["human", "json"]))
@pytest.mark.parametrize("which", first_of(["stdout full", "stdout closed"]))
@pytest.mark.parametrize(
    "words", [("runs",), ("show",), ("list",), ("inventory", "lint"), ("waiting", "--dry-run")]
)
def test_what_only_reads_and_could_not_tell_takes_nothing_for_success(
    stage: Stage, tmp_path: Path, words: tuple[str, ...], which: str, form: str
) -> None:
    stage.workspace.make_unsound_but_usable()
    assert stage.elsewhere("waiting", "--yes").code() == 0
    stage.workspace.make_old()
    words = (*words, stage.run()["run"]) if words == ("show",) else words
    with streams_that_take_nothing(which, stage, tmp_path / "shown") as streams:
        assert stage.elsewhere("--output", form, *words, streams=streams).code() == 1
    said = (tmp_path / "shown").read_text()
    assert "the output is not whole: [Errno " in said
    assert "Traceback" not in said


@pytest.mark.parametrize("form", first_of(["human", "json"]))
@pytest.mark.parametrize("words", [("runs",), ("list",), ("waiting", "--dry-run")])
def test_what_only_reads_is_quiet_when_its_reader_has_gone(
    stage: Stage, tmp_path: Path, words: tuple[str, ...], form: str
) -> None:
    assert stage.elsewhere("waiting", "--yes").code() == 0
    stage.workspace.make_old()
    reading, writing = os.pipe()
    os.close(reading)
    with (tmp_path / "shown").open("wb") as shown:
        child = stage.elsewhere("--output", form, *words, streams=(stage.nowhere, writing, shown.fileno()))
        os.close(writing)
        assert child.code() == 1
    assert "not whole" not in (tmp_path / "shown").read_text()
    assert "Traceback" not in (tmp_path / "shown").read_text()


@pytest.mark.parametrize("form", first_of(["human", "json"]))
def test_a_reader_that_goes_after_one_line_changes_nothing(stage: Stage, tmp_path: Path, form: str) -> None:
    stage.workspace.have("fault-after")
    stage.workspace.stop_at("look-before")
    reading, writing = os.pipe()
    with (tmp_path / "shown").open("wb") as shown, os.fdopen(reading, "rb") as reader:
        streams = (stage.nowhere, writing, shown.fileno())
        child = stage.elsewhere("--output", form, "waiting", "--yes", streams=streams)
        os.close(writing)
        assert stage.workspace.reached() == "look-before"
        assert reader.readline()
    stage.workspace.go_on()
    assert child.code() == 4
    stage.expect(OLD, "rolled-back", 4)
    assert "Traceback" not in (tmp_path / "shown").read_text()


def test_a_list_that_cannot_be_written_is_an_error(stage: Stage, tmp_path: Path) -> None:
    with FULL.open("wb") as full, (tmp_path / "shown").open("wb") as shown:
        child = stage.elsewhere("list", streams=(stage.nowhere, full.fileno(), shown.fileno()))
        assert child.code() == 1
    assert "the output is not whole: [Errno 28] No space left on device" in (tmp_path / "shown").read_text()


@pytest.mark.parametrize("words", [("runs",), ("show",), ("list",), ("lab", "fault", "list")])
def test_in_a_narrow_window_no_name_is_broken(stage: Stage, words: tuple[str, ...]) -> None:
    assert stage.elsewhere("waiting", "--yes").code() == 0
    run = stage.run()
    names = {
        "runs": [run["run"], run["outcome"], run["started"]],
        "show": [run["run"], "step-started", "verified"],
        "list": ["waiting"],
        "lab": ["rp-filter-all-loose-over-strict", "breaks-in-soak"],
    }[words[0]]
    stage.terminal.narrow(40)
    child = stage.in_the_terminal(*words, *([run["run"]] if words == ("show",) else []))
    assert child.code() == 0
    for name in names:
        stage.terminal.wait_for(name)
    widest = max(len(PAINT.sub("", line).rstrip()) for line in stage.terminal.shown.splitlines())
    assert widest <= 40, stage.terminal.shown
