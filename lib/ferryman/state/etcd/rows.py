"""Runs, records and locks as they are stored under etcd's keys; what is damaged there can still be read."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from ferryman.engine.process import ProcessId
from ferryman.errors import JournalError
from ferryman.state.records import Lock, Run, RunRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ferryman.outcomes import RunResult
    from ferryman.state.etcd.client import KeyValue

T = TypeVar("T")

BATCH_BYTES = 512 * 1024
"""etcd takes requests of 1.5 MiB at most (https://etcd.io/docs/v3.5/dev-guide/limit/).
Base64 adds a third."""
_COLUMNS = 8
"""How many fields a record's row has."""


def batches(rows: Sequence[list[Any]]) -> Iterator[list[list[Any]]]:
    """The rows in batches, each small enough for one request."""
    current: list[list[Any]] = []
    size = 0
    for row in rows:
        length = len(json.dumps(row))
        if current and size + length > BATCH_BYTES:
            yield current
            current, size = [], 0
        current.append(row)
        size += length
    if current:
        yield current


def batch(run: str, text: str) -> list[list[Any]]:
    """The rows of one batch; a batch that cannot be read is one row that no checksum matches."""
    try:
        rows = [list(row) for row in json.loads(text)]
    except (ValueError, TypeError):
        rows = [[]]
    if all(len(row) == _COLUMNS for row in rows):
        return rows
    return [[run, 0, "", "unreadable", None, None, text, ""]]


def opened(entry: Run) -> Run:
    """The run as it is recorded when it is under way again."""
    return replace(entry, ended=None, outcome=None, exit_code=None, ending="")


def ended(entry: Run, result: RunResult, now: str) -> Run:
    """The run as it is recorded when a command about it has ended, at ``now`` (RFC 3339)."""
    return replace(entry, ended=now, outcome=result.outcome, exit_code=result.exit_code, ending=result.reason)


def entry(found: KeyValue, reader: ProcessId) -> Run:
    """The run that a key holds; one that cannot be read is returned with a checksum that does not match."""
    try:
        return Run.from_row(json.loads(found.value))
    except (ValueError, KeyError, TypeError):
        request = RunRequest(cookbook="(unreadable)", arguments={"unreadable": found.value}, operator="")
        run = found.key.rpartition("/")[2]
        return Run(run, request, (), "", "", None, None, None, "", reader, request_checksum="damaged")


def lock(found: KeyValue, where: str) -> Lock:
    """The lock that a key holds; ``where`` is the store, for the message.

    Raises:
        JournalError: It cannot be read.
    """
    return _read(found, where, Lock.from_row)


def owner(found: KeyValue, where: str) -> ProcessId:
    """The process that a key holds.

    Raises:
        JournalError: It cannot be read.
    """
    return _read(found, where, ProcessId.from_row)


def _read(found: KeyValue, where: str, from_row: Callable[[Any], T]) -> T:
    try:
        return from_row(json.loads(found.value))
    except (ValueError, KeyError, TypeError) as error:
        raise JournalError(
            f"{where}: {found.key}: cannot be read: {found.value[:200]!r}; see which run it was, then remove "
            "the key"
        ) from error
