"""The store of runs: one interface over a SQLite file for one control host, or etcd for several."""

from ferryman.state.records import Lock, LockState, NewRecord, Record, Run, RunRequest, new_run_id
from ferryman.state.sqlite.store import SqliteStore
from ferryman.state.store import Liveness, Store

__all__ = [
    "Liveness",
    "Lock",
    "LockState",
    "NewRecord",
    "Record",
    "Run",
    "RunRequest",
    "SqliteStore",
    "Store",
    "new_run_id",
]
