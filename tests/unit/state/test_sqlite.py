"""The journal: durable, append-only, private, and clear when it cannot be used."""

from __future__ import annotations

import re
import sqlite3
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Timer
from typing import TYPE_CHECKING

import pytest

from ferryman.engine.plan import Plan
from ferryman.engine.process import ProcessId
from ferryman.errors import BusyError, JournalError, UsageError
from ferryman.outcomes import Outcome, RunResult
from ferryman.state import NewRecord, RunRequest, SqliteStore
from ferryman.state.records import Run, chained_rows
from ferryman.state.sqlite import schema as schemas
from ferryman.state.sqlite.database import Database
from ferryman.state.sqlite.schema import SCHEMA_VERSION
from ferryman.testing import FakeWorld, Is, TurningClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OWNER = ProcessId("control1", 4242, 1, "boot")
REQUEST = RunRequest(
    cookbook="migrate", arguments={"service": "web"}, operator="alice", task="T1", version="0.1"
)
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
def journal(database: Database, clock: TurningClock) -> SqliteStore:
    return SqliteStore(database, clock=clock, owner=OWNER)


def note(text: str, kind: str = "remark") -> NewRecord:
    return NewRecord("2026-11-22T22:19:43.000Z", kind, {"text": text}, step=0)


def test_a_state_file_of_a_newer_ferryman_is_refused(database: Database, tmp_path: Path) -> None:
    database.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    database.close()

    with pytest.raises(JournalError, match=rf"state\.db: .* schema is {SCHEMA_VERSION + 1}, .* knows"):
        SqliteStore(Database.at(tmp_path / "deep" / "state.db")).runs()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_text("this is somebody's diary, not a database" * 100)

    with pytest.raises(JournalError, match=r"state\.db: the journal cannot be used: file is not a database"):
        SqliteStore(Database.at(path)).runs()

    assert path.read_text().startswith("this is somebody's diary")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(JournalError, match=r"file/state\.db: the journal cannot be used"):
        SqliteStore(Database.at(tmp_path / "file" / "state.db")).runs()


def test_a_full_disk_is_a_journal_error_and_loses_nothing_that_was_there(
    journal: SqliteStore, database: Database
) -> None:
    run = journal.begin(REQUEST, PLAN)
    journal.append(run, [note("first")])
    pages = database.query("PRAGMA page_count")[0][0]
    database.query(f"PRAGMA max_page_count = {pages}")

    with pytest.raises(JournalError, match="full"):
        journal.append(run, [note("x" * 100_000), note("second")])

    assert [record.payload["text"] for record in journal.show(run)] == ["first"]


def test_records_cannot_be_rewritten_or_removed(journal: SqliteStore, database: Database) -> None:
    run = journal.begin(REQUEST, PLAN)
    journal.append(run, [note("first")])

    for sql in ("UPDATE records SET payload = '{}'", "DELETE FROM records", "DELETE FROM runs"):
        with pytest.raises(JournalError, match="append-only"):
            database.execute(sql)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ('UPDATE records SET payload = \'{"text": "forged"}\' WHERE seq = 2', r"record 2 \(remark\)"),
        ("UPDATE records SET payload = '{\"text' WHERE seq = 2", r"record 2 \(remark\)"),
        ("UPDATE records SET step = 7 WHERE seq = 1", r"record 1 \(remark\)"),
        ("DELETE FROM records WHERE seq = 1", r"record 2 \(remark\)"),
        ("DELETE FROM records WHERE seq = 2", r"record 3 \(remark\)"),
        ("DELETE FROM records WHERE seq = 3", "it had 3 records, and 2 are there"),
        ("DELETE FROM records", "it had 3 records, and 0 are there"),
        ("UPDATE runs SET arguments = '{}'", "what was asked for, or its plan, is not what was written"),
        ("UPDATE runs SET plan = '[\"x'", "what was asked for, or its plan, is not what was written"),
    ],
)
def test_a_damaged_run_is_seen_and_the_damage_is_named(
    journal: SqliteStore, database: Database, damage: str, message: str
) -> None:
    run = journal.begin(REQUEST, PLAN)
    journal.append(run, [note("first"), note("second")])
    journal.append(run, [note("third")])
    assert len(journal.verified_records(journal.run(run))) == 3

    database.execute("DROP TRIGGER records_are_never_rewritten")
    database.execute("DROP TRIGGER records_are_never_removed")
    database.execute(damage)
    assert len(journal.runs()) == 1, "it is still listed"

    assert re.search(message, "; ".join(journal.faults(run)))
    with pytest.raises(JournalError, match=rf"{run}: damaged: .*{message}.*by hand.*ferryman close {run}"):
        journal.verified_records(journal.run(run))


def test_an_unknown_run_names_its_nearest(journal: SqliteStore) -> None:
    run = journal.begin(REQUEST, PLAN)

    with pytest.raises(UsageError, match=f"did you mean {run}"):
        journal.run(run[:-1] + "!")


def test_an_unknown_run_in_an_empty_journal_says_where_to_look(journal: SqliteStore) -> None:
    with pytest.raises(UsageError, match="ferryman runs lists them"):
        journal.run("what")


