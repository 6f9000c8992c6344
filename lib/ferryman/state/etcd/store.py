"""The store of several control hosts: etcd v3.

Every write of a run is one transaction on condition that ``alive/RUN`` is the very key that this process
created (its create revision): a process that has lost its lease, and with it the run, cannot write into it
any more, however late it wakes up. That is the fencing token of etcd's own concurrency package.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ferryman.engine.clock import Clock, SystemClock, stamp
from ferryman.engine.process import ProcessId, is_alive
from ferryman.errors import BusyError, JournalError
from ferryman.state import kept_apart, records
from ferryman.state.etcd import rows
from ferryman.state.etcd.client import EtcdClient, created_in, put, unchanged, written_in
from ferryman.state.etcd.gateway import ForkedGateway, HttpGateway
from ferryman.state.etcd.keys import Keys
from ferryman.state.records import Lock, Run
from ferryman.state.spool import Spool
from ferryman.state.store import Liveness, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ferryman.config import EtcdCluster, EtcdConfig
    from ferryman.outcomes import RunResult
    from ferryman.state.etcd.client import Compare, KeyValue, Put
    from ferryman.state.records import NewRecord, PlanSummary, RunRequest

SCHEMA = 1
_REPLAY_TRIES = 3
"""A late copy of an earlier request may arrive while a spool is appended."""


@dataclass(slots=True)
class _OwnedRun:
    """The run that this process owns, with its lease, its locks and the revisions that fence its writes."""

    entry: Run
    lease: int
    deadline: float
    """When the lease ends at the earliest, in seconds of the monotonic clock."""
    renewed: float
    """When the last request was sent that is known to have renewed it, by the same clock."""
    error: JournalError | None = None
    """Why the last renewal failed, if it did."""
    fence: int = 0
    """The revision in which ``alive/RUN`` was created."""
    keys: tuple[str, ...] = ()
    locked: int = 0
    """The revision in which the locks were acquired."""
    row: int = 0
    """The revision in which this process last wrote the run's row."""


