"""The store of many control hosts: etcd v3.

Every write of a run is one transaction that holds only while ``alive/RUN`` is the very key that this process
made (its create revision): a process that lost its lease, and with it the run, cannot write into it any more,
however late it wakes up. That is the fencing of etcd's own concurrency package.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ferryman.engine.clock import Clock, SystemClock, stamp
from ferryman.engine.process import ProcessId, is_alive
from ferryman.errors import BusyError, JournalError
from ferryman.state import etcd_rows as rows
from ferryman.state import records
from ferryman.state.base import Close, Liveness, Store
from ferryman.state.etcd_client import EtcdClient, made_in, put, unchanged, written_in
from ferryman.state.etcd_gateway import ForkedGateway, HttpGateway
from ferryman.state.etcd_keys import Keys
from ferryman.state.records import Lock, Run
from ferryman.state.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ferryman.config import EtcdCluster, EtcdConfig
    from ferryman.engine.plan import Plan
    from ferryman.state.etcd_client import Compare, KeyValue, Put
    from ferryman.state.records import NewRecord, RunRequest

SCHEMA = 1
_REPLAYS = 3
"""How often a spool is tried to be appended: a late copy of an earlier request may come in between."""


@dataclass(slots=True)
class _Hold:
    """What this process has of one run."""

    entry: Run
    lease: int
    deadline: float
    """By the clock that never goes back: when the lease ends at the earliest."""
    renewed: float
    """By the same clock: when the last request was sent that is known to have renewed it."""
    trouble: JournalError | None = None
    """Why the last heartbeat failed, if it did."""
    fence: int = 0
    """The revision in which ``alive/RUN`` was made."""
    keys: tuple[str, ...] = ()
    taken: int = 0
    """The revision in which the locks were taken."""
    row: int = 0
    """The revision in which the run's row was last written: by us."""