def test_a_reader_sees_what_another_process_committed(journal: SqliteStore, database: Database) -> None:
    run = journal.begin(REQUEST, PLAN)
    other = database.another()

    assert [entry.id for entry in SqliteStore(other).runs()] == [run]
    other.close()


def test_a_run_is_entered_whole(journal: SqliteStore) -> None:
    entry = journal.run(journal.begin(REQUEST, PLAN))

    assert entry.request == REQUEST
    assert entry.plan == ("a is b",)
    assert entry.owner == OWNER
    assert entry.fingerprint == PLAN.fingerprint
    assert (entry.started, entry.outcome, entry.is_open) == ("2026-11-22T22:19:43.000Z", None, True)


def test_ids_sort_by_time_and_tell_it(journal: SqliteStore, clock: TurningClock) -> None:
    first = journal.begin(REQUEST, PLAN)
    clock.turn(1)
    second = journal.begin(REQUEST, PLAN)

    assert first.startswith("20261122-221943-")
    assert first < second
    assert [entry.id for entry in journal.runs()] == [second, first]


@pytest.mark.parametrize(
    ("outcome", "is_open"),
    [(outcome, outcome in {Outcome.HELD, Outcome.STRANDED}) for outcome in Outcome],
    ids=str,
)
def test_only_what_is_in_between_stays_open(journal: SqliteStore, outcome: Outcome, is_open: bool) -> None:
    run = journal.begin(REQUEST, PLAN)
    journal.finish(RunResult(outcome, "because", run), is_final=True)

    assert journal.run(run).is_open is is_open


def test_commits_are_forced_to_disk(journal: SqliteStore, database: Database) -> None:
    journal.begin(REQUEST, PLAN)

    assert database.query("PRAGMA synchronous")[0][0] == 2  # FULL: fsync at each commit
    assert database.query("PRAGMA journal_mode")[0][0] == "wal"


def test_the_state_is_private(journal: SqliteStore, tmp_path: Path) -> None:
    journal.begin(REQUEST, PLAN)
    folder = tmp_path / "deep"

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}


def test_a_transaction_that_fails_leaves_nothing(journal: SqliteStore, database: Database) -> None:
    def enter_and_fail() -> None:
        with database.transaction():
            journal.begin(REQUEST, PLAN)
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
        "records_are_counted",
        "runs_are_never_removed",
    }


@pytest.mark.parametrize(
    ("schema", "unknown"),
    [(1, {"records", "head", "seal", "alive_at", "alive_records"}), (2, {"alive_at", "alive_records"})],
)
def test_a_file_of_an_earlier_schema_is_brought_up_to_date_with_what_is_in_it(
    tmp_path: Path, schema: int, unknown: set[str]
) -> None:
    path = tmp_path / "state.db"
    entry = Run.new(REQUEST, PLAN, OWNER, TurningClock().now())
    entry = replace(entry, request_checksum="") if "seal" in unknown else entry
    with sqlite3.connect(path) as old:
        old.executescript(f"{''.join(schemas._STEPS[:schema])}; PRAGMA user_version = {schema}")
        _insert(old, "runs", {**entry.as_row()}, without=unknown)
        for row in chained_rows(entry, [note("first"), note("second")]):
            old.execute("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
    old.close()

    store = SqliteStore(Database.at(path), owner=OWNER)

    assert [record.payload["text"] for record in store.verified_records(store.run(entry.id))] == [
        "first",
        "second",
    ]
    store.append(entry.id, [note("third")])
    assert store.faults(entry.id) == []
    assert store.run(entry.id).records == 3
    assert (store.run(entry.id).alive_at, store.run(entry.id).alive_records) == ("", 0)
    store.close()


def test_two_processes_that_bring_one_file_up_to_date_at_once_both_can(tmp_path: Path) -> None:
    stores = [SqliteStore(Database.at(tmp_path / "state.db")) for _ in range(4)]
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(lambda store: (store.runs(), store.close()), stores))

    assert [runs for runs, _ in found] == [[]] * 4


@pytest.mark.parametrize("cut_to", [0.2, 0.5, 0.9])
def test_a_file_that_was_cut_off_is_told_of_and_never_passes_for_a_shorter_journal(
    tmp_path: Path, cut_to: float
) -> None:
    path = tmp_path / "state.db"
    store = SqliteStore(Database.at(path), owner=OWNER)
    run = store.begin(REQUEST, PLAN)
    store.append(run, [note("x" * 5000) for _ in range(20)])
    store.close()
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * cut_to)])

    with pytest.raises(JournalError, match=r"state\.db"):
        store.verified_records(store.run(run))
    store.close()


def test_a_renewal_says_when_and_how_many_records_there_are(
    journal: SqliteStore, clock: TurningClock
) -> None:
    run = journal.begin(REQUEST, PLAN)
    journal.append(run, [note("first"), note("second")])
    journal.append(run, [note("third")])
    assert journal.run(run).alive_at == ""
    clock.turn(20)

    journal.renew()

    entry = journal.run(run)
    assert (entry.alive_at, entry.alive_records) == ("2026-11-22T22:20:03.000Z", 3)
    assert journal.faults(run) == []


