"""Moments of a run: which event each is, whatever the preflight looked at before."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import pytest

from ferryman.rehearsal.moments import SOAK, Follower, Moment, waiting_for

if TYPE_CHECKING:
    from collections.abc import Iterator

PLAN = [
    "Every realserver is set up",
    "The catalog says IPIP",
    "lvs2 is changed",
    "The watch finds nothing wrong for a while with lvs2 changed",
    "lvs1 is changed",
    "The watch finds nothing wrong for a while with lvs1 changed",
]
LOOKS, CHANGES = (0, 3, 5), (1, 2, 4)


def event(kind: str, step: int, phase: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"event": kind, "step": step, "phase": phase, "title": PLAN[step], **more}


def phase_of(step: int, phase: str) -> Iterator[dict[str, Any]]:
    yield event("step-started", step, phase)
    yield event("step-finished", step, phase, outcome="ok")


def migration() -> list[dict[str, Any]]:
    """The events of a run that looks at everything and then goes through its steps, and is undone."""
    events: list[dict[str, Any]] = [{"event": "run-started", "plan": PLAN}]
    for step in (0, *CHANGES):
        events += phase_of(step, "check")
    for step in range(1, 6):
        for phase in ("check",) if step in LOOKS else ("check", "do", "verify"):
            events += phase_of(step, phase)
    for step in reversed(CHANGES):
        events += phase_of(step, "undo")
    return events


def hits(text: str) -> list[str]:
    """Where a moment is seen in the migration: the number of the event, step and phase."""
    moment, follower, found = Moment.parse(text), Follower(), []
    for number, each in enumerate(migration()):
        follower.see(each)
        if follower.is_at(moment, each):
            found.append(f"{number}: {each['event']} {each['step']} {each['phase']}")
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("in preflight of step 1", "1: step-started 0 check"),
        ("in preflight of step 2", "3: step-started 1 check"),
        ("before step 2", "9: step-started 1 check"),
        ("during step 2", "11: step-started 1 do"),
        ("after step 2", "14: step-finished 1 verify"),
        ('before step "lvs1 is changed"', "23: step-started 4 check"),
        ("in soak", "21: step-started 3 check"),
        ("in soak of lvs1", "29: step-started 5 check"),
        ("during step 4", "21: step-started 3 check"),
        ("after step 4", "22: step-finished 3 check"),
        ("during undo of step 5", "31: step-started 4 undo"),
        ('after  undo of step "The catalog"', "36: step-finished 1 undo"),
    ],
)
def test_each_moment_is_one_event(text: str, expected: str) -> None:
    assert hits(text)[0] == expected


@pytest.mark.parametrize("text", ["before step 1", "during step 1", "after step 1"])
def test_a_look_of_the_preflight_has_no_other_moment(text: str) -> None:
    assert hits(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sometimes",
        "at step 3",
        "before step 0",
        "during step x",
        "after -1 seconds",
        "in soak of",
        "during step 3 4",
    ],
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        Moment.parse(text)


def test_seconds_and_commands_are_read() -> None:
    assert Moment.parse("after 2.5 seconds").seconds == 2.5
    assert Moment.parse("before command 2").number == 2
    assert not Moment.parse("start").in_a_process


def test_a_step_that_the_plan_has_not_is_told_before_anything_is_changed() -> None:
    follower = Follower(plan=PLAN)
    assert follower.problem(Moment.parse("after step 7")) == "the plan has 6 steps"
    assert follower.problem(Moment.parse("after step 6")) == ""
    assert "2 steps have 'is changed' in their title" in follower.problem(
        Moment.parse('after step "is changed"')
    )
    assert "0 steps have" in follower.problem(Moment.parse('after step "no such words"'))
    assert follower.problem(Moment.parse('after step "lvs1 is"')) == ""


def test_the_branch_that_is_waited_for_is_read_from_the_finding() -> None:
    waiting = {
        "event": "finding",
        "check": "catalog-review",
        "seen": "waiting for ferryman/static to be merged",
    }
    assert waiting_for(waiting) == "ferryman/static"
    assert waiting_for({"seen": "it was merged"}) is None
    assert Follower().is_at(Moment.parse("in review"), waiting)


def test_the_soak_is_called_what_its_step_is_called() -> None:
    watch = importlib.import_module("ferryman.cookbook.steps.watch")
    titles = [str(found.__doc__) for found in vars(watch).values() if isinstance(found, type)]
    assert any(title.startswith(SOAK) for title in titles)
