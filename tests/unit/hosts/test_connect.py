from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from ferryman.hosts.connect import Deadline, Timeouts, within

if TYPE_CHECKING:
    from collections.abc import Iterator


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


@pytest.fixture(name="timeouts")
def some_timeouts() -> Iterator[Timeouts]:
    before = threading.active_count()
    timeouts = Timeouts()
    yield timeouts
    timeouts.close()
    assert threading.active_count() == before, threading.enumerate()


def test_a_timeout_goes_off_once_its_time_has_come(timeouts: Timeouts) -> None:
    rung = threading.Event()
    with timeouts.after(0.01, rung.set):
        assert rung.wait(60)


def test_a_timeout_set_later_that_is_due_earlier_goes_off_first(timeouts: Timeouts) -> None:
    early, late = threading.Event(), threading.Event()
    with timeouts.after(60, late.set), timeouts.after(0.01, early.set):
        assert early.wait(60)
        assert not late.is_set()


def test_what_a_timeout_does_may_take_its_time_and_holds_up_no_other(timeouts: Timeouts) -> None:
    stuck, other = threading.Event(), threading.Event()
    with timeouts.after(0.01, stuck.wait), timeouts.after(0.02, other.set):
        assert other.wait(60)
    stuck.set()


def test_a_timeout_is_off_once_the_body_has_ended(timeouts: Timeouts) -> None:
    ended, after = threading.Event(), threading.Event()
    with timeouts.after(0.05, ended.set):
        pass
    with timeouts.after(0.1, after.set):
        assert after.wait(60)
    assert not ended.is_set()


def test_timeouts_that_were_closed_start_again(timeouts: Timeouts) -> None:
    with timeouts.after(60, lambda: None):
        pass
    timeouts.close()
    rung = threading.Event()
    with timeouts.after(0.01, rung.set):
        assert rung.wait(60)
