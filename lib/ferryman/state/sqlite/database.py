"""Connections to the SQLite file of journal and locks: durable, private, with clear errors."""

from __future__ import annotations

import sqlite3
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ferryman.errors import JournalError
from ferryman.retry import poll_until
from ferryman.state.sqlite.files import (
    OpenFiles,
    damaged,
    make_private,
    not_usable,
    require_readable_log,
)
from ferryman.state.sqlite.schema import SCHEMA_VERSION, migrate, strange, version

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_BUSY_S = 10.0
"""Seconds to wait for another process's transaction; ours last milliseconds."""
_BUSY_AGAIN_S = 0.02
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_PRIMARY_CODE = 0xFF
"""The lowest byte of SQLite's extended error codes is the primary code (https://www.sqlite.org/rescode.html)."""
_FAULTS_SHOWN = 5


class Database:
    """One connection, made when it is first used; used by one thread alone.

    Raises:
        JournalError: From every method: the file cannot be made, read or written, is damaged, or is newer
            than we are.
    """

    def __init__(self, where: str, *, path: Path | None = None, files: OpenFiles | None = None) -> None:
        self.where = where
        """The file's path, or a URI of SQLite's for one in memory."""
        self._path = path
        self._wanted = files
        """The files that another connection has open, which this one must find in place."""
        self._files: OpenFiles | None = None
        self._connection: sqlite3.Connection | None = None

    @classmethod
    def at(cls, path: Path) -> Database:
        """The database in this file, which is created, with its folder, when it is first used."""
        return cls(str(path), path=path)

    @classmethod
    def in_memory(cls) -> Database:
        """A database in memory alone, for dry runs."""
        return cls(f"file:{uuid.uuid4().hex}?mode=memory&cache=shared")

    def another(self) -> Database:
        """A connection to the same database, for another thread; to the very files that are open here."""
        return Database(self.where, path=self._path, files=self._files)

    def execute(self, sql: str, values: Sequence[object] = ()) -> int:
        """Run one statement; returns the number of rows that it changed."""
        with self._explained():
            return self._connected().execute(sql, values).rowcount

    def query(self, sql: str, values: Sequence[object] = ()) -> list[Any]:
        """The rows of a SELECT, whose fields are found by name."""
        with self._explained():
            return self._connected().execute(sql, values).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A transaction, committed to disk when it is left; one inside another is part of it."""
        if self._connection is not None and self._connection.in_transaction:
            yield
            return
        self.require_in_place()
        try:
            self.execute("BEGIN IMMEDIATE")
            yield
            self.execute("COMMIT")
        except BaseException:
            self._abandon()
            raise
        self.require_in_place()

    def require_in_place(self) -> None:
        """Check that the open files are still those with their names; may be called from another thread.

        A database that was removed or replaced takes every record without complaint, and nobody reads them.
        """
        with self._explained():
            if (files := self._files) is not None:
                files.require_in_place()

    def require_sound(self) -> None:
        """Check the whole file for damage, which takes 40 ms for 50 MB.

        Raises:
            JournalError: It is damaged.
        """
        found = [str(row[0]) for row in self.query(f"PRAGMA quick_check({_FAULTS_SHOWN})")]
        if found != ["ok"]:
            raise damaged(self.where, "; ".join(line for fault in found for line in fault.splitlines()))

    def close(self) -> None:
        """Close the connection; the next use opens another one."""
        if self._connection is not None:
            if self._is_in_place():
                self._connection.close()
            else:
                _never_close(self._connection)
            self._connection = None
            self._files = None

    def _is_in_place(self) -> bool:
        try:
            self.require_in_place()
        except JournalError:
            return False
        return True

    def _abandon(self) -> None:
        # A full disk ends the transaction by itself.
        if self._connection is not None and self._connection.in_transaction:
            self._connection.rollback()

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = self._open()
            try:
                _prepare(connection, self.where)
                if self._path is not None:
                    self._files = OpenFiles.of(self._path)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _open(self) -> sqlite3.Connection:
        uri = self.where
        if self._path is not None:
            if self._wanted is not None:
                self._wanted.require_in_place()
            else:
                make_private(self._path)
                require_readable_log(self._path)
            # SQLite makes nothing: what it made would not be private, and stand for a journal that is gone.
            uri = f"{self._path.absolute().as_uri()}?mode=rw"
        return sqlite3.connect(uri, timeout=_BUSY_S, isolation_level=None, uri=True)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except UnicodeDecodeError as error:  # SQLite quotes what it finds, and that is text no more
            raise damaged(self.where, str(error.object, "utf-8", "backslashreplace")) from error
        except (sqlite3.Error, OSError) as error:
            if getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE in _DAMAGED:
                raise damaged(self.where, str(error)) from error
            if self._path is not None and (obstacle := not_usable(self._path)):
                raise JournalError(f"{self.where}: the journal cannot be used: {obstacle}") from error
            raise JournalError(
                f"{self.where}: the journal cannot be used: {error}; wanted a database that can be read and "
                "written; look at the disk's free space and the file's permissions"
            ) from error


def _never_close(connection: sqlite3.Connection) -> None:
    """Leave a connection to the end of the process, when the kernel drops it.

    The last connection that is closed puts its log into the file. This one's log has been removed: it is
    older than what others wrote since, and would undo it. Python closes whatever it lets go of, so it must
    not let go. (``SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE`` is for this, and Python knows it from 3.12 on.)
    """
    import ctypes  # noqa: PLC0415  # hardly ever needed

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Set the journal mode to WAL, which in a new file takes a lock that the busy timeout does not wait for.

    Of two processes that create the file at once, one would get «database is locked» (SQLITE_BUSY in
    https://www.sqlite.org/c3ref/busy_handler.html: the handler is not called where waiting could deadlock).
    """
    if _busy(connection) is None:
        return
    busy = poll_until(
        lambda: _busy(connection), lambda busy: busy is None, within_s=_BUSY_S, every_s=_BUSY_AGAIN_S
    )
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
    # Text that is damaged is shown, and fits no checksum: it must not keep people from the rest.
    connection.text_factory = lambda text: text.decode("utf-8", "backslashreplace")
    _write_ahead(connection)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    _require_own_schema(connection, where)
    migrate(connection)
    if (found := version(connection)) > SCHEMA_VERSION:
        raise JournalError(
            f"{where}: was written by another ferryman: its schema is {found}, this one knows "
            f"{SCHEMA_VERSION}; use the newer ferryman, or another state file in ferryman.toml"
        )


def _require_own_schema(connection: sqlite3.Connection, where: str) -> None:
    connection.execute("BEGIN")  # what is read is of one moment: another process may just make the tables
    try:
        found = strange(connection) if version(connection) <= SCHEMA_VERSION else []
    finally:
        connection.rollback()
    if found:
        raise JournalError(
            f"{where}: the journal is not used: its schema is not as ferryman makes it: {', '.join(found)}; "
            "somebody else has written the file: find out who could; nothing was changed; compare the hosts "
            "with the catalog, and name another state file in ferryman.toml"
        )
