"""The SQLite file that journal and locks live in: durable, private, and clear when it cannot be used."""

from __future__ import annotations

import os
import sqlite3
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ferryman.engine.store.schema import SCHEMA_VERSION, bring_up_to_date, version
from ferryman.errors import JournalError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_BUSY_S = 10.0
"""How long to wait for another process's transaction; ours last milliseconds."""


class Database:
    """One connection, made when it is first used; used by one thread alone.

    Raises:
        JournalError: From every method: the file cannot be made, read or written, or is newer than we are.
    """

    def __init__(self, where: str, *, path: Path | None = None) -> None:
        self.where = where
        """The file's path, or a URI of SQLite's for one in memory."""
        self._path = path
        self._connection: sqlite3.Connection | None = None

    @classmethod
    def at(cls, path: Path) -> Database:
        """The database in this file; made, with its folder, when it is first used."""
        return cls(str(path), path=path)

    @classmethod
    def in_memory(cls) -> Database:
        """A database that leaves nothing behind, for rehearsals."""
        return cls(f"file:{uuid.uuid4().hex}?mode=memory&cache=shared")

    def another(self) -> Database:
        """One more connection to the same place, for another thread."""
        return Database(self.where, path=self._path)

    def execute(self, sql: str, values: Sequence[object] = ()) -> int:
        """Run one statement; the number of rows it changed."""
        with self._explained():
            return self._connected().execute(sql, values).rowcount

    def query(self, sql: str, values: Sequence[object] = ()) -> list[Any]:
        """The rows of a SELECT; fields by name."""
        with self._explained():
            return self._connected().execute(sql, values).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, on disk when it is left; one inside another is part of it."""
        if self._connection is not None and self._connection.in_transaction:
            yield
            return
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.execute("COMMIT")
        except BaseException:
            self._abandon()
            raise

    def close(self) -> None:
        """Give the connection back; the next use opens another one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _abandon(self) -> None:
        # A full disk ends the transaction by itself.
        if self._connection is not None and self._connection.in_transaction:
            self._connection.rollback()

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = self._open()
            try:
                _prepare(connection, self.where)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _open(self) -> sqlite3.Connection:
        if self._path is not None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # SQLite gives its -wal and -shm files the same mode.
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
        return sqlite3.connect(self.where, timeout=_BUSY_S, isolation_level=None, uri=self._path is None)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise JournalError(
                f"{self.where}: the journal cannot be used: {error}; wanted a database that can be read and "
                "written; look at the disk's free space and the file's permissions"
            ) from error


def _prepare(connection: sqlite3.Connection, where: str) -> None:
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    bring_up_to_date(connection)
    if (found := version(connection)) > SCHEMA_VERSION:
        raise JournalError(
            f"{where}: was written by another ferryman: its schema is {found}, this one knows "
            f"{SCHEMA_VERSION}; use the newer ferryman, or another state file in ferryman.toml"
        )
