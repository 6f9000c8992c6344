"""The journal: durable, append-only, private, and clear when it cannot be used."""

from __future__ import annotations

import sqlite3
import stat
from typing import TYPE_CHECKING

import pytest

from ferryman.engine.database import SCHEMA_VERSION, Database
from ferryman.engine.journal import Journal, Note, Order
from ferryman.engine.owner import Owner
from ferryman.engine.plan import Plan
from ferryman.errors import JournalError, UsageError
from ferryman.testing import FakeWorld, Is, TurningClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OWNER = Owner("control1", 4242, 1, "boot")
ORDER = Order(cookbook="migrate", arguments={"service": "web"}, operator="alice", task="T1", version="0.1")
PLAN = Plan([Is(FakeWorld(), "a", "b")], ["web"])


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database.at(tmp_path / "deep" / "state.db")
    yield database
    database.close()


@pytest.fixture
def clock() -> TurningClock:
    return TurningClock()


@pytest.fixture
def journal(database: Database, clock: TurningClock) -> Journal:
    return Journal(database, clock)


def note(text: str, kind: str = "remark") -> Note:
    return Note("2026-11-22T22:19:43.000Z", kind, {"text": text}, step=0)


def test_a_state_file_of_a_newer_ferryman_is_refused(database: Database, tmp_path: Path) -> None:
    database.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    database.close()

    with pytest.raises(JournalError, match=rf"state\.db: .* schema is {SCHEMA_VERSION + 1}, .* knows"):
        Journal(Database.at(tmp_path / "deep" / "state.db"), TurningClock()).runs()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_text("this is somebody's diary, not a database" * 100)

    with pytest.raises(JournalError, match=r"state\.db: the journal cannot be used: file is not a database"):
        Journal(Database.at(path), TurningClock()).runs()

    assert path.read_text().startswith("this is somebody's diary")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(JournalError, match=r"file/state\.db: the journal cannot be used"):
        Journal(Database.at(tmp_path / "file" / "state.db"), TurningClock()).runs()


def test_a_full_disk_is_a_journal_error_and_loses_nothing_that_was_there(
    journal: Journal, database: Database
) -> None:
    run = journal.begin(ORDER, PLAN, OWNER)
    journal.append(run, [note("first")])
    pages = database.query("PRAGMA page_count")[0][0]
    database.query(f"PRAGMA max_page_count = {pages}")

    with pytest.raises(JournalError, match="full"):
        journal.append(run, [note("x" * 100_000), note("second")])

    assert [record.payload["text"] for record in journal.show(run)] == ["first"]


def test_records_cannot_be_rewritten_or_removed(journal: Journal, database: Database) -> None:
    run = journal.begin(ORDER, PLAN, OWNER)
    journal.append(run, [note("first")])

    for sql in ("UPDATE records SET payload = '{}'", "DELETE FROM records"):
        with pytest.raises(JournalError, match="append-only"):
            database.execute(sql)


@pytest.mark.parametrize(
    ("damage", "places"),
    [
        ('UPDATE records SET payload = \'{"text": "forged"}\' WHERE seq = 2', [2]),
        ("UPDATE records SET payload = '{\"text' WHERE seq = 2", [2]),
        ("UPDATE records SET step = 7 WHERE seq = 1", [1]),
        ("DELETE FROM records WHERE seq = 2", [3]),
    ],
)
def test_a_damaged_record_is_seen_and_named(
    journal: Journal, database: Database, damage: str, places: list[int]
) -> None:
    run = journal.begin(ORDER, PLAN, OWNER)
    journal.append(run, [note("first"), note("second")])
    journal.append(run, [note("third")])
    assert len(journal.trusted(run)) == 3

    database.execute("DROP TRIGGER records_are_never_rewritten")
    database.execute("DROP TRIGGER records_are_never_removed")
    database.execute(damage)

    assert [record.seq for record in journal.show(run) if not record.sound] == places
    with pytest.raises(JournalError, match=rf"{run}: damaged at record {places[0]} .*by hand"):
        journal.trusted(run)


