"""What every run did, in order, on disk before it acts: what resume, rollback and ``show`` read.

Records are only ever added. Each one's checksum covers the one before, so a record that was torn, edited or
taken out is seen when the run is read.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, cast

from ferryman.engine.clock import stamp
from ferryman.engine.owner import Owner
from ferryman.errors import JournalError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ferryman.engine.clock import Clock
    from ferryman.engine.database import Database
    from ferryman.engine.plan import Plan
    from ferryman.events import RunOutcome

_SUFFIX_LETTERS = "23456789abcdefghjkmnpqrstvwxyz"
"""Nothing that is misread over the telephone."""
_OPEN_OUTCOMES = (None, "held", "stranded")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
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


@dataclass(frozen=True, slots=True)
class RunEntry:
    """One run as the journal lists it."""

    id: str
    order: Order
    plan: tuple[str, ...]
    """The titles of its steps."""
    fingerprint: str
    started: str
    ended: str | None
    outcome: RunOutcome | None
    """None while it runs, and after its process died."""
    exit_code: int | None
    ending: str
    owner: Owner

    @property
    def is_open(self) -> bool:
        """Whether it can be resumed or rolled back: it runs, died, is held or stranded."""
        return self.outcome in _OPEN_OUTCOMES


@dataclass(frozen=True, slots=True)
class Note:
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


class Journal:
    """The runs and their records.

    Raises:
        JournalError: From every method: the state file cannot be read or written.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def begin(self, order: Order, plan: Plan, owner: Owner) -> str:
        """Enter a new run; its id sorts by time and is short enough to be read out."""
        now = self._clock.now()
        run = f"{now:%Y%m%d-%H%M%S}-{''.join(secrets.choice(_SUFFIX_LETTERS) for _ in range(4))}"
        values = {
            "id": run,
            "cookbook": order.cookbook,
            "arguments": json.dumps(dict(order.arguments)),
            "operator": order.operator,
            "reason": order.reason,
            "task": order.task,
            "dry_run": int(order.dry_run),
            "version": order.version,
            "plan": json.dumps(plan.titles),
            "fingerprint": plan.fingerprint,
            "started": stamp(now),
            **_owned_by(owner),
        }
        marks = ", ".join("?" * len(values))
        sql = f"INSERT INTO runs ({', '.join(values)}) VALUES ({marks})"  # noqa: S608  # the names above
        with self._database.transaction():
            self._database.execute(sql, tuple(values.values()))
        return run

    def take_up(self, run: str, owner: Owner) -> None:
        """The run is under way again, in this process."""
        with self._database.transaction():
            self._database.execute(
                "UPDATE runs SET ended = NULL, outcome = NULL, exit_code = NULL, ending = '',"
                " host = ?, pid = ?, pid_started = ?, boot_id = ? WHERE id = ?",
                (*_owned_by(owner).values(), run),
            )

    def end(self, run: str, outcome: RunOutcome, exit_code: int, reason: str) -> None:
        """What became of the run."""
        with self._database.transaction():
            self._database.execute(
                "UPDATE runs SET ended = ?, outcome = ?, exit_code = ?, ending = ? WHERE id = ?",
                (stamp(self._clock.now()), outcome, exit_code, reason, run),
            )

    def append(self, run: str, notes: Sequence[Note]) -> None:
        """Record these, in order, all or none; they are on disk when it returns."""
        with self._database.transaction():
            seq, checksum = self._last(run)
            for seq, note in enumerate(notes, seq + 1):  # noqa: B020  # goes on after the last one
                payload = json.dumps(dict(note.payload))
                row = (run, seq, note.time, note.kind, note.step, note.phase, payload)
                checksum = _checksum(checksum, row)
                self._database.execute(
                    "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*row, checksum)
                )

    def run(self, run: str) -> RunEntry:
        """The run with this id.

        Raises:
            UsageError: There is none.
        """
        rows = self._database.query("SELECT * FROM runs WHERE id = ?", (run,))
        if rows:
            return _entry(rows[0])
        known = [row["id"] for row in self._database.query("SELECT id FROM runs ORDER BY id DESC")]
        near = get_close_matches(run, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "ferryman runs lists them"
        raise UsageError(f"{run}: there is no such run in {self._database.where}; {hint}")

    def runs(self, limit: int = 100) -> list[RunEntry]:
        """The latest runs, newest first."""
        rows = self._database.query("SELECT * FROM runs ORDER BY id DESC LIMIT ?", (limit,))
        return [_entry(row) for row in rows]

    def show(self, run: str) -> list[Record]:
        """Everything recorded of a run, in order; damaged records are there, and marked."""
        rows = self._database.query("SELECT * FROM records WHERE run = ? ORDER BY seq", (run,))
        records, checksum = [], ""
        for row in rows:
            sound = row["checksum"] == _checksum(checksum, tuple(row)[:-1])
            checksum = row["checksum"]
            records.append(_record(row, sound=sound))
        return records

    def trusted(self, run: str) -> list[Record]:
        """As ``show``, for whoever acts on it.

        Raises:
            JournalError: A record is not what was written, so no before can be trusted.
        """
        records = self.show(run)
        if damaged := [record for record in records if not record.sound]:
            which = ", ".join(f"{record.seq} ({record.kind})" for record in damaged)
            raise JournalError(
                f"{self._database.where}: run {run}: damaged at record {which}: the checksum does not fit, "
                f"so what it says was there before cannot be trusted; compare `ferryman show {run}` with the "
                "hosts and put them back by hand"
            )
        return records

    def _last(self, run: str) -> tuple[int, str]:
        rows = self._database.query(
            "SELECT seq, checksum FROM records WHERE run = ? ORDER BY seq DESC LIMIT 1", (run,)
        )
        return (rows[0]["seq"], rows[0]["checksum"]) if rows else (0, "")


def _owned_by(owner: Owner) -> dict[str, object]:
    return {"host": owner.host, "pid": owner.pid, "pid_started": owner.pid_started, "boot_id": owner.boot_id}


def _checksum(previous: str, row: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps([previous, *row]).encode()).hexdigest()


def _record(row: Any, *, sound: bool) -> Record:  # noqa: ANN401  # a row of SQLite's has fields of any type
    return Record(
        row["run"],
        row["seq"],
        row["time"],
        row["kind"],
        row["step"],
        row["phase"],
        _payload(row["payload"]),
        sound,
    )


def _payload(text: str) -> dict[str, Any]:
    """What a record says; one too damaged to be read is shown as it is."""
    try:
        return cast("dict[str, Any]", json.loads(text))
    except json.JSONDecodeError:
        return {"unreadable": text}


def _entry(row: Any) -> RunEntry:  # noqa: ANN401  # a row of SQLite's has fields of any type
    order = Order(
        cookbook=row["cookbook"],
        arguments=json.loads(row["arguments"]),
        operator=row["operator"],
        reason=row["reason"],
        task=row["task"],
        dry_run=bool(row["dry_run"]),
        version=row["version"],
    )
    return RunEntry(
        id=row["id"],
        order=order,
        plan=tuple(json.loads(row["plan"])),
        fingerprint=row["fingerprint"],
        started=row["started"],
        ended=row["ended"],
        outcome=row["outcome"],
        exit_code=row["exit_code"],
        ending=row["ending"],
        owner=Owner(row["host"], row["pid"], row["pid_started"], row["boot_id"]),
    )