class EtcdStore(Store):
    """Journal and locks in a cluster; used by one thread alone, but for ``beat``."""

    def __init__(
        self,
        cluster: EtcdCluster,
        config: EtcdConfig,
        *,
        clock: Clock | None = None,
        owner: ProcessId | None = None,
        alive: Callable[[ProcessId], bool] = is_alive,
    ) -> None:
        self.beat_s = config.lease / 12
        self.silence_s = config.lease / 3
        self._client = EtcdClient(HttpGateway(cluster, config), self._patience_s)
        self._beating = EtcdClient(HttpGateway(cluster, config), lambda: self.beat_s)
        super().__init__(str(cluster), clock or SystemClock(), owner or ProcessId.this_process(), alive)
        self._keys = Keys(cluster.prefix)
        self._lease_s = config.lease
        self._margin_s = config.lease / 6
        self._hold: _Hold | None = None
        self._spool: Spool | None = None
        self.spool_folder: Path | None = None
        """Where records wait that the cluster could not be told; None: in memory alone."""

    @classmethod
    def staying(cls, cluster: EtcdCluster, config: EtcdConfig) -> EtcdStore:
        """One that asks from the network namespace that this process is in now, wherever it goes."""
        store = cls(cluster, config)
        store._client.gateway = ForkedGateway(cluster, config)
        store._beating.gateway = ForkedGateway(cluster, config)
        return store

    def begin(self, order: RunRequest, plan: Plan) -> str:
        """As ``Store.begin``."""
        self._require_schema()
        entry = Run.new(order, plan, self.owner, self.clock.now())
        hold = self._leased(entry)
        puts = [self._run_put(entry), self._alive_put(hold)]
        hold.fence = self._client.commit([made_in(self._keys.run(entry.id), 0)], puts) or self._alive_since(
            hold
        )
        hold.row = hold.fence
        self._hold, self._spool = hold, None
        return entry.id

    def take(self, run: str, keys: Sequence[str], operator: str) -> None:
        """As ``Store.take``."""
        hold = self._held(run)
        while not hold.keys and keys:
            compares, puts = self._taking(run, keys, operator)
            if revision := self._client.commit([*compares, *self._fence(hold)], puts):
                hold.keys, hold.taken = tuple(keys), revision
            elif self._alive_since(hold) != hold.fence:
                raise self._lost(run)

    def claim(self, entry: Run, keys: Sequence[str], operator: str) -> None:
        """As ``Store.claim``."""
        self._require_schema()
        hold = self._leased(entry)
        try:
            while not self._claimed(hold, keys, operator):
                pass
        except BaseException:
            self._revoke(hold)
            raise
        self._hold, self._spool = hold, None

    def reopen(self, run: str) -> None:
        """As ``Store.reopen``."""
        hold = self._held(run)
        self._rewrite(hold, rows.opened(hold.entry))

    def append(self, run: str, notes: Sequence[NewRecord]) -> None:
        """As ``Store.append``; more than one request takes is recorded in several, in order."""
        hold = self._held(run)
        before = hold.entry.records
        try:
            self._append(hold, records.written(hold.entry, notes))
        except JournalError:
            self.spool(run, notes[hold.entry.records - before :])
            raise

    def spool(self, run: str, notes: Sequence[NewRecord]) -> bool:
        """As ``Store.spool``; in memory, and in a file where there is a folder for it."""
        if (hold := self._hold) is None or hold.entry.id != run:
            return False
        if self._spool is None:
            self._spool = Spool(self.spool_folder, hold.entry)
        self._spool.add(notes)
        return True

    def replay_spool(self, run: str) -> str:
        """As ``Store.replay_spool``."""
        hold = self._held(run)
        try:
            spool = self._spool or Spool.left(self.spool_folder, hold.entry)
        except OSError as error:
            return f"what an earlier process of {run} left on this control host cannot be read: {error}"
        if spool is None:
            return ""
        self._spool = spool
        if not self._replayed(hold, spool):
            self._spool = None
            return (
                f"{spool.put_by()}: what an earlier process here could not write does not follow what "
                f"{self.where} has of {run}: another control host went on with it, or the file is damaged; "
                f"it is kept and not acted on; compare it with ferryman show {run}"
            )
        spool.remove()
        self._spool = None
        return ""

    def spooled(self) -> str:
        """As ``Store.spooled``."""
        return self._spool.words() if self._spool is not None else ""

    def require_hold(self) -> None:
        """As ``Store.require_hold``; asks the clock alone, for each write asks the cluster.

        A sixth of the lease must be left: a change takes its time, and must be over before it ends.
        """
        if (hold := self._hold) is not None and self.clock.monotonic() >= hold.deadline - self._margin_s:
            raise self._lost(hold.entry.id)

    def beat(self) -> None:
        """As ``Store.beat``; on connections of its own."""
        if (hold := self._hold) is None:
            return
        sent = self.clock.monotonic()
        try:
            left_s = self._beating.keep_alive(hold.lease)
        except JournalError as error:
            hold.trouble = error
            raise
        hold.deadline, hold.renewed, hold.trouble = sent + left_s, sent, None
        if not left_s:
            raise self._lost(hold.entry.id)

    def finish(self, run: str, close: Close) -> None:
        """As ``Store.finish``."""
        hold = self._held(run)
        mine = [lock for lock in self.locks() if lock.run == run]
        parked = [self._lock_put(replace(lock, state=close.parked)) for lock in mine if close.parked]
        freed = [self._keys.lock(lock.key) for lock in mine if not close.parked]
        entry = rows.ended(hold.entry, close, stamp(self.clock.now())) if close.is_final else hold.entry
        self._rewrite(hold, entry, *parked, deletes=[*freed, self._keys.alive(run)])
        self._hold = None
        self._revoke(hold)

    def runs(self, limit: int = 100) -> list[Run]:
        """As ``Store.runs``."""
        found = self._client.listed(self._keys.run(""), limit=limit, newest_first=True)
        return [self._entry(one) for one in found]

    def locks(self) -> list[Lock]:
        """As ``Store.locks``."""
        return [lock for _, lock in self._locks_seen().values()]

    def close(self) -> None:
        """As ``Store.close``."""
        self._client.close()
        self._beating.close()

    def _found(self, run: str) -> Run | None:
        found = self._client.get(self._keys.run(run))
        return self._entry(found) if found else None

    def _ids(self) -> list[str]:
        return [entry.id for entry in self.runs(1000)]

    def _rows(self, run: str) -> list[list[object]]:
        found = self._client.listed(self._keys.records_of(run))
        return [row for one in found for row in rows.batch(run, one.value)]

    def _by_lease(self, run: str, owner: ProcessId) -> Liveness:
        found = self._client.get(self._keys.alive(run))
        if found is not None and rows.owner(found, self.where) == owner:
            return Liveness(works=True, proof="")
        return Liveness(works=False, proof="its lease in etcd has ended")

    def _claimed(self, hold: _Hold, keys: Sequence[str], operator: str) -> bool:
        """One try: False when something moved meanwhile, or a dead process was cleared out of the way."""
        run = hold.entry.id
        seen = self._client.get(self._keys.run(run))
        self._require_left(hold.entry, self._entry(seen) if seen else hold.entry)
        if not self._without_predecessor(hold):
            return False
        entry = replace(hold.entry, owner=self.owner)
        entry = rows.opened(entry) if entry.is_open else entry
        compares, puts = self._taking(run, keys, operator)
        still = [unchanged(self._keys.run(run), seen), made_in(self._keys.alive(run), 0)]
        puts += [self._run_put(entry), self._alive_put(hold)]
        revision = self._client.commit([*compares, *still], puts) or self._made_by(hold)
        if revision:
            hold.entry, hold.keys = entry, tuple(keys)
            hold.fence = hold.taken = hold.row = revision
        return bool(revision)

    def _without_predecessor(self, hold: _Hold) -> bool:
        """Nobody else's process is alive on the run; one that is proven dead is taken out."""
        key = self._keys.alive(hold.entry.id)
        found = self._client.get(key)
        if found is None:
            return True
        owner = rows.owner(found, self.where)
        if self.life(hold.entry.id, owner).works:
            raise self._under_way(hold.entry, owner)
        self._client.commit([made_in(key, found.created)], [], [key])
        return False

    def _taking(self, run: str, keys: Sequence[str], operator: str) -> tuple[list[Compare], list[Put]]:
        """What takes these locks, if nobody takes one meanwhile."""
        seen = self._locks_seen()
        self._require_free([lock for key, (_, lock) in seen.items() if key in keys], run)
        now = stamp(self.clock.now())
        locks = [Lock(key, run, "running", operator, self.owner, now, "") for key in keys]
        compares = [unchanged(self._keys.lock(key), seen[key][0] if key in seen else None) for key in keys]
        return compares, [self._lock_put(lock) for lock in locks]

    def _locks_seen(self) -> dict[str, tuple[KeyValue, Lock]]:
        found = self._client.listed(self._keys.lock(""))
        pairs = [(one, rows.lock(one, self.where)) for one in found]
        return {lock.key: (one, lock) for one, lock in pairs}

    def _append(self, hold: _Hold, records: Sequence[list[Any]]) -> None:
        for batch in rows.batches(records):
            after = replace(hold.entry, records=batch[-1][1], head=batch[-1][-1])
            self._rewrite(hold, after, put(self._keys.records(after.id, batch[0][1]), json.dumps(batch)))

    def _replayed(self, hold: _Hold, spool: Spool) -> bool:
        """Append what the cluster lacks of a spool; False when it does not follow what is there."""
        run = hold.entry.id
        for again in reversed(range(_REPLAYS)):
            found = self._client.get(self._keys.run(run))
            entry = self._entry(found) if found else hold.entry
            rest = spool.rest(entry, self._rows(run))
            if rest is None or found is None:
                return False
            # What was written last may be a request of ours whose answer was lost. The fence says the rest.
            hold.entry, hold.row = replace(entry, owner=self.owner), found.modified
            try:
                self._append(hold, rest)
            except BusyError:
                if not again:
                    raise
            else:
                break
        return True

    def _rewrite(self, hold: _Hold, entry: Run, *puts: Put, deletes: Sequence[str] = ()) -> None:
        """Write the run's row and more, if the run is still ours; again, it is the same."""
        key, row = self._keys.run(entry.id), self._run_put(entry)
        # A copy of an earlier request may arrive late, over a way that was cut: it must not write again.
        still = [*self._fence(hold), written_in(key, hold.row)]
        if not (revision := self._client.commit(still, [row, *puts], deletes)):
            found = self._client.get(key)
            if found is None or found.modified == hold.row or put(key, found.value) != row:
                raise self._lost(entry.id)
            revision = found.modified  # the first try did it, and its answer was lost
        hold.row = revision
        hold.entry = entry

    def _fence(self, hold: _Hold) -> list[Compare]:
        locks = [written_in(self._keys.lock(key), hold.taken) for key in hold.keys]
        return [made_in(self._keys.alive(hold.entry.id), hold.fence), *locks]

    def _held(self, run: str) -> _Hold:
        if self._hold is None or self._hold.entry.id != run:
            raise self._lost(run)
        return self._hold

    def _leased(self, entry: Run) -> _Hold:
        asked = self.clock.monotonic()
        return _Hold(entry, self._client.grant(self._lease_s), asked + self._lease_s, asked)

    def _patience_s(self) -> float:
        """How long to ask in vain: until nothing has been heard for a third of the lease.

        Raises:
            JournalError: It has not, and heartbeats fail still: one more request would cost its time.
        """
        if (hold := self._hold) is None:
            return self.silence_s
        left_s = hold.renewed + self.silence_s - self.clock.monotonic()
        if left_s <= 0 and hold.trouble is not None:
            raise JournalError(str(hold.trouble))
        return max(0.0, left_s)

    def _revoke(self, hold: _Hold) -> None:
        with suppress(JournalError):  # it ends by itself
            self._client.revoke(hold.lease)

    def _alive_since(self, hold: _Hold) -> int:
        """The revision in which this process's own ``alive`` key was made.

        Raises:
            BusyError: There is none, or another process's.
        """
        if not (revision := self._made_by(hold)):
            raise self._lost(hold.entry.id)
        return revision

    def _made_by(self, hold: _Hold) -> int:
        """As ``_alive_since``; 0 when there is none: what a commit whose answer was lost came to."""
        found = self._client.get(self._keys.alive(hold.entry.id))
        return found.created if found is not None and found.value == self._alive_value(hold) else 0

    def _alive_value(self, hold: _Hold) -> str:
        return json.dumps({**self.owner.as_row(), "lease": hold.lease})

    def _alive_put(self, hold: _Hold) -> Put:
        return put(self._keys.alive(hold.entry.id), self._alive_value(hold), hold.lease)

    def _run_put(self, entry: Run) -> Put:
        return put(self._keys.run(entry.id), json.dumps(entry.as_row()))

    def _lock_put(self, lock: Lock) -> Put:
        return put(self._keys.lock(lock.key), json.dumps(lock.as_row()))

    def _entry(self, found: KeyValue) -> Run:
        return rows.entry(found, self.owner)

    def _require_schema(self) -> None:
        mine = json.dumps({"schema": SCHEMA})
        key = self._keys.schema
        if self._client.commit([made_in(key, 0)], [put(key, mine)]):
            return
        found = self._client.get(key)
        if found is not None and found.value != mine:
            raise JournalError(
                f"{self.where}: was written by another ferryman: {found.value}, this one knows {mine}; use "
                "the newer ferryman, or another prefix in ferryman.toml"
            )