def test_the_records_of_whoever_had_the_run_before_count_in_a_sign_of_life(database: Database) -> None:
    first = SqliteStore(database, owner=OWNER, alive=lambda _: False)
    run = first.begin(REQUEST, PLAN)
    first.append(run, [note("first"), note("second")])
    second = SqliteStore(database, owner=replace(OWNER, pid=7), alive=lambda _: False)
    second.adopt(second.run(run), ["web"], "bob")

    second.renew()

    assert second.run(run).alive_records == 2


def test_whoever_has_a_run_after_records_were_lost_does_not_make_it_whole(database: Database) -> None:
    first = SqliteStore(database, owner=OWNER, alive=lambda _: False)
    run = first.begin(REQUEST, PLAN)
    database.execute("UPDATE runs SET alive_records = 3")
    second = SqliteStore(database, owner=replace(OWNER, pid=7), alive=lambda _: False)
    second.adopt(second.run(run), ["web"], "bob")

    second.renew()

    assert "had written 3 records" in "; ".join(second.faults(run))


def test_records_that_a_process_had_written_when_it_was_alive_and_that_are_gone_are_missed(
    journal: SqliteStore, database: Database
) -> None:
    """As a log that went leaves the file: sound, with the records and their count of some time ago."""
    run = journal.begin(REQUEST, PLAN)
    journal.append(run, [note("first")])
    entry = journal.run(run)
    journal.append(run, [note("second"), note("third")])
    journal.renew()
    database.execute("DROP TRIGGER records_are_never_removed")
    database.execute("DELETE FROM records WHERE seq > 1")
    database.execute("UPDATE runs SET records = 1, head = ?", (entry.last_checksum,))

    message = "its process had written 3 records when it last gave a sign of life, at .*, and 1 are there"
    assert re.search(message, "; ".join(journal.faults(run)))
    with pytest.raises(JournalError, match=f"damaged: {message}"):
        journal.verified_records(journal.run(run))


def test_a_renewal_for_a_run_that_another_process_took_over_is_too_late(database: Database) -> None:
    first = SqliteStore(database, owner=OWNER, alive=lambda _: False)
    run = first.begin(REQUEST, PLAN)
    second = SqliteStore(database, owner=replace(OWNER, pid=7), alive=lambda _: False)
    second.adopt(second.run(run), [], "bob")

    with pytest.raises(BusyError, match="is no longer this process's"):
        first.renew()
    assert second.run(run).alive_at == ""


def test_a_row_of_a_cluster_that_an_earlier_version_wrote_is_read() -> None:
    entry = Run.new(REQUEST, PLAN, OWNER, TurningClock().now())
    row = {name: value for name, value in entry.as_row().items() if not name.startswith("alive_")}

    assert Run.from_row(row) == entry


def test_a_process_whose_run_was_taken_over_cannot_write_into_it(database: Database) -> None:
    first = SqliteStore(database, owner=OWNER, alive=lambda _: False)
    run = first.begin(REQUEST, PLAN)
    first.acquire(run, ["web"], "alice")
    second = SqliteStore(database, owner=replace(OWNER, pid=7), alive=lambda _: False)
    second.adopt(second.run(run), ["web"], "bob")

    with pytest.raises(BusyError, match="is no longer this process's"):
        first.append(run, [note("late")])
    with pytest.raises(BusyError, match="is no longer this process's"):
        first.finish(RunResult(Outcome.DONE, "late", run), is_final=True)
    with pytest.raises(BusyError, match="is no longer this process's"):
        first.require_owned()
    assert second.show(run) == []
    assert second.run(run).outcome is None


def _insert(connection: sqlite3.Connection, table: str, row: dict[str, object], *, without: set[str]) -> None:
    kept = {name: value for name, value in row.items() if name not in without}
    marks = ", ".join("?" * len(kept))
    connection.execute(f"INSERT INTO {table} ({', '.join(kept)}) VALUES ({marks})", tuple(kept.values()))


def test_a_file_that_another_process_is_just_making_is_waited_for(database: Database, tmp_path: Path) -> None:
    """SQLite itself refuses at once while somebody writes to a file that has no write-ahead log yet."""
    (tmp_path / "deep").mkdir()
    maker = sqlite3.connect(tmp_path / "deep" / "state.db", isolation_level=None, check_same_thread=False)
    maker.execute("BEGIN IMMEDIATE")
    done = Timer(0.1, maker.rollback)
    done.start()

    assert SqliteStore(database).runs() == []

    done.join()
    maker.close()


def test_an_order_tells_the_arguments_that_were_given_and_a_zero_is_one() -> None:
    arguments = {
        "service": "web", "only": [], "site": "", "soak": 0.0, "drain": None, "to": ["a", "b"], "yes": False
    }  # fmt: skip
    assert replace(REQUEST, arguments=arguments).given == "service=web soak=0.0 to=a,b"
