from __future__ import annotations

import threading

import pytest

from ferryman.fleet.dial import Deadline, within


def test_what_does_not_answer_is_left_when_the_time_is_up() -> None:
    never = threading.Event()
    with pytest.raises(TimeoutError, match=r"no answer within 0.01 s"):
        within(Deadline(0.01), never.wait)
    never.set()


def test_what_is_raised_inside_comes_out() -> None:
    def fail() -> None:
        raise LookupError("inside")

    with pytest.raises(LookupError, match="inside"):
        within(Deadline(5), fail)


def test_what_is_returned_inside_comes_out_even_when_it_is_nothing() -> None:
    assert within(Deadline(5), lambda: 7) == 7
    assert within(Deadline(5), lambda: None) is None


def test_a_deadline_counts_down_and_not_below_nothing() -> None:
    now = [100.0]
    deadline = Deadline(5, clock=lambda: now[0])
    now[0] = 103.0
    assert deadline.left() == 2.0
    now[0] = 200.0
    assert deadline.left() == 0.0
