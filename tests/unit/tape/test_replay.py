"""Replays of the tapes in ``tests/tapes``, recorded in the lab: equal today, and red where they must be.

What is changed on purpose is changed in the tape or in the cookbook, never in what compares them.
"""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ferryman.cli.discovery import read as cookbooks_in
from ferryman.cli.replay import finder
from ferryman.cookbook import load
from ferryman.cookbook.replay import Replay, replayed
from ferryman.errors import TapeError
from ferryman.retry import poll_until
from ferryman.tape.file import Entry, Tape, read
from ferryman.tape.world import TapeWorld

if TYPE_CHECKING:
    from collections.abc import Callable

REPOSITORY = Path(__file__).parents[3]
TAPES = sorted((REPOSITORY / "tests" / "tapes").glob("*.tape"))
find = finder(cookbooks_in([REPOSITORY / "cookbooks"]))


def tape(name: str) -> Tape:
    return read(REPOSITORY / "tests" / "tapes" / f"{name}.tape")


def changed(was: Tape, change: Callable[[Entry], Entry | None]) -> Replay:
    """The replay of a tape in which each entry is what the function makes of it; None: it is gone."""
    entries = (change(entry) for entry in was.entries)
    return replayed(replace(was, entries=tuple(each for each in entries if each is not None)), find)


def first(was: Tape, fits: Callable[[Entry], bool], new: Callable[[Entry], Entry | None]) -> Replay:
    """The replay of a tape with its first entry that fits changed."""
    done = False

    def change(entry: Entry) -> Entry | None:
        nonlocal done
        if done or not fits(entry):
            return entry
        done = True
        return new(entry)

    replay = changed(was, change)
    assert done, "no entry fits: the test shows nothing"
    return replay


def with_data(entry: Entry, **data: Any) -> Entry:  # noqa: ANN401  # JSON
    return replace(entry, data={**entry.data, **data})