class EtcdStore(Store):
    """Journal and locks in a cluster; used by one thread alone, except for ``renew``."""

    def __init__(
        self,
        cluster: EtcdCluster,
        config: EtcdConfig,
        *,
        clock: Clock | None = None,
        owner: ProcessId | None = None,
        alive: Callable[[ProcessId], bool | None] = is_alive,
    ) -> None:
        self.heartbeat_s = config.lease / 12
        self.silence_s = config.lease / 3
        self._client = EtcdClient(HttpGateway(cluster, config), self._time_left_s)
        self._renewing = EtcdClient(HttpGateway(cluster, config), lambda: self.heartbeat_s)
        super().__init__(str(cluster), clock or SystemClock(), owner or ProcessId.this_process(), alive)
        self._keys = Keys(cluster.prefix)
        self._lease_s = config.lease
        self._margin_s = config.lease / 6
        self._owned: _OwnedRun | None = None
        self._spool: Spool | None = None
        self.spool_folder: Path | None = None
        """The folder of the spool; without one, records that cannot be written are kept in memory alone."""

    @classmethod
    def in_this_namespace(cls, cluster: EtcdCluster, config: EtcdConfig) -> EtcdStore:
        """A store that asks from this network namespace also after the process has entered another one."""
        store = cls(cluster, config)
        store._client.gateway = ForkedGateway(cluster, config)
        store._renewing.gateway = ForkedGateway(cluster, config)
        return store

    def begin(self, request: RunRequest, plan: PlanSummary) -> str:
        """As ``Store.begin``."""
        self._require_schema()
        entry = Run.new(request, plan, self.owner, self.clock.now())
        owned = self._leased(entry)
        puts = [self._run_put(entry), self._alive_put(owned)]
        revision = self._client.commit([created_in(self._keys.run(entry.id), 0)], puts)
        owned.fence = revision or self._alive_since(owned)
        owned.row = owned.fence
        self._owned, self._spool = owned, None
        return entry.id

    def acquire(self, run: str, keys: Sequence[str], operator: str) -> None:
        """As ``Store.acquire``."""
        owned = self._require_run(run)
        while not owned.keys and keys:
            compares, puts = self._acquisition(run, keys, operator)
            if revision := self._client.commit([*compares, *self._fence(owned)], puts):
                owned.keys, owned.locked = tuple(keys), revision
            elif self._alive_since(owned) != owned.fence:
                raise self._lost(run)

    def adopt(self, entry: Run, keys: Sequence[str], operator: str) -> None:
        """As ``Store.adopt``."""
        self._require_schema()
        owned = self._leased(entry)
        try:
            while not self._try_to_adopt(owned, keys, operator):
                pass
        except BaseException:
            self._revoke(owned)
            raise
        self._owned, self._spool = owned, None

    def reopen(self, run: str) -> None:
        """As ``Store.reopen``."""
        owned = self._require_run(run)
        self._rewrite(owned, rows.opened(owned.entry))

    def append(self, run: str, new_records: Sequence[NewRecord]) -> None:
        """As ``Store.append``; what is too large for one request is written in several, in order."""
        owned = self._require_run(run)
        new_records = kept_apart.split(new_records)
        before = owned.entry.records
        try:
            self._append(owned, records.chained_rows(owned.entry, new_records))
        except JournalError:
            self.spool(run, new_records[owned.entry.records - before :])
            raise

    def spool(self, run: str, new_records: Sequence[NewRecord]) -> bool:
        """As ``Store.spool``; in memory, and in a file where there is a folder."""
        if (owned := self._owned) is None or owned.entry.id != run:
            return False
        if self._spool is None:
            self._spool = Spool(self.spool_folder, owned.entry)
        self._spool.add(new_records)
        return True

    def replay_spool(self, run: str) -> str:
        """As ``Store.replay_spool``."""
        owned = self._require_run(run)
        try:
            spool = self._spool or Spool.load(self.spool_folder, owned.entry)
        except OSError as error:
            return f"what an earlier process left of {run} on this control host cannot be read: {error}"
        if spool is None:
            return ""
        self._spool = spool
        if not self._replayed(owned, spool):
            self._spool = None
            return (
                f"{spool.set_aside()}: the records that an earlier process here could not write do not "
                f"continue those of {run} in {self.where}: another control host went on with it, or the file "
                f"is damaged; it is kept and not acted on; compare it with ferryman show {run}"
            )
        spool.remove()
        self._spool = None
        return ""

    def spooled(self) -> str:
        """As ``Store.spooled``."""
        return self._spool.summary() if self._spool is not None else ""

    def require_owned(self) -> None:
        """As ``Store.require_owned``; it reads the clock alone: the cluster checks each write.

        A sixth of the lease must be left: a change takes time, and must be over before the lease ends.
        """
        if (owned := self._owned) is not None and self.clock.monotonic() >= owned.deadline - self._margin_s:
            raise self._lost(owned.entry.id)

    def renew(self) -> None:
        """As ``Store.renew``; on connections of its own."""
        if (owned := self._owned) is None:
            return
        sent = self.clock.monotonic()
        try:
            left_s = self._renewing.keep_alive(owned.lease)
        except JournalError as error:
            owned.error = error
            raise
        left_s = min(left_s, self._lease_s)  # whatever is said, no more than was asked for
        owned.deadline, owned.renewed, owned.error = sent + left_s, sent, None
        if not left_s:
            raise self._lost(owned.entry.id)

    def finish(self, result: RunResult, *, is_final: bool) -> None:
        """As ``Store.finish``."""
        owned = self._require_run(result.run)
        state = records.lock_state_after(result)
        locks = [lock for lock in self.locks() if lock.run == result.run]
        kept = [self._lock_put(replace(lock, state=state)) for lock in locks if state]
        released = [self._keys.lock(lock.key) for lock in locks if not state]
        entry = rows.ended(owned.entry, result, stamp(self.clock.now())) if is_final else owned.entry
        self._rewrite(owned, entry, *kept, deletes=[*released, self._keys.alive(result.run)])
        self._owned = None
        self._revoke(owned)

    def runs(self, limit: int = 100) -> list[Run]:
        """As ``Store.runs``."""
        found = self._client.listed(self._keys.run(""), limit=limit, newest_first=True)
        return [self._entry(run) for run in found]

    def locks(self) -> list[Lock]:
        """As ``Store.locks``."""
        return [lock for _, lock in self._stored_locks().values()]

    def close(self) -> None:
        """As ``Store.close``."""
        self._client.close()
        self._renewing.close()

    def _found(self, run: str) -> Run | None:
        found = self._client.get(self._keys.run(run))
        return self._entry(found) if found else None

    def _ids(self) -> list[str]:
        return [entry.id for entry in self.runs(1000)]

    def _rows(self, run: str) -> list[list[object]]:
        found = self._client.listed(self._keys.records_of(run))
        return [row for batch in found for row in rows.batch(run, batch.value)]

    def _by_lease(self, run: str, owner: ProcessId) -> Liveness:
        found = self._client.get(self._keys.alive(run))
        if found is not None and rows.owner(found, self.where) == owner:
            return Liveness(alive=True, evidence="")
        return Liveness(alive=False, evidence="its lease in etcd has ended")

    def _try_to_adopt(self, owned: _OwnedRun, keys: Sequence[str], operator: str) -> bool:
        """One attempt: False where something changed meanwhile, or a dead process's key had to be deleted."""
        run = owned.entry.id
        seen = self._client.get(self._keys.run(run))
        self._require_idle(owned.entry, self._entry(seen) if seen else owned.entry)
        if not self._has_no_other_process(owned):
            return False
        entry = replace(owned.entry, owner=self.owner)
        entry = rows.opened(entry) if entry.is_open else entry
        compares, puts = self._acquisition(run, keys, operator)
        conditions = [unchanged(self._keys.run(run), seen), created_in(self._keys.alive(run), 0)]
        puts += [self._run_put(entry), self._alive_put(owned)]
        revision = self._client.commit([*compares, *conditions], puts) or self._created_by(owned)
        if revision:
            owned.entry, owned.keys = entry, tuple(keys)
            owned.fence = owned.locked = owned.row = revision
        return bool(revision)

    def _has_no_other_process(self, owned: _OwnedRun) -> bool:
        """Whether no other process is recorded as alive on the run; the key of a dead one is deleted.

        Raises:
            BusyError: Another process is alive on it.
        """
        key = self._keys.alive(owned.entry.id)
        found = self._client.get(key)
        if found is None:
            return True
        owner = rows.owner(found, self.where)
        if self.liveness(owned.entry.id, owner).alive:
            raise self._under_way(owned.entry, owner)
        self._client.commit([created_in(key, found.created)], [], [key])
        return False

    def _acquisition(self, run: str, keys: Sequence[str], operator: str) -> tuple[list[Compare], list[Put]]:
        """The compares and writes that acquire these locks, unless one of them is acquired meanwhile."""
        seen = self._stored_locks()
        self._require_free([lock for key, (_, lock) in seen.items() if key in keys], run)
        now = stamp(self.clock.now())
        locks = [Lock(key, run, "running", operator, self.owner, now, "") for key in keys]
        compares = [unchanged(self._keys.lock(key), seen[key][0] if key in seen else None) for key in keys]
        return compares, [self._lock_put(lock) for lock in locks]

    def _stored_locks(self) -> dict[str, tuple[KeyValue, Lock]]:
        found = self._client.listed(self._keys.lock(""))
        pairs = [(stored, rows.lock(stored, self.where)) for stored in found]
        return {lock.key: (stored, lock) for stored, lock in pairs}

    def _append(self, owned: _OwnedRun, records: Sequence[list[Any]]) -> None:
        for batch in rows.batches(records):
            after = replace(owned.entry, records=batch[-1][1], last_checksum=batch[-1][-1])
            self._rewrite(owned, after, put(self._keys.records(after.id, batch[0][1]), json.dumps(batch)))

    def _replayed(self, owned: _OwnedRun, spool: Spool) -> bool:
        """Append what the cluster lacks of a spool; False where it does not continue what is there."""
        run = owned.entry.id
        for tries_left in reversed(range(_REPLAY_TRIES)):
            found = self._client.get(self._keys.run(run))
            entry = self._entry(found) if found else owned.entry
            rest = spool.unstored(entry, self._rows(run))
            if rest is None or found is None:
                return False
            # The row may be from a request of ours whose answer was lost: the fence excludes other processes.
            owned.entry, owned.row = replace(entry, owner=self.owner), found.modified
            try:
                self._append(owned, rest)
            except BusyError:
                if not tries_left:
                    raise
            else:
                break
        return True

    def _rewrite(self, owned: _OwnedRun, entry: Run, *puts: Put, deletes: Sequence[str] = ()) -> None:
        """Write the run's row and more, on condition that the run is still this process's; repeatable."""
        key, row = self._keys.run(entry.id), self._run_put(entry)
        # A copy of an earlier request may arrive late, after a network failure: it must not write again.
        conditions = [*self._fence(owned), written_in(key, owned.row)]
        if not (revision := self._client.commit(conditions, [row, *puts], deletes)):
            found = self._client.get(key)
            if found is None or found.modified == owned.row or put(key, found.value) != row:
                raise self._lost(entry.id)
            revision = found.modified  # the first try did it, and its answer was lost
        owned.row = revision
        owned.entry = entry

    def _fence(self, owned: _OwnedRun) -> list[Compare]:
        locks = [written_in(self._keys.lock(key), owned.locked) for key in owned.keys]
        return [created_in(self._keys.alive(owned.entry.id), owned.fence), *locks]

    def _require_run(self, run: str) -> _OwnedRun:
        if self._owned is None or self._owned.entry.id != run:
            raise self._lost(run)
        return self._owned

    def _leased(self, entry: Run) -> _OwnedRun:
        sent = self.clock.monotonic()
        return _OwnedRun(entry, self._client.grant(self._lease_s), sent + self._lease_s, sent)

    def _time_left_s(self) -> float:
        """Seconds for which a request may be tried: until a third of the lease is over without renewal.

        Raises:
            JournalError: It is over, and renewals still fail: one more request would only cost time.
        """
        if (owned := self._owned) is None:
            return self.silence_s
        left_s = owned.renewed + self.silence_s - self.clock.monotonic()
        if left_s <= 0 and owned.error is not None:
            raise JournalError(str(owned.error))
        return max(0.0, left_s)

    def _revoke(self, owned: _OwnedRun) -> None:
        with suppress(JournalError):  # it ends by itself
            self._client.revoke(owned.lease)

    def _alive_since(self, owned: _OwnedRun) -> int:
        """The revision in which this process's own ``alive`` key was created.

        Raises:
            BusyError: There is no such key, or it is another process's.
        """
        if not (revision := self._created_by(owned)):
            raise self._lost(owned.entry.id)
        return revision

    def _created_by(self, owned: _OwnedRun) -> int:
        """As ``_alive_since``, but 0 where there is no such key: whether a commit without answer was made."""
        found = self._client.get(self._keys.alive(owned.entry.id))
        return found.created if found is not None and found.value == self._alive_value(owned) else 0

    def _alive_value(self, owned: _OwnedRun) -> str:
        return json.dumps({**self.owner.as_row(), "lease": owned.lease})

    def _alive_put(self, owned: _OwnedRun) -> Put:
        return put(self._keys.alive(owned.entry.id), self._alive_value(owned), owned.lease)

    def _run_put(self, entry: Run) -> Put:
        return put(self._keys.run(entry.id), json.dumps(entry.as_row()))

    def _lock_put(self, lock: Lock) -> Put:
        return put(self._keys.lock(lock.key), json.dumps(lock.as_row()))

    def _entry(self, found: KeyValue) -> Run:
        return rows.entry(found, self.owner)

    def _require_schema(self) -> None:
        mine = json.dumps({"schema": SCHEMA})
        key = self._keys.schema
        if self._client.commit([created_in(key, 0)], [put(key, mine)]):
            return
        found = self._client.get(key)
        if found is not None and found.value != mine:
            raise JournalError(
                f"{self.where}: was written by another ferryman: {found.value}, this one knows {mine}; use "
                "the newer ferryman, or another prefix in ferryman.toml"
            )
