"""Secrets of a journal's records, in records of their own.

A rollback needs files as they were, and those may hold passwords (keepalived's ``auth_pass``). The record of
a state before a change has its texts with the secrets hidden; the texts themselves are in a record of the
kind ``kept-apart`` ahead of it. They go back into their places for a command that acts on the run, and for
nobody who shows it. Records that nobody puts back from have the hidden form alone.
"""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ferryman.errors import JournalError
from ferryman.redaction import HIDDEN, may_hold, redacted
from ferryman.state.records import EXACT, NewRecord, as_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ferryman.state.records import Record

KIND = "kept-apart"
"""The kind of record that holds the texts of the next one."""
_Path = tuple["str | int", ...]
"""The keys and places that lead to a text within a payload."""


def split(new_records: Iterable[NewRecord]) -> list[NewRecord]:
    """These records with their secrets hidden, behind a record of what was hidden where that is needed.

    Records that were split before stay as they are.

    Raises:
        JournalError: A state before a change has no form in JSON.
    """
    return [part for record in new_records for part in _parts(record)]


def _parts(record: NewRecord) -> Iterator[NewRecord]:
    text = as_json(record)
    if record.kind == KIND or not may_hold(text):
        yield record
        return
    texts: list[tuple[_Path, str]] = []
    payload = _without(json.loads(text), (), texts)
    if texts and record.kind in EXACT:
        yield replace(record, kind=KIND, payload={"texts": texts})
    yield replace(record, payload=payload)


def _without(value: Any, path: _Path, texts: list[tuple[_Path, str]]) -> Any:  # noqa: ANN401  # JSON
    """The value with its secrets hidden; the texts that had any are added to ``texts``, with their places."""
    if isinstance(value, dict):
        return {key: _without(item, (*path, key), texts) for key, item in value.items()}
    if isinstance(value, list):
        return [_without(item, (*path, place), texts) for place, item in enumerate(value)]
    if not isinstance(value, str):
        return value
    shown = HIDDEN if value and path and _names_a_secret(path[-1]) else redacted(value)
    if shown != value:
        texts.append((path, value))
    return shown


def _names_a_secret(key: str | int) -> bool:
    return redacted(f"{key}: x") == f"{key}: {HIDDEN}"


def restored(records: Iterable[Record]) -> list[Record]:
    """The records as they were before they were split; a damaged one keeps what it has.

    Raises:
        JournalError: What was kept apart has no place in the record after it.
    """
    found: list[Record] = []
    texts: list[Any] = []
    for record in records:
        if record.kind == KIND:
            texts = _texts(record)
            continue
        found.append(_with(record, texts) if texts and record.sound else record)
        texts = []
    return found


def counted(records: Iterable[Record]) -> list[Record]:
    """The records for whoever is shown them: of those that hold secrets, how many texts there are."""
    return [
        replace(record, payload={"texts": len(_texts(record))}) if record.kind == KIND else record
        for record in records
    ]


def _texts(record: Record) -> list[Any]:
    texts = record.payload.get("texts")
    return texts if isinstance(texts, list) else []


def _with(record: Record, texts: list[Any]) -> Record:
    payload = deepcopy(record.payload)
    try:
        for path, text in texts:
            place: Any = payload
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = text
    except (LookupError, TypeError, ValueError) as error:
        raise JournalError(
            f"record {record.seq} ({record.kind}): what was kept apart of it has no place there: what it "
            "says was there before cannot be trusted; see who wrote there, and put the hosts back by hand"
        ) from error
    return replace(record, payload=payload)