@pytest.fixture(autouse=True)
def nothing_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """No socket, no process and no sleep: a replay that tries one fails."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a replay went outside")

    for place, name in ((socket, "socket"), (subprocess, "Popen"), (time, "sleep")):
        monkeypatch.setattr(place, name, refuse)


def test_there_are_twenty_tapes_at_least() -> None:
    assert len(TAPES) >= 20


@pytest.mark.parametrize("path", TAPES, ids=lambda path: path.stem)
def test_every_decision_is_the_recorded_one(path: Path) -> None:
    done = replayed(read(path), find)
    assert done.difference is None, str(done.difference)


def test_a_finding_with_another_verdict_is_the_first_difference() -> None:
    done = first(
        tape("done-ipvsadm"),
        lambda entry: entry.kind == "event" and entry.data.get("check") == "rp-filter",
        lambda entry: with_data(entry, verdict="warn"),
    )
    assert done.difference is not None
    assert "web1 rp-filter: pass, and was warn" in str(done.difference)


def test_an_answer_that_is_another_one_is_decided_on_anew() -> None:
    strict = first(
        tape("done-ipvsadm"),
        lambda entry: entry.data.get("verb") == "facts",
        lambda entry: with_data(
            entry,
            value=json.loads(
                json.dumps(entry.data["value"]).replace("conf/ipip0/rp_filter:0", "conf/ipip0/rp_filter:1")
            ),
        ),
    )
    assert strict.difference is not None
    assert "rp-filter" in str(strict.difference)


def test_a_question_that_was_not_recorded_names_the_closest_one() -> None:
    done = changed(
        tape("done-ipvsadm"),
        lambda entry: (
            with_data(entry, arguments={"addresses": {"$tuple": []}})
            if entry.data.get("verb") == "host-routes"
            else entry
        ),
    )
    assert done.difference is not None
    text = str(done.difference)
    assert "host-routes" in text
    assert "the closest that was recorded is" in text
    assert "addresses was" in text


def test_a_write_that_is_not_made_any_more_is_a_difference_though_all_else_is_equal() -> None:
    was = tape("done-ipvsadm")
    last = next(entry for entry in reversed(was.entries) if entry.data.get("writes"))
    done = replayed(replace(was, entries=(*was.entries[:-2], last, *was.entries[-2:])), find)
    assert done.difference is not None
    assert "it did not do" in str(done.difference)


def test_writes_in_another_order_are_a_difference_though_each_was_recorded() -> None:
    was = tape("done-ipvsadm")
    one, other = (
        place for place, entry in enumerate(was.entries) if entry.data.get("verb") == "add-host-routes"
    )
    entries = list(was.entries)
    entries[one], entries[other] = entries[other], entries[one]
    done = replayed(replace(was, entries=tuple(entries)), find)
    assert done.difference is not None
    assert "where the recorded run first did lvs1: add-host-routes" in str(done.difference)


def test_an_alarm_stops_the_run_where_it_came() -> None:
    was = tape("done-ipvsadm")
    place = next(
        place
        for place, entry in enumerate(was.entries)
        if entry.data.get("title", "").startswith("The watch")
    )
    alarm = Entry(0.0, "alarm", {"error": {"type": "VerifyError", "message": "the lease is lost"}})
    done = replayed(replace(was, entries=(*was.entries[: place + 1], alarm, *was.entries[place + 1 :])), find)
    assert done.difference is not None
    assert "The watch finds nothing wrong" in done.difference.step
    assert done.difference.what == "gone: lvs2 soak pass"


def test_a_read_that_is_not_made_any_more_is_told_and_updated() -> None:
    was = tape("check")
    facts = next(entry for entry in was.entries if entry.data.get("verb") == "facts")
    more = replace(was, entries=(*was.entries[:-2], facts, *was.entries[-2:]))
    done = replayed(more, find)
    assert done.difference is None
    assert "it did not ask" in done.told[0]
    again = replayed(replace(was, entries=done.entries), find)
    assert (again.difference, again.told) == (None, ())


def test_a_read_that_is_made_once_more_gets_the_same_answer_and_is_told() -> None:
    was = tape("done-ipvsadm")
    tables = [
        entry
        for entry in was.entries
        if (entry.data.get("verb"), entry.data.get("host"), entry.data.get("lane"))
        == ("ipvs-table", "lvs2", "run")
    ]
    done = changed(was, lambda entry: None if entry is tables[-1] else entry)
    assert done.difference is None
    assert done.told == ("it asked lvs2: ipvs-table more often than the recorded run",)
    again = replayed(replace(was, entries=done.entries), find)
    assert (again.difference, again.told) == (None, ())


def before_the_edit(was: Tape) -> list[int]:
    """The places at which the run read the table of the first director before it edited that."""
    edit = next(place for place, entry in enumerate(was.entries) if entry.data.get("verb") == "edit-table")
    return [
        place
        for place, entry in enumerate(was.entries[:edit])
        if (entry.data.get("verb"), entry.data.get("host")) == ("ipvs-table", "lvs2")
    ]


def test_a_read_that_is_not_made_any_more_before_a_change_answers_nothing_after_it() -> None:
    was = tape("done-ipvsadm")
    place = before_the_edit(was)[-1]
    doubled = (*was.entries[:place], *[was.entries[place]] * 3, *was.entries[place:])
    done = replayed(replace(was, entries=doubled), find)
    assert done.difference is None, str(done.difference)
    assert any(line.startswith("it did not ask lvs2: ipvs-table") for line in done.told)


def test_what_was_read_after_a_change_answers_nothing_that_is_asked_once_more_before_it() -> None:
    was = tape("done-ipvsadm")
    place = before_the_edit(was)[-1]
    done = replayed(replace(was, entries=(*was.entries[:place], *was.entries[place + 1 :])), find)
    assert done.difference is None, str(done.difference)
    assert "it asked lvs2: ipvs-table more often than the recorded run" in done.told


@pytest.mark.parametrize("name", ["done-ipvsadm", "killed-and-back", "stranded", "rolled-back"])
def test_a_tape_that_was_cut_off_anywhere_goes_the_same_as_far_as_it_goes(name: str) -> None:
    was = tape(name)
    for part in (0.05, 0.3, 0.6, 0.9):
        cut = replace(was, entries=was.entries[: int(len(was.entries) * part)], whole=False)
        done = replayed(cut, find)
        assert done.difference is None, f"{part}: {done.difference}"


def test_a_watch_that_was_cut_off_judges_nothing_twice_that_it_saw_once() -> None:
    was = tape("rolled-back")
    seen = next(
        place
        for place, entry in enumerate(was.entries)
        if (entry.data.get("lane"), entry.data.get("verdict")) == ("watch", "fail")
    )
    for further in (6, 13, 20):
        cut = replace(was, entries=was.entries[: seen + further], whole=False)
        assert replayed(cut, find).difference is None, f"{further} entries after it saw something"


def test_a_cookbook_that_is_not_there_is_named() -> None:
    was = tape("check")
    gone = replace(was, header=replace(was.header, cookbook="sunk"))
    with pytest.raises(TapeError, match="no cookbook 'sunk'"):
        replayed(gone, find)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"service": "web", "site": "lab", "colour": "green"}, "takes no argument 'colour'"),
        ({"site": "lab"}, "makes no plan of these arguments"),
    ],
)
def test_arguments_that_are_none_of_the_cookbook_s_are_refused(arguments: dict[str, Any], why: str) -> None:
    was = tape("check")
    with pytest.raises(TapeError, match=why):
        replayed(replace(was, header=replace(was.header, arguments=arguments)), find)


@pytest.mark.parametrize("config", [{"probe": {"tries": "many"}}, {"watch": []}, {"inventory": 3}])
def test_a_configuration_that_is_none_is_refused(config: dict[str, Any]) -> None:
    was = tape("check")
    with pytest.raises(TapeError, match="configuration is not understood"):
        replayed(replace(was, header=replace(was.header, config=config)), find)


@pytest.mark.parametrize("journal", [{}, {"plan": 1}, {"plan": [], "fingerprint": "", "records": [3]}])
def test_a_journal_that_is_none_is_refused(journal: dict[str, object]) -> None:
    was = tape("done-and-back-2")
    with pytest.raises(TapeError, match="journal is not understood"):
        replayed(replace(was, header=replace(was.header, journal=journal)), find)


def test_an_answer_that_wants_to_be_more_than_data_is_refused() -> None:
    with pytest.raises(TapeError, match="no class of values"):
        first(
            tape("done-ipvsadm"),
            lambda entry: entry.data.get("verb") == "ipvs-table",
            lambda entry: with_data(entry, value={"$": "Popen", "args": ["/bin/sh"]}),
        )


def test_a_cookbook_that_waits_for_ever_does_not_hang_a_replay(tmp_path: Path) -> None:
    was = tape("check")
    cookbook = tmp_path / "check.py"
    cookbook.write_text(
        '''"""Waits."""
from dataclasses import dataclass
from ferryman import waits
from ferryman.cookbook import Ferry, Look, Plan, Report, cookbook, service_argument, site_option

@dataclass(frozen=True)
class Waits(Look):
    """It waits."""
    def look(self, report: Report) -> None:
        while True:
            waits.sleep(1)

@cookbook
@service_argument
@site_option
def check(ferry, service, site, **_):
    """Wait."""
    return Plan([Waits()])
'''
    )
    done = replayed(was, lambda _: load(cookbook))
    assert done.difference is not None


def test_a_thread_of_the_watch_that_goes_on_does_not_hide_that_another_waits() -> None:
    world = TapeWorld(read(TAPES[0]))
    world._watch_lives = True

    def wait(place: int) -> None:
        with world._turn:
            world._wait_as_watch(place)

    def begun(threads: int) -> bool:
        with world._turn:
            return len(world._watch_at) == threads

    waiting = [threading.Thread(target=wait, args=(place,), daemon=True) for place in (50, 5)]
    for number, thread in enumerate(waiting, start=1):
        thread.start()
        assert poll_until(lambda: begun(number), bool, within_s=60, every_s=0.001)  # noqa: B023  # called at once
    with world._turn:
        world._let_the_watch_go(10)
        assert world._watch_at == [50]
        assert world.difference is None
        world._limit = 51
        world._turn.notify_all()
    for thread in waiting:
        thread.join()


def test_the_watch_goes_as_far_as_it_was_before_the_run_tells_it_something() -> None:
    """The tape has no call at which it could be seen how far that was, but for the turn itself."""
    was = read(TAPES[0])
    turn = Entry(0.0, "turn", {"lane": "run"})
    world = TapeWorld(replace(was, entries=(*was.entries[:2], turn, *was.entries[2:])))
    world._watch_lives = True
    told = threading.Event()

    def tell() -> None:
        world.turn()
        told.set()

    def asks(*places: int) -> bool:
        with world._turn:
            world._watch_at[:] = places
            world._turn.notify_all()
        return told.wait(0.2)

    runs = threading.Thread(target=tell, daemon=True)
    runs.start()
    assert not asks(1)
    assert poll_until(lambda: asks(3), bool, within_s=60, every_s=0.001)
    runs.join()
    assert world.difference is None
    world.turn()  # there is no other one: nobody is waited for


def test_a_turn_behind_a_change_is_not_waited_for_before_it() -> None:
    was = tape("done-ipvsadm")
    entries = tuple(entry for entry in was.entries if entry.kind != "turn")
    place = next(place for place, entry in enumerate(entries) if entry.data.get("writes")) + 1
    turn = Entry(0.0, "turn", {"lane": "run"})
    world = TapeWorld(replace(was, entries=(*entries[:place], turn, *entries[place:])))
    world._watch_lives = True
    world.turn()
    assert len(world._lanes["run"].turns) == 1
