"""A run's row and its records, as they are kept under etcd's keys: in portions, and safe to be read."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ferryman.engine.process import ProcessId
from ferryman.errors import JournalError
from ferryman.state.records import Lock, Run, RunRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ferryman.state.base import Close
    from ferryman.state.etcd_client import KeyValue

BATCH_BYTES = 512 * 1024
"""etcd takes requests of 1.5 MiB at most, and JSON's base64 adds a third."""
_COLUMNS = 8
"""What a record's row has."""


def batches(rows: Sequence[list[Any]]) -> Iterator[list[list[Any]]]:
    """The rows in portions that one request takes."""
    portion: list[list[Any]] = []
    size = 0
    for row in rows:
        length = len(json.dumps(row))
        if portion and size + length > BATCH_BYTES:
            yield portion
            portion, size = [], 0
        portion.append(row)
        size += length
    if portion:
        yield portion


def batch(run: str, text: str) -> list[list[Any]]:
    """The rows of one portion; one that cannot be read is there, and fits no checksum."""
    try:
        rows = [list(row) for row in json.loads(text)]
    except (ValueError, TypeError):
        rows = [[]]
    if all(len(row) == _COLUMNS for row in rows):
        return rows
    return [[run, 0, "", "unreadable", None, None, text, ""]]


def opened(entry: Run) -> Run:
    """The run as it is when it is under way again."""
    return replace(entry, ended=None, outcome=None, exit_code=None, ending="")


def ended(entry: Run, close: Close, now: str) -> Run:
    """The run as it is when a command about it has ended."""
    return replace(entry, ended=now, outcome=close.outcome, exit_code=close.exit_code, ending=close.reason)


def entry(found: KeyValue, reader: ProcessId) -> Run:
    """The run that a key holds; one that cannot be read is there, and its seal fits nothing."""
    try:
        return Run.from_row(json.loads(found.value))
    except (ValueError, KeyError, TypeError):
        order = RunRequest(cookbook="(unreadable)", arguments={"unreadable": found.value}, operator="")
        run = found.key.rpartition("/")[2]
        return Run(run, order, (), "", "", None, None, None, "", reader, seal="damaged")


def lock(found: KeyValue, where: str) -> Lock:
    """The lock that a key holds.

    Raises:
        JournalError: It cannot be read.
    """
    try:
        return Lock.from_row(json.loads(found.value))
    except (ValueError, KeyError, TypeError) as error:
        raise _unreadable(found, where) from error


def owner(found: KeyValue, where: str) -> ProcessId:
    """The process that a key holds; raises as ``lock`` does."""
    try:
        return ProcessId.from_row(json.loads(found.value))
    except (ValueError, KeyError, TypeError) as error:
        raise _unreadable(found, where) from error


def _unreadable(found: KeyValue, where: str) -> JournalError:
    return JournalError(
        f"{where}: {found.key}: cannot be read: {found.value[:200]!r}; see which run it was, then remove the "
        "key"
    )
