"""The recorder: what it hears is on the tape in its order; no run waits for it, or fails with it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from ferryman import waits
from ferryman.errors import BusyError, UnreachableError, VerifyError
from ferryman.hosts.fake import FakeHosts, Printed
from ferryman.hosts.verbs.fence import TakeOver
from ferryman.hosts.verbs.ipvs import IpvsTable
from ferryman.hosts.verbs.realservers import ReadCounters
from ferryman.tape.appending import TapeWriter
from ferryman.tape.file import Entry, read
from ferryman.tape.keys import CallKey
from ferryman.tape.recorder import Recorder
from ferryman.tape.recording import RecordingHosts
from unit.tape.samples import HEADER

if TYPE_CHECKING:
    from pathlib import Path

KEY = CallKey("dns", "web1", "addresses", {})
OUTCOME = {"outcome": "done", "exit_code": 0, "reason": "", "seconds": 0}


class Recorded:
    """A recorder with its tape."""

    def __init__(self, path: Path) -> None:
        self.recorder = Recorder()
        self._path = path

    def start(self) -> None:
        self.recorder.start(TapeWriter(self._path, HEADER))

    def entries(self) -> tuple[Entry, ...]:
        self.recorder.close(OUTCOME)
        return read(self._path).entries[:-1]

    def calls(self) -> list[dict[str, Any]]:
        return [entry.data for entry in self.entries() if entry.kind == "call"]


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    return Recorded(tmp_path / "a.tape")


def test_what_comes_before_the_header_is_written_behind_it(recorded: Recorded) -> None:
    assert recorded.recorder.call(KEY, lambda: 1) == 1
    recorded.start()
    recorded.recorder.call(KEY, lambda: 2)
    assert [call["value"] for call in recorded.calls()] == [1, 2]


def test_an_error_is_raised_and_kept(recorded: Recorded) -> None:
    recorded.start()

    def fail() -> None:
        raise UnreachableError("web1: connect: no answer")

    with pytest.raises(UnreachableError):
        recorded.recorder.call(KEY, fail)
    (call,) = recorded.calls()
    assert call["error"] == {"type": "UnreachableError", "message": "web1: connect: no answer"}


def test_locks_that_others_have_are_kept(recorded: Recorded) -> None:
    recorded.start()

    def busy() -> None:
        raise BusyError("another run", keys={"static"}, at_work=True)

    with pytest.raises(BusyError):
        recorded.recorder.acquire(busy)
    (call,) = recorded.calls()
    assert (call["port"], call["error"]["with"]["at_work"]) == ("locks", True)


def test_waits_are_kept_but_not_those_inside_of_a_call(recorded: Recorded) -> None:
    recorded.start()
    with waits.using(recorded.recorder):
        waits.sleep(0)
        recorded.recorder.call(KEY, lambda: waits.sleep(0))
        assert waits.current().is_past(0.0)
        assert not waits.current().is_past(waits.monotonic() + 100)
    kinds = [entry.kind for entry in recorded.entries()]
    assert kinds == ["wait", "call", "time-up"]


def test_a_wait_that_is_cut_short_says_so(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded.start()

    def cut(seconds: float) -> None:
        raise VerifyError("stop")

    monkeypatch.setattr("ferryman.tape.recorder.time.sleep", cut)
    with pytest.raises(VerifyError):
        recorded.recorder.sleep(5)
    (wait,) = recorded.entries()
    assert wait.data == {"lane": "run", "seconds": 5, "interrupted": True}


def test_how_far_the_watch_was_when_it_was_told_something_is_kept(recorded: Recorded) -> None:
    recorded.start()
    with waits.using(recorded.recorder):
        waits.turn()
    (turn,) = recorded.entries()
    assert (turn.kind, turn.data) == ("turn", {"lane": "run"})


def test_a_signal_is_written_before_what_comes_next(recorded: Recorded) -> None:
    recorded.start()
    recorded.recorder.signalled("SIGTERM")
    recorded.recorder.call(KEY, lambda: None)
    assert [entry.kind for entry in recorded.entries()] == ["signal", "call"]


def test_the_watch_has_a_lane_of_its_own_and_its_alarm_is_not_kept(recorded: Recorded) -> None:
    recorded.start()

    def watch() -> None:
        waits.become_the_watch()
        recorded.recorder.call(KEY, lambda: None)
        recorded.recorder.alarmed(VerifyError("the watch: no answer"))

    thread = threading.Thread(target=watch)
    thread.start()
    thread.join()
    recorded.recorder.alarmed(BusyError("the lease is lost"))
    call, alarm = recorded.entries()
    assert (call.data["lane"], alarm.kind) == ("watch", "alarm")


def test_hosts_answer_through_a_recorder_as_they_do_without(recorded: Recorded) -> None:
    hosts = FakeHosts()
    hosts.answer("lvs1", IpvsTable, Printed("-A -t 10.99.0.1:80 -s wrr\n"))
    hosts.answer("web1", ReadCounters, {"ListenDrops": 3})
    hosts.down("web2")
    through = RecordingHosts(hosts, recorded.recorder)
    recorded.start()
    assert through.read("lvs1", IpvsTable()) == hosts.read("lvs1", IpvsTable())
    found = through.read_all({"web1": ReadCounters(), "web2": ReadCounters()})
    assert found["web1"] == {"ListenDrops": 3}
    assert isinstance(found["web2"], UnreachableError)
    assert [(call["host"], "error" in call) for call in recorded.calls()] == [
        ("lvs1", False),
        ("web1", False),
        ("web2", True),
    ]


def test_what_was_asked_together_is_kept_by_each_question_of_its_own(recorded: Recorded) -> None:
    hosts = FakeHosts()
    hosts.answer("lvs1", IpvsTable, ())
    hosts.answer("*", ReadCounters, {"ListenDrops": 3})
    hosts.answer("lvs1", TakeOver, None)
    hosts.down("web2")
    through = RecordingHosts(hosts, recorded.recorder)
    recorded.start()
    found = through.read_together({"lvs1": [IpvsTable(), ReadCounters()], "web2": [ReadCounters()]})
    assert found["lvs1"] == [(), {"ListenDrops": 3}]
    assert isinstance(found["web2"][0], UnreachableError)
    assert through.write_and_read("lvs1", TakeOver(), [IpvsTable()]) == (None, [()])
    with pytest.raises(UnreachableError):
        through.write_and_read("web2", TakeOver(), [ReadCounters()])
    assert [(call["host"], call["verb"], "error" in call) for call in recorded.calls()] == [
        ("lvs1", "ipvs-table", False),
        ("lvs1", "counters", False),
        ("web2", "counters", True),
        ("lvs1", "take-over", False),
        ("lvs1", "ipvs-table", False),
        ("web2", "take-over", True),
    ]


def test_a_value_that_no_tape_can_hold_ends_the_tape_and_not_the_run(recorded: Recorded) -> None:
    recorded.start()
    assert isinstance(recorded.recorder.call(KEY, object), object)
    assert recorded.recorder.call(KEY, lambda: 1) == 1
    recorded.recorder.close(OUTCOME)
