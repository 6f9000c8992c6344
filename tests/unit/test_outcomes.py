"""The table of outcomes: the contract's words and numbers, and what the docs and the errors make of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from ferryman import errors
from ferryman.outcomes import Outcome, RunOutcome, RunResult

PAGE = (Path(__file__).parents[2] / "docs" / "reference.md").read_text()
CONTRACT = {
    "DONE": ("done", 0),
    "ROLLED_BACK_AS_ASKED": ("rolled-back", 0),
    "ERROR": ("error", 1),
    "USAGE": ("error", 2),
    "REFUSED": ("refused", 3),
    "ROLLED_BACK": ("rolled-back", 4),
    "STRANDED": ("stranded", 5),
    "BUSY": ("busy", 6),
    "HELD": ("held", 7),
    "DIFFERENT": ("different", 8),
    "INTERRUPTED": ("interrupted", 130),
}
"""Other programs rely on these: a number that changes here breaks them."""
EXIT_CODES = {
    errors.FerrymanError: 1,
    errors.UsageError: 2,
    errors.ConfigError: 2,
    errors.InventoryError: 2,
    errors.JournalError: 2,
    errors.LabError: 2,
    errors.TapeError: 2,
    errors.RefusedError: 3,
    errors.VerifyError: 4,
    errors.ArgumentError: 4,
    errors.CommandFailedError: 4,
    errors.ArgumentError: 4,
    errors.WorldChangedError: 4,
    errors.BusyError: 6,
    errors.DoubtError: 7,
    errors.NotFollowedError: 7,
    errors.UnreachableError: 7,
    errors.UnknownOutcomeError: 7,
    errors.InterruptedRunError: 130,
    errors.DryRunError: 1,
}
"""What a command ends with when the error reaches the command line."""


def test_words_and_exit_codes_are_the_contract_s() -> None:
    assert {row.name: (row.word, row.exit_code) for row in Outcome} == CONTRACT


def test_the_words_are_those_of_the_type() -> None:
    assert {row.word for row in Outcome} == set(get_args(RunOutcome))


def test_the_reference_has_the_table() -> None:
    section = PAGE.partition("## Exit codes\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (\d+) \| `([\w-]+)` \| (.+) \|$", section, re.MULTILINE)
    assert rows == [(str(row.exit_code), row.word, row.meaning) for row in Outcome]


def test_the_reference_has_the_words_of_the_event() -> None:
    line = next(line for line in PAGE.splitlines() if line.startswith("| `run-finished` |"))
    words = re.findall(r"`([\w-]+)`", line.partition("`outcome` (")[2].partition(")")[0])
    assert {*words, "different"} == set(get_args(RunOutcome)), "rehearsals are different, runs are not"


def test_no_error_is_without_its_exit_code_here() -> None:
    defined = {
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)
    }
    assert defined == set(EXIT_CODES)


@pytest.mark.parametrize(("error", "exit_code"), EXIT_CODES.items())
def test_each_error_has_its_exit_code(error: type[errors.FerrymanError], exit_code: int) -> None:
    assert error.exit_code == exit_code


@pytest.mark.parametrize("error", EXIT_CODES)
def test_the_tree_of_errors_names_each_one_s_row(error: type[errors.FerrymanError]) -> None:
    row = re.search(rf"\b{error.__name__} +(\w+)", errors.__doc__ or "")
    assert row is not None
    assert Outcome[row[1]].exit_code == error.exit_code


def test_a_result_has_the_word_and_the_exit_code_of_its_row() -> None:
    result = RunResult(Outcome.HELD, "lvs1 is silent", "20261122-221943-abcd")
    assert (result.outcome, result.exit_code) == ("held", 7)
