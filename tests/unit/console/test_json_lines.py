"""Events as lines that are acknowledged: the run stands still until the reader says so, or has gone."""

from __future__ import annotations

import io
import os

import pytest

from ferryman.console.json_lines import ACKNOWLEDGE, JsonLines, acknowledgements
from ferryman.errors import UsageError
from ferryman.events import Occurrence, StepStarted

BEGUN = Occurrence("2026-01-01T00:00:00Z", "run", StepStarted(0, "A step", "check"))


def test_each_line_takes_one_acknowledgement_and_a_reader_that_has_gone_is_not_waited_for() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"..")
    stream = io.StringIO()
    lines = JsonLines(stream, reading)
    lines(BEGUN)
    os.set_blocking(reading, False)
    assert os.read(reading, 10) == b"."
    os.close(writing)
    lines(BEGUN)
    lines(BEGUN)
    os.close(reading)
    lines(BEGUN)
    assert stream.getvalue().count("\n") == 4


def test_without_the_variable_nothing_is_waited_for() -> None:
    assert acknowledgements({}) is None


@pytest.mark.parametrize("named", ["", "x", "-1", "987654", "9" * 30])
def test_a_file_that_is_not_open_is_refused_before_anything_is_begun(named: str) -> None:
    with pytest.raises(UsageError, match="is no open file descriptor"):
        acknowledgements({ACKNOWLEDGE: named})


def test_an_open_file_is_taken() -> None:
    assert acknowledgements({ACKNOWLEDGE: "0"}) == 0
