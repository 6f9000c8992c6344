"""The SQLite file that journal and locks live in: durable, private, and clear when it cannot be used."""

from __future__ import annotations

import os
import sqlite3
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ferryman.engine.store.schema import SCHEMA_VERSION, bring_up_to_date, version
from ferryman.errors import JournalError
from ferryman.patience import until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_BUSY_S = 10.0
"""How long to wait for another process's transaction; ours last milliseconds."""
_BUSY_AGAIN_S = 0.02


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


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Write ahead, which a new file takes up with a lock that SQLite's busy timeout does not wait for.

    Of two processes that make the file at once, one would be told «database is locked» (SQLITE_BUSY in
    https://www.sqlite.org/c3ref/busy_handler.html: the handler is not called where waiting could deadlock).
    """

    def begun(busy: sqlite3.OperationalError | None) -> bool:
        return busy is None

    busy = until(lambda: _busy(connection), begun, within_s=_BUSY_S, every_s=_BUSY_AGAIN_S)
    if busy is not None:
        raise busy


def _busy(connection: sqlite3.Connection) -> sqlite3.OperationalError | None:
    try:
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
            raise
        return error
    return None


def _prepare(connection: sqlite3.Connection, where: str) -> None:
    connection.row_factory = sqlite3.Row
    _write_ahead(connection)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    bring_up_to_date(connection)
    if (found := version(connection)) > SCHEMA_VERSION:
        raise JournalError(
            f"{where}: was written by another ferryman: its schema is {found}, this one knows "
            f"{SCHEMA_VERSION}; use the newer ferryman, or another state file in ferryman.toml"
        )
