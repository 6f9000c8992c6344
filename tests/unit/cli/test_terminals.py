"""The real command line in real terminals: signals, and windows that close.

Whatever happens, at whatever moment: all is old or all is new, and the journal says which.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tools import first_of
from unit.cli.stage import NEW, OLD, Stage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from unit.cli.processes import Child

EVENTS = 24
"""How many a run tells that is done."""
CTRL_C, CTRL_Z, CTRL_D = "\x03", "\x1a", "\x04"


def press_ctrl_c(stage: Stage, child: Child) -> None:
    stage.terminal.type(CTRL_C)


def send(number: signal.Signals) -> Callable[[Stage, Child], None]:
    return lambda stage, child: child.signal(number)


WISHES = [press_ctrl_c, send(signal.SIGTERM), send(signal.SIGHUP)]
every_wish = pytest.mark.parametrize("wish", WISHES, ids=["ctrl-c", "term", "hup"])
ctrl_c_at_least = pytest.mark.parametrize("wish", first_of(WISHES), ids=["ctrl-c", "term", "hup"])


@ctrl_c_at_least
@pytest.mark.parametrize(
    ("place", "said"), [("look-before", "nothing was changed"), ("look-after", "all is as before, verified")]
)
def test_a_look_is_given_up_at_once(
    stage: Stage, place: str, said: str, wish: Callable[[Stage, Child], None]
) -> None:
    stage.workspace.stop_at(place)
    child = stage.in_the_terminal("waiting", "--yes")
    assert stage.workspace.reached() == place
    wish(stage, child)
    assert child.code() == 130
    stage.terminal.wait_for(said)
    stage.expect(OLD, "interrupted", 130)


@every_wish
def test_a_change_is_finished_first_and_then_all_goes_back(
    stage: Stage, wish: Callable[[Stage, Child], None]
) -> None:
    stage.workspace.stop_at("do-b")
    child = stage.in_the_terminal("waiting", "--yes")
    assert stage.workspace.reached() == "do-b"
    wish(stage, child)
    stage.terminal.wait_for("rolling back; a change under way is finished first")
    stage.workspace.go_on()
    assert child.code() == 130
    stage.terminal.wait_for("all is as before, verified")
    stage.expect(OLD, "interrupted", 130)


@ctrl_c_at_least
def test_at_the_question_it_is_a_no(stage: Stage, wish: Callable[[Stage, Child], None]) -> None:
    child = stage.in_the_terminal("waiting")
    stage.terminal.wait_for("Go on?")
    wish(stage, child)
    assert child.code() == 130
    stage.terminal.wait_for("nothing was changed")
    stage.expect(OLD, "interrupted", 130)


def test_a_second_ctrl_c_strands_the_run_and_rollback_finishes_it(stage: Stage) -> None:
    stage.workspace.stop_at("look-after", "undo-b")
    child = stage.in_the_terminal("waiting", "--yes")
    assert stage.workspace.reached() == "look-after"
    stage.terminal.type(CTRL_C)
    assert stage.workspace.reached() == "undo-b"
    stage.terminal.type(CTRL_C)
    assert child.code() == 5
    stage.expect(NEW, "stranded", 5)
    assert stage.elsewhere("waiting", "--yes").code() == 6, "its lock is kept"

    stage.workspace.stop_at()
    stranded = next(run["run"] for run in stage.told("runs") if run["outcome"] == "stranded")
    assert stage.elsewhere("rollback", stranded).code() == 0
    assert stage.workspace.files == OLD
    assert stage.elsewhere("waiting", "--yes").code() == 0, "its lock is free"


@pytest.mark.parametrize("place", ["look-before", "do-a", "look-after"])
def test_a_window_that_closes_takes_the_run_back(stage: Stage, place: str) -> None:
    stage.workspace.stop_at(place)
    child = stage.in_the_terminal("waiting", "--yes")
    assert stage.workspace.reached() == place
    stage.terminal.hang_up()
    stage.workspace.go_on()
    assert child.code() == 130
    stage.expect(OLD, "interrupted", 130)
    stage.expect_whole_journal()


def test_a_window_that_closes_at_the_question_is_a_no(stage: Stage) -> None:
    child = stage.in_the_terminal("waiting")
    stage.terminal.wait_for("Go on?")
    stage.terminal.hang_up()
    assert child.code() == 130
    stage.expect(OLD, "interrupted", 130)


def test_a_window_that_closes_during_the_rollback_does_not_stop_it(stage: Stage) -> None:
    stage.workspace.have("fault-after")
    stage.workspace.stop_at("undo-b")
    child = stage.in_the_terminal("waiting", "--yes")
    assert stage.workspace.reached() == "undo-b"
    stage.terminal.hang_up()
    stage.workspace.go_on()
    assert child.code() == 4
    stage.expect(OLD, "rolled-back", 4)


def test_no_answer_at_the_question_is_a_no(stage: Stage) -> None:
    child = stage.in_the_terminal("waiting")
    stage.terminal.wait_for("Go on?")
    stage.terminal.type(CTRL_D)
    assert child.code() == 130
    stage.expect(OLD, "interrupted", 130)


def test_nohup_is_taken_at_its_word(stage: Stage) -> None:
    stage.workspace.stop_at("do-a")
    child = stage.elsewhere("waiting", "--yes", ignoring=(signal.SIGHUP,))
    assert stage.workspace.reached() == "do-a"
    child.signal(signal.SIGHUP)
    stage.workspace.go_on()
    assert child.code() == 0
    stage.expect(NEW, "done", 0)


def test_what_ends_the_whole_process_group_still_leaves_all_old(stage: Stage) -> None:
    stage.workspace.have("helper")
    child = stage.elsewhere("waiting", "--yes")
    assert stage.workspace.reached() == "helper"
    os.killpg(child.pid, signal.SIGTERM)
    assert child.code() == 130
    stage.expect(OLD, "interrupted", 130)


def test_ctrl_z_and_fg_are_harmless(stage: Stage) -> None:
    stage.workspace.stop_at("do-a")
    script = 'set -m; "$@"; echo "stopped: $?"; fg; echo "ended: $?"'
    command = [sys.executable, "-m", "ferryman", "waiting", "--yes"]
    shell = subprocess.Popen(
        ["setsid", "--ctty", "bash", "-c", script, "bash", *command],
        cwd=stage.workspace.folder,
        stdin=stage.terminal.inside,
        stdout=stage.terminal.inside,
        stderr=stage.terminal.inside,
    )
    assert stage.workspace.reached() == "do-a"
    stage.terminal.type(CTRL_Z)
    stage.terminal.wait_for("stopped: 148")
    stage.workspace.go_on()
    stage.terminal.wait_for("ended: 0")
    assert shell.wait() == 0
    stage.expect(NEW, "done", 0)


def test_sigterm_before_there_is_a_run_says_so(stage: Stage, tmp_path: Path) -> None:
    slow = stage.workspace.folder / "inventory" / "services.yaml"
    slow.unlink()
    os.mkfifo(slow)
    with (tmp_path / "shown").open("wb") as shown:
        child = stage.elsewhere("waiting", "--yes", streams=(stage.nowhere, stage.nowhere, shown.fileno()))
        with slow.open("wb"):
            child.signal(signal.SIGTERM)
        # A signal right before a system call interrupts none: the read that it may wait in ends now.
        assert child.code() == 130
    assert (tmp_path / "shown").read_text().strip() == "ferryman: interrupted; no run was begun"
    assert stage.workspace.files == OLD


def sigterm_after(stage: Stage, events: int, delay_s: float = 0.0) -> str:
    """Send it once so many events were told; the outcome, which must be the world's and the journal's too."""
    reading, writing = os.pipe()
    with os.fdopen(reading, encoding="utf-8") as reader:
        streams = (stage.nowhere, writing, stage.nowhere)
        child = stage.elsewhere("--output", "json", "waiting", "--yes", streams=streams)
        os.close(writing)
        lines = [reader.readline() for _ in range(events)]
        time.sleep(delay_s)
        child.signal(signal.SIGTERM)
        stage.workspace.go_on()
        lines += reader.readlines()
    code = child.code()
    told = [json.loads(line) for line in lines if line]
    outcome = told[-1]["outcome"] if told else "no run"
    files = {("done", 0): NEW, ("interrupted", 130): OLD, ("no run", 130): OLD, ("no run", -15): OLD}
    assert stage.workspace.files == files[outcome, code], f"{outcome} {code} after {events} events"
    if told:
        [run] = [run for run in stage.told("runs") if run["run"] == told[0]["run"]]
        assert (run["outcome"], run["exit_code"]) == (outcome, code)
    stage.workspace.make_old()
    return str(outcome)


@pytest.mark.parametrize("events", range(0, EVENTS + 1, 5))
def test_whenever_it_comes_all_is_old_or_all_is_new(stage: Stage, events: int) -> None:
    is_early = 0 < events < EVENTS / 2
    if is_early:
        stage.workspace.stop_at("look-after")  # else a quick run may be done before the signal comes
    outcome = sigterm_after(stage, events)
    if is_early:
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
