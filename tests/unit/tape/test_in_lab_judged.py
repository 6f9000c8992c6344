"""A run in a lab compared with the recorded one: what counts, what does not, and where judging ends."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ferryman.tape.file import Entry, Tape, read
from ferryman.tape.in_lab.judging import judge
from ferryman.tape.in_lab.names import Names
from ferryman.tape.in_lab.unlike import Unlike

if TYPE_CHECKING:
    from collections.abc import Callable

TAPES = Path(__file__).parents[2] / "tapes"
NOBODY = Names({}, {})


@cache
def tape(name: str) -> Tape:
    return read(TAPES / f"{name}.tape")


def edited(was: Tape, edit: Callable[[Entry], Entry | None]) -> Tape:
    return replace(was, entries=tuple(now for entry in was.entries if (now := edit(entry)) is not None))


def other_verdict(was: Tape, check: str, host: str, verdict: str) -> Tape:
    def edit(entry: Entry) -> Entry:
        about = (entry.data.get("check"), entry.data.get("host"))
        return (
            replace(entry, data={**entry.data, "verdict": verdict})
            if entry.kind == "event" and about == (check, host)
            else entry
        )

    return edited(was, edit)


def told(recorded: Tape, now: Tape, unlike: Unlike | None = None, phases: int | None = None) -> str:
    return str(judge(recorded, now, NOBODY, unlike or Unlike(), phases).difference)


@pytest.mark.parametrize("name", ["done-ipvsadm", "done-kubernetes", "refused-rp-filter", "stranded"])
def test_a_run_is_equal_to_itself(name: str) -> None:
    found = judge(tape(name), tape(name), NOBODY, Unlike())
    assert (found.difference, found.told) == (None, ())


def test_another_verdict_is_different_and_named() -> None:
    now = other_verdict(tape("done-ipvsadm"), "rp-filter", "web2", "warn")
    assert "web2 rp-filter: warn, and was pass" in told(tape("done-ipvsadm"), now)


def test_a_finding_that_is_not_judged_may_be_another_one() -> None:
    now = other_verdict(tape("done-ipvsadm"), "rp-filter", "web2", "warn")
    unlike = Unlike()
    unlike.add("web2: it", ["rp-filter"], "web2")
    assert told(tape("done-ipvsadm"), now, unlike) == "None"
    elsewhere = other_verdict(tape("done-ipvsadm"), "rp-filter", "web1", "warn")
    assert "web1 rp-filter" in told(tape("done-ipvsadm"), elsewhere, unlike)


def test_a_run_that_was_refused_by_what_is_not_judged_is_judged_up_to_there() -> None:
    unlike = Unlike()
    unlike.add("web2: its settings", ["rp-filter", "probe"], "web2")
    found = judge(tape("refused-rp-filter"), tape("done-ipvsadm"), NOBODY, unlike)
    assert found.difference is None
    assert found.told == (
        "from step 1 on, Every realserver of static is set up to unwrap IPIP (check), nothing is judged",
    )


def test_after_what_struck_in_the_middle_nothing_is_judged() -> None:
    assert told(tape("rolled-back"), tape("done-ipvsadm")) != "None"
    found = judge(tape("rolled-back"), tape("done-ipvsadm"), NOBODY, Unlike(), 5)
    assert found.difference is None
    (line,) = found.told
    assert line.startswith("from step 5 on, ")


def test_another_outcome_is_different() -> None:
    def edit(entry: Entry) -> Entry:
        if entry.kind != "outcome":
            return entry
        return replace(entry, data={**entry.data, "outcome": "held", "exit_code": 5})

    now = edited(tape("done-ipvsadm"), edit)
    assert told(tape("done-ipvsadm"), now) == (
        "it ended held (exit code 5), and the recorded run done (exit code 0)\n"
        "  done: every change is made and verified"
    )


def test_a_change_that_was_not_made_is_different() -> None:
    def edit(entry: Entry) -> Entry | None:
        return None if entry.data.get("event") == "change" and entry.data["kind"] == "catalog" else entry

    assert "gone: change of catalog services.yaml applied" in told(
        tape("done-ipvsadm"), edited(tape("done-ipvsadm"), edit)
    )


def test_how_often_the_watch_looked_does_not_count() -> None:
    now = edited(
        tape("done-ipvsadm"), lambda entry: None if entry.data.get("lane", "run") == "watch" else entry
    )
    assert told(tape("done-ipvsadm"), now) == "None"


def test_names_and_addresses_are_those_of_the_lab() -> None:
    names = Names({"web1": "one"}, {ip_address("10.99.0.3"): ip_address("10.99.0.2")})

    def edit(entry: Entry) -> Entry:
        data = {
            key: names.text(value) if key in ("host", "vip", "target") else value
            for key, value in entry.data.items()
        }
        return replace(entry, data=data)

    was = tape("check-warns")
    plan = tuple(replace(step, about=tuple(map(names.text, step.about))) for step in was.header.plan)
    now = replace(edited(was, edit), header=replace(was.header, plan=plan))
    assert judge(was, now, names, Unlike()).difference is None
    assert judge(was, now, NOBODY, Unlike()).difference is not None


def test_without_a_review_of_the_catalog_the_common_steps_are_judged() -> None:
    was = tape("done-ipvsadm")
    plan = list(was.header.plan)
    plan[8] = replace(plan[8], step="AwaitReview")
    other = replace(was, header=replace(was.header, plan=tuple(plan)))
    assert "step 9 is" in told(other, was)
    found = judge(other, was, NOBODY, Unlike(other_plan=True))
    assert found.difference is None
    assert found.told[0].startswith("from step 9 on, ")


def test_a_tape_that_was_cut_off_is_judged_as_far_as_it_is_whole() -> None:
    was = tape("done-ipvsadm")
    cut = replace(was, entries=was.entries[: len(was.entries) // 2], whole=False)
    found = judge(cut, was, NOBODY, Unlike())
    assert found.difference is None
    assert found.told
