"""The tape of a run that goes on: never in its way, whole at the end, or readable up to where it stopped."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from ferryman.tape import appending, file
from ferryman.tape.appending import TapeWriter, free_path, prune
from unit.tape.samples import ENTRIES, HEADER, saved

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OUTCOME = {"outcome": "done", "exit_code": 0, "reason": "all is well", "seconds": 9.5}
NEVER = 3600.0
"""Seconds between two writes by itself, where a test writes by ``flush`` alone."""


class Clock:
    """Time as the test turns it."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def writer(tmp_path: Path, clock: Clock) -> Iterator[TapeWriter]:
    writer = TapeWriter(tmp_path / "tapes" / "run.tape", HEADER, clock=clock, every_s=NEVER)
    yield writer
    writer.close()


def run_python(program: str, path: Path, *, check: bool) -> subprocess.CompletedProcess[str]:
    """Run a program in a process that finds what this one finds."""
    return subprocess.run(
        [sys.executable, "-c", program, path],
        capture_output=True,
        text=True,
        check=check,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_a_full_disk_stops_the_tape_and_nothing_else(tmp_path: Path) -> None:
    """In a process of its own, whose files the kernel keeps from growing: no disk need be filled."""
    program = """
import resource, sys
from pathlib import Path
from ferryman.tape.appending import TapeWriter
from unit.tape.samples import HEADER
import os
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
writer = TapeWriter(Path(sys.argv[1]), HEADER, every_s=3600)
writer.flush()
assert writer.trouble is None, writer.trouble
for number in range(100):
    writer.append("signal", {"name": os.urandom(200).hex()})
    writer.flush()
print(writer.trouble)
writer.append("signal", {"name": "after"})
writer.close({"outcome": "done", "exit_code": 0, "reason": "", "seconds": 1.0})
print(len(writer._waiting))
"""
    path = tmp_path / "run.tape"
    done = run_python(program, path, check=True)
    assert done.stdout == f"{path}: File too large\n0\n"
    tape = file.read(path)
    assert not tape.whole
    assert 5 < len(tape.entries) < 99
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_is_nearly_full_is_left_to_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appending, "LEFT_FREE_BYTES", 1 << 62)
    writer = TapeWriter(tmp_path / "run.tape", HEADER)
    writer.append("signal", {"name": "SIGTERM"})
    writer.close({"outcome": "done", "exit_code": 0, "reason": "", "seconds": 1.0})
    assert "left for the journal" in str(writer.trouble)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_gets_nearly_full_keeps_what_was_written_until_then(
    writer: TapeWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.append("signal", {"name": "SIGTERM"})
    writer.flush()
    monkeypatch.setattr(appending, "LEFT_FREE_BYTES", 1 << 62)
    writer.append("signal", {"name": "SIGINT"})
    writer.flush()
    assert "left for the journal" in str(writer.trouble)
    assert [entry.data["name"] for entry in file.read(writer.path).entries] == ["SIGTERM"]


def test_a_killed_run_s_tape_is_read_up_to_its_last_flush(tmp_path: Path) -> None:
    program = """
import os, signal, sys
from pathlib import Path
from ferryman.tape.appending import TapeWriter
from unit.tape.samples import ENTRIES, HEADER
writer = TapeWriter(Path(sys.argv[1]), HEADER, every_s=3600)
for entry in ENTRIES[:3]:
    writer.append(entry.kind, entry.data)
writer.flush()
writer.append("signal", {"name": "too late"})
os.kill(os.getpid(), signal.SIGKILL)
"""
    path = tmp_path / "run.tape"
    done = run_python(program, path, check=False)
    assert done.returncode == -9
    tape = file.read(path)
    assert not tape.whole
    assert tape.header == HEADER
    assert [entry.data for entry in tape.entries] == [entry.data for entry in ENTRIES[:3]]


def test_it_writes_by_itself_while_the_run_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "run.tape"
    writer = TapeWriter(path, HEADER, every_s=0.001)
    asked = threading.Event()

    def made() -> dict[str, object]:
        asked.set()
        return {"name": "x"}

    writer.append("signal", made)
    assert asked.wait(60)
    writer.flush()
    assert [entry.data for entry in file.read(path).entries] == [{"name": "x"}]
    writer.close()


def test_a_closed_tape_is_the_same_as_a_written_one(writer: TapeWriter, clock: Clock) -> None:
    for entry in ENTRIES[:-1]:
        clock.now += entry.after_s
        writer.append(entry.kind, entry.data)
        writer.flush()
    clock.now += ENTRIES[-1].after_s
    writer.close(OUTCOME)
    assert writer.trouble is None
    assert writer.path.read_bytes() == file.whole_bytes(HEADER, ENTRIES)
    assert file.read(writer.path).whole


def test_nobody_else_may_read_it(writer: TapeWriter) -> None:
    writer.close(OUTCOME)
    assert writer.path.stat().st_mode & 0o777 == 0o600
    assert writer.path.parent.stat().st_mode & 0o777 == 0o700


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    path = saved(tmp_path, b"somebody's")
    writer = TapeWriter(path, HEADER)
    writer.append("signal", {"name": "x"})
    writer.close(OUTCOME)
    assert writer.trouble == f"{path}: File exists"
    assert path.read_bytes() == b"somebody's"


def broken() -> dict[str, Any]:
    raise RuntimeError("no such field")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"name": {1, 2}}, "TypeError: Object of type set is not JSON serializable"),
        ({"name": float("nan")}, "ValueError: Out of range float values are not JSON compliant"),
        (broken, "RuntimeError: no such field"),
        ({"name": "x" * (17 << 20)}, "a line of the tape would be longer than 16 MiB"),
    ],
)
def test_what_is_no_entry_stops_the_tape_and_raises_nowhere(
    writer: TapeWriter, data: object, said: str
) -> None:
    writer.append("signal", {"name": "before"})
    writer.flush()
    writer.append("signal", data)  # type: ignore[arg-type]
    writer.flush()
    assert str(writer.trouble).startswith(f"{writer.path}: {said}")
    writer.append("signal", {"name": "after"})
    writer.close(OUTCOME)
    assert [entry.data for entry in file.read(writer.path).entries] == [{"name": "before"}]


