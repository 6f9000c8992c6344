"""What runs are kept in: a journal and locks behind one small interface, whichever store is under it.

A lock outlives its process. It is given back when its run has ended and nothing of it is left in between; so
a run that died, is held or is stranded keeps it, and only resume or rollback of that very run take it over.
That a process lives is known from the kernel on its own host, and from a lease elsewhere.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from ferryman.errors import BusyError, JournalError, UsageError
from ferryman.state import records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ferryman.engine.clock import Clock
    from ferryman.engine.plan import Plan
    from ferryman.engine.process import ProcessId
    from ferryman.events import RunOutcome
    from ferryman.state.records import Lock, LockState, NewRecord, Record, Run, RunRequest


@dataclass(frozen=True, slots=True)
class Liveness:
    """Whether a process still works, and how that is known."""

    works: bool
    proof: str


@dataclass(frozen=True, slots=True)
class Close:
    """How a command about a run ended, as it is entered."""

    outcome: RunOutcome
    exit_code: int
    reason: str
    is_final: bool
    """False where the run has ended before, and was only looked at."""

    @property
    def parked(self) -> LockState | None:
        """The state that the run's locks are kept in, for it is in between; None gives them back."""
        return self.outcome if self.outcome in ("held", "stranded") else None


class Store(ABC):
    """Journal and locks, as one process uses them for one run; every method is one atomic act.

    Raises:
        JournalError: From every method: the store cannot be reached, read or written.
    """

    beat_s: float
    """Seconds between two heartbeats of a lease."""
    silence_s: float
    """Seconds without a heartbeat that got through, after which a run stops: a third of the lease."""

    def __init__(
        self, where: str, clock: Clock, owner: ProcessId, alive: Callable[[ProcessId], bool]
    ) -> None:
        self.where = where
        """The store in words, for messages."""
        self.clock = clock
        self.owner = owner
        self._alive = alive

    @abstractmethod
    def begin(self, order: RunRequest, plan: Plan) -> str:
        """Enter a new run of this process's; its id."""

    @abstractmethod
    def take(self, run: str, keys: Sequence[str], operator: str) -> None:
        """Take all of these locks for this process's run, or none.

        Raises:
            BusyError: Another run has one of them; says who, where, since when, and whether it lives.
        """

    @abstractmethod
    def claim(self, entry: Run, keys: Sequence[str], operator: str) -> None:
        """Make a run that its process left this process's own, with all of its locks.

        Raises:
            BusyError: It is under way, is no longer as it was read, or another run has one of the locks.
        """

    @abstractmethod
    def reopen(self, run: str) -> None:
        """A claimed run that had ended is under way again."""

    @abstractmethod
    def append(self, run: str, notes: Sequence[NewRecord]) -> None:
        """Record these, in order; they are on disk when it returns.

        Raises:
            BusyError: The run is no longer this process's; nothing was recorded.
            JournalError: Some could not be recorded; those are spooled, where the store has a spool.
        """

    @abstractmethod
    def require_hold(self) -> None:
        """Make sure that the run and all of its locks are still this process's.

        Raises:
            BusyError: They are not, or may not be.
        """

    @abstractmethod
    def beat(self) -> None:
        """Say that this process is alive; may be called from another thread.

        Raises:
            BusyError: It is too late: the run, or a lock of it, is no longer this process's.
        """

    @abstractmethod
    def finish(self, run: str, close: Close) -> None:
        """Enter how a command about the run ended, and give its locks back unless something is in between.

        Raises:
            BusyError: The run is no longer this process's; nothing was entered.
        """

    def spool(self, run: str, notes: Sequence[NewRecord]) -> bool:  # noqa: ARG002  # for those that have a spool
        """Keep records that the store cannot be told now, after those that are kept already.

        Returns:
            False: this store has no place for them.
        """
        return False

    def replay_spool(self, run: str) -> str:  # noqa: ARG002  # as above
        """Append what was spooled for a run of this process's, by this process or by one before it here.

        Returns:
            Why it was not done, in words: what is spooled does not follow what the store has, and is kept
            where it is. Empty when it was done, or nothing is spooled.

        Raises:
            BusyError: The run is no longer this process's; what is spooled stays where it is.
        """
        return ""

    def spooled(self) -> str:
        """Which records are not in the store but spooled, and where, in words; empty when there are none."""
        return ""

    @abstractmethod
    def runs(self, limit: int = 100) -> list[Run]:
        """The latest runs, newest first."""

    @abstractmethod
    def locks(self) -> list[Lock]:
        """Every lock there is, by key."""

    @abstractmethod
    def close(self) -> None:
        """Give connections back; the next use opens others."""

    @abstractmethod
    def _found(self, run: str) -> Run | None:
        """The run with this id."""

    @abstractmethod
    def _ids(self) -> list[str]:
        """Of every run, newest first."""

    @abstractmethod
    def _rows(self, run: str) -> list[list[object]]:
        """The run's records as they were kept, in order."""

    @abstractmethod
    def _by_lease(self, run: str, owner: ProcessId) -> Liveness:
        """Whether a process elsewhere lives."""

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

    def show(self, run: str) -> list[Record]:
        """Everything recorded of a run, in order; damaged records are there, and marked."""
        return records.read(self.run(run), self._rows(run))

    def faults(self, run: str) -> list[str]:
        """What of a run is not as it was written, in words."""
        return records.faults(self.run(run), self._rows(run))

    def trusted(self, entry: Run) -> list[Record]:
        """As ``show``, for whoever acts on it.

        Raises:
            JournalError: Something is not what was written, so no before can be trusted.
        """
        rows = self._rows(entry.id)
        if found := records.faults(entry, rows):
            raise JournalError(
                f"{self.where}: run {entry.id}: damaged: {'; '.join(found)}: what it says was there before "
                f"cannot be trusted; compare `ferryman show {entry.id}` with the hosts, put them back by "
                f"hand, then give its locks back: ferryman close {entry.id} --reason TEXT"
            )
        return records.read(entry, rows)

    def life(self, run: str, owner: ProcessId) -> Liveness:
        """Whether the process that works on a run, or did, still lives: proof, not a guess."""
        if owner == self.owner:
            return Liveness(works=True, proof="it is this process")
        if owner.boot_id == self.owner.boot_id:
            works = self._alive(owner)
            return Liveness(
                works, "" if works else f"no process {owner.pid} of that start is on {owner.host}"
            )
        return self._by_lease(run, owner)

    def require_left(self, read: Run) -> None:
        """Make sure that a run is as it was read, and that no process works on it.

        Raises:
            BusyError: It is not, or one does.
        """
        self._require_left(read, self._found(read.id) or read)

    def _require_left(self, read: Run, now: Run) -> None:
        works = now.outcome is None and now.owner != self.owner and self.life(now.id, now.owner).works
        if works or (now.outcome, now.head) != (read.outcome, read.head):
            raise self._under_way(read, now.owner)

    def _under_way(self, entry: Run, owner: ProcessId) -> BusyError:
        return BusyError(
            f"run {entry.id} is under way ({entry.order.operator} on {owner.host}, pid {owner.pid}, since "
            f"{entry.started}); wait for it, or look: ferryman show {entry.id}"
        )

    def _require_free(self, held: Iterable[Lock], run: str) -> None:
        """None of these locks keeps the run from its own."""
        theirs = [(lock, self._life_of(lock)) for lock in held]
        theirs = [
            (lock, life)
            for lock, life in theirs
            if not (_is_free_for(lock, life, run, self.owner) or self._is_left_over(lock, life))
        ]
        if theirs:
            raise BusyError(
                "\n".join(_explained(lock, life, run) for lock, life in theirs),
                keys=[lock.key for lock, _ in theirs],
                at_work=all(life.works for _, life in theirs),
            )

    def _is_left_over(self, lock: Lock, life: Liveness) -> bool:
        """Whether a process died while it only looked at a run that had ended: nothing is in between."""
        if life.works or lock.state != "running":
            return False
        entry = self._found(lock.run)
        return entry is not None and not entry.is_open

    def _lost(self, run: str) -> BusyError:
        return BusyError(
            f"{run}: is no longer this process's: its lease ended, or somebody took it over or gave its "
            f"locks away; nothing more is changed from here; see ferryman show {run}, then ferryman "
            f"resume {run} or ferryman rollback {run}"
        )

    def _life_of(self, lock: Lock) -> Liveness:
        return self.life(lock.run, lock.owner) if lock.state == "running" else Liveness(works=False, proof="")


def _is_free_for(lock: Lock, life: Liveness, run: str, owner: ProcessId) -> bool:
    return lock.run == run and (lock.state != "running" or lock.owner == owner or not life.works)


def _explained(lock: Lock, life: Liveness, run: str) -> str:
    """Who has it, where, since when, and how to go on."""
    owner = lock.owner
    whose = f"{lock.operator} on {owner.host}, pid {owner.pid}, since {lock.since}"
    ways = f"ferryman show {lock.run}, then ferryman resume {lock.run} or ferryman rollback {lock.run}"
    what = "this run" if lock.run == run else f"run {lock.run}"
    if life.works:
        return f"{lock.key}: {what} is under way ({whose}); wait for it, or look: ferryman show {lock.run}"
    if lock.state == "running":
        return f"{lock.key}: {what} has died and is open ({whose}; {life.proof}); {ways}"
    return f"{lock.key}: {what} is {lock.state} ({whose}); {ways}"
