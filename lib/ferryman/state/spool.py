"""Records that could not be written to a store: kept in memory, and in a file on this control host.

One file for each run, a record in each line, as it will be in the store: the checksums continue the chain
from the last record that the store is known to have. So it is known later whether they continue what the
store has by then.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from dataclasses import replace
from errno import EACCES
from typing import TYPE_CHECKING, Any

from ferryman.errors import JournalError
from ferryman.state import kept_apart, records
from ferryman.trust import require_trusted, untrusted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ferryman.state.records import NewRecord, Run

_RUN = re.compile(r"[0-9A-Za-z-]+")
"""A run's id. It comes from the store, and must not name a file outside of the folder."""
_SEQ = 1
"""The place of the number in a record's row."""


class Spool:
    """The records of one run that are not in its store.

    A file that cannot be written stops nothing: its records are still in memory, and ``summary`` says so.
    """

    def __init__(self, folder: Path | None, entry: Run) -> None:
        """``entry`` is the run as the store is known to have it; without a folder there is no file."""
        self.rows: list[list[Any]] = []
        self._entry = entry
        self._path = _path(folder, entry.id)
        self._is_written = False
        """Whether this process has written the file."""
        self._error: OSError | None = None

    @classmethod
    def load(cls, folder: Path | None, entry: Run) -> Spool | None:
        """The spool of this run that an earlier process left on this control host; None where there is none.

        Raises:
            OSError: The file cannot be read.
            JournalError: Somebody else may have written it.
        """
        spool = cls(folder, entry)
        if spool._path is None:
            return None
        require_trusted(spool._path, "records of a run", JournalError)
        try:
            text = spool._path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None
        spool.rows = [_row(line) for line in text.split("\n")[:-1]]  # a torn last line has no end
        if spool.rows and spool.rows[-1]:
            last = spool.rows[-1]
            spool._entry = replace(entry, records=_number(last), last_checksum=str(last[-1]))
        return spool

    def add(self, new_records: Sequence[NewRecord]) -> None:
        """Append these records; they are on disk when it returns, unless the file cannot be written."""
        rows = records.chained_rows(self._entry, kept_apart.split(new_records))
        if not rows:
            return
        self.rows += rows
        self._entry = replace(self._entry, records=rows[-1][_SEQ], last_checksum=rows[-1][-1])
        try:
            self._write(rows)
        except OSError as error:
            self._error = self._error or error

    def unstored(self, entry: Run, stored: Sequence[Sequence[Any]]) -> list[list[Any]] | None:
        """The rows that the store lacks; None where they do not continue what it has.

        It may have the first of them: then only the answer to the request that wrote them was lost.
        """
        known = [row for row in self.rows if _number(row) <= entry.records]
        rest = self.rows[len(known) :]
        stored_rows = {_number(row): list(row) for row in stored}
        if any(stored_rows.get(_number(row)) != row for row in known):
            return None
        return rest if records.continues(entry, rest) else None

    def remove(self) -> None:
        """Delete the file: the store has all of its records."""
        self.rows = []
        if self._path is not None:
            with suppress(OSError):  # it continues nothing any more, and is reported as such
                self._path.unlink(missing_ok=True)

    def set_aside(self) -> Path | None:
        """Rename the file, so that no process appends its records; returns where it is then."""
        if self._path is None:
            return None
        number = 1
        while (kept := self._path.with_name(f"{self._path.name}.kept-{number}")).exists():
            number += 1
        with suppress(OSError):
            return self._path.rename(kept)
        return self._path

    def summary(self) -> str:
        """Which records these are, and where, for people; empty where there are none."""
        if not self.rows:
            return ""
        first, last = self.rows[0][_SEQ], self.rows[-1][_SEQ]
        which = f"record {first}" if first == last else f"records {first} to {last}"
        if self._path is None:
            return (
                f"{which}: only in this process's memory, and lost with it; the next process reads the hosts"
            )
        if self._error is not None:
            return (
                f"{which}: not in {self._path} either, or not all of them ({self._error}); what is not "
                "there is lost with this process, and the next process reads the hosts"
            )
        return (
            f"{which}: only in {self._path} on this control host; the next resume or rollback of the run "
            "here puts them into the journal"
        )

    def _write(self, rows: Sequence[Sequence[Any]]) -> None:
        if self._path is None or self._error is not None:
            return
        if self._is_written:
            _append(self._path, rows)
            return
        if reason := untrusted(self._path):
            raise PermissionError(EACCES, reason)
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Written anew: what an earlier process left may end in a torn line.
        new = self._path.with_name(f"{self._path.name}.new")
        new.unlink(missing_ok=True)
        _append(new, self.rows)
        new.replace(self._path)
        _sync(self._path.parent)
        self._is_written = True


def _path(folder: Path | None, run: str) -> Path | None:
    return folder / f"{run}.jsonl" if folder is not None and _RUN.fullmatch(run) else None


def _append(path: Path, rows: Sequence[Sequence[Any]]) -> None:
    """Append these rows as lines; they are on disk when it returns."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        text = memoryview("".join(f"{json.dumps(row)}\n" for row in rows).encode())
        while text:
            text = text[os.write(file, text) :]
        os.fsync(file)
    finally:
        os.close(file)


def _sync(folder: Path) -> None:
    """Sync a folder, so that the name of a new file is on disk."""
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _row(line: str) -> list[Any]:
    """The row in a line; an empty one, which continues nothing, where it cannot be read."""
    try:
        row = json.loads(line)
    except ValueError:
        return []
    return row if isinstance(row, list) else []


def _number(row: Sequence[Any]) -> int:
    """The number of a record; 0, which is no record's, where the row has none."""
    number = row[_SEQ] if len(row) > _SEQ else None
    return number if isinstance(number, int) else 0