def test_an_unknown_run_names_its_nearest(journal: Journal) -> None:
    run = journal.begin(ORDER, PLAN, OWNER)

    with pytest.raises(UsageError, match=f"did you mean {run}"):
        journal.run(run[:-1] + "!")


def test_an_unknown_run_in_an_empty_journal_says_where_to_look(journal: Journal) -> None:
    with pytest.raises(UsageError, match="ferryman runs lists them"):
        journal.run("what")


def test_a_reader_sees_what_another_process_committed(journal: Journal, database: Database) -> None:
    run = journal.begin(ORDER, PLAN, OWNER)
    other = database.another()

    assert [entry.id for entry in Journal(other, TurningClock()).runs()] == [run]
    other.close()


def test_a_run_is_entered_whole(journal: Journal) -> None:
    entry = journal.run(journal.begin(ORDER, PLAN, OWNER))

    assert entry.order == ORDER
    assert entry.plan == ("a is b",)
    assert entry.owner == OWNER
    assert entry.fingerprint == PLAN.fingerprint
    assert (entry.started, entry.outcome, entry.is_open) == ("2026-11-22T22:19:43.000Z", None, True)


def test_ids_sort_by_time_and_tell_it(journal: Journal, clock: TurningClock) -> None:
    first = journal.begin(ORDER, PLAN, OWNER)
    clock.turn(1)
    second = journal.begin(ORDER, PLAN, OWNER)

    assert first.startswith("20261122-221943-")
    assert first < second
    assert [entry.id for entry in journal.runs()] == [second, first]


@pytest.mark.parametrize(
    ("outcome", "is_open"),
    [("done", False), ("rolled-back", False), ("refused", False), ("held", True), ("stranded", True)],
)
def test_only_what_is_in_between_stays_open(journal: Journal, outcome: str, is_open: bool) -> None:
    run = journal.begin(ORDER, PLAN, OWNER)
    journal.end(run, outcome, 0, "because")  # type: ignore[arg-type]  # the parameters are its values

    assert journal.run(run).is_open is is_open


def test_commits_are_forced_to_disk(journal: Journal, database: Database) -> None:
    journal.begin(ORDER, PLAN, OWNER)

    assert database.query("PRAGMA synchronous")[0][0] == 2  # FULL: fsync at each commit
    assert database.query("PRAGMA journal_mode")[0][0] == "wal"


def test_the_state_is_private(journal: Journal, tmp_path: Path) -> None:
    journal.begin(ORDER, PLAN, OWNER)
    folder = tmp_path / "deep"

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}


def test_a_transaction_that_fails_leaves_nothing(journal: Journal, database: Database) -> None:
    def enter_and_fail() -> None:
        with database.transaction():
            journal.begin(ORDER, PLAN, OWNER)
            raise KeyError

    with pytest.raises(KeyError):
        enter_and_fail()

    assert journal.runs() == []


def test_two_transactions_never_overlap(database: Database) -> None:
    other = database.another()
    other.query("PRAGMA busy_timeout = 0")

    with database.transaction(), pytest.raises(JournalError, match="locked"), other.transaction():
        pytest.fail("the second one began")
    other.close()


def test_nothing_is_made_on_disk_before_it_is_used(tmp_path: Path) -> None:
    Database.at(tmp_path / "state.db").close()

    assert list(tmp_path.iterdir()) == []


def test_the_schema_is_what_sqlite_understood(database: Database) -> None:
    database.query("SELECT 1")
    with sqlite3.connect(database.where) as plain:
        names = {row[0] for row in plain.execute("SELECT name FROM sqlite_master WHERE type != 'index'")}
    plain.close()

    assert names == {
        "runs",
        "records",
        "locks",
        "records_are_never_rewritten",
        "records_are_never_removed",
    }
