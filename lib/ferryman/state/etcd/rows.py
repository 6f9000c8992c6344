"""Runs, records and locks as they are stored under etcd's keys; what is damaged there can still be read."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from ferryman.engine.process import ProcessId
from ferryman.errors import JournalError
from ferryman.state.records import Lock, Run, RunRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ferryman.outcomes import RunResult
    from ferryman.state.etcd.client import KeyValue

T = TypeVar("T")

BATCH_BYTES = 512 * 1024
"""etcd takes requests of 1.5 MiB at most (https://etcd.io/docs/v3.5/dev-guide/limit/).
Base64 adds a third."""
_ROW = ((str,), (int,), (str,), (str,), (int, type(None)), (str, type(None)), (str,), (str,))
"""The types of the fields of a record's row."""
_UNREADABLE = (ValueError, KeyError, TypeError, RecursionError)
_SHOWN = 200
"""Characters of a value in a message."""
_OF_A_PROCESS = {"host": (str,), "pid": (int,), "pid_started": (int,), "boot_id": (str,)}
_OF_A_LOCK = {
    **dict.fromkeys(("key", "run", "state", "operator", "since", "lease_until"), (str,)),
    **_OF_A_PROCESS,
}
_OF_A_RUN = {
    **dict.fromkeys(("id", "cookbook", "arguments", "operator", "reason", "task", "version", "plan"), (str,)),
    **dict.fromkeys(("fingerprint", "started", "ending", "head", "seal"), (str,)),
    **dict.fromkeys(("ended", "outcome"), (str, type(None))),
    "exit_code": (int, type(None)),
    "dry_run": (int,),
    "records": (int,),
    **_OF_A_PROCESS,
}


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
        if all(_is_row(row) for row in rows):
            return rows
    except _UNREADABLE:
        pass
    return [[run, 0, "", "unreadable", None, None, text, ""]]


def _is_row(row: list[Any]) -> bool:
    return len(row) == len(_ROW) and all(type(value) in kinds for value, kinds in zip(row, _ROW, strict=True))


def opened(entry: Run) -> Run:
    """The run as it is recorded when it is under way again."""
    return replace(entry, ended=None, outcome=None, exit_code=None, ending="")


def ended(entry: Run, result: RunResult, now: str) -> Run:
    """The run as it is recorded when a command about it has ended, at ``now`` (RFC 3339)."""
    return replace(entry, ended=now, outcome=result.outcome, exit_code=result.exit_code, ending=result.reason)


def entry(found: KeyValue, reader: ProcessId) -> Run:
    """The run that a key holds; one that cannot be read is returned with a checksum that does not match."""
    try:
        return Run.from_row(_typed(json.loads(found.value), _OF_A_RUN))
    except _UNREADABLE:
        request = RunRequest(cookbook="(unreadable)", arguments={"unreadable": found.value}, operator="")
        run = found.key.rpartition("/")[2]
        return Run(run, request, (), "", "", None, None, None, "", reader, request_checksum="damaged")


def lock(found: KeyValue, where: str) -> Lock:
    """The lock that a key holds; ``where`` is the store, for the message.

    Raises:
        JournalError: It cannot be read.
    """
    return _read(found, where, lambda row: Lock.from_row(_typed(row, _OF_A_LOCK)))


def owner(found: KeyValue, where: str) -> ProcessId:
    """The process that a key holds.

    Raises:
        JournalError: It cannot be read.
    """
    return _read(found, where, lambda row: ProcessId.from_row(_typed(row, _OF_A_PROCESS)))


def _typed(row: Any, types: Mapping[str, tuple[type, ...]]) -> dict[str, Any]:  # noqa: ANN401  # whatever JSON holds
    """The row, each of whose columns is of its type: somebody else may have written it.

    Raises:
        KeyError: One is missing.
        TypeError: One is of another type.
    """
    for name, kinds in types.items():
        if type(row[name]) not in kinds:
            raise TypeError(f"{name}: {row[name]!r:.{_SHOWN}}")
    found: dict[str, Any] = row
    return found


def _read(found: KeyValue, where: str, from_row: Callable[[Any], T]) -> T:
    try:
        return from_row(json.loads(found.value))
    except _UNREADABLE as error:
        raise JournalError(
            f"{where}: {found.key}: cannot be read: {found.value[:_SHOWN]!r}; see which run it was, then "
            "remove the key"
        ) from error
