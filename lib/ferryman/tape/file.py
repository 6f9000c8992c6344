"""A tape as a file: reading one that may come from anybody, and writing one whole.

The form is JSON lines, gzip or plain, with a digest in the last line. While a run goes on its tape grows by
whole gzip members, one behind the other (``appending.py``); one that was cut off is read as far as it goes.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferryman.errors import TapeError
from ferryman.permissions import READ, denied
from ferryman.tape.form import SCHEMA, Entry, FormError, Header, PlannedStep, entry_of, header_of, shown
from ferryman.tape.lines import NotATapeError, TapeLines, value_of
from ferryman.whole_file import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["SUFFIX", "Entry", "Header", "PlannedStep", "Tape", "line_of", "read", "whole_bytes", "write"]

SUFFIX = ".tape"
FILE_MODE = 0o600
NEW = ".new"
"""How the names of temporary files end."""


@dataclass(frozen=True, slots=True)
class Tape:
    """A tape that was read."""

    header: Header
    entries: tuple[Entry, ...]
    whole: bool
    """Whether it has its last line; false of a run that was killed, or that is still going on."""
    path: Path


def read(path: Path) -> Tape:
    """Read a tape.

    Raises:
        TapeError: It cannot be read, is no tape, is newer, damaged or edited; names file and line.
    """
    try:
        with _opened(path) as file:
            return _read(file, path)
    except FormError as error:
        raise TapeError(f"{path}: {error}") from error
    except PermissionError as error:
        raise TapeError(f"{path}: cannot be read: {denied(path, READ) or error.strerror}") from error
    except OSError as error:
        raise TapeError(f"{path}: cannot be read: {error.strerror}") from error


def write(path: Path, header: Header, entries: Iterable[Entry], *, whole: bool = True) -> None:
    """Write a tape in the place of the file, if there is one; equal content gives equal bytes.

    One that is not ``whole`` gets no last line: it is read as the tape of a run that was killed.

    Raises:
        OSError: It could not be written; the file is as it was.
        ValueError: Something is no JSON, such as a number that is not finite.
    """
    content = whole_bytes(header, entries) if whole else member(_lines(header, entries))
    write_whole(path, content, mode=FILE_MODE, suffix=NEW)


def whole_bytes(header: Header, entries: Iterable[Entry]) -> bytes:
    """The content of a whole tape's file: one gzip member, the digest in its last line."""
    raw = _lines(header, entries)
    last = {"lines": raw.count(b"\n"), "sha256": hashlib.sha256(raw).hexdigest()}
    return member(raw + line_of(last))


def _lines(header: Header, entries: Iterable[Entry]) -> bytes:
    return b"".join([line_of(header.as_json()), *(line_of(entry.as_json()) for entry in entries)])


def member(raw: bytes, level: int = 6) -> bytes:
    """The bytes as a gzip member without name and time; ``level`` is gzip's, 1 is the quickest."""
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", fileobj=packed, mode="wb", compresslevel=level, mtime=0) as file:
        file.write(raw)
    return packed.getvalue()


def line_of(value: object) -> bytes:
    """A value as a line; keys stay in their order, lone surrogates (no UTF-8 has them) become ``?``.

    Raises:
        ValueError: It is no JSON.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "replace") + b"\n"


def _opened(path: Path) -> io.BufferedReader:
    # A pipe would be waited for.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FormError("no tape: it is no file")
    return open(descriptor, "rb")  # noqa: PTH123  # a descriptor has no path


def _read(file: io.BufferedReader, path: Path) -> Tape:
    lines = TapeLines(file)
    header: Header | None = None
    entries: list[Entry] = []
    for number, line in enumerate(lines, start=1):
        try:
            if header is None:
                header = _header(line)
            else:
                entries.append(entry_of(value_of(line)))
        except FormError as error:
            raise FormError(f"line {number}: {error}") from error
    if header is None:
        raise NotATapeError("no tape: it is empty, or cut off within its first line")
    return Tape(header, tuple(entries), lines.whole, path)


def _header(line: bytes) -> Header:
    value = value_of(line)
    schema = value.get("tape") if isinstance(value, dict) else None
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise NotATapeError("no tape: the first line of one has its schema")
    if isinstance(value, dict) and schema > SCHEMA:
        raise FormError(
            f"written by ferryman {shown(value.get('ferryman'))}, schema {schema}; "
            f"this one reads up to {SCHEMA}: use the newer ferryman"
        )
    return header_of(value)
