"""Answers that came only when they were asked for again: told from a packet that is lost now and then."""

from __future__ import annotations

from ferryman.engine.retries import Retries
from ferryman.errors import DoubtError, FerrymanError, VerifyError

ALLOWED = 5


def after(seconds: list[float], *, clean_between: bool = True) -> FerrymanError | None:
    """What becomes of a host that was asked again at these seconds; the first error."""
    retries = Retries(ALLOWED)
    for second in seconds:
        if clean_between:
            retries.count("probes", (), second)
        if (error := retries.count("probes", {"web1"}, second)) is not None:
            return error
    return None


def test_as_many_as_are_let_pass_stop_nothing() -> None:
    assert after([5.0 * number for number in range(ALLOWED)]) is None


def test_one_more_within_a_minute_is_a_doubt_that_names_the_host_and_how_many() -> None:
    error = after([5.0 * number for number in range(ALLOWED + 1)])
    assert isinstance(error, DoubtError)
    assert "web1: in 6 rounds within 60 s it answered only when the SYN was sent again" in str(error)


def test_one_more_in_a_row_is_a_failure() -> None:
    error = after([float(number) for number in range(ALLOWED + 1)], clean_between=False)
    assert isinstance(error, VerifyError)
    assert "web1: in 6 rounds in a row" in str(error)


def test_one_every_twenty_seconds_stops_no_run_however_long_it_takes() -> None:
    assert after([20.0 * number for number in range(10_000)]) is None


def test_hosts_and_looks_are_counted_apart() -> None:
    retries = Retries(1)
    assert retries.count("probes", {"web1"}, 0) is None
    assert retries.count("probes", {"web2"}, 1) is None
    assert retries.count("requests", {"web1"}, 2) is None
    assert retries.count("probes", {"web2"}, 3) is not None


def test_none_may_be_let_pass_and_a_single_one_is_a_doubt() -> None:
    assert isinstance(Retries(0).count("probes", {"web1"}, 0), DoubtError)


def test_a_failure_is_told_before_a_doubt() -> None:
    retries = Retries(2)
    assert retries.count("probes", {"now and then"}, 0) is None
    assert retries.count("probes", {"now and then", "always"}, 1) is None
    assert retries.count("probes", {"always"}, 2) is None
    error = retries.count("probes", {"now and then", "always"}, 3)
    assert isinstance(error, VerifyError)
    assert str(error).startswith("always: ")
