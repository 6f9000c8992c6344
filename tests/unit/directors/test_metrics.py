from __future__ import annotations

import pytest

from ferryman.directors.liberica.status import Status, clock
from ferryman.directors.metrics import samples


def test_a_sample_stands_in_one_line_with_its_labels() -> None:
    text = '# HELP up x\nup{peer="a b",state="\\"}\\""} 1 1700000000\nup 2\ndown 3\n'
    found = samples(text, "up")
    assert [(sample.labels, sample.value) for sample in found] == [
        ({"peer": "a b", "state": '\\"}\\"'}, 1.0),
        ({}, 2.0),
    ]


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf", "1e999", "", "x"])
def test_a_value_that_is_no_finite_number_is_passed_over(value: str) -> None:
    assert samples(f"up {value}\n", "up") == []


def test_a_brace_that_is_never_closed_costs_its_own_line_alone() -> None:
    # One of these read to the end of the text from each line: 128 KB of them took 16 s.
    assert [sample.value for sample in samples('up{a="\n' * 16_000 + "up 7\n", "up")] == [7.0]


@pytest.mark.parametrize("written", ["9" * 5000, "\u0661\u0667", "\u00b2", "-1", "1.5", ""])
def test_a_file_time_that_is_none_is_unknown(written: str) -> None:
    assert Status.of({"written": written}).written is None


def test_a_number_that_is_no_time_is_said_to_be_unknown() -> None:
    status = Status.of({"cp": "process_start_time_seconds 1e300\n"})
    assert clock(status.resumed) == "no known time"
    assert status.latest_s == int(1e300)
