"""A journal that is removed or replaced under a run stops it: what it writes would never be read."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from ferryman.engine.plan import Plan
from ferryman.engine.runner import Runner
from ferryman.engine.steps import Look
from ferryman.errors import JournalError
from ferryman.outcomes import Outcome, RunResult
from ferryman.state import NewRecord, RunRequest, SqliteStore
from ferryman.state.sqlite.database import Database
from ferryman.testing import Becomes, FakeWorld

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ferryman.engine.steps import Report

REQUEST = RunRequest(cookbook="test", operator="alice")
NOTE = NewRecord("2026-11-22T22:19:43.000Z", "remark", {"text": "first"})
PLAN = Plan([Becomes(FakeWorld(), "a", "b")])
REPLACED = "the journal is no longer the one that this process opened: .*{} is {}"


def remove(path: Path) -> None:
    path.unlink()


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.touch()
    other.rename(path)


@dataclass(frozen=True)
class Loss:
    """What becomes of one of the files, and what is said of it."""

    file: str
    happen: Callable[[Path], None]
    told: str

    def __call__(self, folder: Path) -> None:
        self.happen(folder / self.file)

    @property
    def message(self) -> str:
        return REPLACED.format(self.file, self.told)


LOSSES = [
    Loss(file, happen, told)
    for file in ("state.db", "state.db-wal", "state.db-shm")
    for happen, told in ((remove, "gone"), (replace, "another file by now"))
]
any_loss = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: f"{loss.file} is {loss.told}")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(Database.at(tmp_path / "state.db")) as database:
        yield database


@pytest.fixture
def store(database: Database) -> SqliteStore:
    return SqliteStore(database)


@any_loss
def test_a_file_that_went_is_noticed_before_anything_is_recorded_or_changed(
    store: SqliteStore, tmp_path: Path, loss: Loss
) -> None:
    run = store.begin(REQUEST, PLAN)
    store.acquire(run, ["web"], "alice")
    store.require_owned()

    loss(tmp_path)

    for act in (
        store.require_owned,
        store.renew,
        lambda: store.append(run, [NOTE]),
        lambda: store.finish(RunResult(Outcome.DONE, "", run), is_final=True),
    ):
        with pytest.raises(JournalError, match=loss.message):
            act()
    assert store.show(run) == [], "not even in what is still open"
    assert store.run(run).outcome is None


@any_loss
def test_a_file_that_goes_while_something_is_recorded_is_noticed_before_the_record_counts(
    store: SqliteStore, database: Database, tmp_path: Path, loss: Loss
) -> None:
    run = store.begin(REQUEST, PLAN)

    def record() -> None:
        with database.transaction():
            store.append(run, [NOTE])
            loss(tmp_path)

    with pytest.raises(JournalError, match=loss.message):
        record()


def test_a_renewal_makes_no_new_journal_where_one_is_gone(store: SqliteStore, tmp_path: Path) -> None:
    store.begin(REQUEST, PLAN)
    for file in tmp_path.iterdir():
        file.unlink()

    with pytest.raises(JournalError, match=r"state\.db is gone"):
        store.renew()
    with pytest.raises(JournalError, match=r"state\.db is gone"):
        store.database.another().query("SELECT 1")

    assert list(tmp_path.iterdir()) == []


def test_a_file_that_goes_just_before_it_is_opened_is_not_made_by_sqlite_for_all_to_read(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ferryman.state.sqlite.database.make_private", lambda path: None)

    with pytest.raises(JournalError, match="unable to open database file"):
        database.query("SELECT 1")
    assert list(tmp_path.iterdir()) == []


def test_a_log_that_was_emptied_into_the_file_is_the_same_log(store: SqliteStore, tmp_path: Path) -> None:
    run = store.begin(REQUEST, PLAN)
    with closing(sqlite3.connect(tmp_path / "state.db")) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    assert (tmp_path / "state.db-wal").stat().st_size == 0

    store.append(run, [NOTE])
    store.require_owned()
    store.renew()


def test_a_journal_behind_a_link_is_the_file_that_the_link_leads_to(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "state.db").symlink_to("disk/real.db")
    with closing(SqliteStore.at(tmp_path / "state.db")) as store:
        run = store.begin(REQUEST, PLAN)
        store.append(run, [NOTE])
        assert {file.name for file in (tmp_path / "disk").iterdir()} == {
            "real.db", "real.db-wal", "real.db-shm"
        }  # fmt: skip
        (tmp_path / "state.db").unlink()
        (tmp_path / "other.db").touch()
        (tmp_path / "state.db").symlink_to("other.db")

        with pytest.raises(JournalError, match=r"state\.db is another file by now"):
            store.append(run, [NOTE])


def test_a_journal_in_memory_has_no_file_to_lose() -> None:
    store = SqliteStore(Database.in_memory())
    run = store.begin(REQUEST, PLAN)
    store.append(run, [NOTE])
    store.require_owned()


def test_a_store_that_was_closed_may_find_another_file_afterwards(store: SqliteStore, tmp_path: Path) -> None:
    store.begin(REQUEST, PLAN)
    store.close()
    (tmp_path / "state.db").unlink()

    assert store.runs() == []


def test_a_new_file_is_made_where_there_is_none_and_one_that_is_there_is_never_opened_by_us(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closing it would take the locks of every other connection that this process has."""
    opened: list[str] = []
    real = os.open

    def watched(path: str, flags: int, mode: int = 0o777) -> int:
        opened.append(path)
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", watched)

    database.query("SELECT 1")
    database.another().query("SELECT 1")

    assert opened == []
    assert (tmp_path / "state.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("loss", LOSSES[::2], ids=lambda loss: loss.file)
def test_a_run_whose_journal_goes_stops_before_its_next_change_and_puts_back_what_it_changed(
    tmp_path: Path, loss: Loss
) -> None:
    @dataclass(frozen=True)
    class Goes(Look):
        """Somebody removes a file."""

        def look(self, report: Report) -> None:
            loss(tmp_path)

    world = FakeWorld(None, a="old", b="old")
    plan = Plan([Becomes(world, "a", "new"), Goes(), Becomes(world, "b", "new")], ["web"])
    with closing(SqliteStore.at(tmp_path / "state.db")) as store:
        ending = Runner(store=store).perform(REQUEST, plan)

    assert ending.outcome != "done"
    assert "the journal is no longer the one that this process opened" in ending.reason
    assert world.values == {"a": "old", "b": "old"}