def test_a_tape_never_grows_beyond_what_is_read(writer: TapeWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appending, "MAX_LINES", 5)
    for number in range(10):
        writer.append("signal", {"name": str(number)})
        writer.flush()
    assert "would be longer than" in str(writer.trouble)
    assert len(file.read(writer.path).entries) == 3


def test_a_disk_that_hangs_keeps_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mock: the function that makes the data hangs in the place of a disk."""
    monkeypatch.setattr(appending, "PATIENCE_S", 0.01)
    mended = threading.Event()
    writer = TapeWriter(tmp_path / "run.tape", HEADER, every_s=NEVER)
    writer.append("signal", lambda: {"name": str(mended.wait())})
    writer.close(OUTCOME)
    assert "not written within" in str(writer.trouble)
    mended.set()
    writer._thread.join()


def test_entries_of_many_threads_are_all_there(writer: TapeWriter) -> None:
    def append(thread: int) -> None:
        for number in range(200):
            writer.append("signal", {"name": f"{thread}", "number": number})
            if number % 50 == 0:
                writer.flush()

    threads = [threading.Thread(target=append, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close(OUTCOME)
    entries = file.read(writer.path).entries[:-1]
    for name in range(8):
        assert [e.data["number"] for e in entries if e.data["name"] == f"{name}"] == list(range(200))


def test_what_comes_after_the_end_is_dropped(writer: TapeWriter) -> None:
    writer.close(OUTCOME)
    writer.append("signal", {"name": "after"})
    writer.flush()
    writer.close(OUTCOME)
    assert writer.trouble is None
    assert [entry.kind for entry in file.read(writer.path).entries] == ["outcome"]


def tapes(folder: Path, *names: str) -> list[Path]:
    for name in names:
        (folder / name).write_bytes(b"x")
    return [folder / name for name in names]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_old_tapes_go_and_the_newest_stay(tmp_path: Path) -> None:
    tapes(tmp_path, "1.tape", "2.tape", "3.tape", "4.tape", ".1.tape.new", "notes.txt")
    prune(tmp_path, 2)
    assert names(tmp_path) == ["3.tape", "4.tape", "notes.txt"]


def test_a_tape_that_is_being_written_stays_however_old(tmp_path: Path) -> None:
    old, *_ = tapes(tmp_path, "1.tape", "2.tape", "3.tape")
    with old.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        prune(tmp_path, 1)
    assert names(tmp_path) == ["1.tape", "3.tape"]


def test_a_run_keeps_its_own_tape_and_removes_the_oldest(tmp_path: Path) -> None:
    tapes(tmp_path, "1.tape", "2.tape", "3.tape")
    own = TapeWriter(tmp_path / "0-clock-was-wrong.tape", HEADER, keep=2, every_s=NEVER)
    own.close(OUTCOME)
    assert names(tmp_path) == ["0-clock-was-wrong.tape", "2.tape", "3.tape"]
    assert file.read(own.path).whole


def test_a_folder_that_is_gone_has_nothing_to_prune(tmp_path: Path) -> None:
    prune(tmp_path / "gone", 1)


def test_each_process_of_a_run_has_a_tape_of_its_own(tmp_path: Path) -> None:
    for wanted in ("run.tape", "run.2.tape", "run.3.tape"):
        path = free_path(tmp_path, "run")
        assert path == tmp_path / wanted
        path.touch()
