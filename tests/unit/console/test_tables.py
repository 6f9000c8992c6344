"""Lists for people: laid out by Rich for a terminal, and a row to a line for everything else."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ferryman.console import tables

if TYPE_CHECKING:
    from collections.abc import Sequence

ROWS: Sequence[dict[str, object]] = [
    {"run": "1", "what": "one", "exit_code": 0},
    {"run": "22", "what": None, "exit_code": 3},
]


@pytest.fixture(autouse=True)
def _no_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FORCE_COLOR", raising=False)


def show(rows: Sequence[dict[str, object]]) -> None:
    tables.show(rows, ["run", "what", "exit_code"], as_json=False, empty="no runs yet")


def test_a_pipe_gets_a_row_to_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    show(ROWS)
    assert capsys.readouterr().out.splitlines() == [
        "run   what   exit code",
        "──────────────────────",
        "1     one    0",
        "22           3",
    ]


def test_nothing_to_list_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    show([])
    assert capsys.readouterr().out == "no runs yet\n"


def test_a_text_is_never_folded_in_a_pipe_however_long_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    show([{"run": "1", "what": "long " * 200, "exit_code": 0}])
    _, rule, row = capsys.readouterr().out.splitlines()
    assert row.count("long") == 200
    assert len(rule) == tables.LONGEST_RULE


def test_a_text_of_several_lines_keeps_them_in_its_column(capsys: pytest.CaptureFixture[str]) -> None:
    show([{"run": "1", "what": "one\ntwo", "exit_code": 0}])
    assert capsys.readouterr().out.splitlines()[2:] == ["1     one    0", "      two"]


def test_columns_stand_below_each_other_also_where_letters_are_wide(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show([{"run": "1", "what": "漢字", "exit_code": 0}, {"run": "2", "what": "abcd", "exit_code": 0}])
    assert capsys.readouterr().out.splitlines()[2:] == ["1     漢字   0", "2     abcd   0"]


def test_one_object_has_a_line_for_each_of_its_values(capsys: pytest.CaptureFixture[str]) -> None:
    tables.show_one({"run": "1", "exit_code": 0, "reason": "", "task": None})
    assert capsys.readouterr().out.splitlines() == ["run        1", "exit code  0"]


def test_who_wants_colours_in_a_pipe_has_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")  # a pipeline's is often dumb, which has no colours
    tables.show([{"run": "done"}], ["run"], as_json=False, empty="")
    assert "\x1b[32mdone" in capsys.readouterr().out


def test_a_terminal_has_a_table_in_colours() -> None:
    script = (
        "from ferryman.console import tables\n"
        "tables.show([{'run': 'done'}], ['run'], as_json=False, empty='')\n"
    )
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    subprocess.run([sys.executable, "-c", script], stdout=theirs, env=environment, check=True)
    shown = os.read(ours, 10_000).decode()
    os.close(ours)
    os.close(theirs)
    assert "\x1b[32mdone" in shown


def test_a_diff_in_a_pipe_is_the_diff(capsys: pytest.CaptureFixture[str]) -> None:
    tables.diff("--- a\n+++ b\n-x\ty\n+z\n")
    assert capsys.readouterr().out == "--- a\n+++ b\n-x\ty\n+z\n"
