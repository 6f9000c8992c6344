"""A state file that is damaged is reported, left as it is, and never acted on."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from ferryman.engine.force_close import force_close
from ferryman.engine.plan import Plan
from ferryman.engine.process import ProcessId
from ferryman.engine.runner import Runner
from ferryman.errors import JournalError
from ferryman.state import NewRecord, RunRequest, SqliteStore
from ferryman.state.sqlite.database import Database
from ferryman.testing import Becomes, FakeWorld

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DEAD = ProcessId("control1", 4242, 1, "boot")
ALIVE = ProcessId("control1", 7, 7, "boot")
REQUEST = RunRequest(cookbook="test", operator="alice")
WORLD = FakeWorld(None, a="old")
PLAN = Plan([Becomes(WORLD, "a", "new")], ["web"])
PAGE = 4096
RECORDS = 40


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def run(path: Path) -> str:
    """A run that its process left open, with records that fill several pages."""
    with closing(store(path, DEAD)) as dead:
        run = dead.begin(REQUEST, PLAN)
        dead.acquire(run, ["web"], "alice")
        dead.append(run, [note(number) for number in range(RECORDS)])
    return run


def note(number: int) -> NewRecord:
    return NewRecord("2026-11-22T22:19:43.000Z", "remark", {"number": number, "text": "x" * 500})


def store(path: Path, owner: ProcessId) -> SqliteStore:
    return SqliteStore(Database.at(path), owner=owner, alive=lambda other: other != DEAD)


def all_ways_in(path: Path, run: str) -> list[Callable[[SqliteStore], object]]:
    """What acts on a run of the journal, or begins one there."""
    return [
        lambda store: Runner(store=store).resume(run, PLAN),
        lambda store: Runner(store=store).roll_back(run, PLAN),
        lambda store: force_close(store, run, "alice", "put right"),
        lambda store: Runner(store=store).perform(REQUEST, PLAN),
    ]


def refused(path: Path, run: str, message: str) -> None:
    """Every way in is refused with these words, and no byte of any file is another."""
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    for way_in in all_ways_in(path, run):
        with closing(store(path, ALIVE)) as mine, pytest.raises(JournalError) as error:
            way_in(mine)
        assert message in str(error.value)
        assert f"{path}: the journal cannot be used: " in str(error.value)
        assert "it is damaged, and was left as it is" in str(error.value)
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == before
    assert WORLD.values == {"a": "old"}


def index_page(path: Path, table: str) -> int:
    """The first page of a table's index."""
    with closing(sqlite3.connect(path)) as plain:
        found = plain.execute(
            "SELECT rootpage FROM sqlite_master WHERE tbl_name = ? AND type = 'index'", (table,)
        )
        return int(found.fetchone()[0])


def overwrite(path: Path, at: int, what: bytes) -> None:
    whole = bytearray(path.read_bytes())
    whole[at : at + len(what)] = what
    path.write_bytes(whole)


def test_a_page_of_records_with_bytes_of_something_else_in_it(path: Path, run: str) -> None:
    last = path.stat().st_size // PAGE - 2
    overwrite(path, last * PAGE, b"\x0d\x00\x00\xff\xff" + b"\x7f" * 200)

    refused(path, run, "malformed")


def test_damage_that_keeps_nothing_from_being_read(path: Path, run: str) -> None:
    index = index_page(path, "locks")
    overwrite(path, (index - 1) * PAGE + 7, b"\x09")  # how much of the page is in pieces
    with closing(store(path, ALIVE)) as mine:
        assert len(mine.verified_records(mine.run(run))) == RECORDS

    refused(path, run, f"Page {index}: free space corruption")


def test_a_file_whose_end_is_gone(path: Path, run: str) -> None:
    path.write_bytes(path.read_bytes()[: 3 * PAGE])

    refused(path, run, "malformed")


def test_a_file_of_garbage(path: Path, run: str) -> None:
    path.write_bytes(b"\x7f" * 5 * PAGE)

    refused(path, run, "file is not a database")


def test_a_schema_that_is_text_no_more(path: Path, run: str) -> None:
    overwrite(path, path.read_bytes().index(b"started TEXT"), b"\xff" * 12)

    refused(path, run, "malformed database schema")


def test_a_log_of_garbage_is_not_taken_for_an_empty_one(path: Path, run: str) -> None:
    path.with_name("state.db-wal").write_bytes(b"\x7f" * 5 * PAGE)

    refused(path, run, "state.db-wal is not a log of SQLite's")


@pytest.mark.parametrize("lose", [lambda path: path.write_bytes(b""), lambda path: path.unlink()])
def test_a_log_whose_database_is_empty_or_gone_is_not_thrown_away(
    path: Path, run: str, lose: Callable[[Path], None]
) -> None:
    at_work = store(path, ALIVE)
    at_work.begin(REQUEST, PLAN)
    log = path.with_name("state.db-wal").read_bytes()
    assert len(log) > PAGE
    at_work.close()
    lose(path)
    path.with_name("state.db-wal").write_bytes(log)

    refused(path, run, "it is empty, and its log")


def test_a_log_that_has_only_zeros_is_one_that_power_was_lost_at(path: Path, run: str) -> None:
    path.with_name("state.db-wal").write_bytes(b"\x00" * PAGE)

    with closing(store(path, ALIVE)) as mine:
        assert len(mine.verified_records(mine.run(run))) == RECORDS


def test_an_empty_file_is_a_new_journal(path: Path) -> None:
    path.touch()

    with closing(store(path, ALIVE)) as mine:
        assert mine.runs() == []


def test_text_that_is_damaged_is_shown_with_all_the_rest_and_marked(path: Path, run: str) -> None:
    overwrite(path, path.read_bytes().index(b'"number": 17'), b'"num\xff\xfer"')

    with closing(store(path, ALIVE)) as mine:
        shown = mine.show(run)
        assert [record.seq for record in shown if not record.sound] == [18]
        assert "\\xff\\xfe" in shown[17].payload["unreadable"]
        assert mine.faults(run) == ["record 18 (remark)"]
        with pytest.raises(JournalError, match="damaged: record 18"):
            mine.verified_records(mine.run(run))


def declare(path: Path, table: str) -> None:
    """Let the file say that its table of runs was made in this way."""
    with closing(sqlite3.connect(path)) as plain, plain:
        plain.execute("PRAGMA writable_schema = ON")
        plain.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'runs'", (table,))


@pytest.mark.parametrize("count", ["'many'", "-50", "NULL"])
def test_a_number_of_records_that_is_none_is_told(path: Path, run: str, count: str) -> None:
    with closing(sqlite3.connect(path)) as plain:
        [own] = plain.execute("SELECT sql FROM sqlite_master WHERE name = 'runs'").fetchone()
    declare(path, own.replace("STRICT", "").replace("records INTEGER NOT NULL", "records BLOB"))
    with closing(sqlite3.connect(path)) as plain, plain:
        plain.execute(f"UPDATE runs SET records = {count}")
    declare(path, own)

    with closing(store(path, ALIVE)) as mine:
        assert f"{RECORDS} are there" in "; ".join(mine.faults(run))
