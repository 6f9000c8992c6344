"""One run per virtual service: all of a plan's locks at once, or none.

A lock outlives its process. It is given back when its run has ended and nothing of it is left in between; so
a run that died, is held or is stranded keeps it, and only resume or rollback of that very run take it over.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from ferryman.engine.clock import stamp
from ferryman.engine.owner import Owner, is_alive
from ferryman.errors import BusyError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ferryman.engine.clock import Clock
    from ferryman.engine.database import Database

LockState = Literal["running", "held", "stranded"]
LEASE_S = 60.0
"""How long a process on another host is believed to be alive after it was last heard of."""


@dataclass(frozen=True, slots=True)
class Lock:
    """Who has one key."""

    key: str
    run: str
    state: LockState
    operator: str
    owner: Owner
    since: str
    lease_until: str


class Locks:
    """The table of locks.

    Raises:
        JournalError: From every method: the state file cannot be read or written.
    """

    def __init__(
        self, database: Database, clock: Clock, owner: Owner, alive: Callable[[Owner], bool] = is_alive
    ) -> None:
        self._database = database
        self._clock = clock
        self._owner = owner
        self._alive = alive

    def another(self) -> Locks:
        """The same on a connection of its own, for another thread."""
        return Locks(self._database.another(), self._clock, self._owner, self._alive)

    def close(self) -> None:
        """Give the connection back."""
        self._database.close()

    def take(self, keys: Sequence[str], run: str, operator: str) -> None:
        """Take all the keys for this run, in one transaction; those its dead process left are taken over.

        Raises:
            BusyError: Another run has one of them, or this run is under way in another process.
        """
        with self._database.transaction():
            theirs = [lock for lock in self.all() if lock.key in keys and not self._is_free_for(lock, run)]
            if theirs:
                raise BusyError("\n".join(self._explained(lock, run) for lock in theirs))
            for key in keys:
                self._write(key, run, operator)

    def renew(self, keys: Sequence[str], run: str) -> bool:
        """Say that this process is still alive; False when one of the keys is no longer its own."""
        with self._database.transaction():
            renewed = self._database.execute(
                "UPDATE locks SET lease_until = ? WHERE run = ? AND host = ? AND pid = ? AND pid_started = ?",
                (self._lease_end(), run, self._owner.host, self._owner.pid, self._owner.pid_started),
            )
        return renewed == len(keys)

    def are_ours(self, keys: Sequence[str], run: str) -> bool:
        """Whether this process still has every one of the keys."""
        ours = {lock.key for lock in self.all() if lock.run == run and lock.owner == self._owner}
        return ours == set(keys)

    def park(self, run: str, state: LockState) -> None:
        """Keep the locks though no process works on the run: it is held or stranded."""
        with self._database.transaction():
            self._database.execute("UPDATE locks SET state = ? WHERE run = ?", (state, run))

    def release(self, run: str) -> None:
        """Give all locks of the run back."""
        with self._database.transaction():
            self._database.execute("DELETE FROM locks WHERE run = ?", (run,))

    def all(self) -> list[Lock]:
        """Every lock there is."""
        return [_lock(row) for row in self._database.query("SELECT * FROM locks ORDER BY key")]

    def is_alive(self, owner: Owner, lease_until: str = "") -> bool:
        """Whether a process still works: asked of the kernel here, judged by its lease elsewhere."""
        if owner.host != self._owner.host:
            return lease_until > stamp(self._clock.now())
        return self._alive(owner)

    def _is_free_for(self, lock: Lock, run: str) -> bool:
        if lock.run != run:
            return False
        return lock.state != "running" or lock.owner == self._owner or not self._works(lock)

    def _works(self, lock: Lock) -> bool:
        return lock.state == "running" and self.is_alive(lock.owner, lock.lease_until)

    def _write(self, key: str, run: str, operator: str) -> None:
        owner = self._owner
        self._database.execute(
            "INSERT OR REPLACE INTO locks VALUES (?, ?, 'running', ?, ?, ?, ?, ?, ?, ?)",
            (
                *(key, run, operator),
                *(owner.host, owner.pid, owner.pid_started, owner.boot_id),
                *(stamp(self._clock.now()), self._lease_end()),
            ),
        )

    def _lease_end(self) -> str:
        return stamp(self._clock.now() + timedelta(seconds=LEASE_S))

    def _explained(self, lock: Lock, run: str) -> str:
        """Who has it, where, since when, and how to go on."""
        owner = lock.owner
        whose = f"{lock.operator} on {owner.host}, pid {owner.pid}, since {lock.since}"
        ways = f"ferryman show {lock.run}, then ferryman resume {lock.run} or ferryman rollback {lock.run}"
        what = "this run" if lock.run == run else f"run {lock.run}"
        if self._works(lock):
            return (
                f"{lock.key}: {what} is under way ({whose}); wait for it, or look: ferryman show {lock.run}"
            )
        if lock.state == "running":
            return f"{lock.key}: {what} has died and is open ({whose}); {ways}"
        return f"{lock.key}: {what} is {lock.state} ({whose}); {ways}"


def _lock(row: Any) -> Lock:  # noqa: ANN401  # a row of SQLite's has fields of any type
    owner = Owner(row["host"], row["pid"], row["pid_started"], row["boot_id"])
    return Lock(
        row["key"], row["run"], row["state"], row["operator"], owner, row["since"], row["lease_until"]
    )
