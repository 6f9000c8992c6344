"""The interface of a store of runs: a journal and locks.

A lock outlives its process. It is released when its run has ended and no change of it is half made; so a run
that died, is held or is stranded keeps it, and only resume or rollback of that very run take it over.
Whether a process is alive is known from the kernel on its own host, and from a lease elsewhere.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from ferryman.errors import BusyError, JournalError, UsageError
from ferryman.state import kept_apart, records
from ferryman.state.boundary import guarded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ferryman.engine.clock import Clock
    from ferryman.engine.process import ProcessId
    from ferryman.outcomes import RunResult
    from ferryman.state.records import Lock, NewRecord, PlanSummary, Record, Run, RunRequest


@dataclass(frozen=True, slots=True)
class Liveness:
    """Whether a process is alive, and how that is known."""

    alive: bool
    evidence: str
    """For people; empty where it is alive by its lease."""


class Store(ABC):
    """Journal and locks, as one process uses them for one run; every method is one transaction.

    Raises:
        JournalError: From every method: the store cannot be reached, read or written. Whatever a subclass
            raises beside our own errors becomes one (``boundary.py``).
    """

    def __init_subclass__(cls, **more: object) -> None:
        super().__init_subclass__(**more)
        for name, method in list(vars(cls).items()):
            if not name.startswith("_") and callable(getattr(Store, name, None)):
                setattr(cls, name, guarded(method))

    heartbeat_s: float
    """Seconds between two renewals of a lease."""
    silence_s: float
    """Seconds without a successful renewal after which a run stops: a third of the lease."""

    def __init__(
        self, where: str, clock: Clock, owner: ProcessId, alive: Callable[[ProcessId], bool | None]
    ) -> None:
        self.where = where
        """The store, as messages name it."""
        self.clock = clock
        self.owner = owner
        self._alive = alive

    @abstractmethod
    def begin(self, request: RunRequest, plan: PlanSummary) -> str:
        """Record a new run, which this process owns; returns its id."""

    @abstractmethod
    def acquire(self, run: str, keys: Sequence[str], operator: str) -> None:
        """Acquire all of these locks for this process's run, or none.

        Raises:
            BusyError: Another run has one of them; says who, where, since when, and whether it is alive.
        """

    @abstractmethod
    def adopt(self, entry: Run, keys: Sequence[str], operator: str) -> None:
        """Make a run that its process left open this process's own, with all of its locks.

        Raises:
            BusyError: It is under way, was changed since it was read, or another run has one of the locks.
        """

    @abstractmethod
    def reopen(self, run: str) -> None:
        """Record that an adopted run, which had ended, is under way again."""

    @abstractmethod
    def append(self, run: str, new_records: Sequence[NewRecord]) -> None:
        """Append these records, in order, their secrets apart; they are on disk when it returns.

        Raises:
            BusyError: The run is no longer this process's; nothing was recorded.
            JournalError: Some could not be recorded; those are spooled, where the store has a spool.
        """

    @abstractmethod
    def require_owned(self) -> None:
        """Check that the run and all of its locks are still this process's.

        Raises:
            BusyError: They are not, or may not be.
        """

    @abstractmethod
    def renew(self) -> None:
        """Renew the lease: this process is alive. May be called from another thread.

        Raises:
            BusyError: It is too late: the run, or a lock of it, is no longer this process's.
        """

    @abstractmethod
    def finish(self, result: RunResult, *, is_final: bool) -> None:
        """Record how a command about a run ended, and release its locks unless it is held or stranded.

        Args:
            result: How the command ended.
            is_final: False where the run had ended before and was only looked at: its row stays.

        Raises:
            BusyError: The run is no longer this process's; nothing was recorded.
        """

    @guarded
    def spool(self, run: str, new_records: Sequence[NewRecord]) -> bool:  # noqa: ARG002  # for those that have a spool
        """Keep records that cannot be written to the store now, after those that are kept already.

        Returns:
            False where this store has no spool.
        """
        return False

    @guarded
    def replay_spool(self, run: str) -> str:  # noqa: ARG002  # as above
        """Append what was spooled for this process's run, by this process or an earlier one on this host.

        Returns:
            Why it was not done, for people: the spooled records do not follow those in the store, and are
            kept. Empty when it was done, or nothing is spooled.

        Raises:
            BusyError: The run is no longer this process's; the spool is left as it is.
        """
        return ""

    @guarded
    def spooled(self) -> str:
        """Which records are spooled and not in the store, and where, for people; empty when none are."""
        return ""

    @abstractmethod
    def runs(self, limit: int = 100) -> list[Run]:
        """At most ``limit`` runs, newest first."""

    @abstractmethod
    def locks(self) -> list[Lock]:
        """All locks, sorted by key."""

    @abstractmethod
    def close(self) -> None:
        """Close the connections; the next use opens others."""

    @abstractmethod
    def _found(self, run: str) -> Run | None:
        """The run with this id; None where there is none."""

    @abstractmethod
    def _ids(self) -> list[str]:
        """The ids of all runs, newest first."""

    @abstractmethod
    def _rows(self, run: str) -> list[list[object]]:
        """The rows of the run's records as they are stored, in order."""

    @abstractmethod
    def _by_lease(self, run: str, owner: ProcessId) -> Liveness:
        """Whether a process that this kernel cannot be asked about is alive, by its lease."""

    @guarded
    def run(self, run: str) -> Run:
        """The run with this id.

        Raises:
            UsageError: There is none.
        """
        if (entry := self._found(run)) is not None:
            return entry
        near = get_close_matches(run, self._ids(), n=1)
        hint = f"did you mean {near[0]}?" if near else "ferryman runs lists them"
        raise UsageError(f"{run}: there is no such run in {self.where}; {hint}")

    @guarded
    def show(self, run: str) -> list[Record]:
        """All records of a run without their secrets, in order; damaged ones are included, and marked."""
        return kept_apart.counted(records.read(self.run(run), self._rows(run)))

    @guarded
    def exact_records(self, run: str) -> list[Record]:
        """The records of a run as they were appended, with their secrets; damaged ones are marked."""
        return kept_apart.restored(records.read(self.run(run), self._rows(run)))

    @guarded
    def faults(self, run: str) -> list[str]:
        """What of a run is not as it was written, for people."""
        return records.faults(self.run(run), self._rows(run))

    @guarded
    def verified_records(self, entry: Run) -> list[Record]:
        """The records of a run with their secrets, for a command that acts on them.

        Raises:
            JournalError: Something is not as it was written, so no recorded state can be trusted.
        """
        rows = self._rows(entry.id)
        if found := records.faults(entry, rows):
            raise JournalError(
                f"{self.where}: run {entry.id}: damaged: {'; '.join(found)}: what it says was there before "
                f"cannot be trusted; compare `ferryman show {entry.id}` with the hosts, put them back by "
                f"hand, then give its locks back: ferryman close {entry.id} --reason TEXT"
            )
        return kept_apart.restored(records.read(entry, rows))

    @guarded
    def liveness(self, run: str, owner: ProcessId) -> Liveness:
        """Whether the process that owns a run, or did, is alive, with the evidence."""
        if owner == self.owner:
            return Liveness(alive=True, evidence="it is this process")
        if owner.boot_id == self.owner.boot_id and (alive := self._alive(owner)) is not None:
            return Liveness(
                alive, "" if alive else f"no process {owner.pid} of that start is on {owner.host}"
            )
        return self._by_lease(run, owner)

    @guarded
    def require_idle(self, read: Run) -> None:
        """Check that a run is as it was read, and that no process works on it.

        Raises:
            BusyError: It was changed since, or a process works on it.
        """
        self._require_idle(read, self._found(read.id) or read)

    def _require_idle(self, read: Run, now: Run) -> None:
        alive = now.outcome is None and now.owner != self.owner and self.liveness(now.id, now.owner).alive
        if alive or (now.outcome, now.last_checksum) != (read.outcome, read.last_checksum):
            raise self._under_way(read, now.owner)

    def _under_way(self, entry: Run, owner: ProcessId) -> BusyError:
        return BusyError(
            f"run {entry.id} is under way ({entry.request.operator} on {owner.host}, pid {owner.pid}, since "
            f"{entry.started}); wait for it, or look: ferryman show {entry.id}"
        )

    def _require_free(self, held: Iterable[Lock], run: str) -> None:
        """Check that none of these locks, which the run wants, belongs to another run.

        Raises:
            BusyError: One does; all of them are explained.
        """
        theirs = [(lock, self._liveness_of(lock)) for lock in held]
        theirs = [
            (lock, liveness)
            for lock, liveness in theirs
            if not (_is_free_for(lock, liveness, run, self.owner) or self._is_left_over(lock, liveness))
        ]
        if theirs:
            raise BusyError(
                "\n".join(_explained(lock, liveness, run) for lock, liveness in theirs),
                keys=[lock.key for lock, _ in theirs],
                at_work=all(liveness.alive for _, liveness in theirs),
            )

    def _is_left_over(self, lock: Lock, liveness: Liveness) -> bool:
        """Whether a process died while it only looked at a run that had ended: no change is half made."""
        if liveness.alive or lock.state != "running":
            return False
        entry = self._found(lock.run)
        return entry is not None and not entry.is_open

    def _lost(self, run: str) -> BusyError:
        return BusyError(
            f"{run}: is no longer this process's: its lease ended, or somebody took it over or gave its "
            f"locks away; nothing more is changed from here; see ferryman show {run}, then ferryman "
            f"resume {run} or ferryman rollback {run}"
        )

    def _liveness_of(self, lock: Lock) -> Liveness:
        if lock.state != "running":
            return Liveness(alive=False, evidence="")
        return self.liveness(lock.run, lock.owner)


def _is_free_for(lock: Lock, liveness: Liveness, run: str, owner: ProcessId) -> bool:
    return lock.run == run and (lock.state != "running" or lock.owner == owner or not liveness.alive)


def _explained(lock: Lock, liveness: Liveness, run: str) -> str:
    """Who has the lock, where, since when, and how to go on."""
    owner = lock.owner
    whose = f"{lock.operator} on {owner.host}, pid {owner.pid}, since {lock.since}"
    ways = f"ferryman show {lock.run}, then ferryman resume {lock.run} or ferryman rollback {lock.run}"
    what = "this run" if lock.run == run else f"run {lock.run}"
    if liveness.alive:
        return f"{lock.key}: {what} is under way ({whose}); wait for it, or look: ferryman show {lock.run}"
    if lock.state == "running":
        return f"{lock.key}: {what} has died and is open ({whose}; {liveness.evidence}); {ways}"
    return f"{lock.key}: {what} is {lock.state} ({whose}); {ways}"
