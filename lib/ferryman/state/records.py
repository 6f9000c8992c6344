"""What a store keeps: runs, their records, and locks; and how each is written down as a flat row."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from ferryman.engine.clock import stamp
from ferryman.engine.process import ProcessId
from ferryman.errors import JournalError
from ferryman.plain_text import storable, storable_value, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from ferryman.outcomes import RunOutcome, RunResult

LockState = Literal["running", "held", "stranded"]
Row = dict[str, Any]
"""Column by name; values are text, whole numbers and None."""

_SUFFIX_LETTERS = "23456789abcdefghjkmnpqrstvwxyz"
"""Without letters and digits that look or sound alike."""
_OPEN_OUTCOMES = (None, "held", "stranded")
EXACT = ("checked", "intent")
"""The kinds of record from which a rollback takes what was there before."""
_FIELDS = 7
"""How many fields a record's row has before its checksum."""
_REQUEST_COLUMNS = (
    *("id", "cookbook", "arguments", "operator", "reason", "task", "version"),
    *("plan", "fingerprint"),
)


def new_run_id(now: datetime) -> str:
    """An id for a run that begins now: it sorts by time and is short enough to be read out."""
    suffix = "".join(secrets.choice(_SUFFIX_LETTERS) for _ in range(4))
    return f"{now:%Y%m%d-%H%M%S}-{suffix}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What was asked for: which cookbook, with what, by whom and why."""

    cookbook: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """The arguments of the cookbook's command, with which resume calls it again; plain JSON values."""
    operator: str
    reason: str = ""
    task: str = ""
    dry_run: bool = False
    version: str = ""
    """The version of Ferryman that was asked."""
    run_id: str = field(default="", compare=False)
    """The run's id; empty while it has none."""

    @property
    def given(self) -> str:
        """The arguments that were given, as ``name=value``, for people."""
        not_given: tuple[object, ...] = ("", [], ())
        given = {
            name: value
            for name, value in self.arguments.items()
            if value is not None and value is not False and value not in not_given  # 0 was given
        }
        return " ".join(f"{name}={_text(value)}" for name, value in given.items())


