"""What a store keeps: runs, their records, and locks; and how each is written down as a flat row."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast

from ferryman.engine.clock import stamp
from ferryman.engine.process import ProcessId

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from ferryman.engine.plan import Plan
    from ferryman.events import RunOutcome

LockState = Literal["running", "held", "stranded"]
Row = dict[str, Any]
"""Column by name; values are text, whole numbers and None."""

_SUFFIX_LETTERS = "23456789abcdefghjkmnpqrstvwxyz"
"""Nothing that is misread over the telephone."""
_OPEN_OUTCOMES = (None, "held", "stranded")
_FIELDS = 7
"""What a record's row has before its checksum."""
_SEALED = ("id", "cookbook", "arguments", "operator", "reason", "task", "version", "plan", "fingerprint")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What was asked for: which cookbook, with what, by whom and why."""

    cookbook: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """What the cookbook's command is called with again when the run is taken up; plain JSON values."""
    operator: str
    reason: str = ""
    task: str = ""
    dry_run: bool = False
    version: str = ""
    """The program's."""

    @property
    def given(self) -> str:
        """The arguments as ``name=value``, for people: those that were not given are left out."""
        not_given: tuple[object, ...] = ("", [], ())
        given = {
            name: value
            for name, value in self.arguments.items()
            if value is not None and value is not False and value not in not_given  # 0 says something
        }
        return " ".join(f"{name}={_text(value)}" for name, value in given.items())


