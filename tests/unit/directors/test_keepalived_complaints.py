"""What counts of keepalived's own test: complaints that are new, in whatever order, however often."""

from __future__ import annotations

from typing import Any

import pytest

from ferryman.directors.keepalived.complaints import (
    complaints,
    from_json,
    inconclusive,
    new_complaints,
    shown,
    to_json,
)
from ferryman.errors import ArgumentError
from ferryman.hosts.verbs.keepalived_trial import Said

AS_IS = Said(
    5,
    (
        "(Line 4) number '0' outside range [0.000001, 4294.967295]",
        "(Line 4) vrrp_garp_interval '0' is invalid",
        "(/etc/keepalived/keepalived.conf: Line 11) Unknown keyword 'nat_mask'",
        "(/etc/keepalived/web.conf: Line 17) Unknown keyword 'nb_get_retry'",
        "Virtual server [10.99.0.7]:tcp:80: no scheduler set, setting default 'wlc'",
    ),
)


def later(*lines: str, status: int = 5) -> Said:
    return Said(status, lines)


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ("(Line 9) Unknown keyword 'tun_type'", ["(Line 9) Unknown keyword 'tun_type'"]),
        (
            "(/etc/keepalived/web.conf: Line 30) Unknown keyword 'nb_get_retry'",
            ["(/etc/keepalived/web.conf: Line 30) Unknown keyword 'nb_get_retry'"],
        ),
        (
            "Virtual server [10.99.0.8]:tcp:80: no scheduler set, setting default 'wlc'",
            ["Virtual server [10.99.0.8]:tcp:80: no scheduler set, setting default 'wlc'"],
        ),
    ],
    ids=["kind", "place", "virtual server"],
)
def test_a_complaint_that_was_not_there_is_new(extra: str, said: list[str]) -> None:
    assert new_complaints(AS_IS, later(*AS_IS.lines, extra)) == said


@pytest.mark.parametrize(
    "after",
    [
        AS_IS,
        later(*reversed(AS_IS.lines)),
        later(*AS_IS.lines, *AS_IS.lines, *AS_IS.lines),
        later(*AS_IS.lines[1:]),
        later(*(line.replace("Line 11", "Line 13").replace("Line 17", "Line 19") for line in AS_IS.lines)),
        later(*(line.replace("/etc/keepalived/", "/tmp/tmp.x7/") for line in AS_IS.lines)),
        later(*(f"Mon Nov 30 14:02:0{count}: {line}" for count, line in enumerate(AS_IS.lines))),
        later(*(f"Mon Nov 30 14:02:0{count} 2026: {line}" for count, line in enumerate(AS_IS.lines))),
        later(status=0),
    ],
    ids=[
        "the same",
        "order",
        "repeated",
        "fewer",
        "lines moved",
        "elsewhere",
        "time",
        "time and year",
        "gone",
    ],
)
def test_the_same_complaints_in_another_form_are_not_new(after: Said) -> None:
    assert new_complaints(AS_IS, after) == []


def test_numbers_of_now_make_no_new_complaint() -> None:
    """``$_RANDOM`` in a text, or the id of a process in a message."""
    assert (
        new_complaints(later("(Line 25) Unknown keyword 'b20183'"), later("(Line 25) Unknown keyword 'b77'"))
        == []
    )


@pytest.mark.parametrize(
    ("was", "now", "worse"),
    [(0, 5, True), (5, 6, True), (5, 2, True), (6, 4, True), (5, 0, False), (6, 5, False), (4, 4, False)],
)
def test_a_status_counts_where_it_gets_worse(was: int, now: int, *, worse: bool) -> None:
    lines = new_complaints(later(status=was), later(status=now))
    assert bool(lines) is worse
    assert all(f"ends with status {now}" in line for line in lines)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (Said(124, ()), "does not end in time"),
        (Said(139, ("Segmentation fault",)), "it ends with status 139: Segmentation fault"),
        (
            Said(1, ("keepalived: unrecognized option '--config-test'", "Usage: keepalived [OPTION...]")),
            "unrecognized option '--config-test': it cannot test a configuration",
        ),
        (Said(127, ("sh: 1: keepalived: not found",)), "keepalived: not found"),
        (
            Said(2, ("(Line 2) *** Configuration line starting `lvs_sched` is missing a parameter",)),
            "would end at a reload",
        ),
    ],
)
def test_a_test_that_does_not_get_through_says_nothing_of_an_edit(said: Said, why: str) -> None:
    (line,) = inconclusive(said)
    assert why in line
    assert inconclusive(AS_IS) == inconclusive(Said(4, ("interface eth9 doesn't exist",))) == []


def test_what_is_kept_of_it_comes_back_and_is_each_complaint_once() -> None:
    twice = Said(5, AS_IS.lines * 2)
    assert from_json(to_json(twice)) == AS_IS
    assert from_json(None) == Said(0, ())
    assert complaints(twice) == AS_IS.lines


@pytest.mark.parametrize("value", [{}, [], 5, "x", {"status": "5", "lines": []}, {"status": 5, "lines": [1]}])
def test_what_somebody_else_wrote_into_the_journal_is_an_error(value: Any) -> None:  # noqa: ANN401  # it may be anything
    with pytest.raises(ArgumentError, match="out of the journal, is not understood"):
        from_json(value)


def test_a_message_shows_ten_complaints_and_counts_the_others() -> None:
    text = shown(f"(Line {number}) no" for number in range(13))
    assert text.endswith("(Line 9) no; and 3 more")
