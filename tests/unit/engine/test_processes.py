"""Real processes: killed with SIGKILL at any call, and racing for one lock."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ferryman.engine.plan import Plan
from ferryman.engine.runner import Runner
from ferryman.state import RunRequest, SqliteStore
from ferryman.state.sqlite.database import Database
from ferryman.testing import Becomes, Cut, Cuts, FakeWorld
from tools import first_of

TESTS = Path(__file__).parents[2]
LIBRARY = TESTS.parent / "lib"


class KeptWorld(FakeWorld):
    """A world that outlives the process that changes it."""

    def __init__(self, path: Path, cuts: Cuts | None = None) -> None:
        super().__init__(cuts, **json.loads(path.read_text()))
        self.path = path

    def write(self, key: str, value: str, *, expected: str) -> None:
        super().write(key, value, expected=expected)
        self.path.write_text(json.dumps(self.values))


def plan(world: FakeWorld) -> Plan:
    return Plan([Becomes(world, "a", "new"), Becomes(world, "b", "new")], ["web"])


def perform(folder: Path, cuts: Cuts) -> int:
    runner = Runner(store=SqliteStore(Database.at(folder / "state.db")))
    order = RunRequest(cookbook="test", operator="tester")
    return runner.perform(order, plan(KeptWorld(folder / "world", cuts))).exit_code


def in_a_process(code: str, *arguments: object) -> subprocess.Popen[str]:
    here = Path(__file__)
    places = [str(place) for place in (LIBRARY, here.parent, TESTS)]
    program = f"import sys; sys.path[:0] = {places}; import {here.stem} as t; {code}"
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )


def kill_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def perform_and_die(folder: str, at: str) -> None:
    perform(Path(folder), Cuts(Cut(int(at), "before", kill_self)))


def race(folder: str) -> None:
    sys.stdin.readline()
    sys.exit(perform(Path(folder), Cuts(Cut(4, "before", sys.stdin.readline))))  # type: ignore[arg-type]  # waits


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "world").write_text(json.dumps({"a": "old", "b": "old"}))
    return tmp_path


@pytest.mark.parametrize(("way", "value"), [("resume", "new"), ("roll_back", "old")])
@pytest.mark.parametrize("at", first_of([5, 4, 8, 9]))
def test_a_killed_process_is_survived(folder: Path, at: int, way: str, value: str) -> None:
    child = in_a_process("t.perform_and_die(*sys.argv[1:])", folder, at)
    child.communicate()
    assert child.returncode == -signal.SIGKILL

    database = Database.at(folder / "state.db")
    run = SqliteStore(database).runs()[0].id
    runner = Runner(store=SqliteStore(database))
    order = RunRequest(cookbook="test", operator="somebody else")
    assert runner.perform(order, plan(KeptWorld(folder / "world"))).exit_code == 6

    result = getattr(runner, way)(run, plan(KeptWorld(folder / "world")))

    assert result.exit_code == 0
    assert json.loads((folder / "world").read_text()) == {"a": value, "b": value}
    assert SqliteStore(database).locks() == []
    database.close()


def test_of_many_that_start_at_once_one_goes_and_the_others_are_busy(folder: Path) -> None:
    racers = [in_a_process("t.race(sys.argv[1])", folder) for _ in range(4)]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()

    # The winner waits at its first write until everybody else was turned away.
    codes = _codes_of_losers(racers)
    winner = next(racer for racer in racers if racer.poll() is None)
    winner.communicate("on\n")

    assert sorted(codes) == [6, 6, 6]
    assert winner.returncode == 0
    assert json.loads((folder / "world").read_text()) == {"a": "new", "b": "new"}


def _codes_of_losers(racers: list[subprocess.Popen[str]]) -> list[int]:
    codes: list[int] = []
    waiting = {racer.pid: racer for racer in racers}
    while len(codes) < len(racers) - 1:
        pid, status = os.waitpid(-1, 0)
        racer = waiting.pop(pid)
        racer.returncode = os.waitstatus_to_exitcode(status)
        for pipe in (racer.stdin, racer.stdout):
            assert pipe is not None
            pipe.close()
        codes.append(racer.returncode)
    return codes
