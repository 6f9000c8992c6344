"""The tables of the SQLite file, and the migration of files with an earlier schema.

The number of the schema is the file's ``user_version``. ``docs/journal.md`` describes the tables to people.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_FIRST = """
CREATE TABLE runs (
    id TEXT PRIMARY KEY, cookbook TEXT NOT NULL, arguments TEXT NOT NULL, operator TEXT NOT NULL,
    reason TEXT NOT NULL, task TEXT NOT NULL, dry_run INTEGER NOT NULL, version TEXT NOT NULL,
    plan TEXT NOT NULL, fingerprint TEXT NOT NULL, started TEXT NOT NULL,
    ended TEXT, outcome TEXT, exit_code INTEGER, ending TEXT NOT NULL DEFAULT '',
    host TEXT NOT NULL, pid INTEGER NOT NULL, pid_started INTEGER NOT NULL, boot_id TEXT NOT NULL
) STRICT;
CREATE TABLE records (
    run TEXT NOT NULL REFERENCES runs (id), seq INTEGER NOT NULL, time TEXT NOT NULL, kind TEXT NOT NULL,
    step INTEGER, phase TEXT, payload TEXT NOT NULL, checksum TEXT NOT NULL,
    PRIMARY KEY (run, seq)
) STRICT;
CREATE TABLE locks (
    key TEXT PRIMARY KEY, run TEXT NOT NULL, state TEXT NOT NULL, operator TEXT NOT NULL,
    host TEXT NOT NULL, pid INTEGER NOT NULL, pid_started INTEGER NOT NULL, boot_id TEXT NOT NULL,
    since TEXT NOT NULL, lease_until TEXT NOT NULL
) STRICT;
CREATE TRIGGER records_are_never_rewritten BEFORE UPDATE ON records
    BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER records_are_never_removed BEFORE DELETE ON records
    BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
"""

_COUNTED = """
ALTER TABLE runs ADD COLUMN records INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN head TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN seal TEXT NOT NULL DEFAULT '';
UPDATE runs SET records = (SELECT count(*) FROM records WHERE run = id),
    head = coalesce((SELECT checksum FROM records WHERE run = id ORDER BY seq DESC LIMIT 1), '');
CREATE TRIGGER records_are_counted AFTER INSERT ON records
    BEGIN UPDATE runs SET records = NEW.seq, head = NEW.checksum WHERE id = NEW.run; END;
CREATE TRIGGER runs_are_never_removed BEFORE DELETE ON runs
    BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
"""
"""So that a record missing at the end, and a change of a run's arguments, are noticed."""

_ALIVE = """
ALTER TABLE runs ADD COLUMN alive_at TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN alive_records INTEGER NOT NULL DEFAULT 0;
"""
"""So that the loss of records which a process had written is noticed."""

_STEPS = (_FIRST, _COUNTED, _ALIVE)
"""The script from each schema to the next; the first one is for an empty file."""
SCHEMA_VERSION = len(_STEPS)


def version(connection: sqlite3.Connection) -> int:
    """The number of the file's schema; 0 where the file is empty."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def strange(connection: sqlite3.Connection) -> list[str]:
    """What the file's schema has that Ferryman does not make, or makes otherwise; empty where all is its own.

    Somebody who could write the file may have added a trigger that frees locks, or put a view in a table's
    place; the records' checksums say nothing of that. What is missing does nothing: it is noticed as damage.
    """
    found, wanted = _objects(connection), _expected(version(connection))
    return sorted(
        f"{kind} {name}" for (kind, name), made in found.items() if wanted.get((kind, name)) != made
    )


def _objects(connection: sqlite3.Connection) -> dict[tuple[str, str], str]:
    """By kind and name, the statements that the schema was made with, without blanks and quotes."""
    rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
    return {
        (str(kind), str(name)): f"{table} {''.join(str(sql).split())}".replace('"', "").lower()
        for kind, name, table, sql in rows
        if not str(name).startswith("sqlite_stat")  # what ANALYZE keeps
    }


def _expected(number: int) -> dict[tuple[str, str], str]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        for step in _STEPS[:number]:
            for statement in _statements(step):
                fresh.execute(statement)
        return _objects(fresh)


def migrate(connection: sqlite3.Connection) -> None:
    """Create the tables, or migrate those of an earlier schema, in one transaction."""
    if version(connection) >= SCHEMA_VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in _STEPS[version(connection) :]:  # again: another process may have been faster
            for statement in _statements(step):
                connection.execute(statement)
        if version(connection) < SCHEMA_VERSION:
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise


def _statements(script: str) -> Iterator[str]:
    """The statements of a script, one at a time: ``executescript`` would commit our transaction first."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