@dataclass(frozen=True, slots=True)
class Run:
    """One run as it is listed."""

    id: str
    order: RunRequest
    plan: tuple[str, ...]
    """The titles of its steps."""
    fingerprint: str
    started: str
    ended: str | None
    outcome: RunOutcome | None
    """None while it runs, and after its process died."""
    exit_code: int | None
    ending: str
    owner: ProcessId
    """The process that works on it, or was the last to."""
    records: int = 0
    """How many records it has: one that was cut off at the end is missed."""
    head: str = ""
    """The checksum of the last record."""
    seal: str = ""
    """The checksum of what was asked for, from which the first record's goes on; schema 1 had none."""
    alive_at: str = ""
    """When its process last gave a sign of life; empty where it gave none, or the store keeps none."""
    alive_records: int = 0
    """How many records its process had written by then."""

    @property
    def is_open(self) -> bool:
        """Whether it can be resumed or rolled back: it runs, died, is held or stranded."""
        return self.outcome in _OPEN_OUTCOMES

    @property
    def tip(self) -> str:
        """What the next record's checksum goes on from."""
        return self.head or self.seal

    @classmethod
    def new(cls, order: RunRequest, plan: Plan, owner: ProcessId, now: datetime) -> Run:
        """A run that begins now; its id sorts by time and is short enough to be read out."""
        suffix = "".join(secrets.choice(_SUFFIX_LETTERS) for _ in range(4))
        run = f"{now:%Y%m%d-%H%M%S}-{suffix}"
        fields = (run, order, plan.titles, plan.fingerprint, stamp(now), None, None, None, "", owner)
        return cls(*fields, seal=sealed(cls(*fields).as_row()))

    def as_row(self) -> Row:
        """As it is kept."""
        order = self.order
        return {
            "id": self.id,
            "cookbook": order.cookbook,
            "arguments": json.dumps(dict(order.arguments)),
            "operator": order.operator,
            "reason": order.reason,
            "task": order.task,
            "dry_run": int(order.dry_run),
            "version": order.version,
            "plan": json.dumps(self.plan),
            "fingerprint": self.fingerprint,
            "started": self.started,
            "ended": self.ended,
            "outcome": self.outcome,
            "exit_code": self.exit_code,
            "ending": self.ending,
            **self.owner.as_row(),
            "records": self.records,
            "head": self.head,
            "seal": self.seal,
            "alive_at": self.alive_at,
            "alive_records": self.alive_records,
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Run:
        """From what was kept; what is damaged in it is there as it is, for ``faults`` to tell."""
        order = RunRequest(
            cookbook=row["cookbook"],
            arguments=_mapping(row["arguments"]),
            operator=row["operator"],
            reason=row["reason"],
            task=row["task"],
            dry_run=bool(row["dry_run"]),
            version=row["version"],
        )
        return cls(
            id=row["id"],
            order=order,
            plan=tuple(map(str, _read(row["plan"], list) or [row["plan"]])),
            fingerprint=row["fingerprint"],
            started=row["started"],
            ended=row["ended"],
            outcome=row["outcome"],
            exit_code=row["exit_code"],
            ending=row["ending"],
            owner=ProcessId.from_row(row),
            records=_number(row["records"]),
            head=row["head"],
            seal=row["seal"],
            # A row that an earlier version left in a cluster has neither.
            alive_at=row.get("alive_at", ""),
            alive_records=_number(row.get("alive_records", 0)),
        )


@dataclass(frozen=True, slots=True)
class NewRecord:
    """Something to be recorded."""

    time: str
    kind: str
    payload: Mapping[str, Any]
    step: int | None = None
    phase: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """Something that was recorded."""

    run: str
    seq: int
    time: str
    kind: str
    step: int | None
    phase: str | None
    payload: Mapping[str, Any]
    sound: bool
    """False when the record, or one just before it, is not what was written."""


@dataclass(frozen=True, slots=True)
class Lock:
    """Who has one key."""

    key: str
    run: str
    state: LockState
    operator: str
    owner: ProcessId
    since: str
    lease_until: str

    def as_row(self) -> Row:
        """As it is kept."""
        return {
            "key": self.key,
            "run": self.run,
            "state": self.state,
            "operator": self.operator,
            **self.owner.as_row(),
            "since": self.since,
            "lease_until": self.lease_until,
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Lock:
        """From what was kept."""
        return cls(
            row["key"],
            row["run"],
            row["state"],
            row["operator"],
            ProcessId.from_row(row),
            row["since"],
            row["lease_until"],
        )


def sealed(row: Mapping[str, Any]) -> str:
    """The checksum of what was asked for."""
    return hashlib.sha256(json.dumps([row[name] for name in _SEALED]).encode()).hexdigest()


def written(entry: Run, notes: Sequence[NewRecord]) -> list[list[Any]]:
    """The rows of the run's next records; each one's checksum covers the one before."""
    rows: list[list[Any]] = []
    tip = entry.tip
    for seq, note in enumerate(notes, entry.records + 1):
        payload = json.dumps(dict(note.payload))
        row = [entry.id, seq, note.time, note.kind, note.step, note.phase, payload]
        tip = _checksum(tip, row)
        rows.append([*row, tip])
    return rows


def follow(entry: Run, rows: Sequence[Sequence[Any]]) -> bool:
    """Whether these are the run's next records: its own, numbered on, each checksum over the one before."""
    tip = entry.tip
    for seq, row in enumerate(rows, entry.records + 1):
        *said, checksum = row or [None]
        if len(said) != _FIELDS or said[:2] != [entry.id, seq] or checksum != _checksum(tip, said):
            return False
        tip = checksum
    return True


def read(entry: Run, rows: Sequence[Sequence[Any]]) -> list[Record]:
    """The records of these rows, in order; damaged ones are there, and marked."""
    records, tip = [], entry.seal
    for row in rows:
        *said, checksum = row
        records.append(_record(said, sound=checksum == _checksum(tip, said)))
        tip = checksum
    return records


def faults(entry: Run, rows: Sequence[Sequence[Any]]) -> list[str]:
    """What is wrong with a run as it was kept, in words."""
    damaged = [record for record in read(entry, rows) if not record.sound]
    found = []
    if entry.seal and entry.seal != sealed(entry.as_row()):
        found.append("what was asked for, or its plan, is not what was written")
    if damaged:
        found.append("record " + ", ".join(f"{one.seq} ({one.kind})" for one in damaged))
    if not _are_all_there(entry, rows):
        found.append(f"it had {entry.records} records, and {len(rows)} are there")
    if len(rows) < entry.alive_records:
        found.append(
            f"its process had written {entry.alive_records} records when it last gave a sign of life, at "
            f"{entry.alive_at}, and {len(rows)} are there"
        )
    return found


def _are_all_there(entry: Run, rows: Sequence[Sequence[Any]]) -> bool:
    """More may be: they came after the run was read."""
    if entry.records == 0:
        return True
    return 0 < entry.records <= len(rows) and bool(rows[entry.records - 1][-1] == entry.head)


def _number(value: object) -> int:
    """A count as it was kept; one that is too damaged to be a number fits none."""
    return value if isinstance(value, int) else -1


def _checksum(previous: str, row: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps([previous, *row]).encode()).hexdigest()


def _record(said: Sequence[Any], *, sound: bool) -> Record:
    run, seq, time, kind, step, phase, payload = said
    return Record(run, seq, time, kind, step, phase, _mapping(payload), sound)


def _mapping(text: str) -> dict[str, Any]:
    """What was written; if it is too damaged to be read, the text as it is."""
    found = _read(text, dict)
    return cast("dict[str, Any]", found) if found is not None else {"unreadable": text}


def _read(text: str, kind: type) -> Any:  # noqa: ANN401  # whatever JSON holds
    try:
        found = json.loads(text)
    except (json.JSONDecodeError, TypeError):
        return None
    return found if isinstance(found, kind) else None


def _text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