class PlanSummary(Protocol):
    """What is stored of a run's plan."""

    @property
    def titles(self) -> tuple[str, ...]:
        """The titles of its steps."""

    @property
    def fingerprint(self) -> str:
        """A checksum by which a resumed run recognises its plan."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run, without its records."""

    id: str
    request: RunRequest
    plan: tuple[str, ...]
    """The titles of its steps."""
    fingerprint: str
    started: str
    ended: str | None
    outcome: RunOutcome | None
    """None while it runs, and after its process has died."""
    exit_code: int | None
    ending: str
    owner: ProcessId
    """The process that works on it, or the last that did."""
    records: int = 0
    """How many records it has, so that one which is missing at the end is noticed."""
    last_checksum: str = ""
    """The checksum of the last record; empty where there is none."""
    request_checksum: str = ""
    """The checksum of request and plan, which the first record's checksum includes; schema 1 had none."""
    alive_at: str = ""
    """When its process last renewed its lease (RFC 3339); empty where it did not, or it is not stored."""
    alive_records: int = 0
    """How many records its process had written at ``alive_at``."""

    @property
    def is_open(self) -> bool:
        """Whether it can be resumed or rolled back: it runs, has died, is held or is stranded."""
        return self.outcome in _OPEN_OUTCOMES

    @property
    def chain_head(self) -> str:
        """The checksum that the next record's checksum includes."""
        return self.last_checksum or self.request_checksum

    @classmethod
    def new(cls, request: RunRequest, plan: PlanSummary, owner: ProcessId, now: datetime) -> Run:
        """A run that begins now; it has the id that its request names, or gets one."""
        run = request.run_id or new_run_id(now)
        fields = (run, request, plan.titles, plan.fingerprint, stamp(now), None, None, None, "", owner)
        return cls(*fields, request_checksum=checksum_of_request(cls(*fields).as_row()))

    def as_row(self) -> Row:
        """The run as a row of the store."""
        request = self.request
        return {
            "id": self.id,
            "cookbook": storable(request.cookbook),
            "arguments": json.dumps(dict(request.arguments)),
            "operator": storable(request.operator),
            "reason": storable(request.reason),
            "task": storable(request.task),
            "dry_run": int(request.dry_run),
            "version": storable(request.version),
            "plan": json.dumps(self.plan),
            "fingerprint": self.fingerprint,
            "started": self.started,
            "ended": self.ended,
            "outcome": self.outcome,
            "exit_code": self.exit_code,
            "ending": storable(self.ending),
            **self.owner.as_row(),
            "records": self.records,
            "head": self.last_checksum,
            "seal": self.request_checksum,
            "alive_at": self.alive_at,
            "alive_records": self.alive_records,
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Run:
        """The run in a row of the store; damaged values are kept as they are, and ``faults`` reports them."""
        request = RunRequest(
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
            request=request,
            plan=tuple(map(str, _read(row["plan"], list) or [row["plan"]])),
            fingerprint=row["fingerprint"],
            started=row["started"],
            ended=row["ended"],
            outcome=row["outcome"],
            exit_code=row["exit_code"],
            ending=row["ending"],
            owner=ProcessId.from_row(row),
            records=_number(row["records"]),
            last_checksum=row["head"],
            request_checksum=row["seal"],
            # A row that an earlier version left in a cluster has neither.
            alive_at=row.get("alive_at", ""),
            alive_records=_number(row.get("alive_records", 0)),
        )


@dataclass(frozen=True, slots=True)
class NewRecord:
    """A record that is to be appended to a run's journal."""

    time: str
    kind: str
    payload: Mapping[str, Any]
    step: int | None = None
    phase: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it is read from a run's journal."""

    run: str
    seq: int
    time: str
    kind: str
    step: int | None
    phase: str | None
    payload: Mapping[str, Any]
    sound: bool
    """False where this record or the one before it is not as it was written."""


@dataclass(frozen=True, slots=True)
class Lock:
    """The lock of one key, and the run and process that have it."""

    key: str
    run: str
    state: LockState
    operator: str
    owner: ProcessId
    since: str
    lease_until: str

    def as_row(self) -> Row:
        """The lock as a row of the store."""
        return {
            "key": self.key,
            "run": self.run,
            "state": self.state,
            "operator": storable(self.operator),
            **self.owner.as_row(),
            "since": self.since,
            "lease_until": self.lease_until,
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Lock:
        """The lock in a row of the store."""
        return cls(
            row["key"],
            row["run"],
            row["state"],
            row["operator"],
            ProcessId.from_row(row),
            row["since"],
            row["lease_until"],
        )


def checksum_of_request(row: Mapping[str, Any]) -> str:
    """The checksum of a run's request and plan, from its row."""
    return hashlib.sha256(json.dumps([row[name] for name in _REQUEST_COLUMNS]).encode()).hexdigest()


def lock_state_after(result: RunResult) -> LockState | None:
    """The state in which the run's locks are kept after this result; None where they are released."""
    return result.outcome if result.outcome in ("held", "stranded") else None


def chained_rows(entry: Run, new_records: Sequence[NewRecord]) -> list[list[Any]]:
    """The rows of the run's next records; each checksum includes the one of the record before."""
    rows: list[list[Any]] = []
    chain_head = entry.chain_head
    for seq, record in enumerate(new_records, entry.records + 1):
        row = [entry.id, seq, record.time, record.kind, record.step, record.phase, as_json(record)]
        chain_head = _checksum(chain_head, row)
        rows.append([*row, chain_head])
    return rows


def as_json(record: NewRecord) -> str:
    """A record's payload as JSON; what JSON has no form for is written as its text.

    Raises:
        JournalError: It has the state before a change, which must come back as it was.
    """
    try:
        return json.dumps(dict(record.payload))
    except (TypeError, ValueError, RecursionError) as error:
        if record.kind in EXACT:
            raise JournalError(
                f"the state before a change cannot be recorded: {type(error).__name__}: {text_of(error)}; it "
                "must be lists, dicts with text keys, text, numbers"
            ) from error
        return json.dumps(storable_value(dict(record.payload)))


def continues(entry: Run, rows: Sequence[Sequence[Any]]) -> bool:
    """Whether these rows are the run's next records: its own, numbered on, with an unbroken chain."""
    chain_head = entry.chain_head
    for seq, row in enumerate(rows, entry.records + 1):
        *fields, checksum = row or [None]
        if len(fields) != _FIELDS or fields[:2] != [entry.id, seq]:
            return False
        if checksum != _checksum(chain_head, fields):
            return False
        chain_head = checksum
    return True


def read(entry: Run, rows: Sequence[Sequence[Any]]) -> list[Record]:
    """The records in these rows, in order; damaged ones are included, and marked."""
    records, chain_head = [], entry.request_checksum
    for row in rows:
        *fields, checksum = row
        records.append(_record(fields, sound=checksum == _checksum(chain_head, fields)))
        chain_head = checksum
    return records


def faults(entry: Run, rows: Sequence[Sequence[Any]]) -> list[str]:
    """What of a stored run is not as it was written, for people; empty where nothing is damaged."""
    damaged = [record for record in read(entry, rows) if not record.sound]
    found = []
    if entry.request_checksum and entry.request_checksum != checksum_of_request(entry.as_row()):
        found.append("what was asked for, or its plan, is not what was written")
    if damaged:
        found.append("record " + ", ".join(f"{record.seq} ({record.kind})" for record in damaged))
    if not _are_all_there(entry, rows):
        found.append(f"it had {entry.records} records, and {len(rows)} are there")
    if len(rows) < entry.alive_records:
        found.append(
            f"its process had written {entry.alive_records} records when it last gave a sign of life, at "
            f"{entry.alive_at}, and {len(rows)} are there"
        )
    return found


def _are_all_there(entry: Run, rows: Sequence[Sequence[Any]]) -> bool:
    """Whether no record is missing. There may be more: they came after the run was read."""
    if entry.records == 0:
        return True
    return 0 < entry.records <= len(rows) and bool(rows[entry.records - 1][-1] == entry.last_checksum)


def _number(value: object) -> int:
    """A stored count; -1, which matches nothing, where it is damaged and no number."""
    return value if isinstance(value, int) else -1


def _checksum(previous: str, row: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps([previous, *row]).encode()).hexdigest()


def _record(fields: Sequence[Any], *, sound: bool) -> Record:
    run, seq, time, kind, step, phase, payload = fields
    return Record(run, seq, time, kind, step, phase, _mapping(payload), sound)


def _mapping(text: str) -> dict[str, Any]:
    """The JSON object in a stored text; where that is damaged, the text under ``unreadable``."""
    found = _read(text, dict)
    return cast("dict[str, Any]", found) if found is not None else {"unreadable": text}


def _read(text: str, kind: type) -> Any:  # noqa: ANN401  # whatever JSON holds
    try:
        found = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return None
    return found if isinstance(found, kind) else None


def _text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
