"""Records that a store could not be told: in memory, and in a file of this control host.

One file for each run, a record in each line, as it will stand in the store: the checksums go on from the
last record that the store is known to have. So it can be told later whether they follow what it has by then.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ferryman.state import records

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ferryman.state.records import NewRecord, Run

_RUN = re.compile(r"[0-9A-Za-z-]+")
"""What a run's id is made of. It comes from the store, and must not lead out of the folder."""
_SEQ = 1
"""Where a record's row has its number."""


class Spool:
    """The records of one run that are not in its store.

    A file that cannot be written stops nothing: its records are in memory still, and ``words`` tells it.
    """

    def __init__(self, folder: Path | None, entry: Run) -> None:
        """Begin with the run as the store is known to have it; without a folder there is memory alone."""
        self.rows: list[list[Any]] = []
        self._entry = entry
        self._path = _path(folder, entry.id)
        self._begun = False
        """Whether the file is there, and whole."""
        self._trouble: OSError | None = None

    @classmethod
    def left(cls, folder: Path | None, entry: Run) -> Spool | None:
        """What an earlier process left of this run on this control host, if it did.

        Raises:
            OSError: There is a file, and it cannot be read.
        """
        spool = cls(folder, entry)
        if spool._path is None:
            return None
        try:
            text = spool._path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None
        spool.rows = [_row(line) for line in text.split("\n")[:-1]]  # the last one may be torn: it has no end
        if spool.rows and spool.rows[-1]:
            last = spool.rows[-1]
            spool._entry = replace(entry, records=_number(last), head=str(last[-1]))
        return spool

    def add(self, notes: Sequence[NewRecord]) -> None:
        """Keep these, after those that are there already; they are on disk when it returns, if it can be."""
        rows = records.written(self._entry, notes)
        if not rows:
            return
        self.rows += rows
        self._entry = replace(self._entry, records=rows[-1][_SEQ], head=rows[-1][-1])
        try:
            self._write(rows)
        except OSError as error:
            self._trouble = self._trouble or error

    def rest(self, entry: Run, stored: Sequence[Sequence[Any]]) -> list[list[Any]] | None:
        """The records that the store lacks; None when they do not follow what it has.

        Some of the first it may have: the answer to the request that wrote them was what got lost.
        """
        have = [row for row in self.rows if _number(row) <= entry.records]
        rest = self.rows[len(have) :]
        known = {_number(row): list(row) for row in stored}
        if any(known.get(_number(row)) != row for row in have):
            return None
        return rest if records.follow(entry, rest) else None

    def remove(self) -> None:
        """The store has all of it."""
        self.rows = []
        if self._path is not None:
            with suppress(OSError):  # it follows nothing any more, and is told as such
                self._path.unlink(missing_ok=True)

    def put_by(self) -> Path | None:
        """Give the file another name, so that nobody takes it for what follows; where it is then."""
        if self._path is None:
            return None
        number = 1
        while (kept := self._path.with_name(f"{self._path.name}.kept-{number}")).exists():
            number += 1
        with suppress(OSError):
            return self._path.rename(kept)
        return self._path

    def words(self) -> str:
        """Which records these are, and where."""
        if not self.rows:
            return ""
        first, last = self.rows[0][_SEQ], self.rows[-1][_SEQ]
        which = f"record {first}" if first == last else f"records {first} to {last}"
        if self._path is None:
            return (
                f"{which}: in this process's memory alone, and gone with it; the next one looks at the world"
            )
        if self._trouble is not None:
            return (
                f"{which}: not in {self._path} either, or not all of them ({self._trouble}); what is not "
                "there is gone with this process, and the next one looks at the world"
            )
        return (
            f"{which}: only in {self._path} on this control host; the next resume or rollback of the run "
            "here puts them into the journal"
        )

    def _write(self, rows: Sequence[Sequence[Any]]) -> None:
        if self._path is None or self._trouble is not None:
            return
        if self._begun:
            _append(self._path, rows)
            return
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Whole, for what an earlier process left may end in a torn line.
        new = self._path.with_name(f"{self._path.name}.new")
        new.unlink(missing_ok=True)
        _append(new, self.rows)
        new.replace(self._path)
        _sync(self._path.parent)
        self._begun = True


def _path(folder: Path | None, run: str) -> Path | None:
    return folder / f"{run}.jsonl" if folder is not None and _RUN.fullmatch(run) else None


def _append(path: Path, rows: Sequence[Sequence[Any]]) -> None:
    """Add these lines; they are on disk when it returns."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        text = memoryview("".join(f"{json.dumps(row)}\n" for row in rows).encode())
        while text:
            text = text[os.write(file, text) :]
        os.fsync(file)
    finally:
        os.close(file)


def _sync(folder: Path) -> None:
    """Have the name of a new file on disk."""
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _row(line: str) -> list[Any]:
    """A record as it was written; one that cannot be read follows nothing."""
    try:
        row = json.loads(line)
    except ValueError:
        return []
    return row if isinstance(row, list) else []


def _number(row: Sequence[Any]) -> int:
    number = row[_SEQ] if len(row) > _SEQ else None
    return number if isinstance(number, int) else 0
