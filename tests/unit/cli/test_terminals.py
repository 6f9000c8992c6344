"""The real command line in real terminals: signals, windows that close, readers that go away.

Whatever happens, at whatever moment: all is old or all is new, and the journal says which.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from unit.cli.harbour import Child, Harbour
from unit.cli.shore import Shore
from unit.cli.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FULL = Path("/dev/full")
PAINT = re.compile(r"\x1b\[[0-9;]*m")
OLD, NEW = ("old", "old"), ("new", "new")
EVENTS = 24
"""How many a run tells that is done."""
CTRL_C, CTRL_Z, CTRL_D = "\x03", "\x1a", "\x04"
Streams = tuple[int | None, int | None, int | None]


@pytest.fixture(scope="module")
def harbour() -> Iterator[Harbour]:
    with Harbour() as harbour:
        yield harbour


@pytest.fixture
def shore(tmp_path: Path, harbour: Harbour) -> Iterator[Shore]:
    shore = Shore(tmp_path)
    yield shore
    harbour.clear()
    shore.close()


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    with Terminal() as terminal:
        yield terminal


@pytest.fixture
def nowhere() -> Iterator[int]:
    with Path(os.devnull).open("r+b") as null:
        yield null.fileno()


@dataclass
class Stage:
    """Ferryman at work on this shore."""

    harbour: Harbour
    shore: Shore
    terminal: Terminal
    nowhere: int

    def in_the_terminal(self, *words: str) -> Child:
        inside = self.terminal.inside
        return self.harbour.start(self.shore.folder, words, (inside,) * 3, terminal=inside)

    def elsewhere(
        self, *words: str, streams: Streams | None = None, ignoring: tuple[signal.Signals, ...] = ()
    ) -> Child:
        return self.harbour.start(self.shore.folder, words, streams or (self.nowhere,) * 3, ignoring=ignoring)

    def told(self, *words: str) -> list[dict[str, Any]]:
        """What a command says in JSON."""
        reading, writing = os.pipe()
        with os.fdopen(reading, encoding="utf-8") as reader:
            child = self.elsewhere("--output", "json", *words, streams=(self.nowhere, writing, self.nowhere))
            os.close(writing)
            lines = [json.loads(line) for line in reader]
        assert child.code() == 0
        return lines

    def run(self) -> dict[str, Any]:
        """The latest run in the journal."""
        return self.told("runs")[0]

    def expect(self, files: tuple[str, str], outcome: str, code: int) -> None:
        """The world is so, and the journal says so."""
        assert self.shore.files == files
        run = self.run()
        assert (run["outcome"], run["exit_code"]) == (outcome, code)

    def expect_whole_journal(self) -> None:
        """The latest run is in it to its end, and every change that it began is verified or put back."""
        kinds = [record["kind"] for record in self.told("show", self.run()["run"])]
        assert kinds[0] == "run-started"
        assert self.run()["outcome"] not in ("open", "held", "stranded")
        assert kinds.count("intent") == kinds.count("verified") or "undone" in kinds


@pytest.fixture
def stage(harbour: Harbour, shore: Shore, terminal: Terminal, nowhere: int) -> Stage:
    return Stage(harbour, shore, terminal, nowhere)


def press_ctrl_c(stage: Stage, child: Child) -> None:
    stage.terminal.type(CTRL_C)


def send(number: signal.Signals) -> Callable[[Stage, Child], None]:
    return lambda stage, child: child.signal(number)


every_wish = pytest.mark.parametrize(
    "wish", [press_ctrl_c, send(signal.SIGTERM), send(signal.SIGHUP)], ids=["ctrl-c", "term", "hup"]
)


@every_wish
@pytest.mark.parametrize(
    ("place", "said"), [("look-before", "nothing was changed"), ("look-after", "all is as before, verified")]
)
def test_a_look_is_given_up_at_once(
    stage: Stage, place: str, said: str, wish: Callable[[Stage, Child], None]
) -> None:
    stage.shore.stop_at(place)
    child = stage.in_the_terminal("river", "--yes")
    assert stage.shore.reached() == place
    wish(stage, child)
    assert child.code() == 130
    stage.terminal.wait_for(said)
    stage.expect(OLD, "interrupted", 130)


@every_wish
def test_a_change_is_finished_first_and_then_all_goes_back(
    stage: Stage, wish: Callable[[Stage, Child], None]
) -> None:
    stage.shore.stop_at("do-b")
    child = stage.in_the_terminal("river", "--yes")
    assert stage.shore.reached() == "do-b"
    wish(stage, child)
    stage.terminal.wait_for("going back; a change under way is finished first")
    stage.shore.go_on()
    assert child.code() == 130
    stage.terminal.wait_for("all is as before, verified")
    stage.expect(OLD, "interrupted", 130)


@every_wish
def test_at_the_question_it_is_a_no(stage: Stage, wish: Callable[[Stage, Child], None]) -> None:
    child = stage.in_the_terminal("river")
    stage.terminal.wait_for("Go on?")
    wish(stage, child)
    assert child.code() == 130
    stage.terminal.wait_for("nothing was changed")
    stage.expect(OLD, "interrupted", 130)


def test_a_second_ctrl_c_strands_the_run_and_rollback_finishes_it(stage: Stage) -> None:
    stage.shore.stop_at("look-after", "undo-b")
    child = stage.in_the_terminal("river", "--yes")
    assert stage.shore.reached() == "look-after"
    stage.terminal.type(CTRL_C)
    assert stage.shore.reached() == "undo-b"
    stage.terminal.type(CTRL_C)
    assert child.code() == 5
    stage.expect(NEW, "stranded", 5)
    assert stage.elsewhere("river", "--yes").code() == 6, "its lock is kept"

    stage.shore.stop_at()
    stranded = next(run["run"] for run in stage.told("runs") if run["outcome"] == "stranded")
    assert stage.elsewhere("rollback", stranded).code() == 0
    assert stage.shore.files == OLD
    assert stage.elsewhere("river", "--yes").code() == 0, "its lock is free"


@pytest.mark.parametrize("place", ["look-before", "do-a", "look-after"])
def test_a_window_that_closes_takes_the_run_back(stage: Stage, place: str) -> None:
    stage.shore.stop_at(place)
    child = stage.in_the_terminal("river", "--yes")
    assert stage.shore.reached() == place
    stage.terminal.hang_up()
    stage.shore.go_on()
    assert child.code() == 130
    stage.expect(OLD, "interrupted", 130)
    stage.expect_whole_journal()


def test_a_window_that_closes_at_the_question_is_a_no(stage: Stage) -> None:
    child = stage.in_the_terminal("river")
    stage.terminal.wait_for("Go on?")
    stage.terminal.hang_up()
    assert child.code() == 130
    stage.expect(OLD, "interrupted", 130)


def test_a_window_that_closes_on_the_way_back_does_not_stop_it(stage: Stage) -> None:
    stage.shore.have("storm-after")
    stage.shore.stop_at("undo-b")
    child = stage.in_the_terminal("river", "--yes")
    assert stage.shore.reached() == "undo-b"
    stage.terminal.hang_up()
    stage.shore.go_on()
    assert child.code() == 4
    stage.expect(OLD, "rolled-back", 4)


def test_no_answer_at_the_question_is_a_no(stage: Stage) -> None:
    child = stage.in_the_terminal("river")
    stage.terminal.wait_for("Go on?")
    stage.terminal.type(CTRL_D)
    assert child.code() == 130
    stage.expect(OLD, "interrupted", 130)


STREAMS_THAT_TAKE_NOTHING = [
    "stdout closed",
    "stderr closed",
    "both closed",
    "all closed",
    "stdout full",
    "stderr full",
    "both full",
]


@contextmanager
def streams_that_take_nothing(which: str, stage: Stage, shown: Path) -> Iterator[Streams]:
    """Standard input, output and error; what is said on one that works is in ``shown``."""
    place, state = which.split()
    with FULL.open("wb") as full, shown.open("wb") as file:
        hole = full.fileno() if state == "full" else None
        yield (
            None if place == "all" else stage.nowhere,
            file.fileno() if place == "stderr" else hole,
            file.fileno() if place == "stdout" else hole,
        )


@pytest.mark.parametrize(
    ("which", "form"),
    [
        *((which, "human") for which in STREAMS_THAT_TAKE_NOTHING),
        ("both closed", "json"),
        ("both full", "json"),
    ],
)
def test_streams_that_take_nothing_leave_a_run_its_way_back(
    stage: Stage, tmp_path: Path, which: str, form: str
) -> None:
    stage.shore.have("storm-after")
    with streams_that_take_nothing(which, stage, tmp_path / "shown") as streams:
        assert stage.elsewhere("--output", form, "river", "--yes", streams=streams).code() == 4
    stage.expect(OLD, "rolled-back", 4)
    stage.expect_whole_journal()
    text = (tmp_path / "shown").read_text()
    assert "Traceback" not in text
    assert "Exception ignored" not in text


@pytest.mark.parametrize("form", ["human", "json"])
@pytest.mark.parametrize("which", ["all closed", "both full", "stdout closed", "stdout full"])
def test_a_run_that_could_not_tell_is_done_all_the_same_and_says_so_in_its_exit_code(
    stage: Stage, tmp_path: Path, which: str, form: str
) -> None:
    with streams_that_take_nothing(which, stage, tmp_path / "shown") as streams:
        assert stage.elsewhere("--output", form, "river", "--yes", streams=streams).code() == 1
    stage.expect(NEW, "done", 0)
    said = (tmp_path / "shown").read_text()
    if which.startswith("stdout"):
        assert f"run {stage.run()['run']}: done (exit code 0)" in said
        assert "the output is not whole: [Errno " in said


@pytest.mark.parametrize("which", ["stderr closed", "stderr full"])
def test_standard_error_alone_is_not_what_a_run_is_asked_for(
    stage: Stage, tmp_path: Path, which: str
) -> None:
    with streams_that_take_nothing(which, stage, tmp_path / "shown") as streams:
        assert stage.elsewhere("river", "--yes", streams=streams).code() == 0
    stage.expect(NEW, "done", 0)


@pytest.mark.parametrize("form", ["human", "json"])
@pytest.mark.parametrize("which", ["stdout closed", "stdout full"])
@pytest.mark.parametrize(
    "words", [("runs",), ("show",), ("list",), ("inventory", "lint"), ("river", "--dry-run")]
)
def test_what_only_reads_and_could_not_tell_takes_nothing_for_success(
    stage: Stage, tmp_path: Path, words: tuple[str, ...], which: str, form: str
) -> None:
    stage.shore.make_unsound_but_usable()
    assert stage.elsewhere("river", "--yes").code() == 0
    stage.shore.make_old()
    words = (*words, stage.run()["run"]) if words == ("show",) else words
    with streams_that_take_nothing(which, stage, tmp_path / "shown") as streams:
        assert stage.elsewhere("--output", form, *words, streams=streams).code() == 1
    said = (tmp_path / "shown").read_text()
    assert "the output is not whole: [Errno " in said
    assert "Traceback" not in said


@pytest.mark.parametrize("form", ["human", "json"])
@pytest.mark.parametrize("words", [("runs",), ("list",), ("river", "--dry-run")])
def test_what_only_reads_is_quiet_when_its_reader_has_gone(
    stage: Stage, tmp_path: Path, words: tuple[str, ...], form: str
) -> None:
    assert stage.elsewhere("river", "--yes").code() == 0
    stage.shore.make_old()
    reading, writing = os.pipe()
    os.close(reading)
    with (tmp_path / "shown").open("wb") as shown:
        child = stage.elsewhere("--output", form, *words, streams=(stage.nowhere, writing, shown.fileno()))
        os.close(writing)
        assert child.code() == 1
    assert "not whole" not in (tmp_path / "shown").read_text()
    assert "Traceback" not in (tmp_path / "shown").read_text()


@pytest.mark.parametrize("form", ["human", "json"])
def test_a_reader_that_goes_after_one_line_changes_nothing(stage: Stage, tmp_path: Path, form: str) -> None:
    stage.shore.have("storm-after")
    stage.shore.stop_at("look-before")
    reading, writing = os.pipe()
    with (tmp_path / "shown").open("wb") as shown, os.fdopen(reading, "rb") as reader:
        streams = (stage.nowhere, writing, shown.fileno())
        child = stage.elsewhere("--output", form, "river", "--yes", streams=streams)
        os.close(writing)
        assert stage.shore.reached() == "look-before"
        assert reader.readline()
    stage.shore.go_on()
    assert child.code() == 4
    stage.expect(OLD, "rolled-back", 4)
    assert "Traceback" not in (tmp_path / "shown").read_text()


def test_a_list_that_cannot_be_written_is_an_error(stage: Stage, tmp_path: Path) -> None:
    with FULL.open("wb") as full, (tmp_path / "shown").open("wb") as shown:
        child = stage.elsewhere("list", streams=(stage.nowhere, full.fileno(), shown.fileno()))
        assert child.code() == 1
    assert "the output is not whole: [Errno 28] No space left on device" in (tmp_path / "shown").read_text()


@pytest.mark.parametrize("words", [("runs",), ("show",), ("list",), ("lab", "fault", "list")])
def test_in_a_narrow_window_no_name_is_broken(stage: Stage, words: tuple[str, ...]) -> None:
    assert stage.elsewhere("river", "--yes").code() == 0
    run = stage.run()
    names = {
        "runs": [run["run"], run["outcome"], run["started"]],
        "show": [run["run"], "step-started", "verified"],
        "list": ["river"],
        "lab": ["rp-filter-all-loose-over-strict", "breaks-in-soak"],
    }[words[0]]
    stage.terminal.narrow(40)
    child = stage.in_the_terminal(*words, *([run["run"]] if words == ("show",) else []))
    assert child.code() == 0
    for name in names:
        stage.terminal.wait_for(name)
    widest = max(len(PAINT.sub("", line).rstrip()) for line in stage.terminal.shown.splitlines())
    assert widest <= 40, stage.terminal.shown


def test_nohup_is_taken_at_its_word(stage: Stage) -> None:
    stage.shore.stop_at("do-a")
    child = stage.elsewhere("river", "--yes", ignoring=(signal.SIGHUP,))
    assert stage.shore.reached() == "do-a"
    child.signal(signal.SIGHUP)
    stage.shore.go_on()
    assert child.code() == 0
    stage.expect(NEW, "done", 0)


def test_what_ends_the_whole_process_group_still_leaves_all_old(stage: Stage) -> None:
    stage.shore.have("helper")
    child = stage.elsewhere("river", "--yes")
    assert stage.shore.reached() == "helper"
    os.killpg(child.pid, signal.SIGTERM)
    assert child.code() == 130
    stage.expect(OLD, "interrupted", 130)


def test_ctrl_z_and_fg_are_harmless(stage: Stage) -> None:
    stage.shore.stop_at("do-a")
    script = 'set -m; "$@"; echo "stopped: $?"; fg; echo "ended: $?"'
    command = [sys.executable, "-m", "ferryman", "river", "--yes"]
    shell = subprocess.Popen(
        ["setsid", "--ctty", "bash", "-c", script, "bash", *command],
        cwd=stage.shore.folder,
        stdin=stage.terminal.inside,
        stdout=stage.terminal.inside,
        stderr=stage.terminal.inside,
    )
    assert stage.shore.reached() == "do-a"
    stage.terminal.type(CTRL_Z)
    stage.terminal.wait_for("stopped: 148")
    stage.shore.go_on()
    stage.terminal.wait_for("ended: 0")
    assert shell.wait() == 0
    stage.expect(NEW, "done", 0)


def test_sigterm_before_there_is_a_run_says_so(stage: Stage, tmp_path: Path) -> None:
    slow = stage.shore.folder / "inventory" / "services.yaml"
    slow.unlink()
    os.mkfifo(slow)
    with (tmp_path / "shown").open("wb") as shown:
        child = stage.elsewhere("river", "--yes", streams=(stage.nowhere, stage.nowhere, shown.fileno()))
        with slow.open("wb"):
            child.signal(signal.SIGTERM)
            assert child.code() == 130
    assert (tmp_path / "shown").read_text().strip() == "ferryman: interrupted; no run was begun"
    assert stage.shore.files == OLD


def sigterm_after(stage: Stage, events: int, delay_s: float = 0.0) -> str:
    """Send it once so many events were told; the outcome, which must be the world's and the journal's too."""
    reading, writing = os.pipe()
    with os.fdopen(reading, encoding="utf-8") as reader:
        streams = (stage.nowhere, writing, stage.nowhere)
        child = stage.elsewhere("--output", "json", "river", "--yes", streams=streams)
        os.close(writing)
        lines = [reader.readline() for _ in range(events)]
        time.sleep(delay_s)
        child.signal(signal.SIGTERM)
        lines += reader.readlines()
    code = child.code()
    told = [json.loads(line) for line in lines if line]
    outcome = told[-1]["outcome"] if told else "no run"
    files = {("done", 0): NEW, ("interrupted", 130): OLD, ("no run", 130): OLD, ("no run", -15): OLD}
    assert stage.shore.files == files[outcome, code], f"{outcome} {code} after {events} events"
    if told:
        [run] = [run for run in stage.told("runs") if run["run"] == told[0]["run"]]
        assert (run["outcome"], run["exit_code"]) == (outcome, code)
    stage.shore.make_old()
    return str(outcome)


@pytest.mark.parametrize("events", range(0, EVENTS + 1, 5))
def test_whenever_it_comes_all_is_old_or_all_is_new(stage: Stage, events: int) -> None:
    outcome = sigterm_after(stage, events)
    if 0 < events < EVENTS / 2:
        assert outcome == "interrupted"


@pytest.mark.timeout(1800)
@pytest.mark.skipif(
    "FERRYMAN_THOROUGH" not in os.environ, reason="takes some minutes; FERRYMAN_THOROUGH=1 runs it"
)
def test_at_hundreds_of_moments_all_is_old_or_all_is_new(stage: Stage) -> None:
    chance = random.Random(47)
    outcomes = Counter(
        sigterm_after(stage, chance.randrange(EVENTS + 1), chance.uniform(0, 0.03)) for _ in range(400)
    )
    assert outcomes.keys() <= {"done", "interrupted", "no run"}
    assert outcomes["interrupted"] > 100
    assert outcomes["done"] > 0
