"""The store of one control host: a SQLite file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from ferryman.engine.clock import Clock, SystemClock, stamp
from ferryman.engine.process import ProcessId, is_alive
from ferryman.plain_text import storable
from ferryman.state import kept_apart, records
from ferryman.state.records import Lock, Run
from ferryman.state.sqlite.database import Database
from ferryman.state.store import Liveness, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ferryman.outcomes import RunResult
    from ferryman.state.records import NewRecord, PlanSummary, RunRequest

LEASE_S = 60.0
"""Seconds after its last renewal until a process that this kernel cannot be asked about counts as dead."""


@dataclass(frozen=True, slots=True)
class _OwnedRun:
    """The run that this process owns, and its locks."""

    run: str
    keys: frozenset[str]


class SqliteStore(Store):
    """Journal and locks in one file; used by one thread alone, but for ``renew``."""

    heartbeat_s = LEASE_S / 12
    silence_s = LEASE_S / 3

    def __init__(
        self,
        database: Database,
        *,
        clock: Clock | None = None,
        owner: ProcessId | None = None,
        alive: Callable[[ProcessId], bool | None] = is_alive,
    ) -> None:
        super().__init__(database.where, clock or SystemClock(), owner or ProcessId.this_process(), alive)
        self.database = database
        self._owned: _OwnedRun | None = None
        self._written = 0
        """How many records of its run this process knows to be on disk."""

    @classmethod
    def at(cls, path: Path) -> SqliteStore:
        """The store in this file, which is created, with its folder, when it is first used."""
        return cls(Database.at(path))

    def begin(self, request: RunRequest, plan: PlanSummary) -> str:
        """As ``Store.begin``; a damaged file is refused."""
        self.database.require_sound()
        row = Run.new(request, plan, self.owner, self.clock.now()).as_row()
        with self.database.transaction():
            self._insert("INSERT INTO runs", row)
        self._written = 0
        self._owned = _OwnedRun(row["id"], frozenset())
        return str(row["id"])

    def acquire(self, run: str, keys: Sequence[str], operator: str) -> None:
        """As ``Store.acquire``."""
        with self.database.transaction():
            self._acquire(run, keys, operator)
        self._owned = _OwnedRun(run, frozenset(keys))

    def adopt(self, entry: Run, keys: Sequence[str], operator: str) -> None:
        """As ``Store.adopt``; a damaged file is refused."""
        self.database.require_sound()
        with self.database.transaction():
            self.require_idle(entry)
            self._acquire(entry.id, keys, operator)
            self._set_owner(entry.id)
            if entry.is_open:
                self._set_open(entry.id)
        self._written = entry.records
        self._owned = _OwnedRun(entry.id, frozenset(keys))

    def reopen(self, run: str) -> None:
        """As ``Store.reopen``."""
        with self.database.transaction():
            self._require_ours(run)
            self._set_open(run)

    def append(self, run: str, new_records: Sequence[NewRecord]) -> None:
        """As ``Store.append``."""
        with self.database.transaction():
            entry = self._require_ours(run)
            rows = records.chained_rows(entry, kept_apart.split(new_records))
            for row in rows:
                self.database.execute("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        self._written = entry.records + len(rows)

    def require_owned(self) -> None:
        """As ``Store.require_owned``."""
        if (owned := self._owned) is None:
            return
        self.database.require_in_place()
        self._require_ours(owned.run)
        ours = {lock.key for lock in self.locks() if lock.run == owned.run and lock.owner == self.owner}
        if not owned.keys <= ours:
            raise self._lost(owned.run)

    def renew(self) -> None:
        """As ``Store.renew``; on a connection of its own, because SQLite's belong to one thread.

        It records how many records there must be, too.
        """
        if (owned := self._owned) is None:
            return
        database, written = self.database.another(), self._written
        ours = (owned.run, *self.owner.as_row().values())
        try:
            with database.transaction():
                renewed_runs = database.execute(
                    "UPDATE runs SET alive_at = ?, alive_records = max(alive_records, ?)"
                    " WHERE id = ? AND host = ? AND pid = ? AND pid_started = ? AND boot_id = ?",
                    (stamp(self.clock.now()), written, *ours),
                )
                renewed_locks = database.execute(
                    "UPDATE locks SET lease_until = ?"
                    " WHERE run = ? AND host = ? AND pid = ? AND pid_started = ? AND boot_id = ?",
                    (self._lease_end(), *ours),
                )
        finally:
            database.close()
        if not renewed_runs or renewed_locks < len(owned.keys):
            raise self._lost(owned.run)

    def finish(self, result: RunResult, *, is_final: bool) -> None:
        """As ``Store.finish``."""
        with self.database.transaction():
            self._require_ours(result.run)
            if is_final:
                ending = storable(result.reason)
                self.database.execute(
                    "UPDATE runs SET ended = ?, outcome = ?, exit_code = ?, ending = ? WHERE id = ?",
                    (stamp(self.clock.now()), result.outcome, result.exit_code, ending, result.run),
                )
            if state := records.lock_state_after(result):
                self.database.execute("UPDATE locks SET state = ? WHERE run = ?", (state, result.run))
            else:
                self.database.execute("DELETE FROM locks WHERE run = ?", (result.run,))
        self._owned = None

    def runs(self, limit: int = 100) -> list[Run]:
        """As ``Store.runs``."""
        rows = self.database.query("SELECT * FROM runs ORDER BY id DESC LIMIT ?", (limit,))
        return [Run.from_row(dict(row)) for row in rows]

    def locks(self) -> list[Lock]:
        """As ``Store.locks``."""
        return [Lock.from_row(row) for row in self.database.query("SELECT * FROM locks ORDER BY key")]

    def close(self) -> None:
        """As ``Store.close``."""
        self.database.close()

    def _found(self, run: str) -> Run | None:
        rows = self.database.query("SELECT * FROM runs WHERE id = ?", (run,))
        return Run.from_row(dict(rows[0])) if rows else None

    def _ids(self) -> list[str]:
        return [str(row["id"]) for row in self.database.query("SELECT id FROM runs ORDER BY id DESC")]

    def _rows(self, run: str) -> list[list[object]]:
        rows = self.database.query("SELECT * FROM records WHERE run = ? ORDER BY seq", (run,))
        return [list(row) for row in rows]

    def _by_lease(self, run: str, owner: ProcessId) -> Liveness:
        if owner.host == self.owner.host and owner.boot != self.owner.boot:
            return Liveness(alive=False, evidence=f"{owner.host} has been booted since")
        until = max((lock.lease_until for lock in self.locks() if lock.run == run), default="")
        if until > stamp(self.clock.now()):
            return Liveness(alive=True, evidence="")
        return Liveness(alive=False, evidence=f"its lease ended at {until}" if until else "it has no lease")

    def _acquire(self, run: str, keys: Sequence[str], operator: str) -> None:
        self._require_free([lock for lock in self.locks() if lock.key in keys], run)
        now = stamp(self.clock.now())
        for key in keys:
            lock = Lock(key, run, "running", operator, self.owner, now, self._lease_end())
            self._insert("INSERT OR REPLACE INTO locks", lock.as_row())

    def _require_ours(self, run: str) -> Run:
        entry = self._found(run)
        if entry is None or entry.owner != self.owner:
            raise self._lost(run)
        return entry

    def _set_owner(self, run: str) -> None:
        values = (*self.owner.as_row().values(), run)
        sql = "UPDATE runs SET host = ?, pid = ?, pid_started = ?, boot_id = ? WHERE id = ?"
        self.database.execute(sql, values)

    def _set_open(self, run: str) -> None:
        self.database.execute(
            "UPDATE runs SET ended = NULL, outcome = NULL, exit_code = NULL, ending = '' WHERE id = ?", (run,)
        )

    def _insert(self, into: str, row: records.Row) -> None:
        marks = ", ".join("?" * len(row))
        self.database.execute(f"{into} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))

    def _lease_end(self) -> str:
        return stamp(self.clock.now() + timedelta(seconds=LEASE_S))
